package node

import (
	"errors"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
)

func TestDHTConfig(t *testing.T) {
	for _, c := range []struct {
		name   string
		config Config
		want   string // in the error; "" for none
	}{
		{"a closed DHT", Config{DHTPrefix: "/acme"}, ""},
		{"as long a name as may be", Config{DHTPrefix: "/" + strings.Repeat("x", maxPrefix-1)}, ""},
		{"longer by one", Config{DHTPrefix: "/" + strings.Repeat("x", maxPrefix)}, "not like /name"},
		{"no slash", Config{DHTPrefix: "acme"}, "not like /name"},
		{"nothing but a slash", Config{DHTPrefix: "/"}, "not like /name"},
		{"control characters", Config{DHTPrefix: "/a\x1b"}, "not like /name"},
		{"the name of IPFS", Config{DHTPrefix: "/ipfs"}, "leave it away"},
		{"IPFS on the internet", Config{Network: Public, Bootstrap: []string{IPFSBootstrap}}, ""},
		{"IPFS on the LAN", Config{Bootstrap: []string{IPFSBootstrap}}, "need the network public"},
		{"bootstrapping in isolation", Config{Network: Isolated, Bootstrap: []string{IPFSBootstrap}}, "isolated"},
		{"a bootstrap address without a peer", Config{Bootstrap: []string{"/ip4/10.0.0.1/tcp/4747"}}, "does not end in /p2p/"},
		{"a bootstrapper in isolation", Config{Network: Isolated, Bootstrapper: true}, "isolated"},
		{"a bootstrapper that is another one each time", Config{Bootstrapper: true, Ephemeral: true}, "by its identity"},
		{"a relay that is another one each time", Config{Network: Public, RelayService: &RelayService{}, Ephemeral: true}, "by its identity"},
		{"a bootstrapper without a DHT", Config{Bootstrapper: true, Switches: Switches{NoDHT: true}}, "switched off"},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.config.Home = "x"
			err := c.config.validate()
			if c.want == "" && err != nil || c.want != "" && (!errors.Is(err, ErrUsage) || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("got %v, want an error of usage with %q", err, c.want)
			}
		})
	}
	// The public network of IPFS has several ways in, and all of them can be named.
	c := Config{Home: "x", Network: Public, Bootstrap: []string{IPFSBootstrap}}
	if addrs := c.bootstrapAddrs(); len(addrs) < 4 || slices.Contains(addrs, IPFSBootstrap) {
		t.Errorf("%q stands for %q", IPFSBootstrap, addrs)
	}
}

// What each DHT believes of addresses.
func TestAddressesOfTheDHTs(t *testing.T) {
	g := newGater(Public)
	g.links.read = func() []netip.Prefix { return prefixes("192.0.2.0/24") }
	for text, want := range map[string][2]bool{ // in the DHT of the local network, in that beyond
		"10.0.0.1": {true, false}, "192.168.1.1": {true, false}, "192.0.2.9": {true, true}, "8.8.8.8": {false, true},
		"127.0.0.1": {}, "169.254.169.254": {}, "0.0.0.0": {}, "224.0.0.1": {}, "255.255.255.255": {}, "100.64.0.1": {true, false},
		"2001:4860:4860::8888": {false, true}, "fd00::1": {true, false}, "::1": {}, "64:ff9b::a00:1": {}, "2002:a00:1::": {},
	} {
		ip := netip.MustParseAddr(text)
		if got := [2]bool{g.usableInLAN(ip), usableBeyond(ip)}; got != want {
			t.Errorf("%s: %v, want %v", ip, got, want)
		}
	}
}

// A node that only this machine can reach has this machine for its local network, but for the system's services.
func TestAddressesOfANodeOnLoopback(t *testing.T) {
	g := newGater(LAN)
	g.inward = true
	some := peer.ID("some")
	for text, want := range map[string][2]bool{ // in its DHT, and to be dialled on its word
		"/ip4/127.0.0.1/tcp/4747": {true, true}, "/ip6/::1/udp/4747/quic-v1": {true, true}, "/ip4/127.0.0.1/tcp/1023": {true, false},
		"/ip4/10.0.0.1/tcp/4747": {false, true}, "/ip4/8.8.8.8/tcp/4747": {},
	} {
		m := multiaddr.StringCast(text)
		ip, _ := ipOf(m)
		if got := [2]bool{g.usableInLAN(ip), g.InterceptAddrDial(some, m)}; got != want {
			t.Errorf("%s: %v, want %v", text, got, want)
		}
	}
	for text, want := range map[string]bool{
		"/ip4/127.0.0.1/tcp/0": true, "/ip4/127.0.0.1/tcp/0 /ip6/::1/udp/0/quic-v1": true, "": false, "/ip4/0.0.0.0/tcp/0": false,
		"/ip4/127.0.0.1/tcp/0 /ip4/10.0.0.1/tcp/0": false,
	} {
		if got := onLoopback(strings.Fields(text)); got != want {
			t.Errorf("a node that listens on %q: %v, want %v", text, got, want)
		}
	}
}

func TestFindWithoutADHT(t *testing.T) {
	n, err := Open(t.Context(), Config{Home: filepath.Join(t.TempDir(), "a"), Network: Isolated, Listen: []string{"/ip4/127.0.0.1/tcp/0"}})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	const root = "bafkreifzjut3te7nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e"
	if _, err := n.Find(t.Context(), FindRequest{Ref: root}, func(Event) {}); !errors.Is(err, ErrNoPeer) {
		t.Errorf("find on the network isolated: %v, want ErrNoPeer", err)
	}
	if _, err := n.Find(t.Context(), FindRequest{Ref: "nonsense"}, func(Event) {}); !errors.Is(err, ErrUsage) {
		t.Errorf("find of nonsense: %v, want ErrUsage", err)
	}
}

// A node is not in its own part of the table, so that of two nobody has told the other one. Then they are asked themselves.
func TestFindAmongTwoNodes(t *testing.T) {
	lan := func(name string, bootstrap ...string) *running {
		return startAs(t, Config{
			Home: filepath.Join(t.TempDir(), name), Listen: []string{"/ip4/127.0.0.1/tcp/0"}, Switches: Switches{NoMDNS: true}, Bootstrap: bootstrap,
		}, func(*Node) {})
	}
	a := lan("a")
	path, _ := a.file("f", 3<<20)
	shared, other := a.share(path), "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy"
	b := lan("b", a.addr())
	told := 0
	found, err := b.Find(t.Context(), FindRequest{Ref: shared.CID}, func(e Event) { told += btoi(e.Kind == "provider") })
	if err != nil || len(found.Providers) != 1 || found.Providers[0].Peer != a.host.ID().String() || found.Providers[0].Route == "" || told != 1 {
		t.Errorf("found %+v, told of %d, %v; want the one who shares it", found, told, err)
	}
	if found, err := b.Find(t.Context(), FindRequest{Ref: other}, ignore); !errors.Is(err, ErrNotFound) {
		t.Errorf("found %+v, %v of what nobody has, want ErrNotFound", found, err)
	}
}
