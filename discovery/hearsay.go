package discovery

import (
	"net/netip"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
)

// Hearsay are the addresses that rest on somebody's word alone: another peer's, a DHT's, or our own memory of long ago. Each
// may be that of somebody who has nothing to do with us, so dials to one IP address are counted, whatever peers are said to be
// there. Whoever decides about dials asks it before each.
type Hearsay struct {
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

// tally are the last dials to an address, the oldest first.
type tally [MaxHeardDials]time.Time

// NewHearsay returns an empty one; now is the clock.
func NewHearsay(now func() time.Time) *Hearsay { return &Hearsay{now: now} }

// Add notes an address; free says that dials to it harm nobody but who told us. It is false when there is no more room.
func (h *Hearsay) Add(p peer.ID, m ma.Multiaddr, free bool) bool {
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
	h.addrs[k] = word{now.Add(HearsayFresh), free}
	return true
}

// Forget takes addresses out: somebody better has named them, or the peer was found there.
func (h *Hearsay) Forget(p peer.ID, addrs ...ma.Multiaddr) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, m := range addrs {
		if m, _ = peer.SplitAddr(m); m != nil {
			delete(h.addrs, heard{p, string(m.Bytes())})
		}
	}
}

// Holds reports whether an address of p is hearsay.
func (h *Hearsay) Holds(p peer.ID, m ma.Multiaddr) bool {
	_, ok := h.look(p, m)
	return ok
}

func (h *Hearsay) look(p peer.ID, m ma.Multiaddr) (word, bool) {
	m, _ = peer.SplitAddr(m)
	if m == nil {
		return word{}, false
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	w, ok := h.addrs[heard{p, string(m.Bytes())}]
	return w, ok && w.until.After(h.now())
}

// MayDial decides about an address at which p is to be dialled, and counts the dial. ok is the rule for addresses that nobody
// named; loopback, which it refuses, was let into the hearsay only on the word of a peer on this machine.
func (h *Hearsay) MayDial(p peer.ID, m ma.Multiaddr, ip netip.Addr, ok bool) bool {
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
func (h *Hearsay) spend(ip netip.Addr) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := h.now()
	t, known := h.dials[ip]
	if !known && len(h.dials) >= maxHeard {
		for old, t := range h.dials {
			if now.Sub(t[MaxHeardDials-1]) >= time.Minute {
				delete(h.dials, old)
			}
		}
		if len(h.dials) >= maxHeard {
			return false
		}
	}
	if now.Sub(t[0]) < time.Minute {
		return false
	}
	copy(t[:], t[1:])
	t[MaxHeardDials-1] = now
	if h.dials == nil {
		h.dials = make(map[netip.Addr]tally)
	}
	h.dials[ip] = t
	return true
}
