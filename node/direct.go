package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"github.com/shoal-p2p/shoal/content"
)

const (
	// punchWait is how long content waits for a direct connection while there is only a relayed one. A first attempt to punch a
	// hole takes a second where it works at all.
	punchWait = 8 * time.Second

	// worthwhile is what a relay must let through for a chunk to arrive: its bytes and what TLS, yamux and offers add. Below that
	// each connection would end before anything of use has come.
	worthwhile = content.ChunkSize + content.ChunkSize/2

	// onceMore is when it is worth trying again what was in vain: to wait for a hole; to fetch what may be smaller than a chunk
	// over a connection that is too small for one.
	onceMore = time.Minute

	settleWait = 6 * time.Second // for a relay or a router: each answers within a second or two, or not at all
)

// NewStream opens a stream to a peer, over a connection that leads there directly if there is one, or can be one soon: what
// begins through a relay goes on without it as soon as a hole has been punched. Only then the relayed connection is used,
// which the relay ends after so many bytes or seconds.
func (h *netHost) NewStream(ctx context.Context, p peer.ID, protocols ...protocol.ID) (network.Stream, error) {
	if h.outside == nil {
		return h.earlyStream(ctx, p, protocols...)
	}
	limited := network.WithAllowLimitedConn(ctx, "content")
	if _, err := h.Network().DialPeer(limited, p); err != nil {
		return nil, fmt.Errorf("failed to dial: %w", err)
	}
	c := h.relayedTo(p)
	if c == nil {
		return h.earlyStream(ctx, p, protocols...)
	}
	h.identified(ctx, c)
	if h.outside.premature(ctx, c) {
		_ = c.Close() // the next one is opened below
		if err := h.Connect(limited, peer.AddrInfo{ID: p}); err != nil {
			return nil, err
		}
		if c = h.relayedTo(p); c == nil {
			return h.Host.NewStream(ctx, p, protocols...)
		}
	}
	if left := h.outside.punchLeft(p, c); left > 0 {
		wait, cancel := context.WithTimeout(network.WithNoDial(ctx, "a hole is being punched"), left)
		defer cancel()
		s, err := h.Host.NewStream(wait, p, protocols...)
		if err == nil || ctx.Err() != nil {
			return s, err
		}
		h.outside.inVain(p)
	}
	if err := h.outside.mayUse(p, passes(c), h.reach); err != nil {
		return nil, err
	}
	return h.Host.NewStream(limited, p, protocols...)
}

// punchLeft is for how long a hole to p may still be awaited. Where that was in vain a moment ago, as between two connections that
// a relay has cut, it is not at all.
func (o *outside) punchLeft(p peer.ID, c network.Conn) time.Duration {
	o.mu.Lock()
	defer o.mu.Unlock()
	if at, ok := o.vain[p]; ok && time.Since(at) < onceMore {
		return 0
	}
	return time.Until(c.Stat().Opened.Add(punchWait))
}

func (o *outside) inVain(p peer.ID) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.vain) >= maxPunched {
		clear(o.vain)
	}
	o.vain[p] = time.Now()
}

// relayedTo returns the connection with a peer if there is none that leads there directly.
func (h *netHost) relayedTo(p peer.ID) network.Conn {
	if h.Network().Connectedness(p) != network.Limited {
		return nil
	}
	for _, c := range h.Network().ConnsToPeer(p) {
		if c.Stat().Limited {
			return c
		}
	}
	return nil
}

// mayUse reports whether content may be carried through a relay that lets so many bytes through, 0 for any number. Where that is
// too little for a chunk, it may once in a while: a small file fits.
func (o *outside) mayUse(p peer.ID, bytes int64, reach func() Reach) error {
	if bytes == 0 || bytes >= worthwhile {
		return nil
	}
	o.mu.Lock()
	now := time.Now()
	last, tried := o.tried[p]
	why := o.punched[p]
	if !tried || now.Sub(last) > onceMore {
		if len(o.tried) >= maxPunched {
			clear(o.tried)
		}
		o.tried[p] = now
		o.mu.Unlock()
		return nil
	}
	o.mu.Unlock()
	return &blockedError{passes: bytes, why: why, reach: reach()}
}

// ErrBlocked is behind the error for a peer that only a relay reaches, and only for a few words: the NATs of both sides let
// nothing else through.
var ErrBlocked = errors.New("no direct connection")

var errNoOutside = fmt.Errorf("%w: the network is not public, so nobody outside is asked", ErrUsage)

type blockedError struct {
	passes int64
	why    string
	reach  Reach
}

func (e *blockedError) Unwrap() error { return ErrBlocked }

func (e *blockedError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "only a relay reaches it, which passes no more than %d KiB of a connection", e.passes>>10)
	if e.why != "" {
		fmt.Fprintf(&b, "; punching a hole through the NATs failed (%s)", e.why)
	} else {
		b.WriteString("; no hole could be punched through the NATs")
	}
	b.WriteString(": " + e.reach.describe())
	return b.String()
}

// describe says what the NAT on our side does to holes.
func (r Reach) describe() string {
	switch {
	case r.TCP == NATSymmetric && r.UDP == NATSymmetric, r.TCP == NATUnknown && r.UDP == NATSymmetric, r.TCP == NATSymmetric && r.UDP == NATUnknown:
		return "the NAT of this network is symmetric (it takes another port for each destination), and so is the other one, or it lets nothing in"
	case r.UDP == NATSymmetric:
		return "the NAT of this network is symmetric for UDP (it takes another port for each destination)"
	case r.TCP == NATSymmetric:
		return "the NAT of this network is symmetric for TCP (it takes another port for each destination)"
	case r.TCP == NATUnknown && r.UDP == NATUnknown:
		return "too few peers outside are known to tell what the NAT of this network does"
	case r.TCP == NATNone || r.UDP == NATNone:
		return "this machine has a public address, so a firewall is in the way, or the other side's NAT is symmetric (it takes another port for each destination)"
	}
	return "the NAT of this network keeps ports (cone), so the other one is symmetric (it takes another port for each destination), or a firewall drops UDP and TCP that it did not ask for"
}

// settle waits a little, on the network public, for an address that leads here from outside: a ticket without one is of use to
// neighbours only.
func (h *netHost) settle(ctx context.Context, emit func(Event)) {
	if h.outside == nil || h.hasOutside() || h.outside.config.NoUPnP && (h.outside.config.NoRelay || len(h.outside.relays) == 0) {
		return
	}
	emit(Event{Kind: "note", Message: "waiting for an address at which this node can be reached from outside"})
	late := time.NewTimer(settleWait)
	defer late.Stop()
	again := time.NewTicker(watchEvery)
	defer again.Stop()
	for !h.hasOutside() {
		select {
		case <-again.C:
		case <-late.C:
			emit(Event{Kind: "note", Message: "no address beyond the local network is known yet, so the ticket is for neighbours: 'shoal status' shows what is tried"})
			return
		case <-ctx.Done():
			return
		}
	}
}

// hasOutside reports whether an address of ours leads here from the internet, itself or through a relay.
func (h *netHost) hasOutside() bool {
	return slices.ContainsFunc(h.addrs(), func(m multiaddr.Multiaddr) bool { return relayed(m) || manet.IsPublicAddr(m) })
}
