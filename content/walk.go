package content

import (
	"errors"

	"github.com/ipfs/go-cid"
)

// Budget bounds what a tree may cost. A field that is zero has its default.
type Budget struct {
	Depth   int   // components of the longest path
	Blocks  int   // inner nodes, each as often as it occurs
	Entries int   // files, directories and symbolic links
	Chunks  int   // leaves of all files, each as often as it occurs
	Bytes   int64 // bytes of all files, each as often as it occurs
	Nodes   int64 // bytes of all inner nodes, each as often as it occurs
	Paths   int64 // bytes of the paths of all entries
}

// Walk reads a tree node by node.
type Walk struct{}

var errNotYet = errors.New("not yet")

// NewWalk starts at root.
func NewWalk(root cid.Cid, b Budget) (*Walk, error) { return nil, errNotYet }

// Next returns the inner node that is wanted next; false when there is none.
func (w *Walk) Next() (cid.Cid, bool) { return cid.Undef, false }

// Add takes the bytes of the node that Next returned.
func (w *Walk) Add(data []byte) error { return errNotYet }

// Tree returns what was read.
func (w *Walk) Tree() (*Tree, error) { return nil, errNotYet }

// Blocks returns how many nodes were added.
func (w *Walk) Blocks() int { return 0 }
