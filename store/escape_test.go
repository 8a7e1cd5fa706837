//go:build linux

package store

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multihash"

	"github.com/shoal-p2p/shoal/content"
)

// forge makes directories that no honest program would: it puts any bytes whatever into the names.
type forge struct {
	blocks map[cid.Cid][]byte
	leaves map[content.Digest][]byte
}

type forged struct {
	name string
	cid  cid.Cid
	size int
}

func newForge() *forge {
	return &forge{blocks: make(map[cid.Cid][]byte), leaves: make(map[content.Digest][]byte)}
}

func (f *forge) file(name string, data []byte) forged {
	d := content.Seal(data).Digest()
	f.leaves[d] = data
	return forged{name, d.CID(), len(data)}
}

func (f *forge) symlink(name, target string) forged {
	m := must(content.MakeSymlink(target))
	for _, b := range m.Blocks {
		f.blocks[b.CID] = b.Data
	}
	return forged{name, m.CID, int(m.Tsize)}
}

// dir encodes a UnixFS directory in dag-pb by hand.
func (f *forge) dir(name string, entries ...forged) forged {
	slices.SortStableFunc(entries, func(a, b forged) int { return cmp.Compare(a.name, b.name) })
	var node []byte
	size := 0
	for _, e := range entries {
		var link []byte
		link = field(link, 1, e.cid.Bytes())
		link = field(link, 2, []byte(e.name))
		link = binary.AppendUvarint(append(link, 3<<3), uint64(e.size))
		node = field(node, 2, link)
		size += e.size
	}
	node = field(node, 1, []byte{1 << 3, 1})
	c := cid.NewCidV1(cid.DagProtobuf, must(multihash.Sum(node, multihash.SHA2_256, -1)))
	f.blocks[c] = node
	return forged{name, c, size + len(node)}
}

func field(b []byte, n int, value []byte) []byte {
	b = append(b, byte(n<<3|2))
	return append(binary.AppendUvarint(b, uint64(len(value))), value...)
}

// tree reads a forged directory as a node does that got it from a peer.
func (f *forge) tree(root forged) (*content.Tree, error) {
	return walk(context.Background(), root.cid, func(c cid.Cid) ([]byte, error) {
		if data, ok := f.blocks[c]; ok {
			return data, nil
		}
		return nil, ErrNotFound
	})
}

func (f *forge) nodes(s *Store, root forged) error {
	var blocks []content.Block
	for c, data := range f.blocks {
		blocks = append(blocks, content.Block{CID: c, Data: data})
	}
	return s.SaveNodes(root.cid, blocks)
}

// fetch runs a whole download of a forged directory.
func (f *forge) fetch(s *Store, root forged, to Dest) (skipped []Skipped, err error) {
	tr, err := f.tree(root)
	if err != nil {
		return nil, err
	}
	if err := f.nodes(s, root); err != nil {
		return nil, err
	}
	defer s.Remove(root.cid)
	d, err := s.Begin(context.Background(), tr, to, nil)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	w := d.Wanted()
	for n := w.NextSet(0); n >= 0; n = w.NextSet(n + 1) {
		if err := d.Put(uint32(n), content.Seal(f.leaves[tr.Digest(uint32(n))])); err != nil {
			return nil, err
		}
	}
	_, err = d.Commit(context.Background())
	return d.Skipped(), err
}

// canary makes a tree around a destination that no download may touch, and returns a check of it.
func canary(t testing.TB, dir string) (dest string, check func()) {
	t.Helper()
	for _, p := range []string{"canary", "x", "passwd", "a/canary", "a/b/canary", "etc/passwd"} {
		write(t, filepath.Join(dir, p), []byte("canary "+p))
	}
	dest = filepath.Join(dir, "a", "b", "dest")
	must(0, os.MkdirAll(dest, 0o755))
	look := func() map[string]string {
		all := snapshot(t, dir, true)
		for p := range all {
			if within(dest, filepath.Join(dir, p)) {
				delete(all, p)
			}
		}
		return all
	}
	before := look()
	return dest, func() {
		t.Helper()
		wantSame(t, "outside of the destination", look(), before)
	}
}

func TestEscapeMatrix(t *testing.T) {
	long := strings.Repeat("n", 255)
	type want int
	const (
		made    want = iota
		skipped      // the rest proceeds
		refused      // the whole tree
	)
	cases := []struct {
		id, name string
		want     want
	}{
		{"B24", "", skipped},
		{"B24", ".", skipped},
		{"B24", "..", skipped},
		{"B25", "../x", skipped},
		{"B25", "a/../../x", skipped},
		{"B26", "/etc/passwd", skipped},
		{"B26", "//h/s", skipped},
		{"B26", `C:\x`, skipped},
		{"B26", `\\?\`, skipped},
		{"B27", "a/b", skipped},
		{"B27", `a\b`, skipped},
		{"B28", "a\x00b", skipped},
		{"B28", "a\nb", skipped},
		{"B28", "\x1b[2J", skipped},
		{"B28", "\x7f", skipped},
		{"B29", "\u202egpj.exe", made},
		{"B30", "CON", made},
		{"B30", "nul.txt", made},
		{"B31", "x:ads", made},
		{"B31", "dot.", made},
		{"B31", "space ", made},
		{"B32", "-rf", made},
		{"B32", "~", made},
		{"B32", "$(id)", made},
		{"B32", "`id`", made},
		{"B33", ".bashrc", made}, // in a directory of its own
		{"B34", content.StageName("x", content.Digest{}.CID()), skipped},
		{"B35", long, made},
		{"B35", long + "n", skipped},
		{"B36", "a\xffb", skipped},
	}
	for _, c := range cases {
		for _, kind := range []string{"file", "directory"} {
			t.Run(c.id+" "+content.Printable(c.name[:min(len(c.name), 20)])+" "+kind, func(t *testing.T) {
				dir := t.TempDir()
				s := open(t, t.TempDir())
				dest, check := canary(t, dir)
				f := newForge()
				hostile := f.file(c.name, []byte("hostile"))
				if kind == "directory" {
					hostile = f.dir(c.name, f.file("x", []byte("hostile")), f.file("canary", []byte("hostile")))
				}
				root := f.dir("", hostile, f.file("good", []byte("good")))
				left, err := f.fetch(s, root, Dest{Path: filepath.Join(dest, "got")})
				check()
				if (err != nil) != (c.want == refused) {
					t.Fatalf("got %v", err)
				}
				if err != nil {
					wantOnly(t, dest)
					return
				}
				if (len(left) > 0) != (c.want == skipped) {
					t.Errorf("left out %v", left)
				}
				if b, err := os.ReadFile(filepath.Join(dest, "got", "good")); string(b) != "good" {
					t.Errorf("the rest did not proceed: %v", err)
				}
				names := 1
				if c.want == made {
					names = 2
				}
				if got := must(os.ReadDir(filepath.Join(dest, "got"))); len(got) != names {
					t.Errorf("made %v", got)
				}
			})
		}
	}
}

// B35: each name is short enough, and all of them together are not.
func TestPathsThatAreTooLongAreLeftOut(t *testing.T) {
	dir := t.TempDir()
	s := open(t, t.TempDir())
	dest, check := canary(t, dir)
	f := newForge()
	at := f.file("file", []byte("x"))
	for range 17 {
		at = f.dir(strings.Repeat("n", 250), at)
	}
	left, err := f.fetch(s, f.dir("", at, f.file("good", []byte("good"))), Dest{Path: filepath.Join(dest, "got")})
	check()
	if err != nil || len(left) != 1 {
		t.Errorf("left out %d, %v; want the one that lies too deep", len(left), err)
	}
}

// B39 and B40: which of two entries of one name would a program take?
func TestDirectoriesWithTwoEntriesOfOneNameAreRefused(t *testing.T) {
	f := newForge()
	for name, root := range map[string]forged{
		"two files":            f.dir("", f.file("a", []byte("1")), f.file("a", []byte("2"))),
		"a file and directory": f.dir("", f.file("a", []byte("1")), f.dir("a", f.file("x", nil))),
	} {
		if _, err := f.tree(root); err == nil {
			t.Errorf("%s of one name in one directory were accepted", name)
		}
	}
}

// B41: a link that is made first would carry what follows out of the destination.
func TestLinksOfATreeAreNotMade(t *testing.T) {
	dir := t.TempDir()
	s := open(t, t.TempDir())
	dest, check := canary(t, dir)
	f := newForge()
	root := f.dir("", f.symlink("d", filepath.Join(dir, "etc")), f.symlink("e", "../../.."), f.file("d/passwd", []byte("hostile")),
		f.dir("f", f.symlink("up", "..")), f.file("good", []byte("good")))
	left, err := f.fetch(s, root, Dest{Path: filepath.Join(dest, "got")})
	check()
	if err != nil || len(left) != 4 {
		t.Errorf("left out %v, %v; want the three links and the path through one", left, err)
	}
	wantOnly(t, filepath.Join(dest, "got"), "f", "good")
}

// B42: a link that lies in the directory into which a tree is merged.
func TestLinksInTheDestinationAreNotFollowed(t *testing.T) {
	f := newForge()
	root := f.dir("", f.dir("d", f.file("canary", []byte("hostile"))), f.file("x", []byte("hostile")))
	for name, plant := range map[string]func(dir, got string) error{
		"out of it": func(dir, got string) error { return os.Symlink(dir, filepath.Join(got, "d")) },
		"inside":    func(dir, got string) error { return os.Symlink(".", filepath.Join(got, "d")) },
		"of a file": func(dir, got string) error { return os.Symlink(filepath.Join(dir, "x"), filepath.Join(got, "x")) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s := open(t, t.TempDir())
			dest, check := canary(t, dir)
			got := filepath.Join(dest, "got")
			must(0, os.Mkdir(got, 0o755))
			must(0, plant(dir, got))
			_, err := f.fetch(s, root, Dest{Path: got, Force: true})
			check()
			if name == "of a file" { // the link gives way to the file
				if b := must(os.ReadFile(filepath.Join(got, "x"))); err != nil || string(b) != "hostile" {
					t.Errorf("got %v, %q", err, b)
				}
			} else if !errors.Is(err, ErrExists) {
				t.Errorf("got %v, want ErrExists", err)
			}
		})
	}
}

// B44: somebody exchanges a directory of the part for a link while it is being written to.
func TestDirectoryIsSwappedForALinkMeanwhile(t *testing.T) {
	for _, to := range []string{"..", "../../..", "/"} {
		dir := t.TempDir()
		s := open(t, t.TempDir())
		dest, check := canary(t, dir)
		f := newForge()
		root := f.dir("", f.dir("a", f.dir("b", f.file("canary", []byte("hostile")), f.file("x", []byte("hostile too")))))
		tr := must(f.tree(root))
		must(0, f.nodes(s, root))
		d := must(s.Begin(context.Background(), tr, Dest{Path: filepath.Join(dest, "got")}, nil))
		swapped := filepath.Join(dest, content.StageName("got", tr.Root), "a")
		must(0, os.Rename(swapped, swapped+"-"))
		target := to
		if to == "/" {
			target = dir // absolute
		}
		must(0, os.Symlink(target, swapped))
		for n := range tr.NumChunks() {
			d.Put(uint32(n), content.Seal(f.leaves[tr.Digest(uint32(n))]))
		}
		d.Commit(context.Background())
		must(0, d.Close())
		check()
	}
}

// FuzzHostileTree writes trees of which the fuzzer chose all names, and looks whether anything outside of the destination
// changed. Names are separated by a slash-free marker, so that they can hold every byte but one.
func FuzzHostileTree(f *testing.F) {
	for _, seed := range []string{
		"a\xfeb\xfec", "..\xfex", "\xfe.\xfe..", "../x\xfe/etc/passwd", "a\xfea\xfea", "A\xfea", "a\xfeA/b\xfe..\xfe..\xfecanary",
		"a\x00\xfe\x1b[2J", ".bashrc\xfe.ssh\xfeauthorized_keys", "d\xfed/x\xfed\xfed", strings.Repeat("n", 256) + "\xfex",
		"\u00e9\xfee\u0301", "x.shoal-part\xfe.x.abcdefgh.shoal-part",
	} {
		f.Add([]byte(seed), uint8(0))
		f.Add([]byte(seed), uint8(0xa5))
	}
	base := memoryDir(f)
	s := open(f, base)
	f.Fuzz(func(t *testing.T, names []byte, shape uint8) {
		dir := must(os.MkdirTemp(base, "f"))
		defer os.RemoveAll(dir)
		dest, check := canary(t, dir)
		forge := newForge()
		// Bit by bit, the shape says whether the next name is a file beside the last ones or a directory around them.
		var level []forged
		for i, name := range bytes.SplitN(names, []byte{0xfe}, 12) {
			if shape>>(i%8)&1 == 0 {
				level = append(level, forge.file(string(name), append([]byte("hostile "), name...)))
			} else {
				level = []forged{forge.dir(string(name), level...), forge.symlink(string(name)+"l", "../..")}
			}
		}
		for _, force := range []bool{false, true} {
			to := filepath.Join(dest, "got")
			if force {
				os.Mkdir(to, 0o755)
			}
			forge.fetch(s, forge.dir("", level...), Dest{Path: to, Force: force})
			check()
			for p, what := range snapshot(t, dest, false) {
				if what[0] != '-' && what[0] != 'd' {
					t.Errorf("made %q, which is %s", p, what)
				}
			}
		}
	})
}
