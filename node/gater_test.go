package node

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	"github.com/multiformats/go-multiaddr"
)

// testGater believes that this machine has a foot in a documentation network and in a global IPv6 one, besides loopback.
func testGater() *gater {
	g := newGater(LAN)
	g.links.read = func() []netip.Prefix {
		return prefixes("192.0.2.0/24", "2001:db8:5::/64", "127.0.0.0/8", "::1/128")
	}
	return g
}

// ends is a connection of which only the far address matters.
type ends struct{ remote multiaddr.Multiaddr }

func (e ends) LocalMultiaddr() multiaddr.Multiaddr  { return nil }
func (e ends) RemoteMultiaddr() multiaddr.Multiaddr { return e.remote }

func TestGaterByAddress(t *testing.T) {
	const port = "/tcp/4747"
	tests := []struct {
		addr         string
		dial, accept bool // on hearsay
	}{
		{"/ip4/10.1.2.3", true, true},
		{"/ip4/172.16.0.1", true, true},
		{"/ip4/172.31.255.255", true, true},
		{"/ip4/172.32.0.1", false, false},
		{"/ip4/192.168.178.2", true, true},
		{"/ip4/192.169.0.1", false, false},
		{"/ip4/100.64.0.1", true, true},
		{"/ip4/100.127.255.254", true, true},
		{"/ip4/100.128.0.1", false, false},
		{"/ip4/169.254.7.7", true, true},
		{"/ip4/169.254.169.254", false, true}, // a metadata service does not call us
		{"/ip4/100.100.100.200", false, true},
		{"/ip4/127.0.0.1", false, true},
		{"/ip4/127.9.9.9", false, true},
		{"/ip4/8.8.8.8", false, false},
		{"/ip4/0.0.0.0", false, false},
		{"/ip4/255.255.255.255", false, false},
		{"/ip4/224.0.0.251", false, false},
		{"/ip4/192.0.2.77", true, true}, // on one of our own subnets
		{"/ip4/198.51.100.1", false, false},
		{"/ip4/203.0.113.1", false, false},
		{"/ip6/::1", false, true},
		{"/ip6/::", false, false},
		{"/ip6/fe80::1", true, true},
		{"/ip6zone/eth0/ip6/fe80::1", true, true},
		{"/ip6/fd12:3456::1", true, true},
		{"/ip6/fd00:ec2::254", false, true},
		{"/ip6/2001:db8:5::99", true, true},
		{"/ip6/2001:db8:6::99", false, false},
		{"/ip6/2606:4700::1111", false, false},
		{"/ip6/ff02::fb", false, false},
		{"/ip6/::ffff:8.8.8.8", false, false},
		{"/ip6/::ffff:10.0.0.1", true, true},
		{"/ip6/::ffff:127.0.0.1", false, true},
		{"/ip6/64:ff9b::808:808", false, false}, // IPv4 behind a translator
		{"/dns4/example.com", false, false},
		{"/unix/tmp", false, false},
	}
	for _, test := range tests {
		text := test.addr + port
		if strings.HasPrefix(test.addr, "/unix") {
			text = test.addr
		}
		m := multiaddr.StringCast(text)
		g, p, other := testGater(), newID(t), newID(t)
		check := func(when string, got, want bool) {
			t.Helper()
			if got != want {
				t.Errorf("%s: %s is %v, expected %v", text, when, got, want)
			}
		}
		check("dial", g.InterceptAddrDial(p, m), test.dial)
		check("accept", g.InterceptAccept(ends{m}), test.accept)
		check("accept, secured", g.InterceptSecured(network.DirInbound, p, ends{m}), test.accept)
		if strings.HasPrefix(test.addr, "/ip") {
			g.name(peer.AddrInfo{ID: p, Addrs: []multiaddr.Multiaddr{m}})
			from := multiaddr.StringCast(test.addr + "/tcp/55555") // who dials us does so from any port
			check("dial, named", g.InterceptAddrDial(p, m), true)
			check("dial, named for another peer", g.InterceptAddrDial(other, m), test.dial)
			check("dial, named with another port", g.InterceptAddrDial(p, from), test.dial)
			check("accept, named", g.InterceptAccept(ends{from}), true)
			check("accept, secured, named", g.InterceptSecured(network.DirInbound, p, ends{from}), true)
			check("accept, secured, another peer", g.InterceptSecured(network.DirInbound, other, ends{from}), test.accept)
		}
		g.ban(p, time.Minute, nil)
		check("dial to a banned peer", g.InterceptPeerDial(p), false)
		check("banned peer, inbound", g.InterceptSecured(network.DirInbound, p, ends{m}), false)
		check("banned peer, outbound", g.InterceptSecured(network.DirOutbound, p, ends{m}), false)
	}
}

func TestGaterNamesWithPeerID(t *testing.T) {
	g, p := testGater(), newID(t)
	bare := multiaddr.StringCast("/ip4/8.8.8.8/tcp/1")
	g.name(peer.AddrInfo{ID: p, Addrs: []multiaddr.Multiaddr{multiaddr.StringCast("/ip4/8.8.8.8/tcp/1/p2p/" + p.String()), nil, multiaddr.StringCast("/p2p/" + p.String())}})
	if !g.InterceptAddrDial(p, bare) {
		t.Error("an address that was typed with /p2p is refused without it")
	}
}

func TestGaterForgetsTheOldestNames(t *testing.T) {
	g, p := testGater(), newID(t)
	addr := func(i int) multiaddr.Multiaddr {
		return multiaddr.StringCast(fmt.Sprintf("/ip4/8.8.%d.%d/tcp/1", i>>8, i&255))
	}
	for i := range maxNamed + 10 {
		g.name(peer.AddrInfo{ID: p, Addrs: []multiaddr.Multiaddr{addr(i)}})
	}
	if len(g.order) != maxNamed || len(g.named[p]) != maxNamed || len(g.hosts) != maxNamed {
		t.Errorf("%d, %d and %d names are kept, expected %d", len(g.order), len(g.named[p]), len(g.hosts), maxNamed)
	}
	if g.InterceptAddrDial(p, addr(9)) || !g.InterceptAddrDial(p, addr(10)) || !g.InterceptAddrDial(p, addr(maxNamed+9)) {
		t.Error("the names that went are not the oldest")
	}
}

func TestGaterBansEnd(t *testing.T) {
	g, p := testGater(), newID(t)
	now := time.Now()
	g.now = func() time.Time { return now }
	g.ban(p, time.Hour, nil)
	now = now.Add(time.Hour - time.Second)
	if g.InterceptPeerDial(p) {
		t.Error("the ban ended early")
	}
	now = now.Add(time.Second)
	if !g.InterceptPeerDial(p) {
		t.Error("the ban did not end")
	}
}

func TestGaterKeepsTheLongestBans(t *testing.T) {
	g := testGater()
	ids := make([]peer.ID, maxBanned+5)
	for i := range ids {
		ids[i] = peer.ID(fmt.Sprint("peer", i))
		g.ban(ids[i], time.Hour+time.Duration(i)*time.Second, nil)
	}
	if len(g.banned) != maxBanned {
		t.Errorf("%d bans are kept, expected %d", len(g.banned), maxBanned)
	}
	if !g.InterceptPeerDial(ids[4]) || g.InterceptPeerDial(ids[5]) || g.InterceptPeerDial(ids[len(ids)-1]) {
		t.Error("the bans that were lifted are not those that end first")
	}
}

func TestGaterShunsAnAddressOfManyBannedPeers(t *testing.T) {
	g := testGater()
	bad, loop := netip.MustParseAddr("10.0.0.66"), netip.MustParseAddr("127.0.0.1")
	m, fine := multiaddr.StringCast("/ip4/10.0.0.66/tcp/4747"), multiaddr.StringCast("/ip4/10.0.0.67/tcp/4747")
	same := newID(t)
	for range 2 * maxStrikes { // one peer counts once
		g.ban(same, time.Hour, []netip.Addr{bad, loop})
	}
	for range maxStrikes - 2 {
		g.ban(newID(t), time.Hour, []netip.Addr{bad, loop})
	}
	if !g.InterceptAccept(ends{m}) {
		t.Fatalf("refused after %d banned peers", maxStrikes-1)
	}
	g.ban(newID(t), time.Hour, []netip.Addr{bad, loop})
	p := newID(t)
	if g.InterceptAccept(ends{m}) || g.InterceptAddrDial(p, m) || g.InterceptSecured(network.DirInbound, p, ends{m}) {
		t.Errorf("not refused after %d banned peers", maxStrikes)
	}
	if !g.InterceptAccept(ends{fine}) || !g.InterceptAccept(ends{multiaddr.StringCast("/ip4/127.0.0.1/tcp/1")}) {
		t.Error("a neighbour and loopback are refused with it")
	}
	g.name(peer.AddrInfo{ID: p, Addrs: []multiaddr.Multiaddr{m}})
	if !g.InterceptAddrDial(p, m) || !g.InterceptAccept(ends{m}) || !g.InterceptSecured(network.DirInbound, p, ends{m}) {
		t.Error("the user named the address, and still it is refused")
	}
	if g.InterceptSecured(network.DirInbound, newID(t), ends{m}) {
		t.Error("another peer comes in by the address that the user named for one")
	}
}

// B78: a ticket may be written by anybody.
func TestTicketAddresses(t *testing.T) {
	h := &netHost{gater: testGater()}
	p := newID(t)
	for text, want := range map[string]bool{
		"/ip4/127.0.0.1/tcp/4747":         true, // the demo on a machine without a network
		"/ip6/::1/udp/40000/quic-v1":      true,
		"/ip4/8.8.8.8/tcp/4747":           true,
		"/ip4/192.168.1.1/tcp/80":         true,
		"/ip4/127.0.0.1/tcp/22":           false,
		"/ip4/127.0.0.1/udp/53/quic-v1":   false,
		"/ip6/::1/tcp/1023":               false,
		"/ip4/169.254.169.254/tcp/80":     false,
		"/ip4/169.254.169.254/tcp/4747":   false,
		"/ip6/fd00:ec2::254/tcp/4747":     false,
		"/ip6/::ffff:127.0.0.1/tcp/22":    false,
		"/ip6/::ffff:169.254.169.254/tcp": false,
	} {
		if strings.HasSuffix(text, "/tcp") {
			text += "/80"
		}
		m := multiaddr.StringCast(text)
		h.allowTicket(peer.AddrInfo{ID: p, Addrs: []multiaddr.Multiaddr{m}})
		if got := h.gater.InterceptAddrDial(p, m); got != want {
			t.Errorf("%s in a ticket is dialled: %v, expected %v", text, got, want)
		}
		h.allowNamed(peer.AddrInfo{ID: p, Addrs: []multiaddr.Multiaddr{m}})
		if !h.gater.InterceptAddrDial(p, m) {
			t.Errorf("%s is refused although the user typed it", text)
		}
	}
}

// fakeDNS answers everything with one address and remembers what it was asked.
type fakeDNS struct {
	asked  []string
	answer multiaddr.Multiaddr
}

func (d *fakeDNS) ResolveDNSAddr(_ context.Context, _ peer.ID, m multiaddr.Multiaddr, _, _ int) ([]multiaddr.Multiaddr, error) {
	return d.ResolveDNSComponent(context.Background(), m, 1)
}

func (d *fakeDNS) ResolveDNSComponent(_ context.Context, m multiaddr.Multiaddr, _ int) ([]multiaddr.Multiaddr, error) {
	d.asked = append(d.asked, m.String())
	return []multiaddr.Multiaddr{d.answer}, nil
}

func TestNamesAreLookedUpOnlyForTheUser(t *testing.T) {
	g, p, other := testGater(), newID(t), newID(t)
	dns := &fakeDNS{answer: multiaddr.StringCast("/ip4/8.8.8.8/tcp/4747")}
	r := resolver{gater: g, dns: dns}
	name, dnsaddr := multiaddr.StringCast("/dns4/box.example/tcp/4747"), multiaddr.StringCast("/dnsaddr/box.example")
	for _, look := range []func() ([]multiaddr.Multiaddr, error){
		func() ([]multiaddr.Multiaddr, error) { return r.ResolveDNSComponent(t.Context(), name, 10) },
		func() ([]multiaddr.Multiaddr, error) { return r.ResolveDNSAddr(t.Context(), p, dnsaddr, 3, 10) },
	} {
		if found, err := look(); !errors.Is(err, errHearsay) || len(found) > 0 {
			t.Errorf("a name on hearsay: %v, %v, expected %v", found, err, errHearsay)
		}
	}
	if len(dns.asked) > 0 {
		t.Fatalf("the network was asked for %v", dns.asked)
	}
	g.name(peer.AddrInfo{ID: p, Addrs: []multiaddr.Multiaddr{name}})
	found, err := r.ResolveDNSComponent(t.Context(), name, 10)
	if err != nil || !slices.EqualFunc(found, []multiaddr.Multiaddr{dns.answer}, multiaddr.Multiaddr.Equal) {
		t.Fatalf("a name that was typed: %v, %v", found, err)
	}
	if !g.InterceptAddrDial(p, dns.answer) {
		t.Error("what the name stands for is refused")
	}
	if g.InterceptAddrDial(other, dns.answer) {
		t.Error("what the name stands for is dialled for another peer")
	}
}

func TestLinksAreReadAgain(t *testing.T) {
	reads := 0
	l := links{read: func() []netip.Prefix { reads++; return prefixes("192.0.2.0/24") }}
	for range 1000 {
		l.contain(netip.MustParseAddr("8.8.8.8"))
	}
	if reads > 2 {
		t.Errorf("the interfaces were read %d times for a flood of addresses", reads)
	}
	l.until = time.Now().Add(-time.Second)
	if !l.contain(netip.MustParseAddr("192.0.2.1")) || reads < 2 {
		t.Error("the interfaces are not read again")
	}
}

// B71, B77: whoever gives us a peer's ID with somebody else's address wastes one dial, and the right address still works.
func TestWrongAddressForAPeer(t *testing.T) {
	a, b, victim := bareHost(t), bareHost(t), bareHost(t)
	wrong, right := b.addrs(), victim.addrs()

	info := peer.AddrInfo{ID: victim.ID(), Addrs: wrong}
	a.allowTicket(info)
	err := a.Connect(t.Context(), info)
	if err == nil || !strings.Contains(err.Error(), "peer id mismatch") {
		t.Fatalf("error %v, expected a mismatch", err)
	}
	if n := len(a.Network().Conns()); n != 0 {
		t.Fatalf("%d connections are left", n)
	}
	a.Peerstore().AddAddrs(victim.ID(), append(slices.Clone(wrong), right...), peerstore.TempAddrTTL)
	a.allowTicket(peer.AddrInfo{ID: victim.ID(), Addrs: right})
	if err := a.Connect(t.Context(), peer.AddrInfo{ID: victim.ID()}); err != nil {
		t.Fatalf("with the right address among them: %v", err)
	}
}

func TestBannedPeersAreGoneAndStayAway(t *testing.T) {
	a, b := bareHost(t), bareHost(t)
	toA, toB := peer.AddrInfo{ID: a.ID(), Addrs: a.addrs()}, peer.AddrInfo{ID: b.ID(), Addrs: b.addrs()}
	a.allowNamed(toB)
	b.allowNamed(toA)
	if err := b.Connect(t.Context(), toA); err != nil {
		t.Fatal(err)
	}
	a.ban(b.ID(), time.Hour)
	if a.Network().Connectedness(b.ID()) == network.Connected {
		t.Error("the banned peer is still connected")
	}
	if err := a.Connect(t.Context(), toB); err == nil {
		t.Error("we dialled a banned peer")
	}
	b.Network().ClosePeer(a.ID())
	c, err := b.Network().DialPeer(t.Context(), a.ID())
	if err == nil { // the refusal may come after the dialler's side of the handshake
		if _, err = c.NewStream(t.Context()); err == nil {
			waitFor(t, "the banned peer's connection to end", c.IsClosed)
		}
	}
	if a.Network().Connectedness(b.ID()) == network.Connected {
		t.Error("a banned peer came back")
	}
}

// A peer that others speak of cannot lead us to the services of this machine.
func TestLoopbackOnHearsayIsNotDialled(t *testing.T) {
	a, b := bareHost(t), bareHost(t)
	a.gater.inward = false // as one that other machines can reach
	err := a.Connect(t.Context(), peer.AddrInfo{ID: b.ID(), Addrs: b.addrs()})
	if err == nil || !strings.Contains(err.Error(), "gater") {
		t.Fatalf("error %v, expected the gater's refusal", err)
	}
}

func newID(t testing.TB) peer.ID {
	t.Helper()
	_, public, err := crypto.GenerateEd25519Key(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	id, err := peer.IDFromPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// waitFor looks until done says true: for what libp2p does in goroutines of its own and tells nobody.
func waitFor(t testing.TB, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// TestPublicNetwork lets public addresses in and out, and nothing else that lan refuses.
func TestPublicNetwork(t *testing.T) {
	g := newGater(Public)
	g.links.read = func() []netip.Prefix { return nil }
	p := newID(t)
	for addr, want := range map[string]bool{
		"/ip4/8.8.8.8/tcp/4747": true, "/ip6/2001:4860:4860::8888/udp/4747/quic-v1": true, "/ip4/192.168.1.7/tcp/4747": true,
		"/ip4/127.0.0.1/tcp/4747": false, "/ip4/169.254.169.254/tcp/80": false, "/ip4/0.0.0.0/tcp/4747": false,
		"/ip4/224.0.0.251/udp/4747/quic-v1": false, "/ip4/255.255.255.255/tcp/4747": false, "/dns4/example.org/tcp/4747": false,
	} {
		m := multiaddr.StringCast(addr)
		if got := g.InterceptAddrDial(p, m); got != want {
			t.Errorf("may dial %s: %v, want %v", addr, got, want)
		}
	}
	if !g.mayAccept(netip.MustParseAddr("8.8.8.8")) || newGater(LAN).mayAccept(netip.MustParseAddr("8.8.8.8")) {
		t.Error("a public address may come in on the public network, and only there")
	}
}
