package node

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/shoal-p2p/shoal/discovery"
)

// subject is the peer to which a path is measured.
type subject struct {
	info  peer.AddrInfo
	route string
	allow func(*netHost)
}

// subject understands a ticket, a multiaddr with /p2p/, and the ID of a peer that is known.
func (n *Node) subject(ctx context.Context, ref string, emit func(Event)) (*subject, error) {
	s := &subject{allow: func(*netHost) {}}
	switch {
	case discovery.IsTicket(ref):
		t, err := n.resolve(ref, nil)
		switch {
		case err != nil:
			return nil, err
		case t.self:
			return nil, fmt.Errorf("%w: that ticket names this node", ErrUsage)
		}
		s.info, s.route = *t.holder, discovery.RouteTicket
		s.allow = func(h *netHost) { h.allowTicket(s.info) }
	case strings.HasPrefix(ref, "/"):
		infos, err := parsePeers([]string{ref})
		if err != nil {
			return nil, err
		}
		s.info, s.route = infos[0], discovery.RouteNamed
		s.allow = func(h *netHost) { h.allowNamed(s.info) }
	default:
		id, err := peer.Decode(ref)
		if err != nil {
			return nil, fmt.Errorf("%w: that is no ticket, no multiaddr with /p2p/ and no peer ID", ErrUsage) // and may be a mistyped secret
		}
		if !n.knows(id) { // mDNS may be about to hear of it
			if err := n.listenFirst(ctx, emit); err != nil {
				return nil, err
			}
		}
		s.info, s.route = n.host.Peerstore().PeerInfo(id), n.finder.Route(id)
		if !n.knows(id) {
			return nil, fmt.Errorf("%w: peer %s is not known here; name an address of it, or a ticket", ErrNoPeer, id)
		}
	}
	if s.info.ID == n.host.ID() {
		return nil, fmt.Errorf("%w: that is this node", ErrUsage)
	}
	return s, nil
}

// knows reports whether there may be a way to a peer.
func (n *Node) knows(id peer.ID) bool {
	return n.finder.Route(id) != "" || len(n.host.Peerstore().Addrs(id)) > 0
}

// measure connects to a peer and measures the path.
func (n *Node) measure(ctx context.Context, to *subject) Path {
	p := Path{Peer: to.info.ID.String(), Route: to.route}
	to.allow(n.host)
	n.finder.Meet(discovery.Finding{Info: to.info, Route: to.route})
	dial, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	start := time.Now()
	old := n.host.Network().Connectedness(to.info.ID) == network.Connected
	if err := n.host.Connect(dial, to.info); err != nil {
		p.Error = "cannot be reached: " + brief(err)
		p.Next = "check that the other node runs and that its firewall lets it be reached; a fresh ticket has its present addresses"
		return p
	}
	if !old {
		p.Connect = time.Since(start).Seconds()
	}
	conns := n.host.Network().ConnsToPeer(to.info.ID)
	if len(conns) == 0 {
		p.Error = "the connection broke off"
		return p
	}
	p.Addr, p.Transport = conns[0].RemoteMultiaddr().String(), transport(conns[0])
	p.Relayed = relayed(conns[0].RemoteMultiaddr())
	rtt, err := n.roundTrip(ctx, to.info.ID)
	if err != nil {
		p.fail(err)
		return p
	}
	p.RTT = rtt.Seconds()
	down, err := n.stream(ctx, to.info.ID, probeDown)
	if err != nil {
		p.fail(err)
		return p
	}
	up, err := n.stream(ctx, to.info.ID, probeUp)
	if err != nil {
		p.fail(err)
		return p
	}
	p.Down, p.Up = down.rate, up.rate
	p.OurDisk, p.TheirDisk = n.diskRate(ctx), down.other.disk
	p.Bottleneck = bottleneck(p, down)
	return p
}

func (p *Path) fail(err error) {
	switch {
	case errors.Is(err, errProbeBusy):
		p.Next = "try again in a minute"
	case errors.Is(err, errProbeLimited):
		p.Next = "the limit is the bottleneck; its user set it with --up-rate, --down-rate or their like"
	default:
		p.Next = "a node of an older version, or another program, cannot be measured; a get works all the same"
	}
	p.Error = "not measured: " + brief(err)
}

// fullCore is the part of a core from which on a stream is taken to be held up by it: encryption and the muxer of one connection run
// on one core.
const fullCore = 0.75

// bottleneck names what would hold up a fetch from the peer.
func bottleneck(p Path, down streamed) string {
	slowest, rate := "the wire", p.Down
	switch {
	case p.Relayed:
		return "the relay"
	case down.other.cpu >= fullCore && down.other.cpu >= down.ours:
		slowest = "one core's TLS, on their side"
	case down.ours >= fullCore:
		slowest = "one core's TLS, on this side"
	}
	if p.TheirDisk > 0 && p.TheirDisk < rate {
		slowest, rate = "their disk", p.TheirDisk
	}
	if p.OurDisk > 0 && p.OurDisk < rate {
		slowest = "our disk"
	}
	return slowest
}
