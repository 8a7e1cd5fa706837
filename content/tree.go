package content

import "github.com/ipfs/go-cid"

// Kind is what an entry is.
type Kind uint8

// The kinds of entries.
const (
	File Kind = iota
	Dir
	Symlink
)

// Entry is one file, directory or symbolic link of a tree.
type Entry struct {
	Path   string // relative to the root, components separated by slashes; "" is the root
	Kind   Kind
	CID    cid.Cid
	Size   int64  // bytes of a file; 0 for the rest
	Target string // of a symbolic link: anything
	Unsafe error  // a *NameError that says why this system must not create it; nil if it may
}

// Piece is where a chunk lies in a file.
type Piece struct {
	Chunk  uint32
	Offset int64 // bytes from the start of the file
}

// Tree is the shape of one root. It does not change and is safe for concurrent use.
type Tree struct {
	Root   cid.Cid
	Size   int64  // bytes of all files, each as often as it occurs
	Files  int    // how many entries are files
	Inline []byte // the bytes of a root that is a bare chunk, which is number 0; nil otherwise
}

// Len returns how many entries there are.
func (t *Tree) Len() int { return 0 }

// Entry returns entry i, which must be below Len.
func (t *Tree) Entry(i int) Entry { return Entry{} }

// Entries returns all entries depth first: each directory before what is in it, the root first.
func (t *Tree) Entries() []Entry { return nil }

// Pieces returns where the chunks of entry i lie, in the order of the file; none if it is no file.
func (t *Tree) Pieces(i int) []Piece { return nil }

// NumChunks returns how many distinct chunks there are. Their numbers start at 0.
func (t *Tree) NumChunks() int { return 0 }

// Digest returns the hash of chunk n, which must be below NumChunks.
func (t *Tree) Digest(n uint32) Digest { return Digest{} }

// ChunkLen returns the length of chunk n in bytes.
func (t *Tree) ChunkLen(n uint32) int { return 0 }

// Find returns the entry at a path.
func (t *Tree) Find(path string) (i int, ok bool) { return 0, false }

// Under returns end so that entries i to end-1 are entry i and all below it.
func (t *Tree) Under(i int) (end int) { return 0 }
