package content

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/ipfs/go-cid"
)

// paths lists a tree, one entry a line: its path, what it is, and what it holds.
func paths(tree *Tree) []string {
	var out []string
	for i, e := range tree.Entries() {
		line := fmt.Sprintf("%q ", e.Path)
		switch e.Kind {
		case Dir:
			line += fmt.Sprintf("dir to %d", tree.Under(i))
		case Symlink:
			line += "to " + e.Target
		case File:
			line += fmt.Sprint(e.Size, tree.Pieces(i))
		}
		out = append(out, line)
	}
	return out
}

func wantLines(t *testing.T, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("got\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
	}
}

func TestWalkReadsWhatWasMade(t *testing.T) {
	s := shelf{}
	chunk := strings.Repeat("c", ChunkSize)
	tail := s.file(t, "tail")
	large := s.file(t, chunk+chunk+"tail")
	root := s.dir(t, map[string]Made{
		"a":     tail,
		"b":     s.dir(t, map[string]Made{"x": large, "y": s.file(t, ""), "z": s.dir(t, nil)}),
		"c":     large,
		"d":     s.symlink(t, "../b"),
		"e.txt": s.file(t, "other"),
	})
	tree, err := s.walk(root.CID, Budget{})
	if err != nil {
		t.Fatal(err)
	}
	wantLines(t, paths(tree), []string{
		`"" dir to 9`,
		`"a" 4 [{0 0}]`,
		`"b" dir to 6`,
		`"b/x" 2097156 [{1 0} {1 1048576} {0 2097152}]`,
		`"b/y" 0 [{2 0}]`,
		`"b/z" dir to 6`,
		`"c" 2097156 [{1 0} {1 1048576} {0 2097152}]`,
		`"d" to ../b`,
		`"e.txt" 5 [{3 0}]`,
	})
	if tree.Files != 5 || tree.Size != 2*2097156+4+5 || tree.Inline != nil || !tree.Root.Equals(root.CID) {
		t.Errorf("%d files of %d bytes below %s, inline %q", tree.Files, tree.Size, tree.Root, tree.Inline)
	}
	for n, want := range []string{"tail", chunk, "", "other"} {
		if tree.Digest(uint32(n)) != Seal([]byte(want)).Digest() || tree.ChunkLen(uint32(n)) != len(want) {
			t.Errorf("chunk %d is not %.10q", n, want)
		}
	}
	if tree.NumChunks() != 4 {
		t.Errorf("%d chunks, want 4", tree.NumChunks())
	}
	for i, e := range tree.Entries() {
		if got, ok := tree.Find(e.Path); !ok || got != i {
			t.Errorf("Find(%q) = %d, %v; want %d", e.Path, got, ok, i)
		}
		if e.Unsafe != nil {
			t.Errorf("%q is said to be unsafe: %v", e.Path, e.Unsafe)
		}
	}
	for path, m := range map[string]Made{"": root, "c": large, "e.txt": s.file(t, "other"), "d": s.symlink(t, "../b")} {
		if i, _ := tree.Find(path); !tree.Entry(i).CID.Equals(m.CID) {
			t.Errorf("%q has the CID %s, want %s", path, tree.Entry(i).CID, m.CID)
		}
	}
	for _, path := range []string{"f", "a/b", "b/", "b/x/0", "/", "/a", "b//x"} {
		if i, ok := tree.Find(path); ok {
			t.Errorf("Find(%q) finds entry %d", path, i)
		}
	}
}

func TestRootsThatAreNoDirectories(t *testing.T) {
	s := shelf{}
	for _, c := range []struct {
		name   string
		root   Made
		want   string
		inline string
	}{
		{"a chunk", s.file(t, "tail"), `"" 4 [{0 0}]`, "tail"},
		{"nothing", s.file(t, ""), `"" 0 [{0 0}]`, ""},
		{"two chunks", s.file(t, strings.Repeat("c", ChunkSize+1)), `"" 1048577 [{0 0} {1 1048576}]`, "none"},
		{"a symbolic link", s.symlink(t, "a/b"), `"" to a/b`, "none"},
	} {
		tree, err := s.walk(c.root.CID, Budget{})
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		wantLines(t, paths(tree), []string{c.want})
		if c.inline == "none" && tree.Inline != nil || c.inline != "none" && (tree.Inline == nil || string(tree.Inline) != c.inline) {
			t.Errorf("%s: inline %q, want %q", c.name, tree.Inline, c.inline)
		}
	}
}

// An empty file that others wrote as a node without links has no chunk at all.
func TestEmptyFileNodeHasNoChunks(t *testing.T) {
	s := shelf{}
	for _, data := range []fsNode{{kind: fsFile}, {kind: fsFile, hasSize: true}} {
		tree, err := s.walk(s.node(t, data), Budget{})
		if err != nil {
			t.Fatal(err)
		}
		wantLines(t, paths(tree), []string{`"" 0 []`})
		if tree.NumChunks() != 0 || tree.Files != 1 {
			t.Errorf("%d chunks in %d files", tree.NumChunks(), tree.Files)
		}
	}
}

// Others may cut files as they like, in parts of any size and depth.
func TestForeignLayoutsAreRead(t *testing.T) {
	s := shelf{}
	part := func(data fsNode, parts ...pbLink) pbLink {
		data.kind, data.hasSize = fsFile, true
		for _, n := range data.sizes {
			data.fileSize += n
		}
		r, _ := refOf(s.links(t, data, parts...))
		return pbLink{ref: r}
	}
	three, two := s.link("", s.file(t, "abc")), s.link("", s.file(t, "de"))
	deep := part(fsNode{sizes: []uint64{2, 3}}, two, three)
	root := part(fsNode{sizes: []uint64{3, 5, 2, 5}}, three, deep, two, deep)
	tree, err := s.walk(root.ref.cid(), Budget{})
	if err != nil {
		t.Fatal(err)
	}
	wantLines(t, paths(tree), []string{`"" 15 [{0 0} {1 3} {0 5} {1 8} {1 10} {0 12}]`})
}

func TestOldVersionsOfCIDsAreRead(t *testing.T) {
	s := shelf{}
	m := s.dir(t, map[string]Made{"a": s.file(t, "a")})
	d, _ := DigestOf(m.CID)
	v0 := ref{d, formV0}.cid()
	if v0.Version() != 0 {
		t.Fatal(v0)
	}
	outer, err := MakeDir([]Link{{"inside", v0, m.Tsize}})
	s.put(t, outer, err)
	tree, err := s.walk(outer.CID, Budget{})
	if err != nil {
		t.Fatal(err)
	}
	if i, _ := tree.Find("inside"); !tree.Entry(i).CID.Equals(v0) {
		t.Errorf("the CID was changed into %s", tree.Entry(i).CID)
	}
	if tree, err = s.walk(v0, Budget{}); err != nil || !tree.Root.Equals(v0) {
		t.Error(err)
	}
}

// randomTree makes nested directories, some of them sharded, and returns the expected files.
func randomTree(t *testing.T, s shelf, r *rand.Rand, depth int, under string, files map[string]int64) Made {
	entries := map[string]Made{}
	count := r.IntN(8)
	if depth == 1 {
		count = 1300
	}
	for i := range count {
		name := fmt.Sprintf("%d-%s", i, strings.Repeat("n", r.IntN(220)))
		path := strings.TrimPrefix(under+"/"+name, "/")
		if depth < 4 && r.IntN(300) < 100/(1+count/100) {
			entries[name] = randomTree(t, s, r, depth+1, path, files)
			continue
		}
		size := r.Int64N(10)
		if r.IntN(20) == 0 {
			size += ChunkSize * r.Int64N(2500)
		}
		leaves := make([]Digest, ChunkCount(size))
		for i := range leaves {
			length := min(size-int64(i)*ChunkSize, ChunkSize)
			leaves[i] = Digest{byte(r.Uint32()), byte(length), byte(length >> 16)}
		}
		m, err := MakeFile(size, leaves)
		entries[name] = s.put(t, m, err)
		files[path] = size
	}
	return s.dir(t, entries)
}

func TestRandomTreesAreReadBack(t *testing.T) {
	for seed := range uint64(4) {
		s := shelf{}
		want := map[string]int64{}
		root := randomTree(t, s, rand.New(rand.NewPCG(seed, 1)), 0, "", want)
		tree, err := s.walk(root.CID, Budget{})
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		got := map[string]int64{}
		total := int64(0)
		for i, e := range tree.Entries() {
			if e.Kind != File {
				continue
			}
			got[e.Path] = e.Size
			total += e.Size
			at := int64(0)
			for _, p := range tree.Pieces(i) {
				if p.Offset != at {
					t.Fatalf("seed %d: %q has a piece at %d, want %d", seed, e.Path, p.Offset, at)
				}
				at += int64(tree.ChunkLen(p.Chunk))
			}
			if at != e.Size {
				t.Fatalf("seed %d: the pieces of %q have %d bytes, want %d", seed, e.Path, at, e.Size)
			}
		}
		if !maps.Equal(got, want) || total != tree.Size || len(got) != tree.Files {
			t.Errorf("seed %d: %d files of %d bytes came back as %d of %d", seed, len(want), total, tree.Files, tree.Size)
		}
	}
}

// Peers talk about chunks by number, so the numbers must not hang on the system that reads.
func TestChunksHaveTheSameNumbersEverywhere(t *testing.T) {
	s := shelf{}
	root := s.dir(t, map[string]Made{
		"CON":    s.file(t, "device"),
		"a\nb":   s.dir(t, map[string]Made{"x": s.file(t, "inside")}),
		"name":   s.file(t, "first"),
		"Name":   s.dir(t, map[string]Made{"y": s.file(t, "twin")}),
		"ending": s.file(t, "last"),
	}).CID
	var first []string
	for _, system := range []string{"linux", "windows", "darwin"} {
		tree, err := s.walkOn(system, root, Budget{})
		if err != nil {
			t.Fatal(err)
		}
		if first == nil {
			first = paths(tree)
		}
		wantLines(t, paths(tree), first)
	}
}

func TestUnsafeEntriesAreMarkedAndAllBelowThem(t *testing.T) {
	s := shelf{}
	inside := func() Made { return s.dir(t, map[string]Made{"x": s.file(t, "x")}) }
	long := strings.Repeat("l", 250)
	deep := inside()
	for range 17 {
		deep = s.dir(t, map[string]Made{long: deep})
	}
	root := s.links(t, fsNode{kind: fsDirectory},
		s.link("", inside()), s.link("..", inside()), s.link("a/b", inside()), s.link("nul.txt", inside()),
		s.link("straße", inside()), s.link("STRASSE", inside()), s.link("n", deep))
	for _, c := range []struct {
		system string
		want   []string
	}{
		{"linux", []string{"", "/x", "..", "../x", "a/b", "a/b/x"}},
		{"windows", []string{"", "/x", "..", "../x", "a/b", "a/b/x", "nul.txt", "nul.txt/x", "STRASSE", "STRASSE/x"}},
		{"darwin", []string{"", "/x", "..", "../x", "a/b", "a/b/x", "STRASSE", "STRASSE/x"}},
	} {
		tree, err := s.walkOn(c.system, root, Budget{})
		if err != nil {
			t.Fatal(err)
		}
		var unsafe []string
		for _, e := range tree.Entries()[1:] {
			switch why := (*NameError)(nil); {
			case e.Unsafe == nil && len(e.Path) > maxPath:
				t.Errorf("%s: a path of %d bytes is called safe", c.system, len(e.Path))
			case e.Unsafe == nil || len(e.Path) > maxPath:
			case !errors.As(e.Unsafe, &why):
				t.Errorf("%s: %q is unsafe because of a %T", c.system, e.Path, e.Unsafe)
			default:
				unsafe = append(unsafe, e.Path)
			}
		}
		wantLines(t, unsafe, c.want)
	}
}

func TestWrongBytesDoNotEndAWalk(t *testing.T) {
	s := shelf{}
	m := s.dir(t, map[string]Made{"a": s.file(t, "a")})
	w, err := NewWalk(m.CID, Budget{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Tree(); !errors.Is(err, ErrUnfinished) {
		t.Errorf("a tree without nodes: %v", err)
	}
	data := m.Blocks[0].Data
	for _, wrong := range [][]byte{nil, data[1:], append(bytes.Clone(data), 0)} {
		if err := w.Add(wrong); !errors.Is(err, ErrMismatch) {
			t.Errorf("wrong bytes: %v", err)
		}
	}
	if c, more := w.Next(); !more || !c.Equals(m.CID) || w.Blocks() != 0 {
		t.Error("the node is not wanted any more")
	}
	if err := w.Add(data); err != nil {
		t.Fatal(err)
	}
	if _, more := w.Next(); more || w.Blocks() != 1 {
		t.Error("the walk does not see that it is whole")
	}
	if err := w.Add(data); !errors.Is(err, ErrUnfinished) {
		t.Errorf("a node too many: %v", err)
	}
	if _, err := w.Tree(); err != nil {
		t.Error(err)
	}
}

func TestWalkKeepsNoBytesOfItsCaller(t *testing.T) {
	s := shelf{}
	root := s.dir(t, map[string]Made{"a": s.dir(t, map[string]Made{"x": s.file(t, "x")}), "b": s.dir(t, nil), "c": s.file(t, "c")})
	want, err := s.walk(root.CID, Budget{})
	if err != nil {
		t.Fatal(err)
	}
	w, _ := NewWalk(root.CID, Budget{})
	for c, more := w.Next(); more; c, more = w.Next() {
		d, _ := DigestOf(c)
		data := bytes.Clone(s[d])
		if err := w.Add(data); err != nil {
			t.Fatal(err)
		}
		clear(data)
	}
	tree, err := w.Tree()
	if err != nil {
		t.Fatal(err)
	}
	wantLines(t, paths(tree), paths(want))
}

// link is a link to what was made.
func (s shelf) link(name string, m Made) pbLink {
	r, _ := refOf(m.CID)
	return pbLink{ref: r, name: []byte(name), tsize: m.Tsize, hasTsize: true}
}

// links puts together a node that may be as wrong as it likes.
func (s shelf) links(t testing.TB, data fsNode, links ...pbLink) cid.Cid {
	t.Helper()
	var b []byte
	for _, l := range links {
		b = appendLink(b, l.ref, "", string(l.name), l.tsize)
	}
	return s.block(appendData(b, data.append(nil)))
}

// node is links without links.
func (s shelf) node(t testing.TB, data fsNode) cid.Cid { return s.links(t, data) }

// block puts bytes on the shelf as they are.
func (s shelf) block(b []byte) cid.Cid {
	d := Seal(b).Digest()
	s[d] = b
	return ref{d, formPB}.cid()
}
