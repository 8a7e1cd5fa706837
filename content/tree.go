package content

import (
	"strings"
	"sync"

	"github.com/ipfs/go-cid"
)

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
//
// Sizes are what the inner nodes say, which is the same wherever they say it twice. Whether the chunks have these sizes shows
// when they come: a chunk with the right hash and another length proves that the tree was made to mislead.
type Tree struct {
	Root   cid.Cid
	Size   int64  // bytes of all files, each as often as it occurs
	Files  int    // how many entries are files
	Inline []byte // the bytes of a root that is a bare chunk, which is number 0; nil otherwise

	entries pages[record]
	names   arena
	inner   pages[Digest]  // of everything that is no bare chunk
	files   pages[extents] // of files with inner nodes
	pieces  pages[uint32]  // chunk numbers, file by file
	chunks  pages[Digest]
	lengths pages[uint32] // of chunks, in bytes

	once sync.Once
	all  []Entry // what Entries returned
}

// record is an entry as the tree keeps it.
type record struct {
	parent uint32
	name   uint32 // in names
	digest uint32 // in chunks for a bare chunk, in inner for the rest
	detail uint32 // of a directory, the end of what is under it; of a link, its target in names; of a file, where in files it is
	kind   Kind
	form   form
	flaw   flaw
}

// extents is the content of a file that has inner nodes.
type extents struct {
	size         int64
	first, count uint32 // in pieces
}

// Len returns how many entries there are: at least the root.
func (t *Tree) Len() int { return t.entries.n }

// Entry returns entry i, which must be below Len. Entries are numbered depth first, each directory before what is in it.
func (t *Tree) Entry(i int) Entry {
	r := t.entries.at(uint32(i))
	e := Entry{Path: t.path(uint32(i)), Kind: r.kind, CID: t.ref(r).cid()}
	switch r.kind {
	case File:
		e.Size = t.size(r)
	case Symlink:
		e.Target = string(t.names.get(r.detail))
	}
	if r.flaw != sound {
		e.Unsafe = &NameError{Name: string(t.names.get(r.name)), Reason: r.flaw.String()}
	}
	return e
}

// Entries returns all entries in order. They are made once and then shared: do not change them. A tree is several times smaller
// without them, so who wants to see few entries of what may be a large tree should use Entry.
func (t *Tree) Entries() []Entry {
	t.once.Do(func() {
		t.all = make([]Entry, t.Len())
		for i := range t.all {
			t.all[i] = t.Entry(i)
		}
	})
	return t.all
}

// path puts a path together from the names above entry i.
func (t *Tree) path(i uint32) string {
	var above [16]uint32
	names := above[:0]
	size := 0
	for ; i > 0; i = t.entries.at(i).parent {
		name := t.entries.at(i).name
		names = append(names, name)
		size += len(t.names.get(name)) + 1
	}
	if len(names) == 1 {
		return string(t.names.get(names[0]))
	}
	var b strings.Builder
	b.Grow(size)
	for j := len(names) - 1; j >= 0; j-- {
		b.Write(t.names.get(names[j]))
		if j > 0 {
			b.WriteByte('/')
		}
	}
	return b.String()
}

func (t *Tree) ref(r *record) ref {
	if r.form == formRaw {
		return ref{*t.chunks.at(r.digest), formRaw}
	}
	return ref{*t.inner.at(r.digest), r.form}
}

func (t *Tree) size(r *record) int64 {
	if r.form == formRaw {
		return int64(*t.lengths.at(r.digest))
	}
	return t.files.at(r.detail).size
}

// Pieces returns where the chunks of entry i lie, in the order of the file; none if it is no file. The slice is the caller's.
func (t *Tree) Pieces(i int) []Piece {
	r := t.entries.at(uint32(i))
	switch {
	case r.kind != File:
		return nil
	case r.form == formRaw:
		return []Piece{{Chunk: r.digest}}
	}
	f := t.files.at(r.detail)
	out := make([]Piece, f.count)
	at := int64(0)
	for j := range out {
		n := *t.pieces.at(f.first + uint32(j))
		out[j] = Piece{n, at}
		at += int64(*t.lengths.at(n))
	}
	return out
}

// NumChunks returns how many distinct chunks there are. Their numbers start at 0 and follow their first occurrence, entry by
// entry, those of entries that cannot be created here included.
func (t *Tree) NumChunks() int { return t.chunks.n }

// Digest returns the hash of chunk n, which must be below NumChunks.
func (t *Tree) Digest(n uint32) Digest { return *t.chunks.at(n) }

// ChunkLen returns the length of chunk n in bytes.
func (t *Tree) ChunkLen(n uint32) int { return int(*t.lengths.at(n)) }

// Find returns the entry at a path; "" is the root.
func (t *Tree) Find(path string) (i int, ok bool) {
	for more := path != ""; more; {
		var name string
		name, path, more = strings.Cut(path, "/")
		if i, ok = t.child(i, name); !ok {
			return 0, false
		}
	}
	return i, true
}

// child finds a name in directory i.
func (t *Tree) child(i int, name string) (int, bool) {
	end := t.Under(i)
	for i++; i < end; i = t.Under(i) {
		if string(t.names.get(t.entries.at(uint32(i)).name)) == name {
			return i, true
		}
	}
	return 0, false
}

// Under returns end so that entries i to end-1 are entry i and all below it.
func (t *Tree) Under(i int) (end int) {
	if r := t.entries.at(uint32(i)); r.kind == Dir {
		return int(r.detail)
	}
	return i + 1
}

// markTwins marks names that the file systems of a folding system take for one that came before in the same directory, and
// all that lies below them.
func (t *Tree) markTwins() {
	for i := range t.Len() {
		end := t.Under(i)
		if end <= i+2 {
			continue
		}
		seen := map[string]bool{}
		for j := i + 1; j < end; j = t.Under(j) {
			r := t.entries.at(uint32(j))
			key := fold(string(t.names.get(r.name)))
			if !seen[key] {
				seen[key] = true
				continue
			}
			t.mark(j, twinName)
			for k := j + 1; k < t.Under(j); k++ {
				t.mark(k, unsafeParent)
			}
		}
	}
}

// mark notes what is wrong with an entry, if nothing else is.
func (t *Tree) mark(i int, why flaw) {
	if r := t.entries.at(uint32(i)); r.flaw == sound {
		r.flaw = why
	}
}
