package virtual

import (
	"container/heap"
	"context"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/shoal-p2p/shoal/testnet"
)

const (
	headers     = 28                     // bytes of IPv4 and UDP
	defaultMTU  = 1500                   // bytes
	queueTime   = 100 * time.Millisecond // that a packet may wait for a link, unless less than queueBytes do
	queueBytes  = 64 << 10
	bufferBytes = 4 << 20 // that an endpoint may not have read

	// Packets are handed over together that are due within this time, as network cards do with interrupts: nodes then have something
	// to do at the same moment, on all cores, and virtual time need not halt for each packet.
	coalescing = 250 * time.Microsecond
)

// internet carries packets between endpoints, over a link for each of them. A packet waits for the sender's uplink, takes the
// delays of both links, and waits for the receiver's downlink.
type internet struct {
	wake chan struct{} // has one when a packet is due before all others

	mu     sync.Mutex // guards what follows, and the fields of endpoints that say so
	ends   map[netip.AddrPort]*endpoint
	queue  queue
	order  uint64
	chance *rand.Rand
	sent   int64 // packets
	lost   int64 // packets, for whatever reason
}

func newInternet(seed uint64) *internet {
	return &internet{wake: make(chan struct{}, 1), ends: make(map[netip.AddrPort]*endpoint), chance: rand.New(rand.NewPCG(seed, 0x4e7))}
}

// run delivers packets until ctx ends.
func (n *internet) run(ctx context.Context) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		if due, any := n.deliver(time.Now()); any {
			timer.Reset(time.Until(due.Add(coalescing - 1).Truncate(coalescing)))
		} else {
			timer.Stop()
		}
		select {
		case <-n.wake:
		case <-timer.C:
		case <-ctx.Done():
			return
		}
	}
}

// deliver moves on what is due, and says when it wants to be called again.
func (n *internet) deliver(now time.Time) (due time.Time, any bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for len(n.queue) > 0 && !n.queue[0].at.After(now) {
		p := n.queue[0]
		if !p.through && p.to.host.down.enter(p, p.to.host.link.Down, p.at) {
			p.through = true
			if p.at.After(now) {
				heap.Fix(&n.queue, 0)
				continue
			}
		}
		heap.Pop(&n.queue)
		if !p.through || !p.to.receive(p) {
			n.lost++
		}
	}
	if len(n.queue) == 0 {
		return due, false
	}
	return n.queue[0].at, true
}

// send puts a packet on its way. Like UDP it says nothing of what becomes of it.
func (n *internet) send(from *endpoint, to netip.AddrPort, data []byte) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.sent++
	n.order++
	other := n.ends[to]
	if other == nil || !n.passes(from.host, other.host, len(data)) {
		n.lost++
		return
	}
	now := time.Now()
	p := &packet{order: n.order, from: from, to: other, data: data}
	if !from.host.up.enter(p, from.host.link.Up, now) {
		n.lost++
		return
	}
	p.at = p.at.Add(n.delay(from.host.link) + n.delay(other.host.link))
	heap.Push(&n.queue, p)
	if n.queue[0] == p {
		select {
		case n.wake <- struct{}{}:
		default:
		}
	}
}

// passes decides about a packet by chance, size and partitions. Whoever calls it holds mu.
func (n *internet) passes(a, b *place, size int) bool {
	if a.side != b.side || a.gone || b.gone || size+headers > min(mtu(a.link), mtu(b.link)) {
		return false
	}
	keep := (1 - a.link.Loss) * (1 - b.link.Loss)
	return keep >= 1 || n.chance.Float64() < keep
}

func mtu(l testnet.Link) int {
	if l.MTU == 0 {
		return defaultMTU
	}
	return l.MTU
}

// delay is that of one packet over one link.
func (n *internet) delay(l testnet.Link) time.Duration {
	if l.Jitter == 0 {
		return l.Delay
	}
	return max(0, l.Delay+time.Duration((2*n.chance.Float64()-1)*float64(l.Jitter)))
}

// direction is one of a link's, in which one packet goes after the other.
type direction struct{ busy time.Time }

// enter says when a packet is through, or that it finds no room.
func (d *direction) enter(p *packet, rate float64, now time.Time) bool {
	p.at = now
	if rate == 0 {
		return true
	}
	if wait := d.busy.Sub(now); wait > queueTime && wait.Seconds()*rate > queueBytes {
		return false
	} else if wait < 0 {
		d.busy = now
	}
	d.busy = d.busy.Add(time.Duration(float64(len(p.data)+headers) / rate * float64(time.Second)))
	p.at = d.busy
	return true
}

// place is where a host is: its link, and on which side of a partition. The internet's mu guards it.
type place struct {
	link     testnet.Link
	up, down direction
	side     int
	gone     bool // nothing leaves it, and nothing comes
}

// lift takes a place out of the internet, or puts it back.
func (n *internet) lift(p *place, gone bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	p.gone = gone
}

// listen makes an endpoint.
func (n *internet) listen(at netip.AddrPort, host *place) (*endpoint, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.ends[at] != nil {
		return nil, &net.OpError{Op: "listen", Net: "udp", Addr: net.UDPAddrFromAddrPort(at), Err: errTaken}
	}
	e := newEndpoint(n, at, host)
	n.ends[at] = e
	return e, nil
}

func (n *internet) unlisten(e *endpoint) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.ends[e.at] == e {
		delete(n.ends, e.at)
	}
}
