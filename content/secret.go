package content

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/ipfs/go-cid"
)

// SecretSize is the length of a secret in bytes: 128 bits, which nobody guesses.
const SecretSize = 16

// ProofSize is the length of a proof in bytes.
const ProofSize = sha256.Size

// Secret is what those have in common who may have a private root. The zero Secret is none.
//
// However it is printed, logged or encoded, and in whatever it is embedded, it says that it is there and nothing of what it is.
// Of an unexported field fmt does not ask the methods, and it follows one pointer, but never two.
type Secret struct{ key **[SecretSize]byte }

// ErrSecret says that bytes are no secret.
var ErrSecret = errors.New("not a secret")

// NewSecret draws a secret from a source of random bytes.
func NewSecret(random io.Reader) (Secret, error) {
	var b [SecretSize]byte
	if _, err := io.ReadFull(random, b[:]); err != nil {
		return Secret{}, fmt.Errorf("draw a secret: %w", err)
	}
	return ParseSecret(b[:])
}

// ParseSecret takes the bytes of a secret, which are not all zero.
func ParseSecret(b []byte) (Secret, error) {
	if len(b) != SecretSize || [SecretSize]byte(b) == [SecretSize]byte{} {
		return Secret{}, ErrSecret
	}
	key := (*[SecretSize]byte)(append([]byte(nil), b...))
	return Secret{&key}, nil
}

// Reveal returns the bytes of the secret itself: for a ticket, and for the index. None for the zero Secret.
func (s Secret) Reveal() []byte {
	if s.key == nil {
		return nil
	}
	return append([]byte(nil), (*s.key)[:]...)
}

// IsZero reports whether there is none.
func (s Secret) IsZero() bool { return s.key == nil }

// Equal compares in constant time.
func (s Secret) Equal(o Secret) bool {
	if s.key == nil || o.key == nil {
		return s.key == o.key
	}
	return subtle.ConstantTimeCompare((*s.key)[:], (*o.key)[:]) == 1
}

// String says whether there is a secret.
func (s Secret) String() string {
	if s.key == nil {
		return ""
	}
	return "[secret]"
}

// Format is String, whatever the verb.
func (s Secret) Format(f fmt.State, _ rune) { io.WriteString(f, s.String()) }

// MarshalText is String, for JSON and logs.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Alias is the name of a private root among those who hold its secret. It says nothing to others, and there is no content that
// has it: the bytes of which it would be the hash cannot be found.
func (s Secret) Alias(root cid.Cid) cid.Cid {
	return Digest(s.mac("shoal private root", root.Bytes())).CID()
}

// Proof shows one peer that another one holds the secret of a root, and nothing more: it is of no use towards anybody else,
// nor for a peer with another identity, nor for the one who got it.
func (s Secret) Proof(root cid.Cid, from, to string) [ProofSize]byte {
	return s.mac("shoal private proof", root.Bytes(), []byte(from), []byte(to))
}

// mac is the HMAC-SHA256 of a label and some parts, each behind its length in four bytes, big end first.
func (s Secret) mac(label string, parts ...[]byte) (sum [sha256.Size]byte) {
	h := hmac.New(sha256.New, s.Reveal())
	for _, p := range append([][]byte{[]byte(label)}, parts...) {
		h.Write(binary.BigEndian.AppendUint32(nil, uint32(len(p))))
		h.Write(p)
	}
	h.Sum(sum[:0])
	return sum
}

// Access says who may have a root. The zero Access lets everybody who can name it.
type Access struct {
	Secret  Secret    // of a private root: only those who prove that they hold it
	Limited bool      // only Peers, and if there are none nobody
	Peers   []string  // peer IDs, as bytes
	Until   time.Time // from then on nobody; zero is never. Only for what is private or limited
}

// Open reports whether everybody may have the root.
func (a Access) Open() bool { return a.Secret.IsZero() && !a.Limited }
