package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
)

// openHost is a host of a random peer that listens on the given addresses.
func openHost(t testing.TB, listen ...string) (*netHost, error) {
	t.Helper()
	h, err := newHost(hostConfig{Key: newKey(t, 1), Network: Isolated, Listen: listen, UserAgent: "shoal/test"})
	if err == nil {
		t.Cleanup(func() { h.Close() })
	}
	return h, err
}

// link connects a to b and returns the connection that came about.
func link(t testing.TB, a, b *netHost) network.Conn {
	t.Helper()
	info := peer.AddrInfo{ID: b.ID(), Addrs: b.addrs()}
	a.allowTicket(info)
	if err := a.Connect(t.Context(), info); err != nil {
		t.Fatal(err)
	}
	return a.Network().ConnsToPeer(b.ID())[0]
}

func TestHostPrefersTCPWithTLS(t *testing.T) {
	a, err := openHost(t, "/ip4/127.0.0.1/tcp/0")
	if err != nil {
		t.Fatal(err)
	}
	b, err := openHost(t, "/ip4/127.0.0.1/udp/0/quic-v1", "/ip4/127.0.0.1/tcp/0")
	if err != nil {
		t.Fatal(err)
	}
	s := link(t, a, b).ConnState()
	if s.Transport != "tcp" || s.Security != "/tls/1.0.0" || s.StreamMultiplexer != "/yamux/1.0.0" {
		t.Errorf("the connection is %+v, expected tcp, tls and yamux", s)
	}
	onlyQUIC, err := openHost(t, "/ip4/127.0.0.1/udp/0/quic-v1")
	if err != nil {
		t.Fatal(err)
	}
	if s := link(t, a, onlyQUIC).ConnState(); s.Transport != "quic-v1" {
		t.Errorf("the connection is %+v, expected quic-v1", s)
	}
}

func TestHostTellsWhoItIsAndNothingMore(t *testing.T) {
	a, b := bareHost(t), bareHost(t)
	link(t, a, b)
	var agent any
	waitFor(t, "identify", func() bool {
		var err error
		agent, err = a.Peerstore().Get(b.ID(), "AgentVersion")
		return err == nil
	})
	if agent != "shoal/test" {
		t.Errorf("the agent is %q", agent)
	}
	protocols, err := a.Peerstore().GetProtocols(b.ID())
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range protocols {
		if !strings.HasPrefix(string(p), "/ipfs/id/") { // identify and its push
			t.Errorf("a fresh host speaks %s: ping, relay, hole punching and NAT services are to be off", p)
		}
	}
}

// B117: the port that nobody asked for gives way, on each of the four sockets that may be taken.
func TestDefaultPortGivesWay(t *testing.T) {
	taken := func(t *testing.T, netw, addr string) (port int, free func()) {
		t.Helper()
		if strings.HasPrefix(netw, "udp") {
			c, err := net.ListenPacket(netw, addr)
			if err != nil {
				t.Skip(err)
			}
			return c.LocalAddr().(*net.UDPAddr).Port, func() { c.Close() }
		}
		l, err := net.Listen(netw, addr)
		if err != nil {
			t.Skip(err)
		}
		return l.Addr().(*net.TCPAddr).Port, func() { l.Close() }
	}
	for netw, addr := range map[string]string{"tcp4": "127.0.0.1:0", "udp4": "127.0.0.1:0", "tcp6": "[::1]:0", "udp6": "[::1]:0"} {
		t.Run(netw, func(t *testing.T) {
			port, free := taken(t, netw, addr)
			h, err := openHost(t, "/ip4/127.0.0.1/tcp/0")
			if err != nil {
				t.Fatal(err)
			}
			h.stopListening()
			if err := h.listenDefault("127.0.0.1", "::1", port); err != nil {
				t.Fatal(err)
			}
			got := h.Network().ListenAddresses()
			if len(got) != 4 {
				t.Errorf("listens on %v, expected four addresses", got)
			}
			for _, m := range got {
				if portOf(m) == port || portOf(m) != portOf(got[0]) {
					t.Errorf("listens on %v, expected one port other than %d", got, port)
				}
			}
			free()
			h.stopListening()
			if err := h.listenDefault("127.0.0.1", "::1", port); err != nil {
				t.Fatal(err)
			}
			for _, m := range h.Network().ListenAddresses() {
				if portOf(m) != port {
					t.Errorf("listens on %s although port %d is free", m, port)
				}
			}
		})
	}
}

// B117: the port that the user named does not give way, and two nodes never share one.
func TestNamedPortInUse(t *testing.T) {
	for _, pattern := range []string{"/ip4/127.0.0.1/tcp/%d", "/ip4/127.0.0.1/udp/%d/quic-v1"} {
		first, err := openHost(t, fmt.Sprintf(pattern, 0))
		if err != nil {
			t.Fatal(err)
		}
		at := first.Network().ListenAddresses()[0].String()
		_, err = openHost(t, "/ip4/127.0.0.1/tcp/0", at)
		if err == nil || !strings.Contains(err.Error(), "another program has this port") || !strings.Contains(err.Error(), at) {
			t.Errorf("error %v, expected one that names %s and says that it is taken", err, at)
		}
	}
}

func TestListenAddressesThatCannotBe(t *testing.T) {
	tests := []struct {
		listen string
		usage  bool
		says   string
	}{
		{"127.0.0.1:4747", true, "127.0.0.1:4747"},
		{"/ip4/127.0.0.1/tcp/65536", true, "65536"},
		{"/ip4/127.0.0.1", true, "/tcp/PORT"},
		{"/ip4/127.0.0.1/tcp/0/ws", true, "/tcp/PORT"},
		{"/ip4/127.0.0.1/udp/0/quic-v1/webtransport", true, "/tcp/PORT"},
		{"/ip4/127.0.0.1/udp/0/webrtc-direct", true, "/tcp/PORT"},
		{"/unix/tmp/x", true, "/tcp/PORT"},
		{"/ip4/203.0.113.77/tcp/0", false, "does not have that address"},
	}
	for _, test := range tests {
		_, err := openHost(t, test.listen)
		if err == nil || errors.Is(err, ErrUsage) != test.usage || !strings.Contains(err.Error(), test.says) {
			t.Errorf("listen on %s: error %v, expected one that says %q (usage %v)", test.listen, err, test.says, test.usage)
		}
	}
}

func TestRankDials(t *testing.T) {
	tests := []struct {
		name  string
		addrs []string
		want  []string // address and delay in milliseconds
	}{
		{"nothing", nil, nil},
		{"only loopback", []string{"/ip4/127.0.0.1/udp/1/quic-v1", "/ip4/127.0.0.1/tcp/1"}, []string{"/ip4/127.0.0.1/tcp/1 0", "/ip4/127.0.0.1/udp/1/quic-v1 100"}},
		{
			"TCP first at home, the LAN before this machine, IPv4 before IPv6",
			[]string{"/ip6/fd00::2/udp/1/quic-v1", "/ip4/127.0.0.1/tcp/1", "/ip4/10.0.0.2/udp/1/quic-v1", "/ip6/fd00::2/tcp/1", "/ip4/10.0.0.2/tcp/1"},
			[]string{"/ip4/10.0.0.2/tcp/1 0", "/ip6/fd00::2/tcp/1 30", "/ip4/127.0.0.1/tcp/1 60", "/ip4/10.0.0.2/udp/1/quic-v1 160", "/ip6/fd00::2/udp/1/quic-v1 160"},
		},
		{"only QUIC", []string{"/ip4/10.0.0.2/udp/1/quic-v1"}, []string{"/ip4/10.0.0.2/udp/1/quic-v1 0"}},
		{
			"QUIC first on the internet",
			[]string{"/ip4/8.8.8.8/tcp/1", "/ip4/8.8.8.8/udp/1/quic-v1"},
			[]string{"/ip4/8.8.8.8/udp/1/quic-v1 0", "/ip4/8.8.8.8/tcp/1 250"},
		},
		{
			"home before the internet",
			[]string{"/ip4/8.8.8.8/tcp/1", "/ip4/8.8.8.8/udp/1/quic-v1", "/ip4/10.0.0.2/tcp/1"},
			[]string{"/ip4/10.0.0.2/tcp/1 0", "/ip4/8.8.8.8/udp/1/quic-v1 50", "/ip4/8.8.8.8/tcp/1 300"},
		},
		{
			"a public address on our own subnet is at home",
			[]string{"/ip4/192.0.2.9/udp/1/quic-v1", "/ip4/192.0.2.9/tcp/1"},
			[]string{"/ip4/192.0.2.9/tcp/1 0", "/ip4/192.0.2.9/udp/1/quic-v1 100"},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var got []string
			for _, d := range testGater().rankDials(parseAddrs(test.addrs...)) {
				got = append(got, fmt.Sprintf("%s %d", d.Addr, d.Delay.Milliseconds()))
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("dials\n%s\nexpected\n%s", strings.Join(got, "\n"), strings.Join(test.want, "\n"))
			}
		})
	}
	var many []string
	for i := range 100 {
		many = append(many, fmt.Sprintf("/ip4/10.0.0.%d/tcp/1", i))
	}
	ranked := testGater().rankDials(parseAddrs(many...))
	if len(ranked) != maxDials {
		t.Errorf("%d of 100 claimed addresses are dialled, expected %d", len(ranked), maxDials)
	}
	if last := ranked[len(ranked)-1].Delay; last > time.Second {
		t.Errorf("the last one is dialled after %s", last)
	}
}

func TestReachable(t *testing.T) {
	ip := netip.MustParseAddr
	lan := iface{name: "eth0", addrs: []netip.Addr{ip("192.168.1.5"), ip("fd00::5"), ip("fe80::5")}}
	lo := iface{name: "lo", addrs: []netip.Addr{ip("127.0.0.1"), ip("::1")}}
	docker := iface{name: "docker0", addrs: []netip.Addr{ip("172.17.0.1")}}
	overlay := iface{name: "tailscale0", pointToPoint: true, addrs: []netip.Addr{ip("100.64.7.7")}}
	uplink := iface{name: "ppp0", pointToPoint: true, addrs: []netip.Addr{ip("8.8.4.4")}}
	campus := iface{name: "eth1", addrs: []netip.Addr{ip("192.0.2.9")}}
	everywhere := []string{"/ip4/0.0.0.0/tcp/1", "/ip4/0.0.0.0/udp/1/quic-v1", "/ip6/::/tcp/1", "/ip6/::/udp/1/quic-v1"}
	tests := []struct {
		name       string
		listen     []string
		interfaces []iface
		want       []string
	}{
		{"nothing", nil, []iface{lo, lan}, nil},
		{"only loopback", everywhere, []iface{lo}, []string{"/ip4/127.0.0.1/tcp/1", "/ip4/127.0.0.1/udp/1/quic-v1", "/ip6/::1/tcp/1", "/ip6/::1/udp/1/quic-v1"}},
		{
			"a LAN", everywhere,
			[]iface{lo, lan},
			[]string{
				"/ip4/192.168.1.5/tcp/1", "/ip4/192.168.1.5/udp/1/quic-v1", "/ip6/fd00::5/tcp/1", "/ip6/fd00::5/udp/1/quic-v1",
				"/ip4/127.0.0.1/tcp/1", "/ip4/127.0.0.1/udp/1/quic-v1", "/ip6/::1/tcp/1", "/ip6/::1/udp/1/quic-v1",
			},
		},
		{
			"the best of many",
			[]string{"/ip4/0.0.0.0/tcp/1"},
			[]iface{lo, docker, uplink, overlay, campus, lan},
			[]string{"/ip4/192.168.1.5/tcp/1", "/ip4/192.0.2.9/tcp/1", "/ip4/100.64.7.7/tcp/1", "/ip4/172.17.0.1/tcp/1", "/ip4/127.0.0.1/tcp/1"},
		},
		{"one address that was named", []string{"/ip4/172.17.0.1/tcp/1"}, []iface{lo, docker, lan}, []string{"/ip4/172.17.0.1/tcp/1"}},
		{"an address that is gone", []string{"/ip4/10.9.9.9/tcp/1"}, []iface{lo, lan}, nil},
		{"both sockets of one address once", []string{"/ip4/0.0.0.0/tcp/1", "/ip4/192.168.1.5/tcp/1"}, []iface{lan}, []string{"/ip4/192.168.1.5/tcp/1"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var got []string
			for _, m := range reachable(parseAddrs(test.listen...), test.interfaces, testGater().mayAccept) {
				got = append(got, m.String())
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("reachable\n%s\nexpected\n%s", strings.Join(got, "\n"), strings.Join(test.want, "\n"))
			}
		})
	}
}

func TestAddrsOfAHost(t *testing.T) {
	h, err := openHost(t, "/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/udp/0/quic-v1")
	if err != nil {
		t.Fatal(err)
	}
	got := h.addrs()
	if len(got) != 2 || isQUIC(got[0]) || !isQUIC(got[1]) || portOf(got[0]) == 0 || portOf(got[1]) == 0 {
		t.Errorf("addrs are %v, expected TCP and then QUIC with their ports", got)
	}
}

func TestStreamsCarryWhatIsSent(t *testing.T) {
	for _, listen := range []string{"/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/udp/0/quic-v1"} {
		a := bareHost(t)
		b, err := openHost(t, listen)
		if err != nil {
			t.Fatal(err)
		}
		link(t, a, b)
		b.SetStreamHandler("/echo", func(s network.Stream) {
			defer s.Close()
			io.Copy(s, s)
		})
		s, err := a.NewStream(t.Context(), b.ID(), "/echo")
		if err != nil {
			t.Fatal(err)
		}
		echoes(t, s)
		s.Close()
		waitFor(t, "the books to be empty", func() bool { return unread(a) == 0 && unread(b) == 0 })
	}
}

// echoes writes pieces of many sizes and wants them back.
func echoes(t *testing.T, s io.ReadWriter) {
	t.Helper()
	sizes := []int{1, 11, 12, 13, 16<<10 - 1, 16 << 10, 16<<10 + 1, 64<<10 - 13, 64<<10 - 12, 64<<10 - 11, 64 << 10, 100_000, 1 << 20, 3<<20 + 7}
	sent := make(chan error, 1)
	go func() {
		for i, n := range sizes {
			if _, err := s.Write(pattern(i, n)); err != nil {
				sent <- err
				return
			}
		}
		sent <- nil
	}()
	for i, n := range sizes {
		got := make([]byte, n)
		if _, err := io.ReadFull(s, got); err != nil {
			t.Fatalf("piece of %d bytes: %v", n, err)
		}
		if !slices.Equal(got, pattern(i, n)) {
			t.Fatalf("the piece of %d bytes came back changed", n)
		}
	}
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
}

func pattern(seed, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i>>8 ^ i*7 ^ seed)
	}
	return b
}

func parseAddrs(texts ...string) []multiaddr.Multiaddr {
	var out []multiaddr.Multiaddr
	for _, t := range texts {
		out = append(out, multiaddr.StringCast(t))
	}
	return out
}

// BenchmarkNewHost is the part of the start that the host costs.
func BenchmarkNewHost(b *testing.B) {
	key := newKey(b, 1)
	for b.Loop() {
		h, err := newHost(hostConfig{Key: key, Network: LAN, Listen: []string{
			"/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/udp/0/quic-v1", "/ip6/::1/tcp/0", "/ip6/::1/udp/0/quic-v1",
		}, UserAgent: "shoal/test"})
		if err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		h.Close()
		b.StartTimer()
	}
}

// withTimeout is a context that ends before the test binary does.
func withTimeout(t testing.TB, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}
