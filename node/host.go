package node

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/muxer/yamux"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	"github.com/libp2p/go-libp2p/p2p/security/noise"
	libp2ptls "github.com/libp2p/go-libp2p/p2p/security/tls"
	quic "github.com/libp2p/go-libp2p/p2p/transport/quic"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	"github.com/multiformats/go-multiaddr"
	madns "github.com/multiformats/go-multiaddr-dns"
)

// DefaultPort is where a node listens, TCP and UDP, unless the user says otherwise or the port is taken.
const DefaultPort = 4747

// hostConfig is what the host needs to know. Network and UserAgent may not be empty.
type hostConfig struct {
	Key       crypto.PrivKey
	Network   Network
	Listen    []string // multiaddrs; empty means DefaultPort on all interfaces, or another port when that is taken
	UserAgent string
	Underlay  *Underlay // see Config

	Allow, Block []peer.ID // see gater

	// Of the network public alone.
	NoUPnP       bool            // the router is not asked to forward a port
	NoRelay      bool            // relays are neither used nor spoken through, so that no hole can be punched
	Relays       []peer.AddrInfo // that are asked for a place
	RelayService *RelayService   // be a relay
}

// netHost is the libp2p host with the rules of our networks around it.
type netHost struct {
	host.Host
	gater   *gater
	mux     *muxer
	meter   *meter
	outside *outside // nil unless the network is public
}

// newHost starts to listen and returns a host that is ready to dial. On networks other than public it sends nothing by itself:
// no relay, no NAT service, no address discovery by others, no bootstrap. The caller closes it.
func newHost(c hostConfig) (*netHost, error) {
	resources, err := newResources()
	if err != nil {
		return nil, err
	}
	conns, err := newConnManager()
	if err != nil {
		return nil, errors.Join(err, resources.Close())
	}
	g, mux, count := newGater(c.Network), newMuxer(), new(meter)
	g.allow, g.block, g.inward = c.Allow, c.Block, onLoopback(c.Listen)
	n := &netHost{gater: g, mux: mux, meter: count}
	options := []libp2p.Option{
		libp2p.Identity(c.Key),
		libp2p.UserAgent(c.UserAgent),
		libp2p.Transport(quic.NewTransport),
		libp2p.Security(libp2ptls.ID, count.newTLS),
		libp2p.Security(noise.ID, count.newNoise),
		libp2p.Muxer(yamux.ID, mux),
		libp2p.ListenAddrs(),
		libp2p.AddrsFactory(g.advertised),
		libp2p.ConnectionGater(g),
		libp2p.ResourceManager(resources),
		libp2p.ConnectionManager(conns),
		libp2p.SwarmOpts(swarm.WithDialRanker(g.rankDials)), blackHoles(),
		libp2p.MultiaddrResolver(resolver{gater: g, dns: swarm.ResolverFromMaDNS{Resolver: madns.DefaultResolver}}),
		libp2p.Ping(false),
		libp2p.DisableMetrics(),
	}
	if c.Network == Public {
		n.outside = newOutside(c)
		for _, info := range c.Relays {
			n.allowNamed(info)
		}
		options = append(options, libp2p.Transport(tcp.NewTCPTransport)) // dials from its port, which a hole punch needs
		options = append(options, n.outside.options(g)...)
	} else {
		options = append(options,
			libp2p.Transport(tcp.NewTCPTransport, tcp.DisableReuseport()), // with it, two nodes could listen on one port and share out the callers
			libp2p.DisableRelay(),
			libp2p.ForceReachabilityPrivate(), // nobody is asked whether we can be reached
			libp2p.DisableIdentifyAddressDiscovery(),
		)
	}
	if c.Underlay != nil {
		options = append(options, c.Underlay.Options...)
		g.interfaces = c.Underlay.interfaces
	}
	if n.Host, err = libp2p.New(options...); err != nil {
		return nil, errors.Join(fmt.Errorf("start the host: %w", err), conns.Close(), resources.Close())
	}
	if n.outside != nil {
		if err := n.outside.subscribe(n); err != nil {
			return nil, errors.Join(err, n.Close())
		}
	}
	if err := n.listen(c.Listen); err != nil {
		return nil, errors.Join(err, n.Close())
	}
	if n.outside != nil {
		close(n.outside.listening)
	}
	return n, nil
}

// blackHoles makes libp2p slower to conclude that nothing comes through over QUIC or IPv6: by default a hundred dead addresses are
// enough for it to dial no others, and anybody can put a hundred of them into a DHT.
func blackHoles() libp2p.Option {
	return libp2p.ChainOptions(
		libp2p.UDPBlackHoleSuccessCounter(&swarm.BlackHoleSuccessCounter{N: deadDials, MinSuccesses: 1, Name: "UDP"}),
		libp2p.IPv6BlackHoleSuccessCounter(&swarm.BlackHoleSuccessCounter{N: deadDials, MinSuccesses: 1, Name: "IPv6"}),
	)
}

// allowNamed lets the peer be reached at addresses that the user typed, whatever they are: public ones, loopback, DNS names.
// Where the way leads through a relay, so may the relay.
func (h *netHost) allowNamed(info peer.AddrInfo) {
	h.gater.name(info)
	for _, m := range info.Addrs {
		if p := relayOf(m); p != "" {
			h.gater.name(peer.AddrInfo{ID: p, Addrs: []multiaddr.Multiaddr{relayAddr(m)}})
		}
	}
}

// allowTicket is allowNamed for the addresses in a ticket. Whoever wrote it may be anybody, so it cannot lead us to the
// services of this machine or of its cloud: loopback below leastPeerPort and metadata addresses are left out.
func (h *netHost) allowTicket(info peer.AddrInfo) {
	info.Addrs = slices.DeleteFunc(slices.Clone(info.Addrs), func(m multiaddr.Multiaddr) bool {
		ip, ok := ipOf(m)
		return ok && (within(metadata, ip) || ip.IsLoopback() && portOf(m) < leastPeerPort)
	})
	h.allowNamed(info)
}

// onLoopback reports whether a node that listens on these addresses can be reached from this machine alone.
func onLoopback(listen []string) bool {
	return len(listen) > 0 && !slices.ContainsFunc(listen, func(text string) bool {
		m, err := multiaddr.NewMultiaddr(text)
		if err != nil {
			return true // and listening on it fails
		}
		ip, ok := ipOf(m)
		return !ok || !ip.IsLoopback()
	})
}

// ban closes all connections with the peer and refuses new ones for d.
func (h *netHost) ban(p peer.ID, d time.Duration) {
	var from []netip.Addr
	for _, c := range h.Network().ConnsToPeer(p) {
		if ip, ok := ipOf(c.RemoteMultiaddr()); ok && !relayed(c.RemoteMultiaddr()) { // the relay did nothing
			from = append(from, ip)
		}
	}
	h.gater.ban(p, d, from)
	_ = h.Network().ClosePeer(p) // what is left of a connection to close does not matter
}

// addrs are the addresses at which others may reach this node, without /p2p, the best one first and loopback last.
// It is empty only when the host does not listen at all.
func (h *netHost) addrs() []multiaddr.Multiaddr {
	out := reachable(h.Network().ListenAddresses(), h.gater.interfaces(), h.gater.mayAccept)
	if h.outside == nil {
		return out
	}
	for _, m := range h.Addrs() {
		if _, ok := ipOf(m); ok && !slices.ContainsFunc(out, m.Equal) {
			out = append(out, m)
		}
	}
	loopback := func(m multiaddr.Multiaddr) int { ip, _ := ipOf(m); return btoi(ip.IsLoopback()) }
	slices.SortStableFunc(out, func(a, b multiaddr.Multiaddr) int { return cmp.Compare(loopback(a), loopback(b)) })
	return out
}

// listen opens the addresses that the user named, all of them, or the default ones.
func (h *netHost) listen(named []string) error {
	if len(named) == 0 {
		return h.listenDefault("0.0.0.0", "::", DefaultPort)
	}
	for _, text := range named {
		m, err := multiaddr.NewMultiaddr(text)
		if err != nil {
			return fmt.Errorf("%w: listen on %q: %w", ErrUsage, text, err)
		}
		if err := h.vacant(m); err != nil {
			return fmt.Errorf("listen on %s: %w", m, listenError(err))
		}
		if err := h.listenOn(m); err != nil {
			return fmt.Errorf("listen on %s: %w", m, listenError(err))
		}
	}
	return nil
}

// vacant looks whether another program listens on a TCP address. Where sockets share their port, as hole punching needs it, the
// system would let us in beside it, and share out the callers.
func (h *netHost) vacant(m multiaddr.Multiaddr) error {
	ip, ok := ipOf(m)
	if _, err := m.ValueForProtocol(multiaddr.P_TCP); err != nil || !ok || h.outside == nil || portOf(m) == 0 {
		return nil
	}
	l, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(netip.AddrPortFrom(ip, uint16(portOf(m)))))
	if err != nil {
		return err
	}
	return l.Close()
}

// listenError says in plain words what the user can change.
func listenError(err error) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("another program has this port: name another one, or port 0 for any free one (%w)", err)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Errorf("this machine does not have that address (%w)", err)
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("this user may not open that port; those above 1023 are free for all (%w)", err)
	case errors.Is(err, swarm.ErrNoTransport):
		return fmt.Errorf("%w: shoal listens on /tcp/PORT and /udp/PORT/quic-v1 of an IP address", ErrUsage)
	}
	return err
}

func (h *netHost) listenOn(m multiaddr.Multiaddr) error {
	s, ok := h.Network().(interface {
		AddListenAddr(multiaddr.Multiaddr) error // Listen is content with one success
	})
	if !ok {
		return h.Network().Listen(m)
	}
	return s.AddListenAddr(m)
}

// listenDefault opens one port for TCP and UDP, IPv4 and IPv6: the given one, or else one that the system picks.
func (h *netHost) listenDefault(ip4, ip6 string, port int) error {
	const tries = 8
	var err error
	for try := range tries {
		if try > 0 {
			port = 0
		}
		last := try == tries-1
		if port, err = freePort(ip4, ip6, port); err != nil && !last {
			continue
		}
		if err = h.listenAll(ip4, ip6, port, last); err == nil {
			return nil
		}
		h.stopListening() // somebody was quicker
	}
	return fmt.Errorf("listen on any port: %w", err)
}

// freePort looks whether port is free for all four sockets; port 0 means one that the system picks. The host itself is not
// asked because libp2p logs an error for each listener that is closed again, and keeps UDP sockets for a while.
func freePort(ip4, ip6 string, port int) (int, error) {
	for _, try := range []struct{ network, ip string }{{"tcp4", ip4}, {"udp4", ip4}, {"tcp6", ip6}, {"udp6", ip6}} {
		addr := net.JoinHostPort(try.ip, strconv.Itoa(port))
		if strings.HasPrefix(try.network, "udp") {
			c, err := net.ListenPacket(try.network, addr)
			if err == nil {
				port = c.LocalAddr().(*net.UDPAddr).Port
				err = c.Close()
			}
			if err != nil && !noFamily(err) {
				return 0, err
			}
			continue
		}
		l, err := net.Listen(try.network, addr)
		if err == nil {
			port = l.Addr().(*net.TCPAddr).Port
			err = l.Close()
		}
		if err != nil && !noFamily(err) {
			return 0, err
		}
	}
	return port, nil
}

// noFamily reports whether this machine has no IPv4 or no IPv6.
func noFamily(err error) bool {
	return errors.Is(err, syscall.EAFNOSUPPORT) || errors.Is(err, syscall.EADDRNOTAVAIL)
}

// listenAll opens port for everything that this machine speaks. With
// partly, some may fail, and each may get a port of its own.
func (h *netHost) listenAll(ip4, ip6 string, port int, partly bool) error {
	var failed error
	opened := 0
	for _, pattern := range []string{"/ip4/" + ip4 + "/tcp/%d", "/ip4/" + ip4 + "/udp/%d/quic-v1", "/ip6/" + ip6 + "/tcp/%d", "/ip6/" + ip6 + "/udp/%d/quic-v1"} {
		m, err := multiaddr.NewMultiaddr(fmt.Sprintf(pattern, port))
		if err != nil {
			return err
		}
		err = h.listenOn(m)
		switch {
		case err == nil:
			opened++
		case noFamily(err), partly:
			failed = errors.Join(failed, err)
		default:
			return err
		}
	}
	if opened == 0 {
		return failed
	}
	return nil
}

func (h *netHost) stopListening() {
	if s, ok := h.Network().(interface{ ListenClose(...multiaddr.Multiaddr) }); ok {
		s.ListenClose(slices.DeleteFunc(h.Network().ListenAddresses(), relayed)...)
	}
}
