package node

import (
	"fmt"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/shoal-p2p/shoal/content"
)

// gets fetches a file and compares it.
func (r *running) gets(cid string, want []byte, from ...string) Event {
	r.t.Helper()
	to := filepath.Join(r.t.TempDir(), "copy")
	done := r.fetch(FetchRequest{Ref: cid, Dest: to, Peers: from, Timeout: 60})
	same(r.t.(*testing.T), to, want)
	return done
}

// source is what the event says of one peer.
func (e Event) source(p string) Source {
	for _, s := range e.Sources {
		if s.Peer == p {
			return s
		}
	}
	return Source{Peer: p}
}

// manyFiles shares n files of size bytes, so that there are many chunks, and returns what they are and their bytes.
func (r *running) manyFiles(n, size int) (*goods, Shared, string) {
	r.t.Helper()
	var dir string
	for i := range n {
		path, _ := r.file(fmt.Sprintf("many/%05d", i), size+i)
		dir = filepath.Dir(path)
	}
	shared := r.share(dir)
	return r.goods(shared.CID), shared, dir
}

// sameDir compares every file of a directory that manyFiles made.
func sameDir(t *testing.T, got, want string) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(want, "*"))
	if err != nil || len(names) == 0 {
		t.Fatalf("nothing in %s: %v", want, err)
	}
	for _, name := range names {
		same(t, filepath.Join(got, filepath.Base(name)), read(t, name))
	}
}

// T1, B51: five sources, two of which spoil one byte in every tenth chunk.
func TestByzantineSwarm(t *testing.T) {
	for name, at := range map[string]func(n int) int{
		"first byte": func(int) int { return 0 },
		"last byte":  func(n int) int { return n - 1 },
	} {
		tidy(t, name, func(t *testing.T) {
			a, b, me := start(t, "a"), start(t, "b"), start(t, "me")
			g, shared, dir := a.manyFiles(2000, 16<<10)
			if s := b.share(dir); s.CID != shared.CID {
				t.Fatal("the same files have two names")
			}
			honest := newOutsider(t)
			honest.serve(g, policy{})
			liars := []*outsider{newOutsider(t), newOutsider(t)}
			peers := []string{a.addr(), b.addr(), honest.addr()}
			for _, s := range liars {
				var count atomic.Int32
				s.serve(g, policy{give: func(l *line, n uint32) {
					chunk := g.chunks[n]
					if count.Add(1)%10 == 0 {
						chunk = spoilt(chunk, at(len(chunk)))
					}
					l.data(n, chunk)
				}})
				peers = append(peers, s.addr())
			}
			to := filepath.Join(me.dir, "copy")
			done := me.fetch(FetchRequest{Ref: shared.CID, Dest: to, Peers: peers, Timeout: 60})
			sameDir(t, to, dir)
			for _, s := range liars {
				bad := done.source(s.host.ID().String()).Bad
				if bad > 3 {
					t.Errorf("a liar sent %d bad chunks, expected at most 3", bad)
				}
				if banned := me.hasBanned(s.host.ID()); banned != (bad >= 3) {
					t.Errorf("a liar of %d bad chunks is banned: %v", bad, banned)
				}
				if bad == 0 {
					t.Error("a liar was never asked: the test shows nothing")
				}
			}
			for _, p := range []string{a.host.ID().String(), b.host.ID().String(), honest.host.ID().String()} {
				if n := done.source(p).Bad; n > 0 {
					t.Errorf("an honest peer is blamed for %d chunks", n)
				}
			}
			if me.hasBanned(a.host.ID()) || me.hasBanned(b.host.ID()) || me.hasBanned(honest.host.ID()) {
				t.Error("an honest peer was banned")
			}
		})
	}
}

// One source whose every chunk is wrong, and one that is honest: the third bad chunk bans.
func TestLiarIsBannedAfterThreeChunks(t *testing.T) {
	good, me := start(t, "good"), start(t, "me")
	path, data := good.file("big", 48<<20)
	shared := good.share(path)
	g := good.goods(shared.CID)
	liar := newOutsider(t)
	liar.serve(g, policy{give: func(l *line, n uint32) { l.data(n, spoilt(g.chunks[n], len(g.chunks[n])/2)) }})
	done := me.gets(shared.CID, data, liar.addr(), good.addr())
	if bad := done.source(liar.host.ID().String()).Bad; bad > 3 {
		t.Errorf("%d bad chunks were taken from the liar, expected at most 3", bad)
	}
	if me.hasBanned(good.host.ID()) {
		t.Error("the honest peer was banned")
	}
}

// T3: what does not deliver costs little more than nothing. The good source has a modelled line, so that there is a time to
// compare with.
func TestSlowProvider(t *testing.T) {
	const rate = 16 << 20 // bytes a second of the good source
	good := start(t, "good")
	path, data := good.file("big", 32<<20)
	shared := good.share(path)
	g := good.goods(shared.CID)
	paced := func(t *testing.T) *outsider {
		s := newOutsider(t)
		tick := time.NewTicker(time.Second * content.ChunkSize / rate)
		t.Cleanup(tick.Stop)
		s.serve(g, policy{give: func(l *line, n uint32) {
			<-tick.C
			l.data(n, g.chunks[n])
		}})
		return s
	}
	var alone time.Duration
	t.Run("alone", func(t *testing.T) {
		me := start(t, "me")
		began := time.Now()
		me.gets(shared.CID, data, paced(t).addr())
		alone = time.Since(began)
	})
	first := func(l *line, n uint32) { l.raw(dataFrame(n, 0, g.chunks[n][:1])) }
	for name, p := range map[string]policy{
		"silent":                 {give: func(*line, uint32) {}},
		"one byte of each chunk": {give: first},
		"cannot": {give: func(l *line, n uint32) {
			l.raw(frameOf(kindCannot, []byte{cannotNotHere}, rangesBody(content.Range{First: n, Count: 1})))
		}},
		"half a frame": {give: func(l *line, n uint32) {
			f := dataFrame(n, 0, g.chunks[n][:mostPayload])
			l.raw(f[:len(f)/2])
			l.drained(time.Hour)
		}},
		"no tree": {tree: func(*line, int) {}, give: func(*line, uint32) {}},
	} {
		tidy(t, name, func(t *testing.T) {
			me := start(t, "me")
			peers := []string{}
			for range 4 {
				s := newOutsider(t)
				s.serve(g, p)
				peers = append(peers, s.addr())
			}
			began := time.Now()
			me.gets(shared.CID, data, append(peers, paced(t).addr())...)
			most := alone * 13 / 10
			if p.tree != nil {
				most += 4 * time.Second // one for each that is asked before the good one
			}
			if took := time.Since(began); took > most {
				t.Errorf("it took %v, and %v with the good source alone: expected at most %v", took, alone, most)
			}
		})
	}
}
