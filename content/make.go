package content

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/ipfs/go-cid"
)

// maxLinks is how many links a node of a file has at most.
const maxLinks = 1024

// maxFlatDir is the size of the largest directory that is one block, in bytes. A larger one is a trie of blocks.
const maxFlatDir = 262144

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
	Blocks []Block // inner nodes, those below before those above; none if it is a file of one chunk
}

// Link is an entry of a directory that is being made.
type Link struct {
	Name  string
	CID   cid.Cid
	Tsize uint64 // bytes of all blocks of what is linked: Made.Tsize
}

// ErrLink says that something cannot be an entry of a directory, or a directory cannot be made of such entries.
var ErrLink = errors.New("not an entry of a directory")

// ChunkCount returns how many chunks a file of size bytes has: one if it is empty.
func ChunkCount(size int64) int {
	return int(max((size-1)/ChunkSize+1, 1))
}

// HashSpan hashes count chunks of a file of size bytes, the first of which is number first, and puts their hashes into out.
// Each byte is read once, through buf, which may have any length but 0: 128 KiB are as good as more. The error is
// io.ErrUnexpectedEOF if the file is shorter than size, or that of r. One file may be hashed in several spans at once.
func HashSpan(r io.ReaderAt, size int64, first, count int, out []Digest, buf []byte) error {
	h := sha256.New()
	for i := range count {
		at := int64(first+i) * ChunkSize
		end := min(at+ChunkSize, size)
		h.Reset()
		for at < end {
			part := buf[:min(int64(len(buf)), end-at)]
			n, err := r.ReadAt(part, at)
			if n < len(part) {
				if err == nil || err == io.EOF {
					err = io.ErrUnexpectedEOF
				}
				return fmt.Errorf("read at byte %d: %w", at+int64(n), err)
			}
			h.Write(part)
			at += int64(n)
		}
		h.Sum(out[i][:0])
	}
	return nil
}

// child is what a node of a file links to.
type child struct {
	ref   ref
	size  uint64 // bytes of the file
	tsize uint64
}

// MakeFile makes a file of size bytes from the hashes of its chunks, in order.
func MakeFile(size int64, leaves []Digest) (Made, error) {
	if size < 0 || len(leaves) != ChunkCount(size) {
		return Made{}, fmt.Errorf("make file: %d chunks do not make %d bytes", len(leaves), size)
	}
	if len(leaves) == 1 {
		return Made{CID: leaves[0].CID(), Size: size, Tsize: uint64(size)}, nil
	}
	made := Made{Size: size}
	level := make([]child, 0, (len(leaves)+maxLinks-1)/maxLinks)
	group := make([]child, 0, maxLinks)
	for i, d := range leaves {
		n := uint64(min(ChunkSize, size-int64(i)*ChunkSize))
		group = append(group, child{ref{d, formRaw}, n, n})
		if len(group) == maxLinks || i == len(leaves)-1 {
			level = append(level, made.addNode(group))
			group = group[:0]
		}
	}
	for len(level) > 1 {
		above := level[:0]
		for group := range slices.Chunk(level, maxLinks) {
			above = append(above, made.addNode(group))
		}
		level = above
	}
	made.CID, made.Tsize = level[0].ref.cid(), level[0].tsize
	return made, nil
}

// addNode makes the node of a file above some children.
func (m *Made) addNode(children []child) child {
	data := fsNode{kind: fsFile, hasSize: true, sizes: make([]uint64, len(children))}
	total := 0
	for i, c := range children {
		data.sizes[i] = c.size
		data.fileSize += c.size
		total += fieldSize(linkBody(c.ref, 0, c.tsize)) + 1 + uvarintSize(c.size)
	}
	b := make([]byte, 0, total+32)
	sum := uint64(0)
	for _, c := range children {
		b = appendLink(b, c.ref, "", "", c.tsize)
		sum += c.tsize
	}
	b = appendData(b, data.append(make([]byte, 0, total)))
	return child{m.add(b), data.fileSize, sum + uint64(len(b))}
}

// add keeps a block.
func (m *Made) add(b []byte) ref {
	r := ref{sha256.Sum256(b), formPB}
	m.Blocks = append(m.Blocks, Block{r.cid(), b})
	return r
}

// single makes what is one block without links.
func single(data fsNode) Made {
	var m Made
	b := appendData(nil, data.append(nil))
	m.CID, m.Tsize = m.add(b).cid(), uint64(len(b))
	return m
}

// MakeSymlink makes a symbolic link. The target is kept as it is and must not be longer than a path can be.
func MakeSymlink(target string) (Made, error) {
	if len(target) > maxPath {
		return Made{}, fmt.Errorf("make symlink: a target of %d bytes is longer than %d", len(target), maxPath)
	}
	return single(fsNode{kind: fsSymlink, data: []byte(target)}), nil
}

// MakeDir makes a directory, whatever order its links come in. The error is ErrLink if two have the same name, if one has a
// name that no directory can hold, or if one has a CID that we do not use.
func MakeDir(links []Link) (Made, error) {
	slots := make([]slot, len(links))
	size := fieldSize(2)
	for i, l := range links {
		r, ok := refOf(l.CID)
		if !ok {
			return Made{}, fmt.Errorf("make directory: %w: %q: %w", ErrLink, short(l.Name), CheckCID(l.CID))
		}
		if l.Name == "" || l.Name == "." || l.Name == ".." || len(l.Name) > maxPath || strings.ContainsAny(l.Name, "/\x00") {
			return Made{}, fmt.Errorf("make directory: %w: the name %q", ErrLink, short(l.Name))
		}
		slots[i] = slot{name: l.Name, ref: r, tsize: l.Tsize}
		size += fieldSize(linkBody(r, len(l.Name), l.Tsize))
	}
	slices.SortFunc(slots, func(a, b slot) int { return strings.Compare(a.name, b.name) })
	for i := 1; i < len(slots); i++ {
		if slots[i].name == slots[i-1].name {
			return Made{}, fmt.Errorf("make directory: %w: %q is there twice", ErrLink, short(slots[i].name))
		}
	}
	if size > maxFlatDir {
		return makeSharded(slots)
	}
	var m Made
	b := make([]byte, 0, size)
	for _, s := range slots {
		b = appendLink(b, s.ref, "", s.name, s.tsize)
		m.Tsize += s.tsize
	}
	b = appendData(b, []byte{tagType, byte(fsDirectory)})
	m.Tsize += uint64(len(b))
	m.CID = m.add(b).cid()
	return m, nil
}
