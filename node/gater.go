package node

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/control"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"github.com/shoal-p2p/shoal/discovery"
)

// gater decides which connections may exist. It is asked by libp2p before each dial and around each handshake.
//
// On the networks isolated and lan, both directions are for local addresses only: the private ranges of IPv4 and IPv6,
// loopback, and the subnets of our own interfaces (a university's LAN has public addresses, and so has every IPv6 LAN).
// The public network has no such bound.
// Everything else is for addresses that the user named: typed, or in a ticket that the user passed on. Whom we hear of in
// other ways may claim any address, so loopback, cloud metadata services and DNS names are never dialled on hearsay: a dial
// there reaches a service that trusts this machine, and a look-up leaves the local network. A node that listens on loopback alone
// has the other nodes of this machine for its local network: it dials loopback on their word, but no port of the system's.
//
// What another peer of a root tells us has a budget besides, see discovery.Hearsay; and who speaks to us over loopback may name loopback.
//
// Banned peers are refused everywhere, and so is an address from which several of them came. Above all of this stand the lists
// of the user: with those who are blocked there is no connection, and if some are allowed, with nobody else.
type gater struct {
	allow, block []peer.ID // never change

	public     bool
	inward     bool // this node listens on loopback and nowhere else; never changes
	interfaces func() []iface
	links      links
	hearsay    *discovery.Hearsay
	now        func() time.Time

	mu      sync.Mutex
	named   map[peer.ID]map[string]struct{} // addresses in text, without /p2p
	order   []namedAddr                     // oldest first, to keep named bounded
	hosts   map[netip.Addr]int              // addresses of named, counted: who connects shows its ID only later
	banned  bans[peer.ID]
	strikes bans[strike]     // banned peers by the address they came from
	shunned bans[netip.Addr] // addresses with maxStrikes of them
	news    int              // bans since the start
}

type strike struct {
	ip   netip.Addr
	peer peer.ID
}

// bans says until when something is refused.
type bans[K comparable] map[K]time.Time

// add keeps the list short: when it is full, the ban that ends first makes room.
func (b bans[K]) add(k K, now, until time.Time) {
	if _, known := b[k]; !known && len(b) >= maxBanned {
		first := k
		for other, end := range b {
			if !end.After(now) {
				delete(b, other)
			} else if first == k || end.Before(b[first]) {
				first = other
			}
		}
		if len(b) >= maxBanned {
			delete(b, first)
		}
	}
	b[k] = until
}

func (b bans[K]) hold(k K, now time.Time) bool {
	until, ok := b[k]
	return ok && until.After(now)
}

type namedAddr struct {
	peer peer.ID
	addr string
	ip   netip.Addr
}

var (
	// privateRanges are never routed on the internet: RFC 1918, RFC 6598 (carriers and overlay networks), RFC 3927, RFC 4193,
	// RFC 4291.
	privateRanges = prefixes("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "169.254.0.0/16", "fc00::/7", "fe80::/10")

	// metadata are the services that hand a cloud machine its credentials, on addresses that look local.
	metadata = prefixes("169.254.169.254/32", "169.254.170.2/32", "169.254.170.23/32", "100.100.100.200/32", "fd00:ec2::254/128", "fd00:ec2::23/128")
)

// leastPeerPort is the first that is not the system's. Below it are services of this machine that may trust whoever is on it.
const leastPeerPort = 1024

func prefixes(texts ...string) []netip.Prefix {
	out := make([]netip.Prefix, len(texts))
	for i, t := range texts {
		out[i] = netip.MustParsePrefix(t)
	}
	return out
}

func within(ranges []netip.Prefix, ip netip.Addr) bool {
	return slices.ContainsFunc(ranges, func(p netip.Prefix) bool { return p.Contains(ip) })
}

func newGater(n Network) *gater {
	return &gater{
		public:     n == Public,
		interfaces: localInterfaces,
		links:      links{read: interfacePrefixes},
		hearsay:    discovery.NewHearsay(time.Now),
		now:        time.Now,
		named:      make(map[peer.ID]map[string]struct{}),
		hosts:      make(map[netip.Addr]int),
		banned:     make(bans[peer.ID]),
		strikes:    make(bans[strike]),
		shunned:    make(bans[netip.Addr]),
	}
}

// name lets a peer be dialled at these addresses, whatever they are. When there are too many, the oldest are forgotten.
func (g *gater) name(info peer.AddrInfo) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, m := range info.Addrs {
		g.nameLocked(info.ID, m)
	}
}

func (g *gater) nameLocked(p peer.ID, m multiaddr.Multiaddr) {
	m, _ = peer.SplitAddr(m)
	if m == nil {
		return
	}
	a := namedAddr{peer: p, addr: m.String()}
	a.ip, _ = ipOf(m)
	if _, known := g.named[p][a.addr]; known {
		return
	}
	if len(g.order) >= maxNamed {
		g.forgetOldest()
	}
	if g.named[p] == nil {
		g.named[p] = make(map[string]struct{})
	}
	g.named[p][a.addr] = struct{}{}
	g.order = append(g.order, a)
	g.hosts[a.ip]++
}

func (g *gater) forgetOldest() {
	old := g.order[0]
	g.order = slices.Delete(g.order, 0, 1)
	delete(g.named[old.peer], old.addr)
	if len(g.named[old.peer]) == 0 {
		delete(g.named, old.peer)
	}
	if g.hosts[old.ip]--; g.hosts[old.ip] == 0 {
		delete(g.hosts, old.ip)
	}
}

// ban refuses a peer for d, and the addresses that it came from once maxStrikes banned peers came from there: a new
// identity costs nothing, an address costs a little. Loopback is not an address in that sense.
func (g *gater) ban(p peer.ID, d time.Duration, from []netip.Addr) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.now()
	until := now.Add(d)
	g.banned.add(p, now, until)
	g.news++
	for _, ip := range from {
		if ip.IsLoopback() {
			continue
		}
		g.strikes.add(strike{ip, p}, now, until)
		n := 0
		for s, end := range g.strikes {
			if s.ip == ip && end.After(now) {
				n++
			}
		}
		if n >= maxStrikes {
			g.shunned.add(ip, now, until)
		}
	}
}

// admits reports whether there may be a connection with p at all.
func (g *gater) admits(p peer.ID) bool {
	if slices.Contains(g.block, p) || len(g.allow) > 0 && !slices.Contains(g.allow, p) {
		return false
	}
	return !g.isBanned(p)
}

func (g *gater) isBanned(p peer.ID) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.banned.hold(p, g.now())
}

func (g *gater) isShunned(ip netip.Addr) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.shunned.hold(ip, g.now())
}

func (g *gater) isNamed(p peer.ID, m multiaddr.Multiaddr) bool {
	m, _ = peer.SplitAddr(m)
	g.mu.Lock()
	defer g.mu.Unlock()
	_, ok := g.named[p][m.String()]
	return ok
}

// namedHost reports whether some peer was named at this IP address; p "" asks for any peer.
func (g *gater) namedHost(p peer.ID, ip netip.Addr) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if p == "" || g.hosts[ip] == 0 {
		return g.hosts[ip] > 0
	}
	return slices.ContainsFunc(g.order, func(a namedAddr) bool { return a.peer == p && a.ip == ip })
}

// mayDial is the rule for addresses that others told us.
func (g *gater) mayDial(ip netip.Addr) bool {
	return (!ip.IsLoopback() || g.inward) && !within(metadata, ip) && (g.local(ip) || g.public && ip.IsGlobalUnicast())
}

// mayAccept is the rule for those who come to us.
func (g *gater) mayAccept(ip netip.Addr) bool { return g.public || g.local(ip) }

// local reports whether an address is on this machine or on a local network.
func (g *gater) local(ip netip.Addr) bool {
	return ip.IsLoopback() || within(privateRanges, ip) || g.links.contain(ip)
}

// InterceptPeerDial refuses peers whatever their addresses are.
func (g *gater) InterceptPeerDial(p peer.ID) bool { return g.admits(p) }

// InterceptAddrDial refuses addresses outside the network that nobody named.
func (g *gater) InterceptAddrDial(p peer.ID, m multiaddr.Multiaddr) bool {
	ip, ok := ipOf(m)
	may := g.mayDial(ip) && !(ip.IsLoopback() && portOf(m) < leastPeerPort)
	return ok && (g.isNamed(p, m) || !g.isShunned(ip) && g.hearsay.MayDial(p, m, ip, may))
}

// InterceptAccept refuses strangers from outside before any handshake costs something.
func (g *gater) InterceptAccept(c network.ConnMultiaddrs) bool {
	ip, ok := ipOf(c.RemoteMultiaddr())
	return ok && (g.mayAccept(ip) && !g.isShunned(ip) || g.namedHost("", ip))
}

// InterceptSecured is the first moment at which the other side has proved who it is.
func (g *gater) InterceptSecured(d network.Direction, p peer.ID, c network.ConnMultiaddrs) bool {
	if !g.admits(p) {
		return false
	}
	if d == network.DirOutbound {
		g.hearsay.Proved(p, c.RemoteMultiaddr()) // it was true
		return true                              // this address has passed InterceptAddrDial
	}
	ip, ok := ipOf(c.RemoteMultiaddr())
	return ok && (g.mayAccept(ip) && !g.isShunned(ip) || g.namedHost(p, ip))
}

// InterceptUpgraded has nothing left to decide.
func (g *gater) InterceptUpgraded(network.Conn) (bool, control.DisconnectReason) { return true, 0 }

func ipOf(m multiaddr.Multiaddr) (netip.Addr, bool) {
	if m == nil {
		return netip.Addr{}, false
	}
	ip, err := manet.ToIP(m)
	if err != nil {
		return netip.Addr{}, false
	}
	a, ok := netip.AddrFromSlice(ip)
	return a.Unmap(), ok
}

// links knows the subnets of this machine's interfaces, and reads them again when it is asked later than linksFresh.
type links struct {
	read func() []netip.Prefix

	mu    sync.Mutex
	known []netip.Prefix
	until time.Time
}

func (l *links) contain(ip netip.Addr) bool { return within(l.list(), ip) }

func (l *links) list() []netip.Prefix {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now := time.Now(); now.After(l.until) {
		l.known, l.until = l.read(), now.Add(linksFresh)
	}
	return l.known
}

// interfacePrefixes are the subnets that this machine has a foot in. A point-to-point link is the way to a provider rather
// than a LAN, and a subnet wider than a LAN ever is says nothing about who is near.
func interfacePrefixes() []netip.Prefix {
	interfaces, err := net.Interfaces()
	if err != nil {
		return nil
	}
	var out []netip.Prefix
	for _, i := range interfaces {
		if i.Flags&net.FlagUp == 0 || i.Flags&net.FlagPointToPoint != 0 {
			continue
		}
		addrs, err := i.Addrs()
		if err != nil {
			continue
		}
		for _, a := range addrs {
			if p, err := netip.ParsePrefix(a.String()); err == nil && p.Bits() >= widestLink(p.Addr()) {
				out = append(out, p.Masked())
			}
		}
	}
	return out
}

func widestLink(a netip.Addr) int {
	if a.Is4() {
		return 16
	}
	return 56
}

// resolver looks up DNS addresses that the user named, and no others: a name that a peer told us would carry a question
// out of the local network, to whoever serves that name.
type resolver struct {
	gater *gater
	dns   network.MultiaddrDNSResolver
}

var errHearsay = errors.New("only names that the user typed are looked up")

func (r resolver) ResolveDNSAddr(ctx context.Context, p peer.ID, m multiaddr.Multiaddr, depth, limit int) ([]multiaddr.Multiaddr, error) {
	return r.resolve(m, func() ([]multiaddr.Multiaddr, error) { return r.dns.ResolveDNSAddr(ctx, p, m, depth, limit) })
}

func (r resolver) ResolveDNSComponent(ctx context.Context, m multiaddr.Multiaddr, limit int) ([]multiaddr.Multiaddr, error) {
	return r.resolve(m, func() ([]multiaddr.Multiaddr, error) { return r.dns.ResolveDNSComponent(ctx, m, limit) })
}

// resolve names what the look-up finds for each peer whose address it was.
func (r resolver) resolve(m multiaddr.Multiaddr, look func() ([]multiaddr.Multiaddr, error)) ([]multiaddr.Multiaddr, error) {
	peers := r.gater.namedAt(m)
	if len(peers) == 0 {
		return nil, errHearsay
	}
	found, err := look()
	if err != nil {
		return nil, err
	}
	for _, p := range peers {
		r.gater.name(peer.AddrInfo{ID: p, Addrs: found})
	}
	return found, nil
}

// namedAt returns the peers that were named at exactly this address.
func (g *gater) namedAt(m multiaddr.Multiaddr) []peer.ID {
	m, _ = peer.SplitAddr(m)
	if m == nil {
		return nil
	}
	text := m.String()
	g.mu.Lock()
	defer g.mu.Unlock()
	var out []peer.ID
	for _, a := range g.order {
		if a.addr == text {
			out = append(out, a.peer)
		}
	}
	return out
}
