package transfer

import (
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/network"

	"github.com/shoal-p2p/shoal/content"
	"github.com/shoal-p2p/shoal/transfer/wire"
)

// steady checks that a count of bytes grows by rate a second, in every 2 s, within 5 %.
func steady(t *testing.T, what string, n *atomic.Int64, rate float64, windows int) {
	t.Helper()
	time.Sleep(500 * time.Millisecond) // the tree and the greetings are through
	for i := range windows {
		before := n.Load()
		time.Sleep(2 * time.Second)
		got := float64(n.Load()-before) / 2
		if got < 0.95*rate || got > 1.05*rate {
			t.Errorf("%s, window %d: %.0f bytes a second, expected %.0f", what, i, got, rate)
		}
	}
}

func TestUpRateOfTheNodeHolds(t *testing.T) {
	for _, rate := range []int64{50e3, 1e6, 4e6} {
		inWorld(t, func(w *world) {
			a := w.limited("a", Rates{Up: rate}, nil)
			tree := a.put(t, max(20*int(rate), 8*mib), 1)
			for i := range 3 {
				w.fetch(w.member(fmt.Sprint("b", i)), tree.Root, a.host)
			}
			steady(t, "sent", &a.host.sent, float64(rate), 4)
		})
	}
}

func TestUpRateOfAPeerHolds(t *testing.T) {
	inWorld(t, func(w *world) {
		a := w.limited("a", Rates{PeerUp: 1e6}, nil)
		tree := a.put(t, 32*mib, 1)
		b, c := w.member("b"), w.member("c")
		w.fetch(b, tree.Root, a.host)
		steady(t, "sent to one", &a.host.sent, 1e6, 3)
		w.fetch(c, tree.Root, a.host)
		steady(t, "sent to two", &a.host.sent, 2e6, 3)
	})
}

func TestDownRateOfTheNodeHolds(t *testing.T) {
	for _, rate := range []int64{50e3, 1e6, 4e6} {
		inWorld(t, func(w *world) {
			me := w.limited("me", Rates{Down: rate}, nil)
			var from []*pipeHost
			var tree *content.Tree
			for i := range 3 {
				m := w.member(fmt.Sprint("source ", i))
				tree = m.put(t, max(12*int(rate), 8*mib), 1)
				from = append(from, m.host)
			}
			d := w.fetch(me, tree.Root, from...)
			steady(t, "received", &me.host.taken, float64(rate), 4)
			for _, p := range d.Status().Peers {
				if p.State != Joined || p.Bad > 0 {
					t.Errorf("source %+v, expected it still there", p)
				}
			}
		})
	}
}

func TestDownRateOfAPeerHolds(t *testing.T) {
	inWorld(t, func(w *world) {
		me := w.limited("me", Rates{PeerDown: 1e6}, nil)
		a, b := w.member("a"), w.member("b")
		tree := a.put(t, 64*mib, 1)
		b.put(t, 64*mib, 1)
		d := w.fetch(me, tree.Root, a.host)
		steady(t, "received from one", &me.host.taken, 1e6, 3)
		d.Offer(b.host.id)
		time.Sleep(time.Second)
		steady(t, "received from two", &me.host.taken, 2e6, 3)
	})
}

// A limit that is set while streams are open counts for them at once, and so does its end.
func TestRatesChangeWhileTheyHold(t *testing.T) {
	inWorld(t, func(w *world) {
		a, b := w.member("a"), w.member("b")
		a.SetRates(Rates{Up: 50e3})
		tree := a.put(t, 16*mib, 1)
		d := w.fetch(b, tree.Root, a.host)
		steady(t, "sent", &a.host.sent, 50e3, 2)
		a.SetRates(Rates{Up: 1e6})
		steady(t, "sent after a change", &a.host.sent, 1e6, 2)
		a.SetRates(Rates{})
		d.must(t, 5*time.Second)
	})
}

func TestExemptPeersAreNotLimited(t *testing.T) {
	inWorld(t, func(w *world) {
		near := func(c network.Conn) bool { return c.RemotePeer() == named("near") }
		r := Rates{Up: 100e3, Down: 100e3, PeerUp: 100e3, PeerDown: 100e3}
		a := w.limited("a", r, near)
		b, c := w.member("near"), w.member("far")
		mine, theirs := a.put(t, 8*mib, 1), b.put(t, 8*mib, 2)
		d := w.fetch(b, mine.Root, a.host)
		d.must(t, 5*time.Second) // limited, it would take 84 s
		d.cancel()               // or it would give what it has got
		w.fetch(a, theirs.Root, b.host).must(t, 5*time.Second)
		far := w.fetch(c, mine.Root, a.host)
		select {
		case err := <-far.result:
			t.Fatalf("the peer that is not exempt had everything at once: %v", err)
		case <-time.After(60 * time.Second):
		}
		far.must(t, 40*time.Second)
	})
}

// The peers of a receiver with a low limit are honest: none is found late or loses its stream, for as long as it takes.
func TestLowDownRateBlamesNobody(t *testing.T) {
	for _, rate := range []int64{50e3, LeastRate} {
		lowDownRate(t, rate)
	}
}

func lowDownRate(t *testing.T, rate int64) {
	const size = 12 * mib
	inWorld(t, func(w *world) {
		me := w.limited("me", Rates{Down: rate}, nil)
		var from []*pipeHost
		var tree *content.Tree
		for i := range 3 {
			m := w.member(fmt.Sprint("source ", i))
			tree = m.put(t, size, 1)
			from = append(from, m.host)
		}
		d := w.fetch(me, tree.Root, from...)
		d.must(t, time.Duration(size*107/100/rate)*time.Second)
		for _, h := range from {
			if w.banned(me.host, h) {
				t.Errorf("%s was banned", h.id)
			}
		}
		if d.sink.twice > 0 {
			t.Errorf("%d chunks were taken twice", d.sink.twice)
		}
	})
}

// Neither are those of a sender with a low limit, and what they say to each other is not held up.
func TestLowUpRateKeepsTheStreams(t *testing.T) {
	inWorld(t, func(w *world) {
		a := w.limited("a", Rates{Up: LeastRate}, nil)
		tree := a.put(t, 2*mib, 1)
		b := w.member("b")
		d := w.fetch(b, tree.Root, a.host)
		d.must(t, 540*time.Second)
		if n := len(b.host.dialed); n != 1 {
			t.Errorf("%d streams were opened, expected one", n)
		}
	})
}

func TestSlowUploadEndsWithItsLink(t *testing.T) {
	inWorld(t, func(w *world) {
		a := w.limited("a", Rates{Up: LeastRate}, nil)
		tree := a.put(t, 8*mib, 1)
		d := w.fetch(w.member("b"), tree.Root, a.host)
		time.Sleep(5 * time.Second)
		d.cancel()
		time.Sleep(time.Second)
		synctest.Wait()
		if s := a.Statuses(); len(s) != 1 || s[0].Links != 0 {
			t.Errorf("sessions %+v, expected no link left", s)
		}
		if n := a.Service.slots.taken(); n != 0 {
			t.Errorf("%d upload buffers are still taken", n)
		}
	})
}

// T12: fifty peers that ask for everything on eight streams each, be it one root or eight, leave a modest one, which asks for
// one chunk at a time on one stream, its share.
func TestServeFairness(t *testing.T) {
	serveFairness(t, 1)
	serveFairness(t, 8)
}

func serveFairness(t *testing.T, roots int) {
	const greedy, streams, rate, span = 50, 8, 4 << 20, 60 * time.Second
	inWorld(t, func(w *world) {
		a := w.limited("a", Rates{Up: rate}, nil)
		var trees []*content.Tree
		for i := range roots {
			trees = append(trees, a.put(t, 16*mib, uint64(i)))
		}
		for i := range greedy {
			s := w.stranger(fmt.Sprint("greedy ", i))
			for j := range streams {
				tree := trees[j%len(trees)]
				l := s.dial(a, tree.Root)
				w.wait.Go(func() {
					l.say(wire.Want{Ranges: []content.Range{{First: 0, Count: 16}}})
					for l.expect() != nil {
					}
				})
				w.wait.Go(func() { <-w.ctx.Done(); l.str.Reset() })
			}
		}
		time.Sleep(10 * time.Second)
		s := w.stranger("modest")
		l := s.dial(a, trees[0].Root)
		w.wait.Go(func() {
			for n := uint32(0); n < 16; n++ {
				l.say(wire.Want{Ranges: []content.Range{{First: n, Count: 1}}})
				for got := uint32(0); got < mib; {
					d, ok := until[wire.Data](l)
					if !ok {
						return
					}
					got += d.Pieces[0].Length
				}
			}
		})
		time.Sleep(span)
		share := float64(rate) / (greedy + 1) * span.Seconds()
		if got := float64(s.host.taken.Load()); got < share/2 {
			t.Errorf("%d roots: the modest peer got %.0f bytes in %v, %.2f of its fair share", roots, got, span, got/share)
		}
		l.str.Reset()
	})
}

func (s *slots) taken() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return uploadSlots - s.free
}
