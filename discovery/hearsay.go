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
//
// A peer of which only such addresses are known is dialled at these and at no others: a DHT puts into the host's peerstore whatever
// it is told.
type Hearsay struct {
	now func() time.Time

	mu       sync.Mutex // guards the rest
	addrs    map[heard]word
	suspects map[peer.ID]time.Time // peers of addrs, and until when
	vouched  map[heard]time.Time   // addresses for which somebody better spoke, and until when
	dials    map[netip.Addr]tally
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
func NewHearsay(now func() time.Time) *Hearsay {
	return &Hearsay{
		now: now, addrs: make(map[heard]word), suspects: make(map[peer.ID]time.Time), vouched: make(map[heard]time.Time),
		dials: make(map[netip.Addr]tally),
	}
}

// Add notes an address; free says that dials to it harm nobody but who told us. It is false when there is no more room. Of an
// address for which somebody better has spoken nothing is noted.
func (h *Hearsay) Add(p peer.ID, m ma.Multiaddr, free bool) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := h.now()
	k := heard{p, string(m.Bytes())}
	if h.vouched[k].After(now) {
		return true
	}
	if _, known := h.addrs[k]; !known && len(h.addrs) >= maxHeard {
		for old, w := range h.addrs {
			if !w.until.After(now) {
				delete(h.addrs, old)
			}
		}
		for old, until := range h.suspects {
			if !until.After(now) {
				delete(h.suspects, old)
			}
		}
		if len(h.addrs) >= maxHeard {
			return false
		}
	}
	h.addrs[k] = word{now.Add(HearsayFresh), free}
	h.suspects[p] = now.Add(HearsayFresh)
	return true
}

// Vouch takes addresses out: somebody better has named them.
func (h *Hearsay) Vouch(p peer.ID, addrs ...ma.Multiaddr) {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := h.now()
	for _, m := range addrs {
		m, _ = peer.SplitAddr(m)
		if m == nil {
			continue
		}
		k := heard{p, string(m.Bytes())}
		delete(h.addrs, k)
		if len(h.vouched) >= maxHeard {
			for old, until := range h.vouched {
				if !until.After(now) {
					delete(h.vouched, old)
				}
			}
		}
		if len(h.vouched) < maxHeard {
			h.vouched[k] = now.Add(forgetAfter)
		}
	}
}

// Proved takes a peer out: it was found at an address.
func (h *Hearsay) Proved(p peer.ID, m ma.Multiaddr) {
	h.Vouch(p, m)
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.suspects, p)
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
		return ok && !h.strays(p, m)
	case w.free:
		return ok || ip.IsLoopback()
	}
	return ok && h.Spend(ip)
}

// strays reports whether an address of p is neither one that was noted nor one for which somebody better spoke, although p is
// known from hearsay.
func (h *Hearsay) strays(p peer.ID, m ma.Multiaddr) bool {
	m, _ = peer.SplitAddr(m)
	h.mu.Lock()
	defer h.mu.Unlock()
	now := h.now()
	return m != nil && h.suspects[p].After(now) && !h.vouched[heard{p, string(m.Bytes())}].After(now)
}

// Spend counts one dial and reports whether it is within the budget of its address.
func (h *Hearsay) Spend(ip netip.Addr) bool {
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
	h.dials[ip] = t
	return true
}
