package content

import (
	"io"

	"github.com/ipfs/go-cid"
)

// Block is an inner node.
type Block struct {
	CID  cid.Cid
	Data []byte
}

// Made is something that was made, and the nodes that were made for it.
type Made struct {
	CID    cid.Cid
	Size   int64   // bytes of the file; 0 for the rest
	Tsize  uint64  // bytes of all blocks, those below included, each as often as it occurs
	Blocks []Block // inner nodes, children before parents; none if the file is one chunk
}

// Link is an entry of a directory that is being made.
type Link struct {
	Name  string
	CID   cid.Cid
	Tsize uint64 // bytes of all blocks of what is linked
}

// ChunkCount returns how many chunks a file of size bytes has: one if it is empty.
func ChunkCount(size int64) int { return int(max((size+ChunkSize-1)/ChunkSize, 1)) }

// HashSpan hashes some chunks of a file.
func HashSpan(r io.ReaderAt, size int64, first, count int, out []Digest, buf []byte) error {
	return errNotYet
}

// MakeFile makes a file.
func MakeFile(size int64, leaves []Digest) (Made, error) { return Made{}, errNotYet }

// MakeSymlink makes a symbolic link.
func MakeSymlink(target string) (Made, error) { return Made{}, errNotYet }

// MakeDir makes a directory.
func MakeDir(links []Link) (Made, error) { return Made{}, errNotYet }
