package sim

import (
	"slices"
	"time"

	"github.com/shoal-p2p/shoal/content"
	"github.com/shoal-p2p/shoal/transfer/engine"
)

// host is one node.
type host struct {
	Host
	engine     *engine.Engine
	here       bool
	neighbours []int32
	links      []int32 // its ends, of connections that are open or were
	ready      []int32 // links that have something to send and may, in turns
	sending    uint32  // the frame on the uplink; 0: none
	reading    int     // frames that wait for the downlink
	downWork   int64   // until when the downlink is busy with what has begun to arrive
	ticking    int64   // when a tick comes; 0: none does

	has     []uint64
	missing int
	joined  int64 // first
	done    int64 // 0: not yet
	wronged int   // honest peers that it banned

	// Bytes.
	sent     int64
	received int64
	useful   int64                          // of whole and right chunks that were new
	useless  int64                          // of wrong chunks, and of those that were cut off
	before   struct{ sent, received int64 } // it came last
}

// join makes a host take part, for the first time or again.
func (n *net) join(h int32) {
	x := &n.hosts[h]
	if x.here {
		return
	}
	cfg := n.sc.Engine
	cfg.Sizes = n.sizes
	cfg.Seed = n.sc.Seed<<20 + uint64(h)
	x.engine = engine.New(cfg)
	x.here, x.ticking, x.sending, x.downWork = true, 0, 0, n.now
	x.before.sent, x.before.received = x.sent, x.received
	if x.joined < 0 {
		x.joined = n.now
	}
	n.gather(h)
	for _, other := range x.neighbours {
		if n.hosts[other].here && !n.apart(h, other) {
			n.connect(h, other)
		}
	}
}

// gather tells a new engine what is here and what is wanted.
func (n *net) gather(h int32) {
	x := &n.hosts[h]
	everything := []content.Range{{First: 0, Count: uint32(len(n.sizes))}}
	switch {
	case x.Role == Boaster:
	case x.owns():
		n.step(h, engine.Local{Ranges: everything})
	default:
		if here := runs(x.has, len(n.sizes)); len(here) > 0 {
			n.step(h, engine.Local{Ranges: here})
			each(here, func(c uint32) { n.copied(c, 1) })
		}
		n.step(h, engine.Interest{Ranges: everything})
	}
}

// nearTrip is a round trip that is not worth a step of an engine.
const nearTrip = 5 * time.Millisecond

// connect joins two hosts.
func (n *net) connect(a, b int32) {
	l := int32(len(n.links))
	x, y := &n.hosts[a], &n.hosts[b]
	delay := int64(x.Delay + y.Delay)
	n.links = append(n.links,
		link{from: a, to: b, delay: delay, window: n.window(x, y, delay)},
		link{from: b, to: a, delay: delay, window: n.window(y, x, delay)})
	n.open = append(n.open, make([]uint64, 2*n.words)...)
	x.links, y.links = append(x.links, l), append(y.links, l+1)
	n.step(a, engine.Joined{Peer: engine.Peer(l)})
	n.step(b, engine.Joined{Peer: engine.Peer(l + 1)})
	for _, end := range []int32{l, l + 1} {
		if trip := time.Duration(2 * delay); trip > nearTrip {
			n.step(n.links[end].from, engine.Far{Peer: engine.Peer(end), Trip: trip})
		}
		if n.hosts[n.links[end].from].Role == Boaster {
			n.tell(end, msgHas, []content.Range{{First: 0, Count: uint32(len(n.sizes))}})
		}
	}
}

// window is how many bytes a connection carries that were not read.
func (n *net) window(sender, receiver *host, delay int64) int {
	return n.sc.Buffer + int(min(sender.Up, receiver.Down)*float64(2*delay)/1e9)
}

// leave takes a host out of the net. Its neighbours learn of it one delay later.
func (n *net) leave(h int32) {
	x := &n.hosts[h]
	if !x.here {
		return
	}
	x.here = false
	for _, l := range x.links {
		n.hangUp(l)
	}
	x.links, x.ready = x.links[:0], x.ready[:0]
	if !x.owns() && x.Role != Boaster {
		each(runs(x.has, len(n.sizes)), func(c uint32) { n.copied(c, -1) })
	}
}

// hangUp closes the own end of a connection; the other one follows.
func (n *net) hangUp(l int32) {
	if n.links[l].dead {
		return
	}
	n.kill(l)
	n.queue.add(n.now+n.links[l].delay, closed, l^1, 0, 0)
}

// kill ends what an end of a connection was doing.
func (n *net) kill(l int32) {
	x := &n.links[l]
	for _, id := range x.out {
		n.drop(id)
	}
	x.dead, x.queue, x.head, x.out = true, nil, 0, nil
	n.tally.lost += x.partial
	n.hosts[x.from].useless += x.partial
	x.partial = 0
}

func (n *net) closed(l int32) {
	if n.links[l].dead {
		return
	}
	n.kill(l)
	h := n.links[l].from
	x := &n.hosts[h]
	x.links = slices.DeleteFunc(x.links, func(k int32) bool { return k == l })
	n.step(h, engine.Left{Peer: engine.Peer(l)})
}

// copied counts one copy more, or less, of a chunk among the receivers.
func (n *net) copied(c uint32, by int32) {
	if n.copies[c] == 0 {
		n.covered++
	}
	if n.copies[c] += by; n.copies[c] == 0 {
		n.covered--
	}
}

// obtained notes a chunk that came whole and right. It reports whether it is new.
func (n *net) obtained(h int32, c uint32) {
	x := &n.hosts[h]
	if has(x.has, c) {
		return
	}
	set(x.has, c)
	x.missing--
	n.tally.stored += int64(n.sizes[c])
	x.useful += int64(n.sizes[c])
	n.copied(c, 1)
}

// finished notes that a host has everything. Nobody waits for those that go for good.
func (n *net) finished(h int32) {
	x := &n.hosts[h]
	if x.done != 0 || x.missing > 0 || x.owns() || x.Role == Boaster {
		return
	}
	x.done = max(n.now, 1)
	if x.counts() {
		n.waiting--
	}
	if n.sc.Watch.Done != nil {
		n.sc.Watch.Done(View{n}, int(h))
	}
}
