//go:build linux

package store

import (
	"bytes"
	"context"
	"encoding/gob"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/shoal-p2p/shoal/content"
)

// goods is something to be fetched, by whoever is going to be killed while fetching it.
type goods struct {
	Name   string // below dest, and of its source below goods
	Merge  bool   // into a directory that has older files of the same names
	Root   cid.Cid
	Blocks []content.Block // inner nodes

	tree   *content.Tree
	source string
}

const (
	editChunks = 2    // of a file that its user changes and shares again
	mixed      = 1000 // length in bytes of a file that a merge leaves alone
)

// stock reads what makeStock wrote.
func stock(dir string) []*goods {
	var all []*goods
	must(0, gob.NewDecoder(bytes.NewReader(must(os.ReadFile(filepath.Join(dir, "stock"))))).Decode(&all))
	for _, g := range all {
		byCID := make(map[cid.Cid][]byte)
		for _, b := range g.Blocks {
			byCID[b.CID] = b.Data
		}
		g.tree = must(walk(context.Background(), g.Root, func(c cid.Cid) ([]byte, error) { return byCID[c], nil }))
		g.source = filepath.Join(dir, "goods", g.Name)
	}
	return all
}

// pick reads a chunk from where its file lies at the source.
func (g *goods) pick(n uint32) content.Chunk {
	for i := range g.tree.Len() {
		for _, p := range g.tree.Pieces(i) {
			if p.Chunk != n {
				continue
			}
			f := must(os.Open(filepath.Join(g.source, g.tree.Entry(i).Path)))
			defer f.Close()
			buf := make([]byte, g.tree.ChunkLen(n))
			must(f.ReadAt(buf, p.Offset))
			return must(content.Verify(g.tree.Digest(n), buf))
		}
	}
	panic("the tree has no such chunk")
}

// edition is what the user's file holds at one time or another.
func edition(n int) []byte { return noise(uint64(1000+n%2), editChunks*content.ChunkSize) }

// workload shares, fetches and removes, over and over, in processes that are killed. It says what it has done in lines on the
// standard output, which outlive it.
type workload struct {
	dir   string // of local, edit and dest
	goods []*goods
	ctx   context.Context
	s     *Store
	out   io.Writer
}

// childWorkload works until it is killed. Every round has a store of its own, so that closing is a part of it.
func childWorkload(dir string) {
	w := &workload{dir: dir, goods: stock(os.Getenv("SHOAL_STORE_STOCK")), ctx: context.Background(), out: os.Stdout}
	maxLoss := must(strconv.ParseInt(os.Getenv("SHOAL_STORE_LOSS"), 10, 64))
	must(0, os.RemoveAll(w.path("trash")))
	for round := 0; ; round++ {
		w.s = openWorkload(os.Getenv("SHOAL_STORE_HOME"), maxLoss)
		w.say("open", "home", 0)
		w.share(round)
		for _, g := range w.goods {
			w.fetch(g)
		}
		must(0, w.s.Rescan(w.ctx))
		must(0, w.s.index.db.Flush())
		w.remove()
		must(0, w.s.index.db.Compact(w.ctx, []byte{0}, []byte{0xff}, false))
		must(0, w.s.Close())
	}
}

// openWorkload opens the store of a workload, of whose downloads so many bytes may be lost.
func openWorkload(home string, maxLoss int64) *Store {
	s := must(Open(Config{Home: home}))
	s.maxLoss = maxLoss
	return s
}

func (w *workload) path(parts ...string) string {
	return filepath.Join(append([]string{w.dir}, parts...)...)
}

// say tells whoever watches what is done by now.
func (w *workload) say(what, name string, n uint32) {
	fmt.Fprintln(w.out, time.Now().UnixNano(), what, name, n)
}

// share shares what never changes, and a file that its user has just written, without a thought of the disk.
func (w *workload) share(round int) {
	must3(w.s.Add(w.ctx, []string{w.path("local")}, AddOptions{}))
	w.say("shared", "local", 0)
	must(0, os.WriteFile(w.path("edit", "file"), edition(round), 0o644))
	must3(w.s.Add(w.ctx, []string{w.path("edit")}, AddOptions{}))
}

func (w *workload) fetch(g *goods) {
	if g.Merge {
		w.lay(g)
	}
	must(0, w.s.SaveNodes(g.Root, g.Blocks))
	d := must(w.s.Begin(w.ctx, g.tree, Dest{Path: w.path("dest", g.Name), Force: g.Merge}, nil))
	want := d.Wanted()
	for n := want.NextSet(0); n >= 0; n = want.NextSet(n + 1) {
		must(0, d.Put(uint32(n), g.pick(uint32(n))))
		w.say("put", g.Name, uint32(n))
	}
	must(d.Commit(w.ctx))
	w.say("committed", g.Name, 0)
}

// lay makes the older files that a merge replaces, and one that it does not.
func (w *workload) lay(g *goods) {
	final, made := w.path("dest", g.Name), w.path("made")
	if _, err := os.Lstat(final); err == nil {
		return
	}
	must(0, os.RemoveAll(made))
	must(0, os.CopyFS(made, os.DirFS(g.source)))
	for i := range g.tree.Len() {
		if e := g.tree.Entry(i); e.Kind == content.File {
			must(0, os.WriteFile(filepath.Join(made, e.Path), noise(77, mixed), 0o644))
		}
	}
	must(0, os.WriteFile(filepath.Join(made, "other"), noise(77, mixed), 0o644))
	flush(w.dir)
	must(0, os.Rename(made, final))
}

// flush writes everything to the disk that a directory is on.
func flush(dir string) {
	f := must(os.Open(dir))
	defer f.Close()
	must(0, syncAll(f))
}

// remove forgets everything and throws it away, so that there is something to do again. That a file was moved away must be on
// the disk before its blocks are free: ext4 with data=writeback may give them to another file before it forgets the first.
func (w *workload) remove() {
	for _, share := range must(w.s.Shares()) {
		w.say("removing", filepath.Base(share.Paths[0]), 0)
		must(0, w.s.Remove(share.Root))
		if share.Origin == Fetched {
			must(0, os.Rename(share.Paths[0], w.path("trash")))
			flush(w.dir)
			must(0, os.RemoveAll(w.path("trash")))
		}
	}
}

func must3[A, B any](a A, _ B, err error) A { return must(a, err) }
