package discovery

import (
	"cmp"
	"encoding/binary"
	"net/netip"
	"slices"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
)

// endpoint is what an address of a shape that this node dials says: TCP, or QUIC over UDP, at an IP address.
type endpoint struct {
	ip   netip.Addr
	port uint16
	quic bool
}

// parseEndpoint reads an address. It refuses names, which would have to be looked up with somebody; relays; transports that
// this node does not speak; zones, which mean something to their own machine only; and IPv4 in IPv6's clothes, which would
// get around the rules for IPv4.
func parseEndpoint(a ma.Multiaddr) (e endpoint, ok bool) {
	if len(a) < 2 || len(a) > 3 {
		return e, false
	}
	switch a[0].Code() {
	case ma.P_IP4, ma.P_IP6:
		e.ip, ok = netip.AddrFromSlice(a[0].RawValue())
	}
	if !ok || e.ip.Is4In6() || len(a[1].RawValue()) != 2 {
		return e, false
	}
	e.port = binary.BigEndian.Uint16(a[1].RawValue())
	switch {
	case len(a) == 2 && a[1].Code() == ma.P_TCP:
	case len(a) == 3 && a[1].Code() == ma.P_UDP && a[2].Code() == ma.P_QUIC_V1:
		e.quic = true
	default:
		return e, false
	}
	return e, e.port != 0
}

// bare takes a trailing /p2p/ID off an address. The ID is empty if there is none.
func bare(a ma.Multiaddr) (ma.Multiaddr, peer.ID) {
	rest, last := ma.SplitLast(a)
	if last == nil || last.Code() != ma.P_P2P {
		return a, ""
	}
	id, err := peer.IDFromBytes(last.RawValue())
	if err != nil {
		return nil, ""
	}
	return rest, id
}

// The addresses at which clouds hand their machines' secrets to whoever asks from inside.
var metadata = []netip.Addr{netip.MustParseAddr("169.254.169.254"), netip.MustParseAddr("fd00:ec2::254")}

// plausible reports whether a peer could be reached at e at all. Link-local IPv6 needs a zone, and libp2p never dials it.
// Below 1024 this machine has services that are not peers: no text or packet from outside may make us call them.
func (e endpoint) plausible() bool {
	switch ip := e.ip; {
	case ip.IsUnspecified(), ip.IsMulticast(), slices.Contains(metadata, ip), ip == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return false
	case ip.Is6() && ip.IsLinkLocalUnicast():
		return false
	case ip.IsLoopback():
		return e.port >= 1024
	}
	return true
}

// lan reports whether ip can only mean a machine on a local network.
func lan(ip netip.Addr) bool { return ip.IsPrivate() || ip.Is4() && ip.IsLinkLocalUnicast() }

// rank orders addresses by how well bulk data will do over them: a private network before the internet and before this very
// machine, which is meant rarely; TCP first where no address translation is in the way, QUIC first where it is likely.
func (e endpoint) rank() int {
	quic, tcp := 1, 0
	class := 0
	switch {
	case e.ip.IsPrivate():
	case e.ip.IsLoopback():
		class = 3
	case lan(e.ip):
		class = 1
	default:
		class = 2
		quic, tcp = 0, 1
	}
	if e.quic {
		return 2*class + quic
	}
	return 2*class + tcp
}

// relayRank puts relays behind all addresses that lead to the peer itself.
const relayRank = 100

// throughRelay takes an address that leads through a relay apart; others come back as they are, and relay is empty.
func throughRelay(a ma.Multiaddr) (at ma.Multiaddr, relay peer.ID) {
	head, last := ma.SplitLast(a)
	if last == nil || last.Code() != ma.P_CIRCUIT {
		return a, ""
	}
	at, relay = bare(head)
	if relay == "" {
		return nil, ""
	}
	return at, relay
}

// nextHop is what is dialled to get to an address: itself, or the relay that it leads through.
func nextHop(a ma.Multiaddr) (e endpoint, relay peer.ID, ok bool) {
	at, relay := throughRelay(a)
	e, ok = parseEndpoint(at)
	return e, relay, ok
}

// best returns the addresses of a peer at which it could be reached, itself or through one relay, without those that name another
// peer, each once, ranked, at most MaxAddrs. They come without /p2p/ of the peer.
func best(id peer.ID, addrs []ma.Multiaddr) []ma.Multiaddr {
	type ranked struct {
		addr ma.Multiaddr
		rank int
	}
	type from struct {
		at    endpoint
		relay peer.ID
	}
	var out []ranked
	seen := make(map[from]bool)
	for _, a := range addrs[:min(len(addrs), maxRead)] {
		a, named := bare(a)
		e, relay, ok := nextHop(a)
		if !ok || !e.plausible() || named != "" && named != id || relay == id || seen[from{e, relay}] {
			continue
		}
		seen[from{e, relay}] = true
		r := ranked{a, e.rank()}
		if relay != "" {
			r.rank += relayRank
		}
		out = append(out, r)
	}
	slices.SortStableFunc(out, func(a, b ranked) int { return cmp.Compare(a.rank, b.rank) })
	itself := slices.IndexFunc(out, func(r ranked) bool { return r.rank >= relayRank })
	if itself < 0 {
		itself = len(out)
	}
	relays := out[itself:min(len(out), itself+maxRelayed)]
	out = append(out[:min(itself, MaxAddrs-len(relays))], relays...)
	best := make([]ma.Multiaddr, len(out))
	for i, r := range out {
		best[i] = r.addr
	}
	return best
}
