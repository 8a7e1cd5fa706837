package node

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multihash"

	"github.com/shoal-p2p/shoal/content"
)

// crafted is a node of a tree that no honest writer makes.
type crafted struct {
	links    []cid.Cid
	tsize    uint64   // of each link
	fileSize uint64   // that the node claims
	sizes    []uint64 // of the file below each link
}

// block encodes the node as a dag-pb block with the data of a UnixFS file.
func (c crafted) block() []byte {
	field := func(tag byte, b []byte) []byte {
		return append(binary.AppendUvarint([]byte{tag}, uint64(len(b))), b...)
	}
	var out []byte
	for _, l := range c.links {
		link := append(field(0x0a, l.Bytes()), 0x12, 0, 0x18)
		out = append(out, field(0x12, binary.AppendUvarint(link, c.tsize))...)
	}
	data := binary.AppendUvarint([]byte{0x08, 2, 0x18}, c.fileSize)
	for _, s := range c.sizes {
		data = binary.AppendUvarint(append(data, 0x20), s)
	}
	return append(out, field(0x0a, data)...)
}

func nodeCID(t testing.TB, b []byte) cid.Cid {
	t.Helper()
	h, err := multihash.Sum(b, multihash.SHA2_256, -1)
	if err != nil {
		t.Fatal(err)
	}
	return cid.NewCidV1(cid.DagProtobuf, h)
}

// fails fetches something that cannot be fetched, and looks that nothing of it is left.
func (r *running) fails(t *testing.T, g *goods, from ...string) error {
	t.Helper()
	dir := t.TempDir()
	to := filepath.Join(dir, "copy")
	_, err := r.Fetch(t.Context(), FetchRequest{Ref: g.root.String(), Dest: to, Peers: from, Timeout: 1.5}, ignore)
	if err == nil {
		t.Fatal("it was fetched")
	}
	if _, err := os.Lstat(to); !os.IsNotExist(err) {
		t.Errorf("something stands under the final name: %v", err)
	}
	if n := blocksIn(t, dir); n > 4<<20 {
		t.Errorf("%d bytes of disk are taken, expected none but for chunks that came", n)
	}
	return err
}

// blocksIn is what the files of a directory take on disk, in bytes.
func blocksIn(t *testing.T, dir string) (sum int64) {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list {
		info, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		sum += allocated(info)
	}
	return sum
}

// T4, B17, B18: a root whose sizes are lies, from a source that otherwise does everything right.
func TestSizeLies(t *testing.T) {
	chunks := [][]byte{bytes.Repeat([]byte("a"), 1<<20), bytes.Repeat([]byte("b"), 1000)}
	real := uint64(len(chunks[0]) + len(chunks[1]))
	honest := crafted{
		links: []cid.Cid{content.Seal(chunks[0]).Digest().CID(), content.Seal(chunks[1]).Digest().CID()}, tsize: 1 << 20,
		fileSize: real, sizes: []uint64{1 << 20, 1000},
	}
	for _, c := range []struct {
		name   string
		change func(c *crafted)
		want   error // nil: any
	}{
		{"file of 0", func(c *crafted) { c.fileSize = 0 }, ErrVerify},
		{"file of -1", func(c *crafted) { c.fileSize = 1<<64 - 1 }, ErrVerify},
		{"file of 2^63", func(c *crafted) { c.fileSize = 1 << 63 }, ErrVerify},
		{"file one too long", func(c *crafted) { c.fileSize++ }, ErrVerify},
		{"file one too short", func(c *crafted) { c.fileSize-- }, ErrVerify},
		{"more sizes than links", func(c *crafted) { c.sizes = append(c.sizes, 0) }, ErrVerify},
		{"fewer sizes than links", func(c *crafted) { c.sizes = c.sizes[:1] }, ErrVerify},
		{"chunk of 2^63", func(c *crafted) { c.sizes[0] = 1 << 63; c.fileSize = 1<<63 + 1000 }, ErrVerify},
		{"chunk of 3 MiB", func(c *crafted) { c.sizes[0] = 3 << 20; c.fileSize = 3<<20 + 1000 }, ErrVerify},
		{"sizes that wrap around", func(c *crafted) { c.sizes[0] = 1<<64 - 1; c.fileSize = 999 }, ErrVerify},
		{"last chunk one longer than it is", func(c *crafted) { c.sizes[1]++; c.fileSize++ }, nil},
		{"last chunk one shorter than it is", func(c *crafted) { c.sizes[1]--; c.fileSize-- }, nil},
		{"chunk of nothing", func(c *crafted) { c.sizes[0] = 0; c.fileSize = 1000 }, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			lie := honest
			lie.sizes = append([]uint64(nil), honest.sizes...)
			c.change(&lie)
			g := &goods{root: nodeCID(t, lie.block()), nodes: [][]byte{lie.block()}, chunks: chunks}
			me, s := start(t, "me"), newOutsider(t)
			s.serve(g, policy{})
			if err := me.fails(t, g, s.addr()); c.want != nil && !errors.Is(err, c.want) {
				t.Errorf("got %v, expected %v", err, c.want)
			}
		})
	}
	t.Run("no lie", func(t *testing.T) {
		g := &goods{root: nodeCID(t, honest.block()), nodes: [][]byte{honest.block()}, chunks: chunks}
		me, s := start(t, "me"), newOutsider(t)
		s.serve(g, policy{})
		me.gets(g.root.String(), bytes.Join(chunks, nil), s.addr())
	})
}

// T5, B15: ten levels of a thousand links to one child each, through the protocol.
func TestBillionLaughs(t *testing.T) {
	below := content.Seal([]byte("x")).Digest().CID()
	blocks := map[cid.Cid][]byte{}
	for range 10 {
		links := make([]content.Link, 1000)
		for i := range links {
			links[i] = content.Link{Name: fmt.Sprintf("%03d", i), CID: below, Tsize: 1}
		}
		made, err := content.MakeDir(links)
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range made.Blocks {
			blocks[b.CID] = b.Data
		}
		below = made.CID
	}
	g := &goods{root: below, chunks: [][]byte{[]byte("x")}}
	began := time.Now()
	g.nodes = walked(t, below, func(c cid.Cid) ([]byte, error) { return blocks[c], nil })
	alone := time.Since(began)
	tidy(t, "directories", func(t *testing.T) {
		s := newOutsider(t)
		s.serve(g, policy{})
		fails := func(me *running) {
			if err := me.fails(t, g, s.addr()); !errors.Is(err, ErrVerify) {
				t.Errorf("got %v, expected %v", err, ErrVerify)
			}
		}
		me, again := start(t, "me"), start(t, "again")
		began := time.Now()
		fails(me)
		took := time.Since(began)
		grew := peak(func() { fails(again) }) // apart, because looking at the heap takes most of the time then
		t.Logf("%v, walked alone in %v, %d MiB, %d nodes", took, alone, grew>>20, len(g.nodes))
		if took > max(5*time.Second, 2*alone) {
			t.Errorf("it took %v, and to walk the tree %v", took, alone)
		}
		if grew > 64<<20+2*streamWindow { // and what the stream may send ahead, and this side of it has in hand
			t.Errorf("the heap grew by %d MiB", grew>>20)
		}
	})
}
