package discovery

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
)

// office is a machine with a LAN, a bridge of containers, a tunnel and an interface with a public address.
func office(t testing.TB, listen ...string) *place {
	t.Helper()
	p := &place{own: make(map[netip.Addr]bool)}
	const usual = net.FlagUp | net.FlagBroadcast | net.FlagMulticast
	for i, x := range []struct {
		name  string
		flags net.Flags
		addrs []string
	}{
		{"lo", net.FlagUp | net.FlagLoopback, []string{"127.0.0.1/8", "::1/128"}},
		{"eth0", usual, []string{"192.168.1.5/24", "fd12:3456::5/64", "2001:db8::5/64", "fe80::5/64"}},
		{"docker0", usual, []string{"172.17.0.1/16"}},
		{"tun0", usual | net.FlagPointToPoint, []string{"10.8.0.2/24"}},
		{"eth1", usual, []string{"203.0.113.5/24"}},
		{"eth2", net.FlagBroadcast | net.FlagMulticast, []string{"10.99.0.1/24"}},
		{"eth3", net.FlagUp | net.FlagBroadcast, []string{"10.98.0.1/24"}},
		{"eth4", usual, nil},
		{"eth5", usual, []string{"fe80::77/64"}},
	} {
		var addrs []net.Addr
		for _, s := range x.addrs {
			ip, ipnet, err := net.ParseCIDR(s)
			if err != nil {
				t.Fatal(err)
			}
			addrs = append(addrs, &net.IPNet{IP: ip, Mask: ipnet.Mask})
		}
		p.add(net.Interface{Index: i + 1, Name: x.name, Flags: x.flags}, addrs)
	}
	if listen == nil {
		listen = []string{"/ip4/0.0.0.0/tcp/4001", "/ip4/0.0.0.0/udp/4001/quic-v1", "/ip6/::/tcp/4001"}
	}
	p.resolve(addrs(listen...))
	return p
}

func TestInterfacesThatMDNSSpeaksOn(t *testing.T) {
	var got []string
	for _, i := range office(t).ifaces {
		got = append(got, i.Name)
	}
	if want := []string{"eth0", "docker0"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q: up, multicast, private, no tunnel", got, want)
	}
}

func TestAnnouncementHasPrivateAddressesOnly(t *testing.T) {
	for _, c := range []struct {
		listen, want []string
		ip           string
	}{
		{nil, []string{
			"/ip4/192.168.1.5/tcp/4001", "/ip4/172.17.0.1/tcp/4001", "/ip6/fd12:3456::5/tcp/4001",
			"/ip4/192.168.1.5/udp/4001/quic-v1", "/ip4/172.17.0.1/udp/4001/quic-v1",
		}, "192.168.1.5"},
		{[]string{"/ip4/192.168.1.5/tcp/9"}, []string{"/ip4/192.168.1.5/tcp/9"}, "192.168.1.5"},
		{[]string{"/ip6/::/tcp/4001"}, []string{"/ip6/fd12:3456::5/tcp/4001"}, "fd12:3456::5"},
		{[]string{"/ip4/127.0.0.1/tcp/4001"}, []string{"/ip4/127.0.0.1/tcp/4001"}, "127.0.0.1"},
		{[]string{"/ip4/127.0.0.1/tcp/4001", "/ip4/192.168.1.5/tcp/4001"}, []string{"/ip4/192.168.1.5/tcp/4001"}, "192.168.1.5"},
		{[]string{"/ip4/203.0.113.5/tcp/4001", "/ip4/10.8.0.2/tcp/4001", "/ip4/0.0.0.0/tcp/4001/ws"}, nil, ""},
		{[]string{}, nil, ""},
	} {
		texts, ips := office(t, c.listen...).announcement(peerID(t, peerOne))
		var want []string
		for _, a := range c.want {
			want = append(want, "dnsaddr="+a+"/p2p/"+peerOne)
		}
		if !slices.Equal(texts, want) || strings.Join(ips, " ") != c.ip {
			t.Errorf("listening on %q: got %q, %q, want %q, %q", c.listen, texts, ips, want, c.ip)
		}
	}
	var ports []string
	for i := range 20 {
		ports = append(ports, fmt.Sprintf("/ip4/0.0.0.0/tcp/%d", 4001+i))
	}
	texts, _ := office(t, ports...).announcement(peerID(t, peerOne))
	if size := len(strings.Join(texts, "")); len(texts) != maxAnnounce || size > 1200 {
		t.Errorf("got %d strings of %d bytes, want %d that fit into one frame", len(texts), size, maxAnnounce)
	}
}

// Every time that a node thinks it has moved, it announces itself anew to everybody. libp2p lists the same addresses in another order
// each time.
func TestPlaceIsTheSameInAnyOrder(t *testing.T) {
	listen := []string{"/ip4/0.0.0.0/tcp/4001", "/ip4/0.0.0.0/udp/4001/quic-v1", "/ip6/::/tcp/4001", "/ip6/::/udp/4001/quic-v1"}
	first := office(t, listen...).listen
	for range listen {
		listen = append(listen[1:], listen[0])
		if got := office(t, listen...).listen; !slices.Equal(got, first) {
			t.Errorf("got %v, want %v", got, first)
		}
	}
}

// What an announcement may be taken to mean. B68, B69, B71.
func TestAnnouncementsHeard(t *testing.T) {
	const self = "12D3KooWBhMbLvQHgLkmqfCwVrvMnCrCNoDMNhVCcbNFGtNLqKUr"
	at := func(id string, addrs ...string) []string {
		var out []string
		for _, a := range addrs {
			out = append(out, "dnsaddr="+a+"/p2p/"+id)
		}
		return out
	}
	one := func(addrs ...string) []string { return at(peerOne, addrs...) }
	for _, c := range []struct {
		name  string
		texts []string
		want  []string
	}{
		{"a neighbour", one("/ip4/192.168.1.9/udp/4001/quic-v1", "/ip4/192.168.1.9/tcp/4001"), []string{"/ip4/192.168.1.9/tcp/4001", "/ip4/192.168.1.9/udp/4001/quic-v1"}},
		{"a neighbour with IPv6", one("/ip6/fd12:3456::9/tcp/4001"), []string{"/ip6/fd12:3456::9/tcp/4001"}},
		{"a container", one("/ip4/172.17.0.2/tcp/4001"), []string{"/ip4/172.17.0.2/tcp/4001"}},
		{
			"what Kubo says: loopback, a bridge that we have too, public and all", one(
				"/ip4/127.0.0.1/tcp/4003", "/ip4/172.17.0.1/tcp/4003", "/ip4/192.168.1.9/tcp/4001", "/ip4/203.0.113.9/tcp/4001",
				"/ip6/::1/tcp/4001", "/ip6/2001:db8::9/tcp/4001", "/ip4/192.168.1.9/udp/4001/quic-v1/webtransport"),
			[]string{"/ip4/192.168.1.9/tcp/4001"},
		},
		{"the same address twice", one("/ip4/192.168.1.9/tcp/4001", "/ip4/192.168.1.9/tcp/4001"), []string{"/ip4/192.168.1.9/tcp/4001"}},

		{
			"another node on this machine", one("/ip4/127.0.0.1/tcp/4002", "/ip4/192.168.1.5/tcp/4002", "/ip4/172.17.0.1/tcp/4002"),
			[]string{"/ip4/192.168.1.5/tcp/4002", "/ip4/172.17.0.1/tcp/4002", "/ip4/127.0.0.1/tcp/4002"},
		},
		{"another node that listens on loopback only", one("/ip4/127.0.0.1/tcp/4002"), []string{"/ip4/127.0.0.1/tcp/4002"}},
		{"another node on this machine, at a public address", one("/ip4/203.0.113.5/tcp/4002"), nil},
		{"a service of this machine", one("/ip4/127.0.0.1/tcp/22"), nil},
		{"loopback of somebody else", one("/ip4/192.168.1.9/tcp/4001", "/ip4/127.0.0.1/tcp/4001"), []string{"/ip4/192.168.1.9/tcp/4001"}},

		{"B69: self", at(self, "/ip4/192.168.1.9/tcp/4001"), nil},
		{"B69: our own address", one("/ip4/192.168.1.5/tcp/4001"), nil},
		{"B69: our own address through loopback", one("/ip4/127.0.0.1/tcp/4001"), nil},
		{"B69: our own address with QUIC", one("/ip4/192.168.1.5/udp/4001/quic-v1"), nil},
		{"B69: a DNS name", one("/dns4/example.com/tcp/4001"), nil},
		{"B69: a local name", one("/dns4/printer.local/tcp/4001"), nil},
		{"B69: dnsaddr", one("/dnsaddr/example.com"), nil},
		{"B69: a relay", one("/ip4/192.168.1.9/tcp/4001/p2p/" + peerOther + "/p2p-circuit"), nil},
		{"B69: a public address", one("/ip4/198.51.100.1/tcp/4001"), nil},
		{"B69: a public address of our own network", one("/ip4/203.0.113.9/tcp/4001", "/ip6/2001:db8::9/tcp/4001"), nil},
		{"B69: multicast", one("/ip4/224.0.0.251/tcp/4001", "/ip6/ff02::fb/tcp/4001"), nil},
		{"B69: unspecified", one("/ip4/0.0.0.0/tcp/4001", "/ip6/::/tcp/4001"), nil},
		{"B69: broadcast", one("/ip4/255.255.255.255/tcp/4001", "/ip4/192.168.1.255/tcp/4001", "/ip4/192.168.1.0/tcp/4001"), nil},
		{"a private network that is not ours", one("/ip4/10.0.0.1/tcp/4001", "/ip4/192.168.2.9/tcp/4001", "/ip6/fd99::1/tcp/4001"), nil},
		{"the network behind a tunnel", one("/ip4/10.8.0.1/tcp/4001"), nil},
		{"the metadata of a cloud", one("/ip4/169.254.169.254/tcp/80"), nil},
		{"link-local IPv6", one("/ip6/fe80::9/tcp/4001"), nil},
		{"link-local IPv6 with a zone", one("/ip6zone/eth0/ip6/fe80::9/tcp/4001"), nil},
		{"IPv4 in IPv6's clothes", one("/ip6/::ffff:192.168.1.9/tcp/4001"), nil},
		{"port 0", one("/ip4/192.168.1.9/tcp/0"), nil},
		{"plain UDP", one("/ip4/192.168.1.9/udp/4001"), nil},
		{"no transport", one("/ip4/192.168.1.9"), nil},

		{"B68: nothing", nil, nil},
		{"B68: an empty string", []string{""}, nil},
		{"B68: a wrong prefix", []string{"dnsadr=/ip4/192.168.1.9/tcp/4001/p2p/" + peerOne}, nil},
		{"B68: the prefix in capitals", []string{"DNSADDR=/ip4/192.168.1.9/tcp/4001/p2p/" + peerOne}, nil},
		{"B68: the prefix alone", []string{"dnsaddr="}, nil},
		{"B68: no address", []string{"dnsaddr=\x00\xff\x1b[2J"}, nil},
		{"B68: 9,000 bytes of noise around an address", append(one("/ip4/192.168.1.9/tcp/4001"), slices.Repeat([]string{strings.Repeat("x", 255)}, 35)...), []string{"/ip4/192.168.1.9/tcp/4001"}},
		{"B68: more strings than are looked at", append(slices.Repeat([]string{"x"}, maxTexts), one("/ip4/192.168.1.9/tcp/4001")...), nil},
		{"an address without a peer", []string{"dnsaddr=/ip4/192.168.1.9/tcp/4001"}, nil},
		{"a peer without an address", []string{"dnsaddr=/p2p/" + peerOne}, nil},
		{"two peers", append(one("/ip4/192.168.1.9/tcp/4001"), at(peerOther, "/ip4/192.168.1.9/tcp/4001")...), nil},
		{"one address and self's", append(one("/ip4/192.168.1.9/tcp/4001"), at(self, "/ip4/192.168.1.9/tcp/4001")...), nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			info, ok := office(t).hear(peerID(t, self), c.texts)
			if got := texts(info.Addrs); ok != (len(c.want) > 0) || !slices.Equal(got, append([]string{}, c.want...)) {
				t.Errorf("got %q, %v, want %q", got, ok, c.want)
			}
			if ok && info.ID != peerID(t, peerOne) {
				t.Errorf("got peer %v", info.ID)
			}
		})
	}
	var many []string
	for i := range 50 {
		many = append(many, one(fmt.Sprintf("/ip4/192.168.1.%d/tcp/4001", 10+i))...)
	}
	if info, _ := office(t).hear(peerID(t, self), many); len(info.Addrs) != MaxAddrs {
		t.Errorf("of 50 addresses: got %d, want %d", len(info.Addrs), MaxAddrs)
	}
}

// A node that listens on loopback only, as in tests, still does not take itself for a neighbour.
func TestLoopbackNodeDoesNotMeetItself(t *testing.T) {
	p := office(t, "/ip4/127.0.0.1/tcp/4001")
	for a, want := range map[string]bool{
		"/ip4/127.0.0.1/tcp/4001": false, "/ip4/192.168.1.5/tcp/4001": false, "/ip4/127.0.0.1/tcp/4002": true,
	} {
		if _, ok := p.hear(peerID(t, peerOther), []string{"dnsaddr=" + a + "/p2p/" + peerOne}); ok != want {
			t.Errorf("%s: got %v, want %v", a, ok, want)
		}
	}
}

// FuzzHear feeds TXT strings, one a line. Whatever they say, what comes out is one peer at a few unicast addresses of our
// own private networks or of this machine.
func FuzzHear(f *testing.F) {
	f.Add("dnsaddr=/ip4/192.168.1.9/tcp/4001/p2p/" + peerOne + "\ndnsaddr=/ip4/192.168.1.9/udp/4001/quic-v1/p2p/" + peerOne)
	f.Add("dnsaddr=/ip4/127.0.0.1/tcp/4002/p2p/" + peerOne + "\ndnsaddr=/ip4/192.168.1.5/tcp/4002/p2p/" + peerOne)
	f.Add("dnsaddr=/ip6/fd12:3456::9/tcp/4001/p2p/" + peerOne)
	f.Add("dnsaddr=/dns4/example.com/tcp/4001/p2p/" + peerOne)
	f.Add("dnsaddr=/ip4/192.168.1.9/tcp/4001/p2p/" + peerOther + "/p2p-circuit/p2p/" + peerOne)
	f.Add("dnsaddr=/ip4/169.254.169.254/tcp/80/p2p/" + peerOne + "\nnoise\n")
	p := office(f)
	self := peerID(f, peerOther)
	f.Fuzz(func(t *testing.T, lines string) {
		info, ok := p.hear(self, strings.Split(lines, "\n"))
		if !ok {
			return
		}
		if info.ID == self || info.ID == "" || len(info.Addrs) == 0 || len(info.Addrs) > MaxAddrs {
			t.Fatalf("got %v", info)
		}
		for _, a := range info.Addrs {
			checkHeard(t, p, a)
		}
		if _, err := peer.AddrInfoToP2pAddrs(&info); err != nil {
			t.Fatal(err)
		}
	})
}

// checkHeard looks at an address in another way than the code under test does.
func checkHeard(t *testing.T, p *place, a ma.Multiaddr) {
	t.Helper()
	parts := strings.Split(a.String(), "/")
	ip, err := netip.ParseAddr(parts[2])
	if err != nil || parts[4] == "0" || !(len(parts) == 5 && parts[3] == "tcp" || len(parts) == 6 && parts[3] == "udp" && parts[5] == "quic-v1") {
		t.Fatalf("%v is of no shape that is dialled", a)
	}
	near := ip.IsLoopback() || p.own[ip] && ip.IsPrivate()
	for _, network := range []string{"192.168.1.0/24", "172.17.0.0/16", "fd12:3456::/64"} {
		near = near || netip.MustParsePrefix(network).Contains(ip)
	}
	if !near || ip.IsMulticast() || ip.IsUnspecified() || strings.HasSuffix(parts[2], ".255.255") || parts[2] == "192.168.1.255" {
		t.Fatalf("%v is not on a network of ours", a)
	}
	if strings.HasPrefix(a.String(), "/ip4/192.168.1.5/tcp/4001") && len(parts[4]) == 4 {
		t.Fatal("took itself for a neighbour")
	}
}
