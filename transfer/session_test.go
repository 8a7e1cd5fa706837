package transfer

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoal-p2p/shoal/content"
	"github.com/shoal-p2p/shoal/transfer/wire"
)

const mib = 1 << 20

func TestFetchOneFile(t *testing.T) {
	for _, size := range []int{0, 1, mib, mib + 1, 20*mib + 17} {
		inWorld(t, func(w *world) {
			a, b := w.member("a"), w.member("b")
			tree := a.put(t, size, 1)
			d := w.fetch(b, tree.Root, a.host)
			d.must(t, 10*time.Second)
			if down, _ := b.Totals(); down != int64(size) {
				t.Errorf("size %d: %d bytes were counted as received", size, down)
			}
		})
	}
}

func TestFetchManySmallFiles(t *testing.T) {
	inWorld(t, func(w *world) {
		a, b := w.member("a"), w.member("b")
		tree := a.putMany(t, 3000, 700)
		w.fetch(b, tree.Root, a.host).must(t, 10*time.Second)
	})
}

func TestSeveralSourcesShareTheWork(t *testing.T) {
	inWorld(t, func(w *world) {
		a, b, c := w.member("a"), w.member("b"), w.member("c")
		tree := a.put(t, 64*mib, 1)
		b.put(t, 64*mib, 1)
		d := w.fetch(c, tree.Root, a.host, b.host)
		d.must(t, 10*time.Second)
		for _, p := range d.Status().Peers {
			if p.Down == 0 {
				t.Errorf("%s gave nothing", p.Peer)
			}
		}
	})
}

func TestPeerWithoutTheRootIsAskedAgainLater(t *testing.T) {
	inWorld(t, func(w *world) {
		a, b := w.member("a"), w.member("b")
		tree := newShelf().put(t, 3*mib, 1)
		d := w.fetch(b, tree.Root, a.host)
		time.Sleep(2 * time.Second)
		if p := d.Status().Peers; len(p) != 1 || p[0].State != NotHere {
			t.Fatalf("peers %+v, expected one that does not have it", p)
		}
		a.shelf.mu.Lock()
		a.put(t, 3*mib, 1)
		a.shelf.mu.Unlock()
		d.must(t, askAgain+time.Second)
	})
}

// A third node gets everything from one that is itself in mid-download.
func TestPartialHolderServes(t *testing.T) {
	inWorld(t, func(w *world) {
		a, b, c := w.member("a"), w.member("b"), w.member("c")
		tree := a.put(t, 16*mib, 1)
		first := w.fetch(b, tree.Root, a.host)
		<-first.shapeKnown
		synctest.Wait()
		second := w.fetch(c, tree.Root, b.host)
		first.must(t, 10*time.Second)
		second.must(t, 20*time.Second)
		if _, up := a.Totals(); up != 16*mib {
			t.Errorf("the seeder sent %d bytes, expected each once", up)
		}
	})
}

// B67: two nodes that have half each give the other half to each other on the streams that are there.
func TestBothWaysAtOnce(t *testing.T) {
	inWorld(t, func(w *world) {
		a, b := w.member("a"), w.member("b")
		tree := newShelf().put(t, 16*mib, 1)
		whole := newShelf()
		whole.put(t, 16*mib, 1)
		start := func(m *member, have content.Range, other *pipeHost) *download {
			d := &download{Session: m.Session(tree.Root, SessionOptions{Tree: tree}), result: make(chan error, 1), sink: newIntake(tree)}
			set := content.NewSet(tree.NumChunks())
			set.AddRange(have)
			for n := have.First; n < have.First+have.Count; n++ {
				d.sink.got[n] = whole.chunks[tree.Digest(n)]
			}
			d.Begin(d.sink, set)
			w.wait.Go(func() { d.Run(w.ctx) })
			d.Offer(other.id)
			d.Want([]content.Range{{First: 0, Count: 16}}, false)
			w.wait.Go(func() { d.result <- d.Wait(w.ctx) })
			return d
		}
		x := start(a, content.Range{First: 0, Count: 8}, b.host)
		y := start(b, content.Range{First: 8, Count: 8}, a.host)
		x.must(t, 20*time.Second)
		y.must(t, 20*time.Second)
	})
}

func TestCableIsPulledAndTheDownloadGoesOn(t *testing.T) {
	inWorld(t, func(w *world) {
		a, b := w.member("a"), w.member("b")
		tree := a.put(t, 40*mib, 1)
		d := w.fetch(b, tree.Root, a.host)
		for range 5 {
			synctest.Wait()
			b.host.cut()
			time.Sleep(100 * time.Millisecond)
		}
		d.must(t, time.Minute)
	})
}

func TestSinkErrorEndsTheDownload(t *testing.T) {
	inWorld(t, func(w *world) {
		a, b := w.member("a"), w.member("b")
		tree := a.put(t, 4*mib, 1)
		full := errors.New("no space left")
		s := newIntake(tree)
		s.fail = full
		x := b.Session(tree.Root, SessionOptions{Tree: tree})
		w.wait.Go(func() { x.Run(w.ctx) })
		x.Offer(a.host.id)
		x.Begin(s, content.NewSet(tree.NumChunks()))
		x.Want([]content.Range{{First: 0, Count: 4}}, false)
		if err := x.Wait(w.ctx); !errors.Is(err, full) {
			t.Fatalf("download ended with %v, expected the sink's own error", err)
		}
	})
}

func TestLeechServesNobody(t *testing.T) {
	inWorld(t, func(w *world) {
		a, b, c := w.member("a"), w.member("b"), w.member("c")
		tree := a.put(t, 4*mib, 1)
		x := b.Session(tree.Root, SessionOptions{Tree: tree, Leech: true})
		w.wait.Go(func() { x.Run(w.ctx) })
		x.Begin(newIntake(tree), content.NewSet(tree.NumChunks()))
		d := w.fetch(c, tree.Root, b.host)
		time.Sleep(time.Second)
		if s := d.Status(); s.Joined != 0 || s.Peers[0].State != NotHere {
			t.Fatalf("status %+v, expected a refusal", s)
		}
	})
}

// A session that only served ends a while after its last stream, and the root can be asked for again.
func TestServingSessionEnds(t *testing.T) {
	inWorld(t, func(w *world) {
		a, b := w.member("a"), w.member("b")
		tree := a.put(t, 4*mib, 1)
		d := w.fetch(b, tree.Root, a.host)
		d.must(t, 10*time.Second)
		d.cancel()
		time.Sleep(serveIdle + idleTimeout)
		if n := len(a.Statuses()); n != 0 {
			t.Fatalf("%d sessions are still there", n)
		}
		w.fetch(b, tree.Root, a.host).must(t, 10*time.Second)
	})
}

func TestStoppingServiceSaysSo(t *testing.T) {
	inWorld(t, func(w *world) {
		a := w.member("a")
		a.mu().Lock()
		a.Service.group = nil
		a.mu().Unlock()
		tree := a.put(t, mib, 1)
		p := w.stranger("x").dial(a, tree.Root)
		if m := p.expect(); m != (wire.Bye{Code: wire.ByeStopping}) {
			t.Fatalf("answer %#v, expected a goodbye", m)
		}
	})
}
