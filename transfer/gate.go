package transfer

import (
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// gate lets the bytes of one direction pass at the limits' pace: one limit for the whole node, and one for each peer.
//
// Peers take turns by bytes, not by frames or streams: the next to pass is the one that has had least since it began to want
// some (start-time fair queueing, Goyal et al. 1996). So a peer with eight streams, or one that asks for everything, gets no
// more than one that asks for little. For what goes out, a turn lasts for a chunk, or for a second: chunks that come one by
// one can be passed on one by one, while fifty that share a low rate arrive all at once, and late. A frame passes as soon as the limit has been made
// up for and may then overdraw it, so that there is none that would never pass.
type gate struct {
	limited atomic.Bool // some limit is set
	most    float64     // bytes of one turn; less than a frame: one frame

	mu      sync.Mutex // guards what follows
	node    bucket
	perPeer float64 // bytes a second; 0: no limit
	lanes   map[peer.ID]*lane
	clock   float64 // how many bytes a peer has had that is due just now
	turn    *lane   // whose turn it is; nil: nobody's yet
	left    float64 // bytes of it
	arrived uint64  // waiters so far
	timer   *time.Timer
}

// lane is one peer before a gate.
type lane struct {
	bucket
	queue  []*waiter
	had    float64   // bytes, on the gate's clock
	usedAt time.Time // when it was used last
}

type waiter struct {
	bytes  int
	number uint64 // in the order of arrival
	ready  chan struct{}
}

// laneIdle is how long a lane is remembered after it was used.
const laneIdle = 10 * time.Second

// bucket is how far a limit has been used up.
type bucket struct {
	rate   float64 // bytes a second; 0: no limit
	tokens float64 // bytes that may pass at once; less than zero: overdrawn
	at     time.Time
}

func (b *bucket) refill(now time.Time) {
	b.tokens = min(b.tokens+b.rate*now.Sub(b.at).Seconds(), b.rate*burst)
	b.at = now
}

// wait says how long it takes until something may pass.
func (b *bucket) wait() time.Duration {
	if b.rate == 0 || b.tokens > -0.5 {
		return 0
	}
	return max(time.Duration(-b.tokens/b.rate*float64(time.Second)), time.Microsecond)
}

func (b *bucket) take(bytes float64) {
	if b.rate > 0 {
		b.tokens -= bytes
	}
}

// limit sets the rate. A debt to the old one is forgotten, because nobody can say how long it would be one.
func (b *bucket) limit(rate float64, now time.Time) {
	if b.rate != rate {
		b.rate, b.tokens, b.at = rate, 0, now
	}
}

// newGate makes one without limits, with turns of at most so many bytes.
func newGate(most int) *gate {
	g := &gate{most: float64(most), lanes: make(map[peer.ID]*lane)}
	g.timer = time.AfterFunc(math.MaxInt64, g.due)
	g.timer.Stop()
	return g
}

// set changes the limits, in bytes a second; 0 is none.
func (g *gate) set(node, perPeer int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := time.Now()
	g.node.limit(float64(node), now)
	g.perPeer = float64(perPeer)
	for _, l := range g.lanes {
		l.limit(g.perPeer, now)
	}
	g.limited.Store(node > 0 || perPeer > 0)
	g.pump(now)
}

// rate is the limit of the whole node, in bytes a second; 0: none.
func (g *gate) rate() float64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.node.rate
}

// frame is how many bytes should pass at once.
func (g *gate) frame() int {
	if !g.limited.Load() {
		return pieceSize
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	rate := math.Inf(1)
	for _, r := range []float64{g.node.rate, g.perPeer} {
		if r > 0 {
			rate = min(rate, r)
		}
	}
	return int(max(min(rate/frames, pieceSize), leastFrame))
}

// pass waits until n bytes to or from p may move, and says how long that took; errGone when one of the channels was closed
// first.
func (g *gate) pass(p peer.ID, n int, gone, over <-chan struct{}) (time.Duration, error) {
	if !g.limited.Load() {
		return 0, nil
	}
	start := time.Now()
	w := g.enter(p, n, start)
	select {
	case <-w.ready:
		return time.Since(start), nil
	default:
	}
	select {
	case <-w.ready:
		return time.Since(start), nil
	case <-gone:
	case <-over:
	}
	g.leave(p, w)
	return time.Since(start), errGone
}

// charge counts n bytes that have moved already.
func (g *gate) charge(p peer.ID, n int) {
	if !g.limited.Load() {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	now := time.Now()
	g.node.refill(now)
	g.grant(g.lane(p, now), n)
}

func (g *gate) enter(p peer.ID, n int, now time.Time) *waiter {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.arrived++
	w := &waiter{bytes: n, number: g.arrived, ready: make(chan struct{})}
	l := g.lane(p, now)
	l.queue = append(l.queue, w)
	g.pump(now)
	return w
}

func (g *gate) leave(p peer.ID, w *waiter) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if l := g.lanes[p]; l != nil {
		l.queue = slices.DeleteFunc(l.queue, func(x *waiter) bool { return x == w })
	}
}

// lane returns the one of p.
func (g *gate) lane(p peer.ID, now time.Time) *lane {
	l := g.lanes[p]
	if l == nil {
		g.forget(now)
		l = new(lane)
		l.limit(g.perPeer, now)
		g.lanes[p] = l
	}
	l.refill(now)
	l.usedAt = now
	if len(l.queue) == 0 {
		l.had = max(l.had, g.clock) // who did not want any has no claim to what others got meanwhile
	}
	return l
}

// forget drops the lanes of peers that have not been here for a while and owe nothing.
func (g *gate) forget(now time.Time) {
	for p, l := range g.lanes {
		if l.refill(now); len(l.queue) == 0 && l.wait() == 0 && now.Sub(l.usedAt) > laneIdle {
			delete(g.lanes, p)
		}
	}
}

func (g *gate) due() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.pump(time.Now())
}

// pump lets pass whoever may, and sets the timer for the next. Callers hold mu.
func (g *gate) pump(now time.Time) {
	g.node.refill(now)
	for {
		again := g.node.wait()
		if again == 0 {
			var l *lane
			if l, again = g.next(now); l != nil {
				w := l.queue[0]
				l.queue = slices.Delete(l.queue, 0, 1)
				g.follow(l, float64(w.bytes))
				g.grant(l, w.bytes)
				close(w.ready)
				continue
			}
		}
		if again > 0 {
			g.timer.Reset(again)
		} else {
			g.timer.Stop()
		}
		return
	}
}

// next finds the peer whose turn it is. If there is none, it says when to look again: never, when nobody waits.
func (g *gate) next(now time.Time) (first *lane, again time.Duration) {
	for _, l := range g.lanes {
		if len(l.queue) == 0 {
			continue
		}
		l.refill(now)
		if wait := l.wait(); wait > 0 {
			if again == 0 || wait < again {
				again = wait
			}
			continue
		}
		l.had = max(l.had, g.clock)
		if l == g.turn && g.left > 0 {
			return l, 0
		}
		if first == nil || l.had < first.had || l.had == first.had && l.queue[0].number < first.queue[0].number {
			first = l
		}
	}
	return first, again
}

// follow notes that some bytes of l pass now.
func (g *gate) follow(l *lane, bytes float64) {
	if l != g.turn || g.left <= 0 {
		g.clock = l.had
		g.turn, g.left = l, min(g.node.rate, g.most)
	}
	g.left -= bytes
}

func (g *gate) grant(l *lane, bytes int) {
	g.node.take(float64(bytes))
	l.take(float64(bytes))
	l.had += float64(bytes)
}
