package node

import (
	"net/netip"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
)

// hearsay are the addresses of which other peers have told us, as long as nothing else speaks for them. Each may be that of
// somebody who has nothing to do with us, so dials to one IP address are counted, whatever peers are said to be there.
type hearsay struct {
	now func() time.Time

	mu    sync.Mutex // guards the rest
	addrs map[heard]word
	dials map[netip.Addr]tally
}

// heard is a peer at an address, as bytes without /p2p.
type heard struct {
	peer peer.ID
	addr string
}

type word struct {
	until time.Time
	free  bool // dials to it harm nobody but the teller
}

// tally counts the dials of a minute.
type tally struct {
	since time.Time
	n     int
}

func (h *hearsay) add(p peer.ID, m multiaddr.Multiaddr, free bool) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := h.now()
	k := heard{p, string(m.Bytes())}
	if _, known := h.addrs[k]; !known && len(h.addrs) >= maxHeard {
		for old, w := range h.addrs {
			if !w.until.After(now) {
				delete(h.addrs, old)
			}
		}
		if len(h.addrs) >= maxHeard {
			return false
		}
	}
	if h.addrs == nil {
		h.addrs = make(map[heard]word)
	}
	h.addrs[k] = word{now.Add(hearsayFresh), free}
	return true
}

// forget takes addresses out: somebody better has named them, or the peer was found there.
func (h *hearsay) forget(p peer.ID, addrs ...multiaddr.Multiaddr) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, m := range addrs {
		if m, _ = peer.SplitAddr(m); m != nil {
			delete(h.addrs, heard{p, string(m.Bytes())})
		}
	}
}

func (h *hearsay) holds(p peer.ID, m multiaddr.Multiaddr) bool {
	_, ok := h.look(p, m)
	return ok
}

func (h *hearsay) look(p peer.ID, m multiaddr.Multiaddr) (word, bool) {
	m, _ = peer.SplitAddr(m)
	if m == nil {
		return word{}, false
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	w, ok := h.addrs[heard{p, string(m.Bytes())}]
	return w, ok && w.until.After(h.now())
}

// mayDial decides about an address at which p is to be dialled. ok is the rule for addresses that nobody named; loopback,
// which it refuses, was let into the hearsay only on the word of a peer on this machine.
func (h *hearsay) mayDial(p peer.ID, m multiaddr.Multiaddr, ip netip.Addr, ok bool) bool {
	w, hear := h.look(p, m)
	switch {
	case !hear:
		return ok
	case w.free:
		return ok || ip.IsLoopback()
	}
	return ok && h.spend(ip)
}

// spend counts one dial and reports whether it is within the budget of its address.
func (h *hearsay) spend(ip netip.Addr) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := h.now()
	t, known := h.dials[ip]
	if !known && len(h.dials) >= maxHeard {
		for old, t := range h.dials {
			if now.Sub(t.since) >= time.Minute {
				delete(h.dials, old)
			}
		}
		if len(h.dials) >= maxHeard {
			return false
		}
	}
	if now.Sub(t.since) >= time.Minute {
		t = tally{since: now}
	}
	if t.n >= maxHeardDials {
		return false
	}
	t.n++
	if h.dials == nil {
		h.dials = make(map[netip.Addr]tally)
	}
	h.dials[ip] = t
	return true
}
