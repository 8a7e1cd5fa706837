package transfer

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// crowd lets n goroutines of p pass g again and again, bytes at a time, and counts what passes.
type crowd struct {
	mu     sync.Mutex
	passed map[peer.ID]int
	wait   sync.WaitGroup
	over   chan struct{}
}

func (c *crowd) join(g *gate, p peer.ID, n, bytes int) {
	for range n {
		c.wait.Go(func() {
			for {
				if _, err := g.pass(p, bytes, nil, c.over); err != nil {
					return
				}
				c.mu.Lock()
				c.passed[p] += bytes
				c.mu.Unlock()
			}
		})
	}
}

const turn = 100e3 // bytes

// of is how many bytes of p have passed.
func (c *crowd) of(p peer.ID) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.passed[p]
}

func inCrowd(t *testing.T, f func(c *crowd)) {
	synctest.Test(t, func(t *testing.T) {
		c := &crowd{passed: make(map[peer.ID]int), over: make(chan struct{})}
		f(c)
		close(c.over)
		c.wait.Wait()
	})
}

func within(t *testing.T, what string, got int, want, part float64) {
	t.Helper()
	if float64(got) < want*(1-part) || float64(got) > want*(1+part) {
		t.Errorf("%s: %d bytes, expected %.0f", what, got, want)
	}
}

// Eight streams, or larger frames, bring a peer no more than one stream with small frames has.
func TestGateSharesByPeer(t *testing.T) {
	inCrowd(t, func(c *crowd) {
		g := newGate(turn)
		g.set(1e6, 0)
		c.join(g, "many streams", 8, 10e3)
		c.join(g, "large frames", 1, 40e3)
		c.join(g, "small frames", 1, 5e3)
		time.Sleep(30 * time.Second)
		for _, p := range []peer.ID{"many streams", "large frames", "small frames"} {
			within(t, string(p), c.of(p), 1e7, 0.03)
		}
	})
}

// A peer keeps the gate for a turn, although others wait, and no longer.
func TestGateTurns(t *testing.T) {
	inCrowd(t, func(c *crowd) {
		g := newGate(turn)
		g.set(1e6, 0)
		c.join(g, "a", 1, 10e3)
		c.join(g, "b", 1, 10e3)
		changes, last := 0, peer.ID("")
		before := map[peer.ID]int{}
		for range 300 {
			time.Sleep(10 * time.Millisecond)
			synctest.Wait()
			c.mu.Lock()
			for p, n := range c.passed {
				if n > before[p] && p != last {
					changes, last = changes+1, p
				}
				before[p] = n
			}
			c.mu.Unlock()
		}
		if changes < 25 || changes > 40 {
			t.Errorf("the turn changed %d times in 3 s, expected 30 times", changes)
		}
	})
}

// What one peer cannot use because of its own limit goes to the others.
func TestGateLeavesToOthersWhatAPeerMayNotHave(t *testing.T) {
	inCrowd(t, func(c *crowd) {
		g := newGate(turn)
		g.set(1e6, 400e3)
		c.join(g, "a", 4, 10e3)
		c.join(g, "b", 1, 10e3)
		time.Sleep(10 * time.Second)
		within(t, "a", c.of("a"), 4e6, 0.03)
		within(t, "b", c.of("b"), 4e6, 0.03)
		c.join(g, "c", 1, 10e3)
		before := c.of("c")
		time.Sleep(10 * time.Second)
		within(t, "the third", c.of("c")-before, 1e7/3, 0.03)
	})
}

// Who was idle has saved up nothing but a moment.
func TestGateSavesNothingUp(t *testing.T) {
	inCrowd(t, func(c *crowd) {
		g := newGate(turn)
		g.set(1e6, 0)
		c.join(g, "busy", 1, 10e3)
		time.Sleep(10 * time.Second)
		c.join(g, "late", 1, 10e3)
		time.Sleep(2 * time.Second)
		within(t, "late", c.of("late"), 1e6, 0.05)
	})
	inCrowd(t, func(c *crowd) {
		g := newGate(turn)
		g.set(1e6, 0)
		time.Sleep(time.Hour)
		c.join(g, "late", 1, 10e3)
		time.Sleep(2 * time.Second)
		within(t, "late", c.of("late"), 2e6, 0.05)
	})
}

// A frame larger than what the rate brings in a long time passes, and is made up for.
func TestGateOverdraws(t *testing.T) {
	inCrowd(t, func(c *crowd) {
		g := newGate(turn)
		g.set(10e3, 0)
		start := time.Now()
		for range 3 {
			if _, err := g.pass("a", 100e3, nil, nil); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(start).Round(time.Millisecond); took != 20*time.Second {
			t.Errorf("it took %v, expected 20 s for all but the last", took)
		}
	})
}

func TestGateForgetsPeers(t *testing.T) {
	inCrowd(t, func(c *crowd) {
		g := newGate(turn)
		g.set(1e6, 1e5)
		for range 100 {
			for i := range 10 {
				g.charge(peer.ID(rune('a'+i))+peer.ID(time.Now().String()), 1000)
			}
			time.Sleep(laneIdle / 2)
		}
		if n := len(g.lanes); n > 40 {
			t.Errorf("%d peers are remembered, expected those of the last moments", n)
		}
	})
}

// Upload buffers: a peer that is new need not wait for all that others wait for, and nobody takes all.
func TestSlotsGoToWhoHasFewest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSlots(6)
		over := make(chan struct{})
		var wait sync.WaitGroup
		got := make(chan peer.ID, 100)
		queue := func(p peer.ID, n int) {
			for range n {
				wait.Go(func() {
					if s.take(p, nil, over) == nil {
						got <- p
					}
				})
			}
			synctest.Wait()
		}
		queue("a", 20)
		if n := len(got); n != peerSlots {
			t.Fatalf("one peer has %d slots, expected %d", n, peerSlots)
		}
		queue("b", 20)
		queue("c", 20)
		for len(got) > 0 {
			<-got
		}
		for _, want := range []peer.ID{"c", "c", "a", "a"} { // a has 4, b 2 and c none; then each has 2
			s.put("a")
			synctest.Wait()
			if p := <-got; p != want {
				t.Errorf("a slot went to %s, expected %s", p, want)
			}
			synctest.Wait()
		}
		close(over)
		wait.Wait()
		for p, q := range s.queues {
			if len(q.waiting) > 0 {
				t.Errorf("%s still waits", p)
			}
		}
	})
}
