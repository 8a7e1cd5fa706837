package node

import (
	"cmp"
	"context"
	"net/netip"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
)

// NAT is what stands between a node and the internet, as far as its peers can tell.
type NAT string

const (
	// NATUnknown means that too few peers outside have said where they see this node.
	NATUnknown NAT = "unknown"
	// NATNone means that peers see an address of this machine itself.
	NATNone NAT = "none"
	// NATCone gives one inside port one outside port, whoever is spoken to: holes can be punched into it.
	NATCone NAT = "cone"
	// NATSymmetric takes another outside port for each destination, so that nobody can be told where to knock.
	NATSymmetric NAT = "symmetric"
)

// Reach is how a node can be reached from the internet. Only those on the network public know.
type Reach struct {
	TCP      NAT        `json:"tcp"`                // the NAT that TCP goes through
	UDP      NAT        `json:"udp"`                // the one that QUIC goes through
	Open     []string   `json:"open,omitempty"`     // addresses that a peer has dialled and reached (AutoNAT v2)
	Closed   []string   `json:"closed,omitempty"`   // addresses at which that failed
	Untested []string   `json:"untested,omitempty"` // public addresses that nobody has tried
	Observed []Observed `json:"observed,omitempty"`
	Gateway  bool       `json:"gateway"`          // a router answered to UPnP or NAT-PMP
	Mapped   []string   `json:"mapped,omitempty"` // addresses that the router forwards to us, as it says
	Relays   []string   `json:"relays,omitempty"` // peers through which we can be reached
	Serves   bool       `json:"serves,omitempty"` // this node is a relay itself
}

// Observed is an address at which peers see this node.
type Observed struct {
	Transport string `json:"transport"` // tcp, quic
	Addr      string `json:"addr"`      // IP:port
	By        int    `json:"by"`        // IP addresses that say so
}

// Reach tells how this node can be reached. The error is ErrUsage unless the network is public.
func (n *Node) Reach(context.Context) (Reach, error) {
	if n.host.outside == nil {
		return Reach{}, errNoOutside
	}
	return n.host.reach(), nil
}

func (h *netHost) reach() Reach {
	o := h.outside
	r := Reach{Serves: o.config.RelayService != nil}
	if x, ok := h.Host.(interface {
		ConfirmedAddrs() (open, closed, unknown []multiaddr.Multiaddr)
	}); ok {
		open, closed, unknown := x.ConfirmedAddrs()
		r.Open, r.Closed, r.Untested = textsOf(open), textsOf(closed), textsOf(unknown)
	}
	own := ownAddrs(localInterfaces())
	o.mu.Lock()
	defer o.mu.Unlock()
	r.TCP, r.UDP = natOf(o.seen["tcp"], own, time.Now()), natOf(o.seen["quic"], own, time.Now())
	for _, t := range []string{"tcp", "quic"} {
		r.Observed = append(r.Observed, observed(t, o.seen[t])...)
	}
	if o.mapper != nil {
		r.Gateway = o.mapper.HasDiscoveredNAT()
		for _, m := range h.Network().ListenAddresses() {
			if ip, ok := ipOf(m); !ok || !ip.Is4() {
				continue
			}
			if at := o.mapper.GetMapping(m); at != nil {
				r.Mapped = append(r.Mapped, at.String())
			}
		}
		r.Mapped = slices.Compact(slices.Sorted(slices.Values(r.Mapped)))
	}
	if len(r.Open) > 0 {
		return r // places at relays are not told to anybody any more, nor kept up
	}
	for _, m := range o.circuit {
		if p := relayOf(m); p != "" && !slices.Contains(r.Relays, p.String()) {
			r.Relays = append(r.Relays, p.String())
		}
	}
	return r
}

func textsOf(addrs []multiaddr.Multiaddr) []string {
	var out []string
	for _, m := range addrs {
		out = append(out, m.String())
	}
	return out
}

func ownAddrs(interfaces []iface) []netip.Addr {
	var out []netip.Addr
	for _, i := range interfaces {
		out = append(out, i.addrs...)
	}
	return out
}

// natOf concludes from where a port is seen what the NAT does. Two who agree are believed against any number who do not: only
// a NAT that keeps the outside port can make them agree.
func natOf(seen []sighting, own []netip.Addr, now time.Time) NAT {
	at := make(map[netip.AddrPort]int)
	n := 0
	for _, s := range seen {
		if now.Sub(s.on) > observedFresh {
			continue
		}
		if slices.Contains(own, s.at.Addr()) {
			return NATNone
		}
		n++
		if at[s.at]++; at[s.at] >= enoughWitness {
			return NATCone
		}
	}
	if n < enoughWitness {
		return NATUnknown
	}
	return NATSymmetric
}

// observed counts who sees us where, most first.
func observed(transport string, seen []sighting) []Observed {
	var out []Observed
	for _, s := range seen {
		i := slices.IndexFunc(out, func(o Observed) bool { return o.Addr == s.at.String() })
		if i < 0 {
			i, out = len(out), append(out, Observed{Transport: transport, Addr: s.at.String()})
		}
		out[i].By++
	}
	slices.SortFunc(out, func(a, b Observed) int { return cmp.Or(cmp.Compare(b.By, a.By), cmp.Compare(a.Addr, b.Addr)) })
	return out
}

// relayOf is the relay through which an address leads; empty if it leads through none.
func relayOf(m multiaddr.Multiaddr) peer.ID {
	if !relayed(m) {
		return ""
	}
	text, err := m.ValueForProtocol(multiaddr.P_P2P) // the first one
	if err != nil {
		return ""
	}
	p, err := peer.Decode(text)
	if err != nil {
		return ""
	}
	return p
}

// relayAddr is the part of an address that leads to the relay.
func relayAddr(m multiaddr.Multiaddr) multiaddr.Multiaddr {
	head, _ := multiaddr.SplitFunc(m, func(c multiaddr.Component) bool { return c.Protocol().Code == multiaddr.P_P2P })
	return head
}
