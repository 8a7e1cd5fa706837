package node

import (
	"cmp"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	"github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// advertised are the addresses that peers are told: those at which we would answer them, and on the network public also
// those that lead to us from outside: what the router maps, what peers see, and relays.
func (g *gater) advertised(all []multiaddr.Multiaddr) []multiaddr.Multiaddr {
	out := reachable(all, g.interfaces(), g.mayAccept)
	if !g.public {
		return out
	}
	for _, m := range all {
		if (relayed(m) || manet.IsPublicAddr(m)) && !slices.ContainsFunc(out, m.Equal) {
			out = append(out, m)
		}
	}
	return out
}

// rankDials says which address of a peer is dialled when. On the local network TCP goes first, because TLS over TCP moves
// a byte for less than half of what QUIC takes; QUIC follows for networks that let only UDP through. On public addresses the
// order is libp2p's: QUIC first, which passes NATs better.
//
// A dial that fails starts the next one at once, so that the delays cost time only where packets vanish.
func (g *gater) rankDials(addrs []multiaddr.Multiaddr) []network.AddrDelay {
	const step, quicAfter, publicAfter = 30 * time.Millisecond, 100 * time.Millisecond, 50 * time.Millisecond
	var local, public []multiaddr.Multiaddr
	for _, m := range addrs {
		if ip, ok := ipOf(m); ok && g.local(ip) && !relayed(m) {
			local = append(local, m)
		} else {
			public = append(public, m)
		}
	}
	slices.SortStableFunc(local, func(a, b multiaddr.Multiaddr) int { return cmp.Compare(dialScore(a), dialScore(b)) })
	out := make([]network.AddrDelay, 0, len(addrs))
	var delay time.Duration
	for i, m := range local {
		switch {
		case i == 0:
		case isQUIC(m) && !isQUIC(local[i-1]):
			delay += quicAfter
		case i <= 2: // two families or two interfaces one after the other, then all the rest at once
			delay += step
		}
		out = append(out, network.AddrDelay{Addr: m, Delay: delay})
	}
	for _, d := range swarm.DefaultDialRanker(public) {
		if len(local) > 0 {
			d.Delay += publicAfter
		}
		out = append(out, d)
	}
	return out[:min(len(out), maxDials)]
}

// dialScore orders local addresses: TCP before QUIC, the LAN before this machine, IPv4 before IPv6.
func dialScore(m multiaddr.Multiaddr) int {
	ip, _ := ipOf(m)
	score := 0
	if isQUIC(m) {
		score += 4
	}
	if ip.IsLoopback() {
		score += 2
	}
	if ip.Is6() {
		score++
	}
	return score
}

func isQUIC(m multiaddr.Multiaddr) bool {
	_, err := m.ValueForProtocol(multiaddr.P_QUIC_V1)
	return err == nil
}

// iface is one network interface that works, with its addresses.
type iface struct {
	name         string
	pointToPoint bool
	addrs        []netip.Addr
}

func localInterfaces() []iface {
	all, err := net.Interfaces()
	if err != nil {
		return nil
	}
	var out []iface
	for _, i := range all {
		if i.Flags&net.FlagUp == 0 || i.Flags&net.FlagRunning == 0 {
			continue // a bridge without a port, a cable that is not plugged in
		}
		addrs, err := i.Addrs()
		if err != nil {
			continue
		}
		x := iface{name: i.Name, pointToPoint: i.Flags&net.FlagPointToPoint != 0}
		for _, a := range addrs {
			if p, err := netip.ParsePrefix(a.String()); err == nil {
				x.addrs = append(x.addrs, p.Addr())
			}
		}
		out = append(out, x)
	}
	return out
}

// reachable turns what the host listens on into addresses that others can dial, best first.
func reachable(listen []multiaddr.Multiaddr, interfaces []iface, answers func(netip.Addr) bool) []multiaddr.Multiaddr {
	type candidate struct {
		addr multiaddr.Multiaddr
		rank int
	}
	var found []candidate
	for _, m := range listen {
		ip, ok := ipOf(m)
		if !ok {
			continue
		}
		for _, i := range interfaces {
			for _, own := range i.addrs {
				if own != ip && (!ip.IsUnspecified() || own.Is4() != ip.Is4()) {
					continue
				}
				if own.Is6() && own.IsLinkLocalUnicast() || !answers(own) { // libp2p cannot dial into a zone
					continue
				}
				if at, err := replaceIP(m, own); err == nil {
					found = append(found, candidate{at, placeRank(i, own)*2 + btoi(isQUIC(m))})
				}
			}
		}
	}
	slices.SortStableFunc(found, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(a.rank, b.rank), strings.Compare(a.addr.String(), b.addr.String()))
	})
	var out []multiaddr.Multiaddr
	for _, c := range found {
		if !slices.ContainsFunc(out, c.addr.Equal) {
			out = append(out, c.addr)
		}
	}
	return out
}

// placeRank guesses from how many places an address of ours can be reached.
func placeRank(i iface, ip netip.Addr) int {
	switch {
	case ip.IsLoopback():
		return 6 + btoi(ip.Is6())
	case ip.IsLinkLocalUnicast():
		return 5
	case slices.ContainsFunc([]string{"docker", "br-", "veth", "virbr", "vmnet", "vboxnet", "cni", "lxc", "lxd"}, func(p string) bool {
		return strings.HasPrefix(i.name, p)
	}):
		return 4 // containers and virtual machines of this machine
	case i.pointToPoint || within(sharedRange, ip):
		return 3 // an overlay: only its members
	case ip.Is6():
		return 2
	case within(privateRanges, ip):
		return 0
	default:
		return 1
	}
}

func replaceIP(m multiaddr.Multiaddr, ip netip.Addr) (multiaddr.Multiaddr, error) {
	_, rest := multiaddr.SplitFirst(m)
	family := "/ip4/"
	if ip.Is6() {
		family = "/ip6/"
	}
	head, err := multiaddr.NewMultiaddr(family + ip.String())
	if err != nil {
		return nil, err
	}
	return head.Encapsulate(rest), nil
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

func portOf(m multiaddr.Multiaddr) int {
	for _, code := range []int{multiaddr.P_TCP, multiaddr.P_UDP} {
		if text, err := m.ValueForProtocol(code); err == nil {
			if port, err := strconv.Atoi(text); err == nil {
				return port
			}
		}
	}
	return 0
}
