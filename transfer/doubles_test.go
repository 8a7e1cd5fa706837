package transfer

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/shoal-p2p/shoal/content"
	"github.com/shoal-p2p/shoal/transfer/wire"
)

// half starts a download of tree on m that has some chunks already, and calls whoever it is given.
func (w *world) half(m *member, tree *content.Tree, whole *shelf, have content.Range, call ...*pipeHost) *download {
	d := &download{Session: m.Session(tree.Root, SessionOptions{Tree: tree}), result: make(chan error, 1), sink: newIntake(tree)}
	set := content.NewSet(tree.NumChunks())
	set.AddRange(have)
	for n := have.First; n < have.First+have.Count; n++ {
		d.sink.got[n] = whole.chunks[tree.Digest(n)]
	}
	d.Begin(d.sink, set)
	w.wait.Go(func() { d.Run(w.ctx) })
	for _, h := range call {
		d.Offer(h.id)
	}
	d.Want([]content.Range{{First: 0, Count: uint32(tree.NumChunks())}}, false)
	w.wait.Go(func() { d.result <- d.Wait(w.ctx) })
	return d
}

// B67: two peers that dial each other at any distance in time have one stream, lose nothing, and do not dial again.
func TestTwoPeersThatDialEachOtherKeepOneStream(t *testing.T) {
	whole := newShelf()
	tree := whole.put(t, 8*mib, 1)
	for _, ms := range []time.Duration{0, 2, 5, 9, 10, 11, 15, 20, 25, 40, 100, 1000} {
		apart := ms * time.Millisecond
		for _, first := range []string{"a", "b"} {
			inWorld(t, func(w *world) {
				w.net.rate, w.net.lag = 2*mib, 5*time.Millisecond
				a, b := w.member("a"), w.member("b")
				x := w.half(a, tree, whole, content.Range{First: 0, Count: 4})
				y := w.half(b, tree, whole, content.Range{First: 4, Count: 4})
				early, late := func() { x.Offer(b.host.id) }, func() { y.Offer(a.host.id) }
				if first == "b" {
					early, late = late, early
				}
				early()
				time.Sleep(apart)
				late()
				time.Sleep(200 * time.Millisecond)
				for _, d := range []*download{x, y} {
					if s := d.Status(); s.Links != 1 || s.Joined != 1 || len(s.Peers) != 1 || s.Peers[0].State != Joined {
						t.Errorf("%s first, %v apart: %d links, %d joined, peers %+v", first, apart, s.Links, s.Joined, s.Peers)
					}
				}
				x.must(t, 20*time.Second)
				y.must(t, 20*time.Second)
				if n := x.sink.twice + y.sink.twice; n > 0 {
					t.Errorf("%s first, %v apart: %d chunks came twice", first, apart, n)
				}
				if n := a.host.called(b.host) + b.host.called(a.host); n > 2 {
					t.Errorf("%s first, %v apart: dialled %d times", first, apart, n)
				}
			})
		}
	}
}

// crossing makes a download call a scripted peer that leaves the call open, and then calls it from there.
func crossing(t *testing.T, me, other string, f func(w *world, d *download, called, calling *line)) {
	t.Helper()
	inWorld(t, func(w *world) {
		m, s := w.member(me), w.stranger(other)
		whole := newShelf()
		tree := whole.put(t, 4*mib, 1)
		calls := make(chan *line, 9)
		s.accept(func(l *line, _ cid.Cid) { calls <- l })
		d := w.half(m, tree, whole, content.Range{First: 0, Count: 2}, s.host)
		called := <-calls
		str, err := s.host.NewStream(w.ctx, m.host.id)
		if err != nil {
			t.Fatal(err)
		}
		calling := &line{t, str, wire.NewReader(str)}
		calling.say(wire.Hello{Root: tree.Root, Session: 5})
		f(w, d, called, calling)
		called.str.Reset()
		calling.str.Reset()
	})
}

// answered reports whether the next thing on the line, within a moment, is a hello.
func (l *line) answered() bool {
	l.str.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
	m, _ := l.in.Next()
	_, ok := m.(wire.Hello)
	l.str.SetReadDeadline(time.Time{})
	return ok
}

func TestCrossedCallsAreSettledByPeerID(t *testing.T) {
	root := newShelf().put(t, 4*mib, 1).Root
	t.Run("the smaller waits for its own, and refuses the other", func(t *testing.T) {
		crossing(t, "a", "b", func(w *world, d *download, called, calling *line) {
			synctest.Wait()
			if s := d.Status(); s.Joined != 0 {
				t.Fatalf("status %+v, expected the call that came in to wait", s)
			}
			called.say(wire.Hello{Root: root, Session: 5})
			if m := calling.expect(); m != (wire.Bye{Code: wire.ByeOK}) {
				t.Errorf("the double got %#v, expected a goodbye", m)
			}
			if s := d.Status(); s.Links != 1 || s.Joined != 1 {
				t.Errorf("status %+v, expected one link", s)
			}
		})
	})
	t.Run("the smaller answers the other when its own is refused", func(t *testing.T) {
		crossing(t, "a", "b", func(w *world, d *download, called, calling *line) {
			called.say(wire.Bye{Code: wire.ByeNotHere})
			if !calling.answered() {
				t.Error("the other call is not answered")
			}
			if p := d.Status().Peers; len(p) != 1 || p[0].State != Joined {
				t.Errorf("peers %+v, expected one that has joined", p)
			}
		})
	})
	t.Run("the smaller answers the other when its own is not answered", func(t *testing.T) {
		crossing(t, "a", "b", func(w *world, d *download, called, calling *line) {
			time.Sleep(helloTimeout)
			if !calling.answered() {
				t.Error("the other call is not answered")
			}
		})
	})
	t.Run("the smaller answers another session at last", func(t *testing.T) {
		crossing(t, "a", "b", func(w *world, d *download, called, calling *line) {
			called.say(wire.Hello{Root: root, Session: 6})
			if !calling.answered() {
				t.Error("the other call is not answered")
			}
			if s := d.Status(); s.Joined != 2 {
				t.Errorf("status %+v, expected both links", s)
			}
		})
	})
	t.Run("the larger answers at once", func(t *testing.T) {
		crossing(t, "b", "a", func(w *world, d *download, called, calling *line) {
			if !calling.answered() {
				t.Fatal("the other call is not answered")
			}
			called.say(wire.Bye{Code: wire.ByeOK})
			synctest.Wait()
			s := d.Status()
			if s.Joined != 1 || len(s.Peers) != 1 || s.Peers[0].State != Joined {
				t.Errorf("status %+v, expected the peer joined by its own call", s)
			}
			time.Sleep(10 * time.Second)
			if n := w.net.hosts[named("b")].called(w.net.hosts[named("a")]); n != 1 {
				t.Errorf("dialled %d times, expected once", n)
			}
		})
	})
	t.Run("the larger forgets the other when its own is answered after all", func(t *testing.T) {
		crossing(t, "b", "a", func(w *world, d *download, called, calling *line) {
			if !calling.answered() {
				t.Fatal("the other call is not answered")
			}
			called.say(wire.Hello{Root: root, Session: 5})
			if _, ok := until[wire.Bye](calling); !ok {
				t.Error("the older stream was not ended")
			}
			if s := d.Status(); s.Joined != 1 || s.Links != 1 {
				t.Errorf("status %+v, expected one link", s)
			}
		})
	})
	t.Run("one who takes only is no double", func(t *testing.T) {
		crossing(t, "a", "b", func(w *world, d *download, called, calling *line) {
			takes := (&stranger{w, w.net.hosts[named("b")]}).dial(&member{host: w.net.hosts[named("a")]}, root)
			if !takes.answered() {
				t.Error("it is not answered")
			}
			takes.str.Reset()
		})
	})
}

// Who calls again has lost the stream that was there.
func TestNewerStreamOfASessionReplacesTheOlder(t *testing.T) {
	inWorld(t, func(w *world) {
		a := w.member("a")
		tree := a.put(t, 4*mib, 1)
		s := w.stranger("x")
		call := func(session uint64) *line {
			str, err := s.host.NewStream(w.ctx, a.host.id)
			if err != nil {
				t.Fatal(err)
			}
			l := &line{t, str, wire.NewReader(str)}
			l.say(wire.Hello{Root: tree.Root, Session: session})
			if !l.answered() {
				t.Fatal("not answered")
			}
			return l
		}
		old, other, first, second := call(1), call(2), call(0), call(0)
		again := call(1)
		if _, ok := until[wire.Bye](old); !ok {
			t.Error("the older stream has not been ended")
		}
		synctest.Wait()
		if s := a.Statuses(); len(s) != 1 || s[0].Links != 4 {
			t.Errorf("sessions %+v, expected four streams: of two sessions, and of two that take only", s)
		}
		for _, l := range []*line{other, first, second, again} {
			l.say(wire.Want{Ranges: firstChunk})
			if _, ok := until[wire.Data](l); !ok {
				t.Error("a stream that is no double is not served")
			}
			l.str.Reset()
		}
	})
}

// A peer that has called is not dialled, however often it is offered; when it leaves, it is.
func TestLinkedPeerIsNotDialled(t *testing.T) {
	inWorld(t, func(w *world) {
		w.net.rate = 2 * mib
		a, b := w.member("a"), w.member("b")
		whole := newShelf()
		tree := whole.put(t, 16*mib, 1)
		x := w.half(a, tree, whole, content.Range{First: 0, Count: 8})
		y := w.half(b, tree, whole, content.Range{First: 8, Count: 8}, a.host)
		time.Sleep(time.Second)
		for range 5 {
			x.Offer(b.host.id)
			time.Sleep(100 * time.Millisecond)
		}
		if n := a.host.called(b.host); n > 0 {
			t.Errorf("dialled %d times, though the peer had called", n)
		}
		if p := x.peer(b.host); p.State != Joined || p.Down == 0 {
			t.Errorf("peer %+v, expected it joined by its own call", p)
		}
		b.host.cut()
		x.must(t, time.Minute)
		y.must(t, time.Minute)
	})
}
