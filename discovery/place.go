package discovery

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// place is where this node stands: its interfaces and addresses at one moment.
type place struct {
	ifaces []net.Interface     // those that mDNS speaks on
	links  []netip.Prefix      // the private addresses on them, with the size of their networks
	own    map[netip.Addr]bool // every address of this machine
	listen []endpoint          // where this node listens: on links, or only on loopback
	print  string              // equal for equal places
}

// look reads the interfaces of this machine. listen is what the host listens on, wildcards and all.
func look(listen []ma.Multiaddr) (*place, error) {
	ifaces, err := net.Interfaces()
	if err != nil {
		return nil, fmt.Errorf("list interfaces: %w", err)
	}
	p := &place{own: make(map[netip.Addr]bool)}
	for _, iface := range ifaces {
		addrs, err := iface.Addrs()
		if err != nil {
			continue // it has gone meanwhile
		}
		p.add(iface, addrs)
	}
	p.resolve(listen)
	p.print = fmt.Sprint(p.ifaces, p.links, p.own, p.listen)
	return p, nil
}

// add takes in one interface and its addresses, of the type *net.IPNet.
//
// zeroconf, left to itself, joins the mDNS groups on every interface that is up and has the multicast flag, at the moment
// at which it starts and never later: the bridges of containers, tunnels and interfaces with public addresses as well, but
// not Linux's loopback, which lacks the flag. An empty list means all of them, too. So it is always told which: those with
// a private address, where the others on the same network can be meant, and no point-to-point links, behind which another
// network lies. A machine that has none has no mDNS, and MDNS.Trouble says so.
func (p *place) add(iface net.Interface, addrs []net.Addr) {
	var links []netip.Prefix
	for _, a := range addrs {
		ipnet, ok := a.(*net.IPNet)
		if !ok {
			continue
		}
		ip, ok := netip.AddrFromSlice(ipnet.IP)
		if !ok {
			continue
		}
		ip = ip.Unmap()
		p.own[ip] = true
		if ones, bits := ipnet.Mask.Size(); lan(ip) && bits == ip.BitLen() {
			links = append(links, netip.PrefixFrom(ip, ones))
		}
	}
	const need, not = net.FlagUp | net.FlagMulticast, net.FlagLoopback | net.FlagPointToPoint
	if iface.Flags&need == need && iface.Flags&not == 0 && len(links) > 0 {
		p.ifaces = append(p.ifaces, iface)
		p.links = append(p.links, links...)
	}
}

// resolve finds out at which addresses this node can be reached from its links. If there are none, others on this very
// machine may still reach it through loopback.
func (p *place) resolve(listen []ma.Multiaddr) {
	var loopback []endpoint
	listen = slices.SortedFunc(slices.Values(listen), ma.Multiaddr.Compare) // libp2p has another order each time it is asked
	for _, a := range listen {
		e, ok := parseEndpoint(a)
		switch {
		case !ok:
		case e.ip.IsLoopback():
			loopback = append(loopback, e)
		case !e.ip.IsUnspecified():
			if p.onLink(e.ip) {
				p.listen = append(p.listen, e)
			}
		default:
			for _, l := range p.links {
				if l.Addr().Is4() == e.ip.Is4() {
					p.listen = append(p.listen, endpoint{l.Addr(), e.port, e.quic})
				}
			}
		}
	}
	if len(p.listen) == 0 {
		p.listen = loopback
	}
}

// onLink reports whether ip belongs to a machine on one of the local networks: in its range, and neither its first nor its
// last address, which in IPv4 mean the network and everybody in it.
func (p *place) onLink(ip netip.Addr) bool {
	for _, l := range p.links {
		if !l.Contains(ip) {
			continue
		}
		if ip.Is4() && l.Bits() < 31 && (ip == l.Masked().Addr() || !l.Contains(ip.Next())) {
			continue
		}
		return true
	}
	return false
}

// announcement is what this node says about itself: a TXT string for each address, and an IP address for the records that
// others insist on but do not use.
func (p *place) announcement(id peer.ID) (texts, ips []string) {
	var addrs []ma.Multiaddr
	for _, e := range p.listen {
		addrs = append(addrs, e.multiaddr())
	}
	addrs = best(id, addrs)
	for _, a := range addrs[:min(len(addrs), maxAnnounce)] {
		texts = append(texts, txtPrefix+a.String()+"/p2p/"+id.String())
		if ip, err := manet.ToIP(a); err == nil && len(ips) == 0 {
			ips = append(ips, ip.String())
		}
	}
	return texts, ips
}

func (e endpoint) multiaddr() ma.Multiaddr {
	family := "ip4"
	if e.ip.Is6() {
		family = "ip6"
	}
	if e.quic {
		return ma.StringCast(fmt.Sprintf("/%s/%v/udp/%d/quic-v1", family, e.ip, e.port))
	}
	return ma.StringCast(fmt.Sprintf("/%s/%v/tcp/%d", family, e.ip, e.port))
}

// txtPrefix begins the TXT strings that hold an address, by libp2p's discovery specification.
const txtPrefix = "dnsaddr="

// hear reads the TXT strings of an announcement: what peer it is about and where that can be reached from here. It believes
// an announcement only as far as a packet from the local network can be meant:
//
//   - It is about one peer, and that is not self.
//   - A peer on another machine is at private addresses of our own networks. Addresses that are this machine's too are
//     left out: they are those that every machine has, like loopback and the bridges of containers.
//   - A peer all of whose addresses are this machine's runs here, at another port than this node.
func (p *place) hear(self peer.ID, texts []string) (peer.AddrInfo, bool) {
	var id peer.ID
	var addrs []ma.Multiaddr
	here := true
	for _, t := range texts[:min(len(texts), maxTexts)] {
		text, ok := strings.CutPrefix(t, txtPrefix)
		if !ok {
			continue
		}
		a, err := ma.NewMultiaddr(text)
		if err != nil {
			continue
		}
		a, named := bare(a)
		if named == "" || id != "" && named != id {
			return peer.AddrInfo{}, false
		}
		id = named
		if ip, err := manet.ToIP(a); err == nil {
			addr, _ := netip.AddrFromSlice(ip)
			addr = addr.Unmap()
			here = here && (p.own[addr] || addr.IsLoopback())
		}
		addrs = append(addrs, a)
	}
	if id == "" || id == self {
		return peer.AddrInfo{}, false
	}
	meant := best(id, p.filter(addrs, here))
	return peer.AddrInfo{ID: id, Addrs: meant}, len(meant) > 0
}

// filter leaves the addresses that can be meant, of a peer that runs here or elsewhere.
func (p *place) filter(addrs []ma.Multiaddr, here bool) []ma.Multiaddr {
	var meant []ma.Multiaddr
	for _, a := range addrs {
		e, ok := parseEndpoint(a)
		if !ok || p.mine(e) {
			continue
		}
		ours := p.own[e.ip] || e.ip.IsLoopback()
		if here && ours && (lan(e.ip) || e.ip.IsLoopback()) || !here && !ours && lan(e.ip) && p.onLink(e.ip) {
			meant = append(meant, a)
		}
	}
	return meant
}

// mine reports whether this node itself listens at e.
func (p *place) mine(e endpoint) bool {
	for _, l := range p.listen {
		if l.port == e.port && l.quic == e.quic && (l.ip == e.ip || e.ip.IsLoopback() || l.ip.IsLoopback() && p.own[e.ip]) {
			return true
		}
	}
	return false
}
