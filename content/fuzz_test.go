package content

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/ipfs/go-cid"
)

func FuzzParseCID(f *testing.F) {
	for _, c := range goodCIDs() {
		f.Add(c.String())
		f.Add("ipfs://" + c.String() + "/a%20b")
	}
	f.Fuzz(func(t *testing.T, s string) {
		c, err := ParseCID(s)
		if err != nil {
			refused(t, "ParseCID", c, err)
		} else {
			again, err := DecodeCID(c.Bytes())
			if err != nil || !again.Equals(c) || CheckCID(c) != nil {
				t.Errorf("%q is read, but not %x: %v", s, c.Bytes(), err)
			}
		}
		r, err := ParseRef(s)
		if err != nil {
			return
		}
		if again, err := ParseRef(r.String()); err != nil || again != r {
			t.Errorf("%q is read as %v, and that as %v, %v", s, r, again, err)
		}
	})
}

func FuzzDecodeCID(f *testing.F) {
	for _, c := range goodCIDs() {
		f.Add(c.Bytes())
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := DecodeCID(b)
		if err != nil {
			refused(t, "DecodeCID", c, err)
			return
		}
		reference, err := cid.Cast(b)
		if err != nil || !reference.Equals(c) {
			t.Errorf("%x is read as %s, go-cid says %s, %v", b, c, reference, err)
		}
	})
}

// FuzzWalk gives a walk two blocks in turn, whatever it asks for.
func FuzzWalk(f *testing.F) {
	s := shelf{}
	entries := map[string]Made{
		"a": s.file(f, "a"), "b": s.file(f, strings.Repeat("c", 2*ChunkSize)), "CON": s.symlink(f, "a"), "d": s.dir(f, nil),
	}
	m := s.dir(f, entries)
	f.Add(m.Blocks[0].Data, entries["b"].Blocks[0].Data)
	f.Add(m.Blocks[0].Data, entries["CON"].Blocks[0].Data)
	// 10 and 15 are in one slot of the uppermost shard.
	entries["10"], entries["15"] = entries["a"], entries["a"]
	slots := []slot{}
	for name, e := range entries {
		r, _ := refOf(e.CID)
		slots = append(slots, slot{name: name, ref: r, tsize: e.Tsize})
	}
	sharded, err := makeSharded(slots)
	if err != nil {
		f.Fatal(err)
	}
	if len(sharded.Blocks) != 2 {
		f.Fatalf("%d shards", len(sharded.Blocks))
	}
	f.Add(sharded.Blocks[1].Data, sharded.Blocks[0].Data)
	budget := Budget{Depth: 6, Layers: 6, Blocks: 100, Entries: 1000, Chunks: 1000}
	f.Fuzz(func(t *testing.T, a, b []byte) {
		for _, system := range []string{"linux", "windows"} {
			w, err := newWalk(ref{sha256.Sum256(a), formPB}.cid(), budget, system)
			if err != nil {
				t.Fatal(err)
			}
			for blocks := [2][]byte{a, b}; ; blocks[0], blocks[1] = blocks[1], blocks[0] {
				if _, more := w.Next(); !more {
					break
				}
				w.want.ref.digest = sha256.Sum256(blocks[0])
				if err := w.Add(blocks[0]); err != nil && strings.Contains(err.Error(), "panic") {
					t.Fatal(err)
				}
			}
			tree, err := w.Tree()
			if err == nil {
				soundTree(t, tree, budget)
			} else if !isTreeError(err) {
				t.Fatalf("an error that nobody announced: %v", err)
			}
		}
	})
}

// soundTree checks what every tree must keep.
func soundTree(t *testing.T, tree *Tree, b Budget) {
	all := tree.Entries()
	if len(all) > b.Entries || tree.NumChunks() > b.Chunks || tree.Under(0) != len(all) {
		t.Fatalf("%d entries, %d chunks", len(all), tree.NumChunks())
	}
	files, size := 0, int64(0)
	for i, e := range all {
		if end := tree.Under(i); end <= i || end > len(all) || e.Kind != Dir && end != i+1 {
			t.Fatalf("entry %d ends at %d of %d", i, end, len(all))
		}
		if i > 0 && e.Unsafe == nil {
			for name := range strings.SplitSeq(e.Path, "/") {
				if judge("linux", name) != sound {
					t.Fatalf("%q is called safe", e.Path)
				}
			}
			if found, ok := tree.Find(e.Path); !ok || found != i {
				t.Fatalf("%q is entry %d and found as %d", e.Path, i, found)
			}
		}
		at := int64(0)
		for _, p := range tree.Pieces(i) {
			if p.Offset != at || int(p.Chunk) >= tree.NumChunks() {
				t.Fatalf("%q has the piece %v, want one at %d", e.Path, p, at)
			}
			at += int64(tree.ChunkLen(p.Chunk))
		}
		if at != e.Size {
			t.Fatalf("%q has %d bytes, and %d in its pieces", e.Path, e.Size, at)
		}
		if e.Kind == File {
			files++
			size += e.Size
		}
	}
	if files != tree.Files || size != tree.Size {
		t.Fatalf("%d files of %d bytes, and %d of %d by the tree", files, size, tree.Files, tree.Size)
	}
}

// FuzzNode holds our reading of dag-pb against go-codec-dagpb.
func FuzzNode(f *testing.F) {
	s := shelf{}
	m := s.dir(f, map[string]Made{"a": s.file(f, "a"), "b": s.file(f, strings.Repeat("c", 2*ChunkSize))})
	for _, b := range s {
		if len(b) < 1000 {
			f.Add(b)
		}
	}
	f.Add(append(appendData(nil, []byte{8, 1}), m.Blocks[0].Data[:10]...))
	f.Fuzz(func(t *testing.T, b []byte) {
		n, err := parseNode(b)
		if err == nil {
			err = n.each(func(pbLink) error { return nil })
		}
		if err == nil {
			sameNode(t, b, n)
		} else if !errors.Is(err, ErrNode) {
			t.Fatal(err)
		}
	})
}

func FuzzUnixFS(f *testing.F) {
	for _, n := range []fsNode{
		{kind: fsDirectory},
		{kind: fsSymlink, data: []byte("a/b")},
		{kind: fsFile, fileSize: 7, hasSize: true, sizes: []uint64{3, 4}},
		{kind: fsShard, data: []byte{1, 2}, hashType: 0x22, fanout: 256},
	} {
		f.Add(n.append(nil), 2)
	}
	f.Add([]byte{tagType, byte(fsFile), tagPacked, 2, 3, 4, tagMode, 5, tagTime, 2, 8, 1}, 2)
	f.Fuzz(func(t *testing.T, b []byte, links int) {
		links = max(min(links, 1000), 0)
		n, err := parseData(b, links)
		if err != nil {
			if !errors.Is(err, ErrNode) {
				t.Fatal(err)
			}
			return
		}
		if len(n.sizes) > links {
			t.Fatalf("%d sizes for %d links", len(n.sizes), links)
		}
		if n.kind > 100 {
			return // append writes known types only
		}
		again, err := parseData(n.append(nil), links)
		if n.kind != fsShard {
			again.hashType, again.fanout = n.hashType, n.fanout
		}
		if err != nil || again.kind != n.kind || !bytes.Equal(again.data, n.data) || again.fileSize != n.fileSize ||
			again.hasSize != n.hasSize || !slices.Equal(again.sizes, n.sizes) || again.hashType != n.hashType || again.fanout != n.fanout {
			t.Fatalf("%+v comes back as %+v, %v", n, again, err)
		}
	})
}

// FuzzSafeName creates every name that is accepted, in a directory beside one that nothing may change.
func FuzzSafeName(f *testing.F) {
	for _, s := range []string{
		"a", "..", "../canary", "a/b", `a\b`, "\x00", "CON", "a.", " ", "ü\u0301", "\u202e", ".a.abcdefgh.shoal-part", "-rf", "\xff", "C:", "a\n",
		strings.Repeat("n", 256),
	} {
		f.Add(s)
	}
	outer := f.TempDir()
	canary := filepath.Join(outer, "canary")
	inside := filepath.Join(outer, "inside")
	if err := errors.Join(os.WriteFile(canary, []byte("alive"), 0o600), os.Mkdir(inside, 0o700)); err != nil {
		f.Fatal(err)
	}
	root, err := os.OpenRoot(inside)
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { root.Close() })
	f.Fuzz(func(t *testing.T, s string) {
		if p := Printable(s); !utf8.ValidString(p) || strings.ContainsFunc(p, unicode.IsControl) || Printable(p) != p {
			t.Fatalf("%q is printed as %q", s, p)
		}
		for _, system := range []string{"linux", "darwin", "windows"} {
			n, err := ParseNameOn(system, s)
			if err != nil {
				continue
			}
			if n.String() != s || !filepath.IsLocal(s) || filepath.Base(s) != s || len(s) > 255 || IsStageName(s) {
				t.Fatalf("%q is a safe name on %s", s, system)
			}
		}
		n, err := ParseName(s)
		if err != nil {
			return
		}
		file, err := root.OpenFile(n.String(), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if err != nil {
			t.Fatalf("%q is a safe name and cannot be created: %v", s, err)
		}
		file.Close()
		if list, err := os.ReadDir(inside); err != nil || len(list) != 1 {
			t.Errorf("%q made %d files: %v", s, len(list), err)
		}
		if err := root.Remove(n.String()); err != nil {
			t.Error(err)
		}
		if alive, err := os.ReadFile(canary); err != nil || string(alive) != "alive" {
			t.Fatalf("%q changed what lies outside: %v", s, err)
		}
		if list, err := os.ReadDir(outer); err != nil || len(list) != 2 {
			t.Fatalf("%q made something outside: %v", s, err)
		}
	})
}
