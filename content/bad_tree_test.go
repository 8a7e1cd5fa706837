package content

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ipfs/go-cid"
	mh "github.com/multiformats/go-multihash"
)

// isTreeError says that an error is one of those that a walk promises.
func isTreeError(err error) bool {
	for _, known := range []error{ErrNode, ErrBudget, ErrUnsupported} {
		if errors.Is(err, known) {
			return true
		}
	}
	return false
}

// rawLink is a link whose bytes are given.
func rawLink(body ...byte) []byte {
	return append(binary.AppendUvarint([]byte{tagNodeLink}, uint64(len(body))), body...)
}

// hashField is the CID of a link.
func hashField(c cid.Cid, behind ...byte) []byte {
	b := append(c.Bytes(), behind...)
	return append([]byte{tagLinkHash, byte(len(b))}, b...)
}

func TestBadNodes(t *testing.T) {
	chunk := ref{Seal([]byte("x")).Digest(), formRaw}
	leaf := func(name string, size uint64) pbLink {
		return pbLink{ref: chunk, name: []byte(name), tsize: size, hasTsize: true}
	}
	file := func(size uint64, parts ...uint64) fsNode {
		return fsNode{kind: fsFile, fileSize: size, hasSize: true, sizes: parts}
	}
	dir := fsNode{kind: fsDirectory}
	hash := hashField(chunk.cid())
	wrap := func(links []byte, data ...byte) []byte { return appendData(links, data) }
	for _, c := range []struct {
		id, name string
		make     func(s shelf) cid.Cid
		want     error
	}{
		{"B17", "file size 0", func(s shelf) cid.Cid { return s.links(t, file(0, 5), leaf("", 5)) }, ErrNode},
		{"B17", "file size one less", func(s shelf) cid.Cid { return s.links(t, file(9, 5, 5), leaf("", 5), leaf("", 5)) }, ErrNode},
		{"B17", "file size one more", func(s shelf) cid.Cid { return s.links(t, file(11, 5, 5), leaf("", 5), leaf("", 5)) }, ErrNode},
		{"B17", "file size 2^63", func(s shelf) cid.Cid { return s.links(t, file(1<<63, 5), leaf("", 5)) }, ErrNode},
		{"B17", "file size 2^63 and a part as large", func(s shelf) cid.Cid { return s.links(t, file(1<<63, 1<<63), leaf("", 5)) }, ErrNode},
		{"B17", "file size -1", func(s shelf) cid.Cid {
			return s.links(t, file(math.MaxUint64, math.MaxUint64), leaf("", 5))
		}, ErrNode},
		{"B17", "parts that overflow to the file size", func(s shelf) cid.Cid {
			return s.links(t, file(8, 1<<63, 1<<63, 8), leaf("", 5), leaf("", 5), leaf("", 8))
		}, ErrNode},
		{"B17", "parts that overflow by small steps", func(s shelf) cid.Cid {
			return s.links(t, file(2, 1<<62, 1<<62, 1<<62, 1<<62, 2), leaf("", 5), leaf("", 5), leaf("", 5), leaf("", 5), leaf("", 5))
		}, ErrNode},
		{"B17", "no file size", func(s shelf) cid.Cid {
			return s.links(t, fsNode{kind: fsFile, sizes: []uint64{5}}, leaf("", 5))
		}, ErrNode},
		{"B17", "a part that is smaller than it is said to be", func(s shelf) cid.Cid {
			part := s.links(t, file(5, 5), leaf("", 5))
			r, _ := refOf(part)
			return s.links(t, file(6, 6), pbLink{ref: r, tsize: 6})
		}, ErrNode},
		{"B17", "a part that is larger than it is said to be", func(s shelf) cid.Cid {
			part := s.links(t, file(5, 5), leaf("", 5))
			r, _ := refOf(part)
			return s.links(t, file(4, 4), pbLink{ref: r, tsize: 4})
		}, ErrNode},
		{"B17", "one chunk of two lengths in a file", func(s shelf) cid.Cid {
			return s.links(t, file(11, 5, 6), leaf("", 5), leaf("", 6))
		}, ErrNode},
		{"B17", "one chunk of two lengths in a directory", func(s shelf) cid.Cid {
			return s.links(t, dir, leaf("a", 5), leaf("b", 6))
		}, ErrNode},
		{"B17", "a chunk larger than blocks can be", func(s shelf) cid.Cid {
			return s.links(t, file(MaxBlock+1, MaxBlock+1), leaf("", 5))
		}, ErrNode},
		{"B17", "a chunk in a directory larger than blocks can be", func(s shelf) cid.Cid {
			return s.links(t, dir, leaf("a", MaxBlock+1))
		}, ErrNode},
		{"B17", "a chunk in a directory of size -1", func(s shelf) cid.Cid {
			return s.links(t, dir, leaf("a", math.MaxUint64))
		}, ErrNode},
		{"B17", "more than 1 TiB", func(s shelf) cid.Cid {
			part := s.links(t, file(5, 5), leaf("", 5))
			r, _ := refOf(part)
			return s.links(t, file(1<<40+1, 1<<40, 1), pbLink{ref: r}, leaf("", 1))
		}, ErrBudget},
		{"B18", "more sizes than links", func(s shelf) cid.Cid { return s.links(t, file(10, 5, 5), leaf("", 5)) }, ErrNode},
		{"B18", "fewer sizes than links", func(s shelf) cid.Cid { return s.links(t, file(5, 5), leaf("", 5), leaf("", 5)) }, ErrNode},
		{"B18", "sizes without links", func(s shelf) cid.Cid { return s.links(t, file(5, 5)) }, ErrNode},
		{"B18", "a million sizes without links", func(s shelf) cid.Cid {
			return s.links(t, file(1e6, slices.Repeat([]uint64{1}, 1e6)...))
		}, ErrNode},
		{"B18", "a million packed sizes without links", func(s shelf) cid.Cid {
			data := binary.AppendUvarint([]byte{tagType, byte(fsFile), tagPacked}, 1e6)
			return s.block(appendData(nil, append(data, make([]byte, 1e6)...)))
		}, ErrNode},
		{"B18", "a part without bytes", func(s shelf) cid.Cid { return s.links(t, file(5, 5, 0), leaf("", 5), leaf("", 0)) }, ErrNode},
		{"B18", "a directory with sizes", func(s shelf) cid.Cid {
			return s.links(t, fsNode{kind: fsDirectory, sizes: []uint64{5}}, leaf("a", 5))
		}, ErrNode},
		{"B19", "a node of 2 MiB and a byte", func(s shelf) cid.Cid {
			return s.block(appendData(nil, make([]byte, MaxBlock-4+1)))
		}, ErrBudget},
		{"B22", "a link to dag-cbor", func(s shelf) cid.Cid {
			c := append([]byte{1, 0x71, 0x12, 32}, chunk.digest[:]...)
			body := append([]byte{tagLinkHash, byte(len(c))}, c...)
			return s.block(wrap(rawLink(body...), tagType, byte(fsDirectory)))
		}, ErrNode},
		{"B22", "dag-cbor that claims 2^60 entries", func(s shelf) cid.Cid {
			return s.block([]byte{0xbb, 0x10, 0, 0, 0, 0, 0, 0, 0})
		}, ErrNode},
		{"B22", "nesting", func(s shelf) cid.Cid { return s.block(bytes.Repeat([]byte{0x81}, 100_000)) }, ErrNode},
		{"B39", "a name twice", func(s shelf) cid.Cid { return s.links(t, dir, leaf("a", 1), leaf("a", 1)) }, ErrNode},
		{"B39", "a name twice and others between", func(s shelf) cid.Cid {
			return s.links(t, dir, leaf("a", 1), leaf("c", 1), leaf("b", 1), leaf("a", 1))
		}, ErrNode},
		{"B40", "a file and a directory of one name", func(s shelf) cid.Cid {
			return s.links(t, dir, leaf("a", 1), s.link("a", s.dir(t, nil)))
		}, ErrNode},
		{"B41", "a symbolic link and a directory of one name", func(s shelf) cid.Cid {
			return s.links(t, dir, s.link("d", s.symlink(t, "/etc")), s.link("d", s.dir(t, map[string]Made{"x": s.file(t, "x")})))
		}, ErrNode},
		{"B41", "a symbolic link with entries", func(s shelf) cid.Cid {
			return s.links(t, fsNode{kind: fsSymlink, data: []byte("/etc")}, leaf("x", 1))
		}, ErrNode},
		{"", "a symbolic link with an endless target", func(s shelf) cid.Cid {
			return s.node(t, fsNode{kind: fsSymlink, data: make([]byte, maxPath+1)})
		}, ErrNode},
		{"", "an endless name", func(s shelf) cid.Cid { return s.links(t, dir, leaf(strings.Repeat("n", maxPath+1), 1)) }, ErrNode},
		{"", "a directory with bytes", func(s shelf) cid.Cid {
			return s.node(t, fsNode{kind: fsDirectory, data: []byte("x")})
		}, ErrNode},
		{"", "a file whose part is a directory", func(s shelf) cid.Cid {
			return s.links(t, file(5, 5), s.link("", s.dir(t, nil)))
		}, ErrNode},
		{"", "a file whose part is a symbolic link", func(s shelf) cid.Cid {
			return s.links(t, file(5, 5), s.link("", s.symlink(t, "a")))
		}, ErrNode},
		{"", "a file that holds its bytes", func(s shelf) cid.Cid {
			return s.node(t, fsNode{kind: fsFile, data: []byte("hello"), fileSize: 5, hasSize: true})
		}, ErrUnsupported},
		{"", "a part that holds its bytes", func(s shelf) cid.Cid {
			part := s.node(t, fsNode{kind: fsRaw, data: []byte("hello"), fileSize: 5, hasSize: true})
			r, _ := refOf(part)
			return s.links(t, file(5, 5), pbLink{ref: r})
		}, ErrUnsupported},
		{"", "metadata", func(s shelf) cid.Cid { return s.node(t, fsNode{kind: fsMetadata}) }, ErrUnsupported},
		{"", "an unknown type", func(s shelf) cid.Cid { return s.node(t, fsNode{kind: 6}) }, ErrUnsupported},
		{"", "an unknown type of many bits", func(s shelf) cid.Cid {
			return s.block(wrap(nil, tagType, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1))
		}, ErrUnsupported},
		{"", "a directory that does not say how large a file is", func(s shelf) cid.Cid {
			return s.block(wrap(rawLink(append(hash, tagLinkName, 1, 'a')...), tagType, byte(fsDirectory)))
		}, ErrUnsupported},
		{"", "no bytes", func(s shelf) cid.Cid { return s.block(nil) }, ErrNode},
		{"", "no data", func(s shelf) cid.Cid { return s.block(rawLink(hash...)) }, ErrNode},
		{"", "empty data", func(s shelf) cid.Cid { return s.block(wrap(nil)) }, ErrNode},
		{"", "data twice", func(s shelf) cid.Cid {
			return s.block(append(wrap(nil, tagType, byte(fsDirectory)), wrap(nil, tagType, byte(fsDirectory))...))
		}, ErrNode},
		{"", "links before and behind the data", func(s shelf) cid.Cid {
			return s.block(append(wrap(rawLink(hash...), tagType, byte(fsDirectory)), rawLink(hash...)...))
		}, ErrNode},
		{"", "an unknown field in a node", func(s shelf) cid.Cid {
			return s.block(append(wrap(nil, tagType, byte(fsDirectory)), 3<<3|2, 0))
		}, ErrNode},
		{"", "an unknown field in a link", func(s shelf) cid.Cid {
			return s.block(wrap(rawLink(append(hash, 4<<3, 1)...), tagType, byte(fsDirectory)))
		}, ErrNode},
		{"", "an unknown field in the data", func(s shelf) cid.Cid {
			return s.block(wrap(nil, tagType, byte(fsDirectory), 9<<3, 1))
		}, ErrNode},
		{"", "the type twice", func(s shelf) cid.Cid {
			return s.block(wrap(nil, tagType, byte(fsDirectory), tagType, byte(fsFile)))
		}, ErrNode},
		{"", "the size twice", func(s shelf) cid.Cid {
			return s.block(wrap(nil, tagType, byte(fsFile), tagFileSize, 1, tagFileSize, 0))
		}, ErrNode},
		{"", "the target twice", func(s shelf) cid.Cid {
			return s.block(wrap(nil, tagType, byte(fsSymlink), tagData, 1, 'a', tagData, 1, 'b'))
		}, ErrNode},
		{"", "the type last", func(s shelf) cid.Cid {
			return s.block(wrap(nil, tagFileSize, 0, tagType, byte(fsFile)))
		}, ErrNode},
		{"", "a link without a CID", func(s shelf) cid.Cid {
			return s.block(wrap(rawLink(tagLinkName, 1, 'a'), tagType, byte(fsDirectory)))
		}, ErrNode},
		{"", "a link without anything", func(s shelf) cid.Cid { return s.block(wrap(rawLink(), tagType, byte(fsDirectory))) }, ErrNode},
		{"", "a link whose name comes first", func(s shelf) cid.Cid {
			return s.block(wrap(rawLink(append([]byte{tagLinkName, 1, 'a'}, hash...)...), tagType, byte(fsDirectory)))
		}, ErrNode},
		{"B12", "a link with bytes behind its CID", func(s shelf) cid.Cid {
			return s.block(wrap(rawLink(append(hashField(chunk.cid(), 0), tagLinkTsize, 1)...), tagType, byte(fsDirectory)))
		}, ErrNode},
		{"B10", "a padded length", func(s shelf) cid.Cid {
			return s.block([]byte{tagNodeData, 0x82, 0, tagType, byte(fsDirectory)})
		}, ErrNode},
		{"B10", "an endless length", func(s shelf) cid.Cid {
			return s.block(append([]byte{tagNodeData}, bytes.Repeat([]byte{0xff}, 20)...))
		}, ErrNode},
		{"", "a length of 2^63", func(s shelf) cid.Cid {
			return s.block(binary.AppendUvarint([]byte{tagNodeData}, 1<<63))
		}, ErrNode},
	} {
		t.Run(strings.TrimSpace(c.id+" "+c.name), func(t *testing.T) {
			s := shelf{}
			root := c.make(s)
			if tree, err := s.walk(root, Budget{}); !errors.Is(err, c.want) || tree != nil {
				t.Errorf("got %v, want %v", err, c.want)
			}
			if used := allocated(func() { s.walk(root, Budget{}) }); used > 16<<10 && !raceDetector {
				t.Errorf("%d bytes were allocated", used)
			}
		})
	}
}

// A walk that ended stays where it is.
func TestWalkIsOverAfterABadNode(t *testing.T) {
	s := shelf{}
	bad := s.node(t, fsNode{kind: fsMetadata})
	w, err := NewWalk(bad, Budget{})
	if err != nil {
		t.Fatal(err)
	}
	d, _ := DigestOf(bad)
	first := w.Add(s[d])
	if !errors.Is(first, ErrUnsupported) || !strings.Contains(first.Error(), bad.String()) {
		t.Errorf("got %v, want ErrUnsupported that names the node", first)
	}
	if _, more := w.Next(); more {
		t.Error("more nodes are wanted")
	}
	if err := w.Add(s[d]); !errors.Is(err, ErrUnsupported) {
		t.Error(err)
	}
	if _, err := w.Tree(); !errors.Is(err, ErrUnsupported) {
		t.Error(err)
	}
}

func TestWalkRefusesForeignRoots(t *testing.T) {
	sum, err := mh.Sum([]byte("x"), mh.SHA2_512, -1)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []cid.Cid{cid.Undef, cid.NewCidV1(cid.Raw, sum), cid.NewCidV1(cid.DagCBOR, Seal(nil).Digest().CID().Hash())} {
		if _, err := NewWalk(c, Budget{}); !errors.Is(err, ErrCID) {
			t.Errorf("%v: %v", c, err)
		}
	}
}

func TestBadShards(t *testing.T) {
	x := ref{Seal([]byte("x")).Digest(), formRaw}
	entry := func(name string) pbLink { return pbLink{ref: x, name: []byte(name), tsize: 1, hasTsize: true} }
	data := func(fanout uint64, field ...byte) fsNode {
		return fsNode{kind: fsShard, data: field, hashType: mh.MURMUR3X64_64, fanout: fanout}
	}
	h := newNameHash()
	slotName := func(name string, used int) string { return fmt.Sprintf("%02X", slotOf(h.sum([]byte(name)), used, 8)) }
	field := func(slots ...string) []byte {
		var b [32]byte
		for _, s := range slots {
			var n int
			fmt.Sscanf(s, "%X", &n)
			b[31-n/8] |= 1 << (n % 8)
		}
		return b[:]
	}
	a := slotName("a", 0)
	other := "00"
	if a == other {
		other = "01"
	}
	sound := func(s shelf) cid.Cid { return s.links(t, data(256, field(a)...), entry(a+"a")) }
	s := shelf{}
	if tree, err := s.walk(sound(s), Budget{}); err != nil || tree.Len() != 2 {
		t.Fatal(tree, err)
	}
	// chain makes shards below each other, each with one slot, the first. No name has such a hash, but none is there.
	chain := func(s shelf, depth int, fanout uint64) cid.Cid {
		name := strings.Repeat("0", shard{width: len(fmt.Sprintf("%b", fanout)) - 1}.digits())
		c := s.links(t, data(fanout))
		for range depth - 1 {
			r, _ := refOf(c)
			c = s.links(t, data(fanout, 1), pbLink{ref: r, name: []byte(name)})
		}
		return c
	}
	for fanout, most := range map[uint64]int{8: 21, 16: 16, 256: 8, 1024: 6} {
		if _, err := s.walk(chain(s, most, fanout), Budget{}); err != nil {
			t.Errorf("%d shards of %d slots below each other: %v", most, fanout, err)
		}
		if _, err := s.walk(chain(s, most+1, fanout), Budget{}); !errors.Is(err, ErrNode) { // B21
			t.Errorf("%d shards of %d slots below each other: %v", most+1, fanout, err)
		}
	}
	for _, c := range []struct {
		id, name string
		make     func(s shelf) cid.Cid
	}{
		{"B20", "no slots", func(s shelf) cid.Cid { return s.links(t, data(0)) }},
		{"B20", "3 slots", func(s shelf) cid.Cid { return s.links(t, data(3)) }},
		{"B20", "4 slots", func(s shelf) cid.Cid { return s.links(t, data(4)) }},
		{"B20", "12 slots", func(s shelf) cid.Cid { return s.links(t, data(12)) }},
		{"B20", "257 slots", func(s shelf) cid.Cid { return s.links(t, data(257)) }},
		{"B20", "2048 slots", func(s shelf) cid.Cid { return s.links(t, data(2048)) }},
		{"B20", "2^40 slots", func(s shelf) cid.Cid { return s.links(t, data(1<<40)) }},
		{"B20", "-1 slots", func(s shelf) cid.Cid { return s.links(t, data(math.MaxUint64)) }},
		{"B20", "-256 slots", func(s shelf) cid.Cid { return s.links(t, data(-256&math.MaxUint64)) }},
		{"", "another hash function", func(s shelf) cid.Cid {
			return s.links(t, fsNode{kind: fsShard, hashType: mh.SHA2_256, fanout: 256})
		}},
		{"", "no hash function", func(s shelf) cid.Cid { return s.links(t, fsNode{kind: fsShard, fanout: 256}) }},
		{"", "a field of 33 bytes", func(s shelf) cid.Cid { return s.links(t, data(256, make([]byte, 33)...)) }},
		{"", "a field of 1 MiB", func(s shelf) cid.Cid { return s.links(t, data(256, make([]byte, 1<<20)...)) }},
		{"", "a slot without a link", func(s shelf) cid.Cid { return s.links(t, data(256, field(a)...)) }},
		{"", "a link without a slot", func(s shelf) cid.Cid { return s.links(t, data(256), entry(a+"a")) }},
		{"", "a link in another slot", func(s shelf) cid.Cid { return s.links(t, data(256, field(other)...), entry(a+"a")) }},
		{"", "a link beyond the field", func(s shelf) cid.Cid { return s.links(t, data(256, 1), entry("FFa")) }},
		{"", "a name in its slot beyond the field", func(s shelf) cid.Cid {
			name := "a"
			for slotName(name, 0) < "08" {
				name += "a"
			}
			return s.links(t, data(256, 1), entry(slotName(name, 0)+name))
		}},
		{"", "a name in the wrong slot", func(s shelf) cid.Cid {
			return s.links(t, data(256, field(other)...), entry(other+"a"))
		}},
		{"", "a slot in lower case", func(s shelf) cid.Cid {
			name := "a"
			for slotName(name, 0) < "FA" {
				name += "a"
			}
			at := slotName(name, 0)
			return s.links(t, data(256, field(at)...), entry(strings.ToLower(at)+name))
		}},
		{"", "a slot of one digit", func(s shelf) cid.Cid { return s.links(t, data(256, field("0F")...), entry("F")) }},
		{"", "a slot of no digit", func(s shelf) cid.Cid { return s.links(t, data(256, field("0F")...), entry("")) }},
		{"", "a slot that is no number", func(s shelf) cid.Cid { return s.links(t, data(256, field("0F")...), entry("-1a")) }},
		{"", "slot 8 of 8", func(s shelf) cid.Cid { return s.links(t, data(8, 1), entry("8a")) }},
		{"B21", "a slot twice", func(s shelf) cid.Cid {
			return s.links(t, data(256, field(a, other)...), entry(a+"a"), entry(a+"a"))
		}},
		{"B21", "slots out of order", func(s shelf) cid.Cid {
			b := slotName("b", 0)
			links := []pbLink{entry(a + "a"), entry(b + "b")}
			slices.SortFunc(links, func(x, y pbLink) int { return bytes.Compare(y.name, x.name) })
			return s.links(t, data(256, field(a, b)...), links...)
		}},
		{"B21", "a name in two depths", func(s shelf) cid.Cid {
			deep := s.links(t, data(256, field(slotName("a", 8))...), entry(slotName("a", 8)+"a"))
			r, _ := refOf(deep)
			links := []pbLink{entry(a + "a"), {ref: r, name: []byte(other)}}
			slices.SortFunc(links, func(x, y pbLink) int { return bytes.Compare(x.name, y.name) })
			return s.links(t, data(256, field(a, other)...), links...)
		}},
		{"", "a shard of other width below", func(s shelf) cid.Cid {
			r, _ := refOf(s.links(t, data(8)))
			return s.links(t, data(256, 1), pbLink{ref: r, name: []byte("00")})
		}},
		{"", "a flat directory below", func(s shelf) cid.Cid {
			r, _ := refOf(s.dir(t, nil).CID)
			return s.links(t, data(256, 1), pbLink{ref: r, name: []byte("00")})
		}},
		{"", "a chunk that should be a shard", func(s shelf) cid.Cid { return s.links(t, data(256, 1), entry("00")) }},
		{"", "sizes in a shard", func(s shelf) cid.Cid {
			d := data(256, 1)
			d.sizes = []uint64{1}
			return s.links(t, d, entry("00"))
		}},
	} {
		t.Run(strings.TrimSpace(c.id+" "+c.name), func(t *testing.T) {
			s := shelf{}
			if tree, err := s.walk(c.make(s), Budget{}); !errors.Is(err, ErrNode) || tree != nil {
				t.Errorf("got %v, want ErrNode", err)
			}
		})
	}
}

// Shards of others may have other widths than ours.
func TestShardsOfEveryWidthAreRead(t *testing.T) {
	h := newNameHash()
	for _, width := range []int{3, 4, 5, 6, 7, 8, 9, 10} {
		s := shelf{}
		x := ref{Seal([]byte("x")).Digest(), formRaw}
		var build func(names []string, used int) pbLink
		build = func(names []string, used int) pbLink {
			slots := map[int][]string{}
			for _, n := range names {
				at := slotOf(h.sum([]byte(n)), used, width)
				slots[at] = append(slots[at], n)
			}
			field := make([]byte, 1<<width/8)
			links := []pbLink{}
			for at := range 1 << width {
				if len(slots[at]) == 0 {
					continue
				}
				field[len(field)-1-at/8] |= 1 << (at % 8)
				l := pbLink{ref: x, tsize: 1}
				prefix := fmt.Sprintf("%0*X", shard{width: width}.digits(), at)
				if len(slots[at]) > 1 {
					l = build(slots[at], used+width)
					l.name = []byte(prefix)
				} else {
					l.name = []byte(prefix + slots[at][0])
				}
				links = append(links, l)
			}
			r, _ := refOf(s.links(t, fsNode{kind: fsShard, data: field, hashType: mh.MURMUR3X64_64, fanout: 1 << width}, links...))
			return pbLink{ref: r}
		}
		var names []string
		for i := range 3000 {
			names = append(names, fmt.Sprint("name ", i))
		}
		tree, err := s.walk(build(names, 0).ref.cid(), Budget{})
		if err != nil {
			t.Errorf("%d bits: %v", width, err)
			continue
		}
		var got []string
		for _, e := range tree.Entries()[1:] {
			got = append(got, e.Path)
		}
		slices.Sort(got)
		slices.Sort(names)
		if !slices.Equal(got, names) {
			t.Errorf("%d bits: %d names came back, want %d", width, len(got), len(names))
		}
	}
}

func TestCutNodesAreRefused(t *testing.T) {
	s := shelf{}
	large := s.file(t, strings.Repeat("c", 3*ChunkSize+5))
	entries := map[string]Made{"a": s.file(t, "a"), "b": large, "c": s.symlink(t, "a")}
	dir := s.dir(t, entries)
	for i := range 1300 {
		entries[fmt.Sprintf("%0200d", i)] = s.file(t, "a")
	}
	sharded := s.dir(t, entries)
	for name, m := range map[string]Made{"a file": large, "a link": entries["c"], "a directory": dir, "a shard": sharded} {
		d, _ := DigestOf(m.CID)
		whole := s[d]
		for n := range whole {
			if _, err := s.walk(s.block(whole[:n]), Budget{}); !isTreeError(err) {
				t.Fatalf("%s cut after %d of %d bytes: %v", name, n, len(whole), err)
			}
		}
		for n := range min(len(whole), 500) {
			for _, flip := range []byte{1, 0x80, 0xff} {
				changed := bytes.Clone(whole)
				changed[n] ^= flip
				_, err := s.walk(s.block(changed), Budget{})
				if err != nil && !isTreeError(err) && !strings.Contains(err.Error(), "on the shelf") {
					t.Fatalf("%s with byte %d changed: %v", name, n, err)
				}
			}
		}
	}
}

// below puts one node under others of its kind, again and again.
func below(t *testing.T, s shelf, c cid.Cid, times int, data func(child cid.Cid) (fsNode, []pbLink)) cid.Cid {
	for range times {
		node, links := data(c)
		c = s.links(t, node, links...)
	}
	return c
}

func TestDeepTreesAreRefused(t *testing.T) { // B16
	s := shelf{}
	inDir := func(child cid.Cid) (fsNode, []pbLink) {
		r, _ := refOf(child)
		return fsNode{kind: fsDirectory}, []pbLink{{ref: r, name: []byte("d")}}
	}
	x := s.dir(t, nil).CID
	if _, err := s.walk(below(t, s, x, 64, inDir), Budget{}); err != nil {
		t.Errorf("64 directories: %v", err)
	}
	for _, depth := range []int{65, 10_000} {
		if _, err := s.walk(below(t, s, x, depth, inDir), Budget{}); !errors.Is(err, ErrBudget) {
			t.Errorf("%d directories: %v", depth, err)
		}
	}
	inFile := func(child cid.Cid) (fsNode, []pbLink) {
		r, _ := refOf(child)
		return fsNode{kind: fsFile, fileSize: 1, hasSize: true, sizes: []uint64{1}}, []pbLink{{ref: r}}
	}
	x = s.file(t, "x").CID
	if _, err := s.walk(below(t, s, x, 32, inFile), Budget{}); err != nil {
		t.Errorf("32 nodes of a file: %v", err)
	}
	for _, depth := range []int{33, 10_000} {
		if _, err := s.walk(below(t, s, x, depth, inFile), Budget{}); !errors.Is(err, ErrBudget) {
			t.Errorf("%d nodes of a file: %v", depth, err)
		}
	}
}

// Every count of the budget holds at the very number.
func TestBudgetsHold(t *testing.T) {
	s := shelf{}
	root := s.dir(t, map[string]Made{
		"aa": s.dir(t, map[string]Made{"b": s.file(t, strings.Repeat("c", 2*ChunkSize)), "c": s.symlink(t, "12345")}),
		"d":  s.file(t, "0123456789"),
	})
	w, _ := NewWalk(root.CID, Budget{})
	bytesOfNodes := int64(0)
	for c, more := w.Next(); more; c, more = w.Next() {
		d, _ := DigestOf(c)
		bytesOfNodes += int64(len(s[d]))
		if err := w.Add(s[d]); err != nil {
			t.Fatal(err)
		}
	}
	for name, budget := range map[string]func(less int) Budget{
		"depth":   func(less int) Budget { return Budget{Depth: 2 - less} },
		"blocks":  func(less int) Budget { return Budget{Blocks: 4 - less} },
		"nodes":   func(less int) Budget { return Budget{Nodes: bytesOfNodes - int64(less)} },
		"entries": func(less int) Budget { return Budget{Entries: 5 - less} },
		"names":   func(less int) Budget { return Budget{Names: 2 + 1 + 1 + 5 + 1 - int64(less)} },
		"paths":   func(less int) Budget { return Budget{Paths: 2 + 4 + 4 + 1 - int64(less)} },
		"chunks":  func(less int) Budget { return Budget{Chunks: 3 - less} },
		"bytes":   func(less int) Budget { return Budget{Bytes: 2*ChunkSize + 10 - int64(less)} },
	} {
		if _, err := s.walk(root.CID, budget(0)); err != nil {
			t.Errorf("%s just large enough: %v", name, err)
		}
		if _, err := s.walk(root.CID, budget(1)); !errors.Is(err, ErrBudget) {
			t.Errorf("%s too small by one: %v", name, err)
		}
	}
}

// Ten layers of a thousand links each, all to the same node below: a few nodes that unfold to 10^30 entries.
func TestBillionLaughs(t *testing.T) { // B15
	names := func(child cid.Cid, length int) []pbLink {
		r, _ := refOf(child)
		links := make([]pbLink, 1000)
		for i := range links {
			links[i] = pbLink{ref: r, name: []byte(fmt.Sprintf("%0*d", length, i)), tsize: 1}
		}
		return links
	}
	dirs := func(child cid.Cid) (fsNode, []pbLink) { return fsNode{kind: fsDirectory}, names(child, 3) }
	longNames := func(child cid.Cid) (fsNode, []pbLink) { return fsNode{kind: fsDirectory}, names(child, 255) }
	files := func(size *uint64) func(child cid.Cid) (fsNode, []pbLink) {
		return func(child cid.Cid) (fsNode, []pbLink) {
			n := fsNode{kind: fsFile, fileSize: 1000 * *size, hasSize: true, sizes: slices.Repeat([]uint64{*size}, 1000)}
			*size *= 1000
			return n, names(child, 0)
		}
	}
	one := uint64(1)
	two := uint64(1)
	empty := uint64(0)
	for _, c := range []struct {
		name   string
		bottom func(s shelf) Made
		layers int
		data   func(child cid.Cid) (fsNode, []pbLink)
		want   error
	}{
		{"directories of files", func(s shelf) Made { return s.file(t, "x") }, 10, dirs, ErrBudget},
		{"directories of long names", func(s shelf) Made { return s.file(t, "x") }, 10, longNames, ErrBudget},
		{"directories of empty directories", func(s shelf) Made { return s.dir(t, nil) }, 10, dirs, ErrBudget},
		{"directories of symbolic links", func(s shelf) Made { return s.symlink(t, strings.Repeat("t", 500)) }, 10, dirs, ErrBudget},
		{"files of tiny chunks", func(s shelf) Made { return s.file(t, "x") }, 4, files(&one), ErrBudget},
		{"files of more bytes than there are numbers", func(s shelf) Made { return s.file(t, "x") }, 10, files(&two), ErrNode},
		{"files of nothing", func(s shelf) Made { return s.file(t, "") }, 10, files(&empty), ErrNode},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := shelf{}
			root := below(t, s, c.bottom(s).CID, c.layers, c.data)
			before := heap()
			var w *Walk
			took := time.Duration(math.MaxInt64)
			for try := 0; try < 3 && took > time.Second; try++ {
				start := cpuTime()
				w = laugh(t, s, root)
				took = min(took, cpuTime()-start)
			}
			used := heap() - before
			t.Logf("%v, %d MiB, %d nodes", took, used>>20, w.Blocks())
			if _, err := w.Tree(); !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
			if took > time.Second && !raceDetector {
				t.Errorf("stopped after %v, want less than a second", took)
			}
			if used > 64<<20 {
				t.Errorf("%d MiB are held, want at most 64", used>>20)
			}
			runtime.KeepAlive(w)
			runtime.KeepAlive(s)
		})
	}
}

// laugh walks until the walk has had enough.
func laugh(t *testing.T, s shelf, root cid.Cid) *Walk {
	t.Helper()
	w, err := NewWalk(root, Budget{})
	if err != nil {
		t.Fatal(err)
	}
	for next, more := w.Next(); more; next, more = w.Next() {
		d, _ := DigestOf(next)
		if err := w.Add(s[d]); err != nil && strings.Contains(err.Error(), "panic") {
			t.Fatal(err)
		}
	}
	return w
}

func TestLargeDirectories(t *testing.T) { // B23
	if testing.Short() || raceDetector {
		t.Skip("takes a while")
	}
	for _, c := range []struct {
		name          string
		entries, long int
		want          error
	}{
		{"a million names of 10 letters", 1_000_000, 10, nil},
		{"33 MiB of names", 350_000, 100, ErrBudget},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := shelf{}
			links := make([]Link, c.entries)
			for i := range links {
				links[i] = Link{fmt.Sprintf("%0*d", c.long, i), Digest{}.CID(), 1}
			}
			m, err := MakeDir(links)
			s.put(t, m, err)
			links = nil
			before := heap()
			tree, err := s.walk(m.CID, Budget{})
			used := heap() - before
			t.Logf("%d MiB", used>>20)
			if !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
			if used > 64<<20 {
				t.Errorf("%d MiB are held, want at most 64", used>>20)
			}
			runtime.KeepAlive(tree)
			runtime.KeepAlive(s)
		})
	}
}
