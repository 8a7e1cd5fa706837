package store

import (
	"encoding/binary"
	"fmt"
	"math"
	"path/filepath"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/shoal-p2p/shoal/content"
)

// The rows of the index. Numbers in keys are big-endian, so that the rows of one holding lie together.
//
//	m                              the next holding's number
//	s CID holding(4)               a holding: one set of files of one root, or the tree of a root that is being fetched
//	t holding(4)                   the digests of the tree's inner nodes, 32 bytes each, in the order of the walk
//	n digest(32)                   an inner node
//	r digest(32) holding(4)        this holding needs that node
//	f holding(4) file(4)           where a file lies, and its generation
//	p digest(32) holding(4) file(4) offset(8)   a place of a chunk; the value is the chunk's length
//	x holding(4) file(4)           what is known to be wrong with a file
//	l CID                          this root is listed for neighbours to see; nothing in it
//	v key                          a row of the shelf, which belongs to the rooms above
//	/ …                            a record of somebody else, see Datastore
//	a CID                          who may have a root; there is none for those that everybody may have
//
// A file's number is that of its entry in the tree of the holding's root. A CID begins with 0x01 or 0x12, and so is never
// the beginning of another one of the other version.
const (
	rowNext    = 'm'
	rowHolding = 's'
	rowNodes   = 't'
	rowNode    = 'n'
	rowRef     = 'r'
	rowFile    = 'f'
	rowPlace   = 'p'
	rowMark    = 'x'
	rowListed  = 'l'
	rowShelf   = 'v'
	rowAccess  = 'a'
)

type holdingID uint32

// fileKey names a file: a holding, and the number of an entry in its tree. A number with baseMark set names one of the
// holding's bases instead.
type fileKey struct {
	holding holdingID
	no      uint32
}

const baseMark = 1 << 31

func holdingKey(root cid.Cid, id holdingID) []byte {
	return binary.BigEndian.AppendUint32(append([]byte{rowHolding}, root.Bytes()...), uint32(id))
}

func listedKey(root cid.Cid) []byte { return append([]byte{rowListed}, root.Bytes()...) }

func nodesKey(id holdingID) []byte {
	return binary.BigEndian.AppendUint32([]byte{rowNodes}, uint32(id))
}

func nodeKey(d content.Digest) []byte { return append([]byte{rowNode}, d[:]...) }

func refPrefix(d content.Digest) []byte { return append([]byte{rowRef}, d[:]...) }

func refKey(d content.Digest, id holdingID) []byte {
	return binary.BigEndian.AppendUint32(refPrefix(d), uint32(id))
}

func filePrefix(id holdingID) []byte {
	return binary.BigEndian.AppendUint32([]byte{rowFile}, uint32(id))
}

func (k fileKey) row() []byte { return binary.BigEndian.AppendUint32(filePrefix(k.holding), k.no) }

func markPrefix(id holdingID) []byte {
	return binary.BigEndian.AppendUint32([]byte{rowMark}, uint32(id))
}

func (k fileKey) mark() []byte { return binary.BigEndian.AppendUint32(markPrefix(k.holding), k.no) }

func placePrefix(d content.Digest) []byte { return append([]byte{rowPlace}, d[:]...) }

// place is where a chunk lies.
type place struct {
	file   fileKey
	offset int64 // bytes
	length int   // bytes
}

const placeKeySize = 1 + len(content.Digest{}) + 4 + 4 + 8

func (p place) key(d content.Digest) []byte {
	k := make([]byte, 0, placeKeySize)
	k = append(append(k, rowPlace), d[:]...)
	k = binary.BigEndian.AppendUint32(k, uint32(p.file.holding))
	k = binary.BigEndian.AppendUint32(k, p.file.no)
	return binary.BigEndian.AppendUint64(k, uint64(p.offset))
}

func (p place) value() []byte { return binary.AppendUvarint(nil, uint64(p.length)) }

func parsePlace(key, value []byte) (place, error) {
	if len(key) != placeKeySize || key[0] != rowPlace {
		return place{}, errRow
	}
	k := key[1+len(content.Digest{}):]
	r := row{rest: value}
	p := place{
		file:   fileKey{holdingID(binary.BigEndian.Uint32(k)), binary.BigEndian.Uint32(k[4:])},
		offset: int64(binary.BigEndian.Uint64(k[8:])),
		length: r.count(content.MaxBlock),
	}
	if p.offset < 0 {
		return place{}, errRow
	}
	return p, r.end()
}

// base is a file or directory that a user named: the root of what a holding has at one spot of the file system.
type base struct {
	Path          string // absolute
	Prefix        string // of its files in the tree; "" if it is the root itself
	Dir           bool
	device, inode uint64 // of dir() when it was indexed
}

// dir is the directory below which the base's files lie.
func (b base) dir() string {
	if b.Dir {
		return b.Path
	}
	return filepath.Dir(b.Path)
}

// holding is one set of files that together are the content of one root.
type holding struct {
	ID     holdingID // in the key
	Root   cid.Cid   // in the key
	Origin Origin    // pending if there is only a tree yet
	Name   string
	Added  time.Time
	Bytes  int64
	Files  int
	Bases  []base
}

func (h holding) value() []byte {
	b := []byte{byte(h.Origin)}
	b = appendString(b, h.Name)
	b = binary.AppendVarint(b, h.Added.UnixNano())
	b = binary.AppendUvarint(b, uint64(h.Bytes))
	b = binary.AppendUvarint(b, uint64(h.Files))
	b = binary.AppendUvarint(b, uint64(len(h.Bases)))
	for _, p := range h.Bases {
		b = appendString(appendString(b, p.Path), p.Prefix)
		b = append(b, flag(p.Dir))
		b = binary.AppendUvarint(binary.AppendUvarint(b, p.device), p.inode)
	}
	return b
}

func parseHolding(key, value []byte) (holding, error) {
	if len(key) < 1+4 || key[0] != rowHolding {
		return holding{}, errRow
	}
	root, err := content.DecodeCID(key[1 : len(key)-4])
	if err != nil {
		return holding{}, fmt.Errorf("%w: %w", errRow, err)
	}
	r := row{rest: value}
	h := holding{
		ID: holdingID(binary.BigEndian.Uint32(key[len(key)-4:])), Root: root,
		Origin: Origin(r.byte(byte(Fetched))), Name: r.string(), Added: time.Unix(0, r.signed()),
		Bytes: int64(r.count(math.MaxInt64)), Files: r.count(math.MaxInt32),
	}
	for range r.count(len(value)) {
		h.Bases = append(h.Bases, base{
			Path: r.string(), Prefix: r.string(), Dir: r.byte(1) == 1, device: r.unsigned(), inode: r.unsigned(),
		})
		if r.bad {
			break
		}
	}
	return h, r.end()
}

// fileRow is where a file lies, and what it was when its chunks were hashed.
type fileRow struct {
	base int    // of its holding
	path string // below the base's directory, with the system's separators
	gen  generation
	racy bool // changed too shortly before it was hashed for its times to tell
}

func (f fileRow) value() []byte {
	b := []byte{flag(f.racy)}
	b = binary.AppendUvarint(b, uint64(f.base))
	b = appendString(b, f.path)
	b = binary.AppendUvarint(b, f.gen.device)
	b = binary.AppendUvarint(b, f.gen.inode)
	b = binary.AppendUvarint(b, uint64(f.gen.size))
	b = binary.AppendVarint(b, f.gen.mtime)
	return binary.AppendVarint(b, f.gen.ctime)
}

func parseFile(value []byte) (fileRow, error) {
	r := row{rest: value}
	f := fileRow{
		racy: r.byte(1) == 1, base: r.count(math.MaxInt32), path: r.string(),
		gen: generation{
			device: r.unsigned(), inode: r.unsigned(), size: int64(r.count(math.MaxInt64)),
			mtime: r.signed(), ctime: r.signed(),
		},
	}
	return f, r.end()
}

// mark is what is known to be wrong with a file.
type mark struct {
	hash   bool // its bytes were read and are not the indexed ones; only reading all of it again can clear this
	reason string
}

func (m mark) value() []byte { return appendString([]byte{flag(m.hash)}, m.reason) }

func parseMark(key, value []byte) (fileKey, mark, error) {
	if len(key) != 1+4+4 || key[0] != rowMark {
		return fileKey{}, mark{}, errRow
	}
	r := row{rest: value}
	m := mark{hash: r.byte(1) == 1, reason: r.string()}
	return fileKey{holdingID(binary.BigEndian.Uint32(key[1:])), binary.BigEndian.Uint32(key[5:])}, m, r.end()
}

// errRow says that a row is not what this program writes.
var errRow = fmt.Errorf("%w: a row makes no sense", ErrCorrupt)

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func flag(on bool) byte {
	if on {
		return 1
	}
	return 0
}

// row reads the fields of a value. After the first field that is not there all others are zero and end returns an error.
type row struct {
	rest []byte
	bad  bool
}

func (r *row) unsigned() uint64 {
	v, n := binary.Uvarint(r.rest)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

func (r *row) signed() int64 {
	v, n := binary.Varint(r.rest)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

// count reads a number from zero to most.
func (r *row) count(most int) int {
	v := r.unsigned()
	if v > uint64(most) {
		r.fail()
		return 0
	}
	return int(v)
}

// byte reads one byte of at most most.
func (r *row) byte(most byte) byte {
	if len(r.rest) == 0 || r.rest[0] > most {
		r.fail()
		return 0
	}
	b := r.rest[0]
	r.rest = r.rest[1:]
	return b
}

func (r *row) string() string {
	n := r.count(len(r.rest))
	if n > len(r.rest) {
		r.fail()
		return ""
	}
	s := string(r.rest[:n])
	r.rest = r.rest[n:]
	return s
}

func (r *row) fail() { r.bad, r.rest = true, nil }

func (r *row) end() error {
	if r.bad || len(r.rest) > 0 {
		return errRow
	}
	return nil
}
