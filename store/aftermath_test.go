//go:build linux && fault

package store

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/shoal-p2p/shoal/content"
)

// scene is where a workload lives and dies, again and again.
type scene struct {
	t     testing.TB
	dir   string // of the workload
	home  string // of its index
	stock string // what there is to fetch; no crash comes near it
	goods []*goods
	local map[string]string // the user's files
	want  map[string]map[string]string
	edits [2]cid.Cid // roots of the directory that its user edits

	maxLoss int64  // bytes of a download that a power cut may take
	fault   string // what comes next, for messages
}

// fewBytes is what a power cut may take, for little work to show that the rest is kept.
const fewBytes = 2 << 20

// newScene makes what a workload needs in three directories.
func newScene(t testing.TB, dir, home, stock string) *scene {
	t.Helper()
	c := &scene{t: t, dir: dir, home: home, stock: stock, want: make(map[string]map[string]string), maxLoss: fewBytes}
	c.makeStock()
	for _, d := range []string{cmp.Or(home, dir), filepath.Join(dir, "dest"), filepath.Join(dir, "edit")} {
		must(0, os.MkdirAll(d, 0o755))
	}
	write(t, filepath.Join(dir, "local", "x"), noise(11, 3*content.ChunkSize))
	write(t, filepath.Join(dir, "local", "sub", "y"), noise(12, 100))
	c.local = untouched(t, filepath.Join(dir, "local"))
	return c
}

// makeStock writes down what there is to fetch.
func (c *scene) makeStock() {
	at := func(parts ...string) string { return filepath.Join(append([]string{c.stock, "goods"}, parts...)...) }
	write(c.t, at("single"), noise(21, 9*content.ChunkSize+123))
	write(c.t, at("few", "a"), noise(22, 4*content.ChunkSize))
	write(c.t, at("few", "sub", "b"), noise(23, 5*content.ChunkSize+1))
	write(c.t, at("few", "c"), noise(24, 1000))
	for i := range fewFiles + 4 {
		write(c.t, at("many", fmt.Sprint(i%3), fmt.Sprint(i)), noise(uint64(30+i), 2000+i))
	}
	write(c.t, at("many", "larger"), noise(25, 2*content.ChunkSize+5))
	write(c.t, at("into", "a"), noise(26, content.ChunkSize+7))
	write(c.t, at("into", "sub", "b"), noise(27, 5000))
	s := open(c.t, filepath.Join(c.stock, "index"))
	for _, name := range []string{"single", "few", "many", "into"} {
		root := add(c.t, s, at(name)).Root
		c.goods = append(c.goods, &goods{Name: name, Merge: name == "into", Root: root, Blocks: nodes(c.t, s, root)})
		c.want[name] = snapshot(c.t, at(name), false)
	}
	for i := range c.edits {
		write(c.t, at("..", "edit", "file"), edition(i))
		c.edits[i] = add(c.t, s, at("..", "edit")).Root
	}
	var b bytes.Buffer
	must(0, gob.NewEncoder(&b).Encode(c.goods))
	write(c.t, filepath.Join(c.stock, "stock"), b.Bytes())
	c.goods = stock(c.stock)
}

// untouched maps the files below a directory to what must not change of them: bytes, inode, and time of the last change.
func untouched(t testing.TB, dir string) map[string]string {
	out := snapshot(t, dir, true)
	for p := range out {
		out[p] += fmt.Sprint(" inode ", inodeOf(filepath.Join(dir, p)))
	}
	return out
}

// inodeOf is the number of what lies at a path, or zero.
func inodeOf(path string) uint64 {
	var s syscall.Stat_t
	if syscall.Lstat(path, &s) != nil {
		return 0
	}
	return s.Ino
}

func (c *scene) errorf(format string, args ...any) {
	c.t.Helper()
	c.t.Errorf("after "+c.fault+": "+format, args...)
}

// event is a line that a workload said.
type event struct {
	at         time.Time
	what, name string
	n          uint32
}

func parseEvent(line string) (e event, err error) {
	var at int64
	_, err = fmt.Sscanf(line, "%d %s %s %d", &at, &e.what, &e.name, &e.n)
	e.at = time.Unix(0, at)
	return e, err
}

// past is what a workload had done when it ended.
type past struct {
	end       time.Time
	shared    bool // local is in the index
	committed map[string]bool
	removing  map[string]bool
	puts      map[string]map[uint32]time.Time // by goods and chunk
}

func pastOf(events []event, end time.Time) past {
	p := past{end: end, committed: map[string]bool{}, removing: map[string]bool{}, puts: map[string]map[uint32]time.Time{}}
	for _, e := range events {
		switch e.what {
		case "shared":
			p.shared = true
		case "put":
			if p.puts[e.name] == nil {
				p.puts[e.name] = make(map[uint32]time.Time)
			}
			p.puts[e.name][e.n] = e.at
			delete(p.removing, e.name) // a new round
		case "committed":
			p.committed[e.name] = true
			delete(p.puts, e.name)
		case "removing":
			p.removing[e.name] = true
			p.shared = p.shared && e.name != "local"
			delete(p.committed, e.name)
		}
	}
	return p
}

// inspect checks what must hold after a workload ended in any way, and takes its downloads up again. cut says that the power went,
// so that what was not written to the disk may be lost.
func (c *scene) inspect(p past, cut bool) {
	c.t.Helper()
	start := time.Now()
	s, err := Open(Config{Home: c.home})
	if err != nil {
		c.t.Fatalf("after %s: %v", c.fault, err)
	}
	defer func() { must(0, s.Close()) }()
	if took := time.Since(start); took > 5*time.Second {
		c.errorf("it took %v to start", took)
	}
	if !c.t.Failed() {
		wantSame(c.t, "after "+c.fault+": shared files", untouched(c.t, filepath.Join(c.dir, "local")), c.local)
	}
	if err := s.Rescan(context.Background()); err != nil {
		c.errorf("rescan: %v", err)
	}
	c.shares(s, p)
	c.finals(p)
	for _, g := range c.goods {
		c.resume(s, g, p, cut)
	}
	c.names()
}

// shares checks what is in the index.
func (c *scene) shares(s *Store, p past) {
	in := make(map[string]bool)
	for _, share := range must(s.Shares()) {
		name := filepath.Base(share.Paths[0])
		in[name] = true
		if name == "edit" {
			if !slices.Contains(c.edits[:], share.Root) {
				c.errorf("what is shared of %s is neither what it was nor what it is", name)
			}
		}
		tr, err := s.Tree(context.Background(), share.Root)
		if err != nil {
			c.errorf("%s is in the index without its tree: %v", name, err)
			continue
		}
		certain := name == "local" || p.committed[name]
		if certain && len(share.Stale) > 0 {
			c.errorf("%s counts as changed: %v", name, share.Stale)
		}
		c.serves(s, tr, name, certain)
	}
	if p.shared && !in["local"] {
		c.errorf("local was shared, and is not in the index")
	}
	for name := range p.committed {
		if !in[name] {
			c.errorf("%s was committed, and is not in the index", name)
		}
	}
}

// serves reads every chunk of a tree from the index. What it gets must be right, and with certain it must get all.
func (c *scene) serves(s *Store, tr *content.Tree, name string, certain bool) {
	buf := make([]byte, content.MaxBlock)
	for n := range uint32(tr.NumChunks()) {
		length, err := s.ReadChunk(tr.Digest(n), buf)
		switch {
		case err != nil && certain:
			c.errorf("chunk %d of %s: %v", n, name, err)
		case err != nil && !errors.Is(err, ErrStale):
			c.errorf("chunk %d of %s: %v, want ErrStale if anything", n, name, err)
		case err == nil && sha256.Sum256(buf[:length]) != tr.Digest(n):
			c.errorf("chunk %d of %s was served with other bytes", n, name)
		}
	}
}

// finals checks what lies under the final names.
func (c *scene) finals(p past) {
	for _, g := range c.goods {
		path := filepath.Join(c.dir, "dest", g.Name)
		if _, err := os.Lstat(path); err != nil {
			if p.committed[g.Name] {
				c.errorf("%s was committed, and is not there: %v", g.Name, err)
			}
			continue
		}
		got := snapshot(c.t, path, false)
		if g.Merge {
			c.merged(g, got, p.committed[g.Name])
		} else {
			wantSame(c.t, "after "+c.fault+": "+g.Name+" under its final name", got, c.want[g.Name])
		}
	}
}

// merged checks a directory whose files were replaced, or some of them: each is the old or the new one.
func (c *scene) merged(g *goods, got map[string]string, all bool) {
	older := fmt.Sprintf("-rw-r--r-- %x", sha256.Sum256(noise(77, mixed)))
	for p, want := range c.want[g.Name] {
		if got[p] != want && (all || got[p] != older) {
			c.errorf("%s in %s is %q, neither the old nor the new one", p, g.Name, got[p])
		}
	}
	if got["other"] != older {
		c.errorf("%s lost a file that was not to be replaced", g.Name)
	}
}

// resume begins a download again and checks that what counts as present is there, and that no more is gone than may be.
func (c *scene) resume(s *Store, g *goods, p past, cut bool) {
	if _, err := os.Lstat(filepath.Join(c.dir, "dest", g.Name)); err == nil && g.Merge {
		if _, err := os.Lstat(filepath.Join(c.dir, "dest", content.StageName(g.Name, g.Root))); err != nil {
			return // begun anew it would only make a part
		}
	}
	must(0, s.SaveNodes(g.Root, g.Blocks))
	d, err := s.Begin(context.Background(), g.tree, Dest{Path: filepath.Join(c.dir, "dest", g.Name), Force: g.Merge}, nil)
	if err != nil {
		c.errorf("%s cannot be gone on with: %v", g.Name, err)
		return
	}
	defer d.Close()
	have := d.Present()
	buf := make([]byte, content.MaxBlock)
	for n := have.NextSet(0); n >= 0; n = have.NextSet(n + 1) {
		length, err := d.ReadChunk(uint32(n), buf)
		if err != nil || !bytes.Equal(buf[:length], g.pick(uint32(n)).Bytes()) {
			c.errorf("chunk %d of %s counts as present and is not: %v", n, g.Name, err)
		}
	}
	var lost int64
	oldest := p.end
	for n, at := range p.puts[g.Name] {
		if have.Has(int(n)) {
			continue
		}
		lost += int64(g.tree.ChunkLen(n))
		if at.Before(oldest) {
			oldest = at
		}
	}
	switch age := p.end.Sub(oldest); {
	case lost > 0 && !cut:
		c.errorf("%d bytes of %s are gone, and a kill takes none", lost, g.Name)
	case lost > c.maxLoss+2*content.ChunkSize: // one chunk may be on its way whenever the bound is looked at
		c.errorf("%d bytes of %s are gone, of which the oldest were %v old; at most %d may be", lost, g.Name, age, c.maxLoss)
	}
}

// names checks that the destination has nothing in it but what was fetched and what can be gone on with.
func (c *scene) names() {
	known := make(map[string]bool)
	for _, g := range c.goods {
		known[g.Name] = true
		known[content.StageName(g.Name, g.Root)] = true
		known[content.StageName("é", g.Root)] = true // the probe of a file system, which the next download removes
	}
	for _, e := range must(os.ReadDir(filepath.Join(c.dir, "dest"))) {
		if !known[e.Name()] {
			c.errorf("%s was left behind", e.Name())
		}
	}
}

// finish ends every download and checks the result.
func (c *scene) finish() {
	c.t.Helper()
	c.fault = "everything"
	s := openWorkload(c.home, c.maxLoss)
	defer func() { must(0, s.Close()) }()
	w := &workload{dir: c.dir, goods: c.goods, ctx: context.Background(), s: s, out: io.Discard}
	for _, g := range c.goods {
		w.fetch(g)
	}
	all := past{committed: make(map[string]bool)}
	for _, g := range c.goods {
		all.committed[g.Name] = true
	}
	c.shares(s, all)
	c.finals(all)
	for _, e := range must(os.ReadDir(filepath.Join(c.dir, "dest"))) {
		if content.IsStageName(e.Name()) {
			c.errorf("%s was left behind", e.Name())
		}
	}
	if _, err := os.Lstat(filepath.Join(c.dir, "dest", "single")); errors.Is(err, fs.ErrNotExist) {
		c.errorf("nothing was fetched")
	}
}
