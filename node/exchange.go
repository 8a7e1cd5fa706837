package node

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"

	"github.com/shoal-p2p/shoal/discovery"
)

// introducer lets the peers of one root learn of each other through this node, and this node through them. It implements
// transfer.Introducer.
//
// Whom we hear of from a peer may be anybody, at any address, and a dial reaches whatever is there. So we tell others only
// what we have seen: an address that we dialled and where the peer proved who it is, or one with the IP address that
// the peer comes from. And as others need not be as honest, what we hear has to be within the teller's own reach, is
// dialled by the rules of the gater for hearsay, and three times a minute at most for one IP address.
type introducer struct{ host *netHost }

// Reached returns the addresses at which others can reach the peer at the other end of c, the best first.
func (i introducer) Reached(c network.Conn) []multiaddr.Multiaddr {
	at := c.RemoteMultiaddr()
	ip, ok := ipOf(at)
	if !ok || c.Stat().Limited {
		return nil
	}
	if c.Stat().Direction == network.DirOutbound {
		if at, _ = peer.SplitAddr(at); !direct(at) {
			return nil
		}
		return []multiaddr.Multiaddr{at}
	}
	var out []multiaddr.Multiaddr // identify put there what it listens on
	for _, m := range i.host.Peerstore().Addrs(c.RemotePeer()) {
		if own, ok := ipOf(m); ok && own == ip && direct(m) && !i.host.gater.hearsay.Holds(c.RemotePeer(), m) {
			out = append(out, m)
		}
	}
	slices.SortFunc(out, func(a, b multiaddr.Multiaddr) int {
		return cmp.Or(cmp.Compare(dialScore(a), dialScore(b)), a.Compare(b))
	})
	return out
}

// Usable reports whether an address of a third peer means anything to the peer at the other end of c.
func (i introducer) Usable(a multiaddr.Multiaddr, c network.Conn) bool {
	ip, ok := ipOf(a)
	from, known := ipOf(c.RemoteMultiaddr())
	return ok && known && i.inReach(ip, from)
}

// Meet takes what the peer at the other end of c says of others. What it may say is what it could have been told itself.
func (i introducer) Meet(c network.Conn, found []peer.AddrInfo) []peer.ID {
	from, ok := ipOf(c.RemoteMultiaddr())
	if !ok {
		return nil
	}
	own := i.host.addrs()
	var out []peer.ID
	for _, info := range found {
		if info.ID == i.host.ID() || !i.host.gater.admits(info.ID) {
			continue
		}
		if i.host.Network().Connectedness(info.ID) == network.Connected {
			out = append(out, info.ID)
			continue
		}
		var good []multiaddr.Multiaddr
		for _, m := range info.Addrs {
			ip, _ := ipOf(m)
			if len(good) < maxHeardAddrs && i.believable(m, from, own) && i.host.gater.hearsay.Add(info.ID, m, ip == from || ip.IsLoopback()) {
				good = append(good, m)
			}
		}
		if len(good) > 0 {
			i.host.Peerstore().AddAddrs(info.ID, good, discovery.HearsayFresh)
			out = append(out, info.ID)
		}
	}
	return out
}

// believable reports whether a teller at from may send us to an address.
func (i introducer) believable(m multiaddr.Multiaddr, from netip.Addr, own []multiaddr.Multiaddr) bool {
	ip, ok := ipOf(m)
	return ok && i.inReach(ip, from) && i.host.harmless(m, own)
}

// harmless reports whether an address that rests on somebody's word may be dialled at all. own are those of this node.
func (h *netHost) harmless(m multiaddr.Multiaddr, own []multiaddr.Multiaddr) bool {
	ip, ok := ipOf(m)
	if !ok || !direct(m) || slices.ContainsFunc(own, m.Equal) {
		return false
	}
	here := func(a multiaddr.Multiaddr) bool { at, ok := ipOf(a); return ok && at == ip }
	if (ip.IsLoopback() || slices.ContainsFunc(own, here)) && portOf(m) < leastPeerPort {
		return false // the system's services, which may trust whoever is on this machine
	}
	return ip.IsLoopback() || h.gater.mayDial(ip)
}

// viaHarmless is harmless for an address that leads through a relay: what is dialled is the relay, which has to be on the internet.
func (h *netHost) viaHarmless(m multiaddr.Multiaddr) bool {
	at, by := relayAddr(m), relayOf(m)
	ip, ok := ipOf(at)
	return ok && by != "" && by != h.ID() && h.outside != nil && !h.outside.config.NoRelay &&
		direct(at) && usableBeyond(ip) && !h.gater.local(ip) && h.gater.mayDial(ip)
}

// reach says from where an address can be dialled.
type reach uint8

const (
	nowhere   reach = iota
	onMachine       // from the same machine
	onLink          // from the same link
	inOverlay       // from the members of a private network above the LAN, or a carrier's customers
	onLAN           // from the LAN
	anywhere
)

func reachOf(ip netip.Addr) reach {
	switch {
	case ip.IsLoopback():
		return onMachine
	case within(metadata, ip), ip.Is6() && ip.IsLinkLocalUnicast(): // libp2p cannot dial into a zone
		return nowhere
	case ip.IsLinkLocalUnicast():
		return onLink
	case within(privateRanges[3:4], ip):
		return inOverlay
	case ip.IsPrivate():
		return onLAN
	case ip.IsGlobalUnicast():
		return anywhere
	}
	return nowhere
}

// inReach reports whether who comes from an address can reach another one. Who is on this machine reaches what we reach, and
// who is on a subnet of ours is on our LAN, whatever its address.
func (i introducer) inReach(ip, from netip.Addr) bool {
	to, at := reachOf(ip), reachOf(from)
	switch {
	case to == nowhere:
		return false
	case at == onMachine, to == anywhere:
		return true
	case at == anywhere && i.host.gater.links.contain(from):
		at = onLAN
	}
	return to == at
}

// direct reports whether an address is an IP address and a port, without a relay, a name or anything else in or behind it.
func direct(m multiaddr.Multiaddr) bool {
	if m == nil {
		return false
	}
	var codes []int
	for _, p := range m.Protocols() {
		codes = append(codes, p.Code)
	}
	if len(codes) < 2 || codes[0] != multiaddr.P_IP4 && codes[0] != multiaddr.P_IP6 || portOf(m) == 0 {
		return false
	}
	return slices.Equal(codes[1:], []int{multiaddr.P_TCP}) ||
		slices.Equal(codes[1:], []int{multiaddr.P_UDP, multiaddr.P_QUIC_V1})
}
