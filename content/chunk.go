package content

import (
	"crypto/sha256"
	"errors"
	"fmt"
)

const (
	// ChunkSize is how many bytes of a file make one chunk; the last one may have fewer.
	ChunkSize = 1 << 20
	// MaxBlock is the largest block that is accepted, inner node or chunk, in bytes: the limit of the IPFS world. Others may
	// have cut a file into chunks larger than ours.
	MaxBlock = 2 << 20
)

// ErrMismatch says that bytes do not hash to the digest that they came under.
var ErrMismatch = errors.New("bytes do not match their hash")

// Chunk is bytes together with their hash. Only Seal and Verify make one, so holding it is proof. Whoever changes the bytes
// later breaks that.
type Chunk struct {
	digest Digest
	data   []byte
}

// Seal hashes data. It keeps data, and does not copy it.
func Seal(data []byte) Chunk { return Chunk{sha256.Sum256(data), data} }

// Verify hashes data and compares. It keeps data, and does not copy it. The error is ErrMismatch.
func Verify(d Digest, data []byte) (Chunk, error) {
	if len(data) > MaxBlock {
		return Chunk{}, fmt.Errorf("%w: %d bytes are more than a block may have", ErrMismatch, len(data))
	}
	c := Seal(data)
	if c.digest != d {
		return Chunk{}, ErrMismatch
	}
	return c, nil
}

// Digest returns the hash of the bytes.
func (c Chunk) Digest() Digest { return c.digest }

// Bytes returns the bytes themselves, not a copy.
func (c Chunk) Bytes() []byte { return c.data }
