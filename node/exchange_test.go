package node

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	"github.com/multiformats/go-multiaddr"

	"github.com/shoal-p2p/shoal/discovery"
)

// call is a connection of which only the other end and the direction matter.
type call struct {
	network.Conn
	peer   peer.ID
	remote string
	stats  network.ConnStats
}

func (c call) RemotePeer() peer.ID                  { return c.peer }
func (c call) RemoteMultiaddr() multiaddr.Multiaddr { return multiaddr.StringCast(c.remote) }
func (c call) Stat() network.ConnStats              { return c.stats }

func inbound(p peer.ID, remote string) call {
	c := call{peer: p, remote: remote}
	c.stats.Direction = network.DirInbound
	return c
}

func outbound(p peer.ID, remote string) call {
	c := call{peer: p, remote: remote}
	c.stats.Direction = network.DirOutbound
	return c
}

// listening is an introducer whose machine has the address 192.0.2.1 in a subnet of its own, besides loopback.
func listening(t *testing.T) introducer {
	h := bareHost(t)
	h.gater.links.read = func() []netip.Prefix { return prefixes("192.0.2.0/24", "2001:db8:5::/64") }
	return introducer{h}
}

func stranger(n int) peer.ID { return peer.ID("\x00\x04" + fmt.Sprintf("%04d", n)) }

func addrs(texts ...string) (out []multiaddr.Multiaddr) {
	for _, t := range texts {
		out = append(out, multiaddr.StringCast(t))
	}
	return out
}

func texts(addrs []multiaddr.Multiaddr) (out []string) {
	for _, a := range addrs {
		out = append(out, a.String())
	}
	return out
}

func TestPeersAreToldOnlyWhereTheyAreReached(t *testing.T) {
	i := listening(t)
	p := stranger(1)
	i.host.Peerstore().AddAddrs(p, addrs(
		"/ip4/10.0.0.7/udp/4747/quic-v1", "/ip4/10.0.0.7/tcp/4747", "/ip4/10.0.0.8/tcp/22", "/ip4/127.0.0.1/tcp/4747",
		"/ip4/203.0.113.9/tcp/25", "/dns4/victim.example/tcp/80", "/ip4/10.0.0.7/tcp/4747/ws",
		"/ip4/10.0.0.7/tcp/4747/p2p/12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN/p2p-circuit",
	), time.Hour)
	limited := inbound(p, "/ip4/10.0.0.7/tcp/50123")
	limited.stats.Limited = true
	for name, c := range map[string]struct {
		conn call
		want []string
	}{
		"who called us: what it listens on, where it comes from": {
			inbound(p, "/ip4/10.0.0.7/tcp/50123"), []string{"/ip4/10.0.0.7/tcp/4747", "/ip4/10.0.0.7/udp/4747/quic-v1"},
		},
		"who called us from another address":             {inbound(p, "/ip4/10.0.0.99/tcp/50123"), nil},
		"whom we called: where we did":                   {outbound(p, "/ip4/10.0.0.5/tcp/4747"), []string{"/ip4/10.0.0.5/tcp/4747"}},
		"whom we called by a transport that is not ours": {outbound(p, "/ip4/10.0.0.5/tcp/4747/ws"), nil},
		"who is relayed":                                 {limited, nil},
	} {
		got := texts(i.Reached(c.conn))
		if fmt.Sprint(got) != fmt.Sprint(c.want) {
			t.Errorf("%s: got %v, expected %v", name, got, c.want)
		}
	}
	i.host.gater.hearsay.Add(p, multiaddr.StringCast("/ip4/10.0.0.7/tcp/4747"), false)
	if got := texts(i.Reached(inbound(p, "/ip4/10.0.0.7/tcp/1"))); len(got) != 1 || got[0] != "/ip4/10.0.0.7/udp/4747/quic-v1" {
		t.Errorf("got %v, expected what others say of it left out", got)
	}
}

// An address that is of no use to a peer is not told to it, and not believed from it.
func TestReachOfAddresses(t *testing.T) {
	i := listening(t)
	const lan, loopback, zeroconf, tailnet, onLink, outside = "10.0.0.7", "127.0.0.1", "169.254.3.4", "100.64.0.9", "192.0.2.7", "203.0.113.9"
	all := []string{lan, loopback, zeroconf, tailnet, onLink, outside}
	for addr, use := range map[string][]string{ // by whom
		"/ip4/127.0.0.1/tcp/4747":      {loopback},
		"/ip6/::1/tcp/4747":            {loopback},
		"/ip4/10.9.9.9/tcp/4747":       {loopback, lan, onLink},
		"/ip4/192.168.1.1/tcp/4747":    {loopback, lan, onLink},
		"/ip6/fd12::1/tcp/4747":        {loopback, lan, onLink},
		"/ip4/169.254.7.7/tcp/4747":    {loopback, zeroconf},
		"/ip4/100.99.0.1/tcp/4747":     {loopback, tailnet},
		"/ip4/192.0.2.8/tcp/4747":      all,
		"/ip4/198.51.100.1/tcp/4747":   all,
		"/ip6/fe80::1/tcp/4747":        nil,
		"/ip4/169.254.169.254/tcp/80":  nil,
		"/ip4/100.100.100.200/tcp/80":  nil,
		"/ip6/fd00:ec2::254/tcp/80":    nil,
		"/ip4/0.0.0.0/tcp/4747":        nil,
		"/ip6/::/tcp/4747":             nil,
		"/ip4/224.0.0.251/udp/5353":    nil,
		"/ip4/255.255.255.255/udp/9":   nil,
		"/dns4/example.com/tcp/80":     nil,
		"/ip6/::ffff:127.0.0.1/tcp/80": {loopback},
	} {
		for _, from := range all {
			want := false
			for _, u := range use {
				want = want || u == from
			}
			if got := i.Usable(multiaddr.StringCast(addr), inbound("x", "/ip4/"+from+"/tcp/1")); got != want {
				t.Errorf("%s for a peer from %s: %v, expected %v", addr, from, got, want)
			}
		}
	}
}

// T16, B69, B71: what a hostile teller says never makes us dial the services of this machine, of its cloud or of the internet.
func TestHostileTellersAreNotBelieved(t *testing.T) {
	i := listening(t)
	own := i.host.addrs()[0]
	for n, c := range []struct {
		from, addr string
		want       bool
	}{
		{"10.0.0.66", "/ip4/10.0.0.7/tcp/4747", true},
		{"10.0.0.66", "/ip4/10.0.0.7/udp/4747/quic-v1", true},
		{"10.0.0.66", "/ip4/192.0.2.7/tcp/4747", true}, // on a subnet of ours
		{"10.0.0.66", "/ip4/127.0.0.1/tcp/4747", false},
		{"10.0.0.66", "/ip4/127.8.8.8/tcp/6379", false},
		{"10.0.0.66", "/ip6/::1/tcp/4747", false},
		{"10.0.0.66", "/ip4/169.254.169.254/tcp/80", false},
		{"127.0.0.1", "/ip4/169.254.169.254/tcp/80", false},
		{"169.254.1.1", "/ip4/169.254.169.254/tcp/80", false},
		{"10.0.0.66", "/ip4/169.254.1.1/tcp/4747", false},
		{"169.254.1.2", "/ip4/169.254.1.1/tcp/4747", true},
		{"10.0.0.66", "/ip6/fe80::1/tcp/4747", false},
		{"10.0.0.66", "/ip4/203.0.113.9/tcp/4747", false}, // not on the local network
		{"203.0.113.1", "/ip4/203.0.113.9/tcp/4747", false},
		{"203.0.113.1", "/ip4/10.0.0.7/tcp/4747", false}, // our LAN is none of its business
		{"203.0.113.1", "/ip4/127.0.0.1/tcp/4747", false},
		{"10.0.0.66", "/dns4/victim.example/tcp/4747", false},
		{"10.0.0.66", "/ip4/10.0.0.7/tcp/4747/ws", false},
		{"10.0.0.66", "/ip4/10.0.0.7/udp/53", false},
		{"10.0.0.66", "/ip4/10.0.0.7/tcp/0", false},
		{"10.0.0.66", "/ip4/224.0.0.251/udp/5353/quic-v1", false},
		{"10.0.0.66", "/ip4/0.0.0.0/tcp/4747", false},
		{"127.0.0.1", "/ip4/127.0.0.1/tcp/4747", true},
		{"127.0.0.1", "/ip4/127.0.0.1/tcp/1024", true},
		{"127.0.0.1", "/ip4/127.0.0.1/tcp/1023", false},
		{"127.0.0.1", "/ip4/127.0.0.1/tcp/22", false},
		{"127.0.0.1", own.String(), false},
	} {
		p := stranger(n)
		m := multiaddr.StringCast(c.addr)
		met := i.Meet(inbound("teller", "/ip4/"+c.from+"/tcp/1"), []peer.AddrInfo{{ID: p, Addrs: []multiaddr.Multiaddr{m}}})
		kept := i.host.Peerstore().Addrs(p)
		if (len(met) == 1) != c.want || (len(kept) == 1) != c.want {
			t.Errorf("%s says %s: met %d, kept %v, expected %v", c.from, c.addr, len(met), kept, c.want)
		}
		if c.want && !i.host.gater.InterceptAddrDial(p, m) {
			t.Errorf("%s says %s: believed, but not dialled", c.from, c.addr)
		}
	}
	many := peer.AddrInfo{ID: stranger(1000)}
	for port := range 100 {
		many.Addrs = append(many.Addrs, multiaddr.StringCast(fmt.Sprintf("/ip4/10.0.0.7/tcp/%d", 5000+port)))
	}
	i.Meet(inbound("teller", "/ip4/10.0.0.66/tcp/1"), []peer.AddrInfo{many})
	if n := len(i.host.Peerstore().Addrs(many.ID)); n != maxHeardAddrs {
		t.Errorf("%d addresses of one peer were kept, expected %d", n, maxHeardAddrs)
	}
	self := peer.AddrInfo{ID: i.host.ID(), Addrs: addrs("/ip4/10.0.0.7/tcp/4747")}
	i.host.gater.ban(stranger(1001), time.Hour, nil)
	banned := peer.AddrInfo{ID: stranger(1001), Addrs: addrs("/ip4/10.0.0.7/tcp/4747")}
	if met := i.Meet(inbound("teller", "/ip4/10.0.0.66/tcp/1"), []peer.AddrInfo{self, banned}); len(met) > 0 {
		t.Errorf("met %v, expected neither ourselves nor who is banned", met)
	}
}

// T16: a thousand made-up peers at one address get it dialled three times a minute, whoever names them.
func TestDialsOnHearsayHaveABudget(t *testing.T) {
	i := listening(t)
	now := time.Now()
	i.host.gater.hearsay = discovery.NewHearsay(func() time.Time { return now })
	victim := "/ip4/192.0.2.77/tcp/%d"
	tell := func(from string, n int) {
		i.Meet(inbound("teller", "/ip4/"+from+"/tcp/1"), []peer.AddrInfo{{ID: stranger(n), Addrs: addrs(fmt.Sprintf(victim, n+1))}})
	}
	dials := func() (n int) {
		for k := range 1000 {
			if i.host.gater.InterceptAddrDial(stranger(k), multiaddr.StringCast(fmt.Sprintf(victim, k+1))) {
				n++
			}
		}
		return n
	}
	for n := range 1000 {
		tell(fmt.Sprintf("10.0.%d.66", n%200), n)
	}
	if n := dials() + dials(); n != discovery.MaxHeardDials {
		t.Errorf("dialled %d times, expected %d", n, discovery.MaxHeardDials)
	}
	now = now.Add(time.Minute)
	if n := dials(); n != discovery.MaxHeardDials {
		t.Errorf("dialled %d times in the second minute, expected %d", n, discovery.MaxHeardDials)
	}

	for n, c := range []struct {
		name  string
		speak func(peer.AddrInfo)
	}{
		{"mDNS found it there", func(p peer.AddrInfo) { i.host.Note(discovery.Finding{Info: p, Route: discovery.RouteMDNS}) }},
		{"it was reached there", func(p peer.AddrInfo) {
			i.host.gater.InterceptSecured(network.DirOutbound, p.ID, ends{p.Addrs[0]})
		}},
		{"the user named it", func(p peer.AddrInfo) { i.host.allowNamed(p) }},
	} {
		p := peer.AddrInfo{ID: stranger(n), Addrs: addrs(fmt.Sprintf(victim, n+1))}
		if i.host.gater.InterceptAddrDial(p.ID, p.Addrs[0]) {
			t.Errorf("%s: dialled before that, beyond the budget", c.name)
		}
		c.speak(p)
		for range 10 {
			if !i.host.gater.InterceptAddrDial(p.ID, p.Addrs[0]) {
				t.Fatalf("%s: refused all the same", c.name)
			}
		}
	}
	i.host.Note(discovery.Finding{Info: peer.AddrInfo{ID: stranger(2000), Addrs: addrs("/ip4/192.0.2.77/tcp/2001")}, Route: discovery.RouteMDNS})
	tell("10.0.0.66", 2000)
	if !i.host.gater.InterceptAddrDial(stranger(2000), multiaddr.StringCast("/ip4/192.0.2.77/tcp/2001")) {
		t.Error("an address that was known before became hearsay")
	}
	i.host.Peerstore().AddAddrs(stranger(0), addrs("/ip4/10.9.9.9/tcp/22"), peerstore.RecentlyConnectedAddrTTL)
	tell("10.0.0.66", 0)
	if i.host.gater.InterceptAddrDial(stranger(0), multiaddr.StringCast("/ip4/10.9.9.9/tcp/22")) {
		t.Error("a peer on hearsay was dialled where a DHT put it, unseen")
	}
	tell("192.0.2.77", 2001)
	for range 10 {
		if !i.host.gater.InterceptAddrDial(stranger(2001), multiaddr.StringCast("/ip4/192.0.2.77/tcp/2002")) {
			t.Error("a teller's own address has a budget, but whom would that spare?")
		}
	}
}

// half is a node that shared a file and lost the second half of it, after b has fetched the whole.
func half(t *testing.T, a, b *running) (cid string, data []byte) {
	t.Helper()
	path, data := a.file("big", 16<<20)
	s := a.share(path)
	b.fetch(FetchRequest{Ref: s.CID, Dest: filepath.Join(b.dir, "copy")})
	spoilt := append(append([]byte(nil), data[:8<<20]...), make([]byte, 8<<20)...)
	if err := os.WriteFile(path, spoilt, 0o644); err != nil {
		t.Fatal(err)
	}
	return s.CID, data
}

func exchanging(n *Node) { n.transfer = n.newTransfer(introducer{n.host}) }

// C knows only A, and A can give no more than half: the rest comes from B, of which A tells.
func TestPeersLearnOfEachOtherThroughASeeder(t *testing.T) {
	a := startWith(t, "a", exchanging)
	b, c := startWith(t, "b", exchanging, a), startWith(t, "c", exchanging, a)
	root, data := half(t, a, b)
	to := filepath.Join(c.dir, "copy")
	done := c.fetch(FetchRequest{Ref: root, Dest: to})
	same(t, to, data)
	from := make(map[string]int64)
	for _, x := range done.Sources {
		from[x.Peer] = x.Bytes
	}
	if got := from[b.host.ID().String()]; got < 8<<20 {
		t.Errorf("%d bytes came from the node that was learnt of, expected at least half of the file: %v", got, from)
	}
	peers, err := c.Peers(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range peers {
		if p.ID == b.host.ID().String() && p.Route != "pex" {
			t.Errorf("peer %+v, expected the route pex", p)
		}
	}
}

// An isolated node neither dials whom it hears of nor has itself named.
func TestIsolatedNodesStayOutOfIt(t *testing.T) {
	for name, change := range map[string][2]func(*Node){
		"the one who could be told of": {func(*Node) {}, exchanging},
		"the one who could be told":    {exchanging, func(*Node) {}},
	} {
		t.Run(name, func(t *testing.T) {
			a := startWith(t, "a", exchanging)
			b, c := startWith(t, "b", change[0], a), startWith(t, "c", change[1], a)
			root, _ := half(t, a, b)
			_, err := c.Fetch(t.Context(), FetchRequest{Ref: root, Dest: filepath.Join(c.dir, "copy"), Timeout: 3}, ignore)
			if !errors.Is(err, ErrNoPeer) {
				t.Errorf("fetch ended with %v, expected it to stop at the half that was there", err)
			}
			if got := c.host.Peerstore().Addrs(b.host.ID()); len(got) > 0 {
				t.Errorf("the other one became known at %v", got)
			}
		})
	}
}

// FuzzHearsay takes addresses as a peer or a DHT may send them, and looks at what of them could be dialled.
func FuzzHearsay(f *testing.F) {
	relay := "/p2p/12D3KooWKnDdG3iXw9eTFijk3EWSunZcFi54Zka4wmtqtt6rPxc8/p2p-circuit"
	for _, text := range []string{
		"/ip4/10.0.0.9/tcp/4747", "/ip4/9.9.9.9/udp/4747/quic-v1", "/ip4/9.9.9.9/tcp/4747" + relay, "/ip4/10.0.0.9/tcp/4747" + relay,
		"/ip4/169.254.169.254/tcp/80", "/ip6/::1/tcp/22", "/dns4/example.org/tcp/1", "/ip6/64:ff9b::a9fe:a9fe/tcp/80", "/ip6zone/eth0/ip6/fe80::1/tcp/1",
	} {
		f.Add(multiaddr.StringCast(text).Bytes(), uint8(0))
		f.Add(multiaddr.StringCast(text).Bytes(), uint8(2))
	}
	routes := []string{discovery.RouteExchange, discovery.RouteLANDHT, discovery.RouteDHT}
	h := onPublic(bareHost(f))
	h.outside = newOutside(hostConfig{})
	f.Fuzz(func(t *testing.T, address []byte, route uint8) {
		m, err := multiaddr.NewMultiaddrBytes(address)
		if err != nil {
			return
		}
		info := peer.AddrInfo{ID: stranger(1), Addrs: []multiaddr.Multiaddr{m}}
		h.Peerstore().ClearAddrs(info.ID)
		h.gater.hearsay = discovery.NewHearsay(time.Now)
		if r := routes[int(route)%len(routes)]; r == discovery.RouteExchange {
			introducer{h}.Meet(inbound("teller", "/ip4/10.0.0.66/tcp/1"), []peer.AddrInfo{info})
		} else {
			h.Note(discovery.Finding{Info: info, Route: r})
		}
		for _, a := range h.Peerstore().Addrs(info.ID) {
			ip, ok := ipOf(a)
			if !ok || ip.IsLoopback() || ip.IsUnspecified() || ip.IsMulticast() || within(metadata, ip) || portOf(a) == 0 {
				t.Errorf("%s was taken", a)
			}
			if relayed(a) && (h.gater.local(ip) || !usableBeyond(ip)) {
				t.Errorf("%s was taken, whose relay is not on the internet", a)
			}
		}
	})
}
