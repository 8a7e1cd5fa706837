package discovery

import (
	"context"
	"net/netip"
	"slices"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// The routes by which a peer is found. Each is a Route of findings.
const (
	RouteNamed      = "peer"       // the user typed its address
	RouteTicket     = "ticket"     // a ticket names it
	RouteRemembered = "remembered" // it delivered before
	RouteInbound    = "inbound"    // it connected to us
	RouteMDNS       = "mdns"       // it is on the local network and says so
	RouteExchange   = "pex"        // another peer of the root named it
	RouteLANDHT     = "dht-lan"    // a DHT of the local network lists it as a provider
	RouteDHT        = "dht"        // a DHT beyond that does
)

// Finding is a peer that may be there.
type Finding struct {
	Info  peer.AddrInfo // the best address first; it may have none if the peer is connected
	Route string        // how it was found
}

// Guess reports whether only somebody's word, or an old memory, speaks for the peer. Most guesses may be wrong: they are tried
// a few at a time and given up soon.
func (f Finding) Guess() bool { return f.Route == RouteRemembered || FromDHT(f.Route) }

// FromDHT reports whether a route leads through a DHT.
func FromDHT(route string) bool { return route == RouteLANDHT || route == RouteDHT }

// Source knows of providers of a root: a DHT. Nothing that it says is trusted.
type Source interface {
	// Routes are the routes of what it finds.
	Routes() []string
	// Providers yields providers of a root as it hears of them, and closes the channel when it knows no more or ctx ends. The
	// same peer may come twice.
	Providers(ctx context.Context, l Lookup) <-chan Finding
	// Trouble says why it cannot find anybody just now, in words for the user, or nil.
	Trouble() error
}

// Nearby yields the nodes of the local network: MDNS.
type Nearby interface {
	Found() <-chan Finding
	Trouble() error
}

// meant returns the addresses of a DHT's finding that can be meant. Anybody writes into a DHT, so it must not lead to services
// of this machine or of its cloud; nor to the local network, unless it is the DHT of that network. Where the way leads through a
// relay, that holds for the relay; on a local network nobody needs one. local is what is on it.
func meant(f Finding, local func(netip.Addr) bool) []ma.Multiaddr {
	return slices.DeleteFunc(best(f.Info.ID, f.Info.Addrs), func(a ma.Multiaddr) bool {
		e, relay, ok := nextHop(a)
		switch {
		case !ok || e.ip.IsLinkLocalUnicast():
			return true
		case f.Route == RouteLANDHT:
			return relay != "" || !local(e.ip)
		case e.ip.IsLoopback():
			return true
		}
		return !manet.IsPublicAddr(e.multiaddr()) || slices.ContainsFunc(carriers, func(p netip.Prefix) bool { return p.Contains(e.ip) })
	})
}

// carriers are ranges of IPv6 whose addresses hold one of IPv4: NAT64, 6to4 and Teredo. What is behind them could be anything
// that IPv4 may not lead to, and nobody is a provider there.
var carriers = []netip.Prefix{
	netip.MustParsePrefix("64:ff9b::/96"), netip.MustParsePrefix("64:ff9b:1::/48"),
	netip.MustParsePrefix("2002::/16"), netip.MustParsePrefix("2001::/32"),
}

// fewPerHost leaves at most perHost addresses at each IP address: whoever wrote a ticket that has more wants us to knock on a
// stranger's doors.
func fewPerHost(addrs []ma.Multiaddr) []ma.Multiaddr {
	at := make(map[netip.Addr]int)
	return slices.DeleteFunc(slices.Clone(addrs), func(a ma.Multiaddr) bool {
		e, ok := parseEndpoint(a)
		at[e.ip]++
		return ok && at[e.ip] > perHost
	})
}
