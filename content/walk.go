package content

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"runtime"

	"github.com/ipfs/go-cid"
)

// Errors of a walk. Another copy of the node helps against ErrMismatch (see chunk.go) and nothing against the others, which
// include ErrNode.
var (
	// ErrBudget says that a tree is larger than it may be.
	ErrBudget = errors.New("too large a tree")
	// ErrUnsupported says that a node may be sound, but is of a kind that no writer of our profile makes.
	ErrUnsupported = errors.New("unsupported node")
	// ErrUnfinished says that nodes are still missing, or that none is.
	ErrUnfinished = errors.New("walk is not at that point")
)

// Budget bounds what a tree may cost who reads it. A field that is zero has its default.
type Budget struct {
	Depth   int   // components of the longest path
	Layers  int   // inner nodes of one file above each other
	Blocks  int   // inner nodes, each as often as it occurs
	Nodes   int64 // bytes of all inner nodes, each as often as it occurs
	Entries int   // files, directories and symbolic links, each as often as it occurs
	Names   int64 // bytes of the names of all entries, and of the targets of symbolic links
	Paths   int64 // bytes of the paths of all entries
	Chunks  int   // leaves of all files, each as often as it occurs
	Bytes   int64 // bytes of all files, each as often as it occurs
}

// The defaults. A node costs its sender little and may be named a thousand times, so only what it unfolds to counts.
var defaults = Budget{
	Depth:   64,        // deeper than people nest directories
	Layers:  32,        // a file needs seven if its nodes have two links each, and four at the width of the profile
	Blocks:  1 << 20,   // as many as entries, which may all be empty directories
	Nodes:   128 << 20, // a file of 1 TiB has 50 MiB of them, a million entries with names of twenty letters 70
	Entries: 1 << 20,   // 20 bytes each, and their names
	Names:   32 << 20,  // thirty letters for each of a million entries
	Paths:   128 << 20, // not kept, but written out by who lists all entries
	Chunks:  1 << 21,   // a file of 1 TiB and a million small ones; 48 bytes each
	Bytes:   1 << 40,
}

// orDefaults returns the budget with defaults where it is zero.
func (b Budget) orDefaults() Budget {
	fill(&b.Depth, defaults.Depth)
	fill(&b.Layers, defaults.Layers)
	fill(&b.Blocks, defaults.Blocks)
	fill(&b.Nodes, defaults.Nodes)
	fill(&b.Entries, defaults.Entries)
	fill(&b.Names, defaults.Names)
	fill(&b.Paths, defaults.Paths)
	fill(&b.Chunks, defaults.Chunks)
	fill(&b.Bytes, defaults.Bytes)
	return b
}

func fill[T int | int64](field *T, value T) {
	if *field == 0 {
		*field = value
	}
}

func overBudget(most int64, of string) error {
	return fmt.Errorf("%w: more than %d %s", ErrBudget, most, of)
}

// Walk reads a tree node by node, depth first, and makes no call out: who holds it gets the nodes that Next names and gives
// them to Add. A node that occurs twice is asked for twice, so the order is the same for everyone who walks the same root. A
// Walk is not safe for concurrent use.
type Walk struct {
	budget Budget
	left   Budget // what is left of the counts in it
	system string // whose rules names must keep

	tree   *Tree
	inner  digests
	chunks digests
	hash   nameHash

	stack  []frame
	want   want
	blocks int
	done   bool
	err    error // why it cannot go on
}

// part is what a node has to be.
type part uint8

const (
	whole   part = iota // an entry, or the upper node of one
	inFile              // a node of a file below another
	inShard             // a node of a sharded directory below another
	bare                // a chunk without any node above it
)

// place is where in the tree a node belongs.
type place struct {
	entry uint32
	depth int // components of its path
	path  int // bytes of its path
	layer int // nodes of the same file above it
}

// want is the node that is wanted.
type want struct {
	place
	ref   ref
	part  part
	size  uint64 // bytes of the file below it, for inFile
	shard shard  // where it lies in the trie, for inShard
}

// frame is a node with links that were not looked at yet.
type frame struct {
	place
	kind  fsKind
	links []byte
	owned bool     // links is our copy
	sizes []uint64 // of the links of a file
	shard shard
}

// NewWalk starts at root. The error is ErrCID.
func NewWalk(root cid.Cid, b Budget) (*Walk, error) { return newWalk(root, b, runtime.GOOS) }

func newWalk(root cid.Cid, b Budget, system string) (*Walk, error) {
	r, ok := refOf(root)
	if !ok {
		return nil, CheckCID(root)
	}
	w := &Walk{budget: b.orDefaults(), system: system, tree: &Tree{Root: root}, hash: newNameHash()}
	w.left = w.budget
	w.want = want{ref: r, part: whole}
	if r.form == formRaw {
		w.want.part = bare
	}
	w.left.Entries--
	e := record{name: w.tree.names.add(nil), form: r.form}
	if r.form != formRaw {
		e.digest, _ = w.inner.number(r.digest)
	}
	w.tree.entries.add(e)
	return w, nil
}

// Next returns the inner node that is wanted, which may be a chunk if that is all there is to the root; false when the tree is
// whole or when it can never be, which Tree tells.
func (w *Walk) Next() (cid.Cid, bool) {
	if w.done || w.err != nil {
		return cid.Undef, false
	}
	return w.want.ref.cid(), true
}

// Blocks returns how many nodes were added.
func (w *Walk) Blocks() int { return w.blocks }

// Tree returns the tree when all its nodes were added. The error is ErrUnfinished before that, or the one that Add returned.
func (w *Walk) Tree() (*Tree, error) {
	switch {
	case w.err != nil:
		return nil, w.err
	case !w.done:
		return nil, fmt.Errorf("%w: %s is missing", ErrUnfinished, w.want.ref.cid())
	}
	return w.tree, nil
}

// Add takes the bytes of the node that Next returned, and keeps none of them. After ErrMismatch the walk still wants that node;
// after any other error it is over.
func (w *Walk) Add(data []byte) error {
	switch {
	case w.err != nil:
		return w.err
	case w.done:
		return fmt.Errorf("%w: no node is missing", ErrUnfinished)
	}
	err := w.take(data)
	if err != nil {
		err = fmt.Errorf("node %s: %w", w.want.ref.cid(), err)
		if !errors.Is(err, ErrMismatch) {
			w.err = err
		}
	}
	return err
}

// take does the work of Add. Whatever a crafted node makes our code do costs that walk and no more.
func (w *Walk) take(data []byte) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = badNode("panic: %v", r)
		}
	}()
	if sha256.Sum256(data) != w.want.ref.digest {
		return ErrMismatch
	}
	if len(data) > MaxBlock {
		return overBudget(MaxBlock, "bytes in one node")
	}
	if w.left.Blocks--; w.left.Blocks < 0 {
		return overBudget(int64(w.budget.Blocks), "inner nodes")
	}
	if w.left.Nodes -= int64(len(data)); w.left.Nodes < 0 {
		return overBudget(w.budget.Nodes, "bytes of inner nodes")
	}
	w.blocks++
	if w.want.part == bare {
		w.tree.Inline = append([]byte{}, data...)
		w.tree.Files, w.tree.Size = 1, int64(len(data))
		err = w.leaf(0, w.want.ref.digest, uint64(len(data)))
	} else {
		err = w.node(data)
	}
	if err == nil {
		err = w.advance()
	}
	return err
}

// node reads the node that was wanted.
func (w *Walk) node(data []byte) error {
	pb, err := parseNode(data)
	if err != nil {
		return err
	}
	fs, err := parseData(pb.data, pb.count)
	if err != nil {
		return err
	}
	switch {
	case fs.kind == fsRaw, fs.kind == fsFile && len(fs.data) > 0:
		return fmt.Errorf("%w: bytes of a file lie inside of its nodes; only raw leaves are read", ErrUnsupported)
	case fs.kind != fsFile && len(fs.sizes) > 0:
		return badNode("it is no file and has sizes")
	case w.want.part == inFile && fs.kind != fsFile, w.want.part == inShard && fs.kind != fsShard:
		return badNode("type %d below a node of another", fs.kind)
	}
	switch fs.kind {
	case fsFile:
		return w.file(pb, fs)
	case fsDirectory:
		return w.directory(pb, fs)
	case fsShard:
		return w.shard(pb, fs)
	case fsSymlink:
		return w.symlink(pb, fs)
	}
	return fmt.Errorf("%w: UnixFS type %d", ErrUnsupported, fs.kind)
}

// entry is the entry that the wanted node belongs to.
func (w *Walk) entry() *record { return w.tree.entries.at(w.want.entry) }

// push keeps the node that was wanted until all its links were looked at.
func (w *Walk) push(pb pbNode, fs fsNode, s shard) {
	w.stack = append(w.stack, frame{place: w.want.place, kind: fs.kind, links: pb.links, sizes: fs.sizes, shard: s})
}

// advance looks at links until it has found the next node that is wanted, or the end.
func (w *Walk) advance() error {
	for len(w.stack) > 0 {
		f := &w.stack[len(w.stack)-1]
		if len(f.links) == 0 {
			w.pop()
			continue
		}
		l, rest, err := nextLink(f.links)
		if err != nil {
			return err
		}
		f.links = rest
		if f.kind == fsFile {
			err = w.partLink(f, l)
		} else {
			err = w.entryLink(f, l)
		}
		if err != nil {
			return err
		}
		if wants := l.ref.form != formRaw; wants {
			if !f.owned {
				f.links, f.owned = bytes.Clone(f.links), true
			}
			return nil
		}
	}
	w.finish()
	return nil
}

// pop leaves a node all of whose links were looked at.
func (w *Walk) pop() {
	last := len(w.stack) - 1
	f := w.stack[last]
	if f.kind != fsFile {
		w.tree.entries.at(f.entry).detail = uint32(w.tree.entries.n)
	}
	w.stack[last] = frame{}
	w.stack = w.stack[:last]
}

// finish hands what was gathered over to the tree.
func (w *Walk) finish() {
	w.done, w.stack = true, nil
	w.tree.inner, w.tree.chunks = w.inner.pages, w.chunks.pages
	w.inner, w.chunks = digests{}, digests{}
	if folds(w.system) {
		w.tree.markTwins()
	}
}
