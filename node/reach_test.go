package node

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/test"
	"github.com/multiformats/go-multiaddr"

	"github.com/shoal-p2p/shoal/discovery"
)

func TestNATOf(t *testing.T) {
	now := time.Now()
	own := []netip.Addr{netip.MustParseAddr("192.168.1.2"), netip.MustParseAddr("11.0.0.9")}
	by := func(ip, at string) sighting {
		return sighting{netip.MustParseAddr(ip), netip.MustParseAddrPort(at), now.Add(-time.Minute)}
	}
	old := by("5.5.5.5", "11.0.0.1:4747")
	old.on = now.Add(-observedFresh - time.Second)
	for name, c := range map[string]struct {
		seen []sighting
		want NAT
	}{
		"nobody":                           {nil, NATUnknown},
		"one":                              {[]sighting{by("1.1.1.1", "11.0.0.1:4747")}, NATUnknown},
		"one, and one long ago":            {[]sighting{by("1.1.1.1", "11.0.0.1:4747"), old}, NATUnknown},
		"two who agree":                    {[]sighting{by("1.1.1.1", "11.0.0.1:9"), by("2.2.2.2", "11.0.0.1:9")}, NATCone},
		"two who do not":                   {[]sighting{by("1.1.1.1", "11.0.0.1:9"), by("2.2.2.2", "11.0.0.1:10")}, NATSymmetric},
		"one liar among those who agree":   {[]sighting{by("6.6.6.6", "9.9.9.9:9"), by("1.1.1.1", "11.0.0.1:9"), by("2.2.2.2", "11.0.0.1:9")}, NATCone},
		"an address of this machine's own": {[]sighting{by("1.1.1.1", "11.0.0.9:4747")}, NATNone},
	} {
		if got := natOf(c.seen, own, now); got != c.want {
			t.Errorf("%s: got %s, want %s", name, got, c.want)
		}
	}
}

func TestSightingsAreBounded(t *testing.T) {
	o := newOutside(hostConfig{})
	for i := range maxObservers + 1 {
		o.note("quic", sighting{by: netip.AddrFrom4([4]byte{1, 1, byte(i >> 8), byte(i)}), on: time.Now()})
	}
	if n := len(o.seen["quic"]); n != maxObservers {
		t.Errorf("%d observers are remembered, want %d", n, maxObservers)
	}
	o.note("quic", o.seen["quic"][0])
	if n := len(o.seen["quic"]); n != maxObservers {
		t.Errorf("who says the same again counts twice: %d", n)
	}
}

// TestPunchesGoWhereTheyMay has a peer that wants our packets sent to all sorts of places.
func TestPunchesGoWhereTheyMay(t *testing.T) {
	g := newGater(Public)
	now := time.Now()
	g.hearsay = discovery.NewHearsay(func() time.Time { return now })
	p := punchable{g}
	const id = "/p2p/12D3KooWGRUVh7vKPYyJEMq1wyL6yYZE5P6FQXCqYcnMFwPqdTQv"
	ask := func(addrs ...string) []string {
		var in []multiaddr.Multiaddr
		for _, a := range addrs {
			in = append(in, multiaddr.StringCast(a))
		}
		return textsOf(p.FilterRemote("", in))
	}
	got := ask("/ip4/127.0.0.1/tcp/22", "/ip4/192.168.1.1/tcp/80", "/ip4/169.254.169.254/tcp/80", "/dns4/example.com/tcp/80",
		"/ip4/11.0.0.1/tcp/1"+id+"/p2p-circuit", "/ip4/11.0.0.1/tcp/4747", "/ip4/11.0.0.1/udp/4747/quic-v1",
		"/ip6/2600::1/tcp/4747", "/ip4/11.0.0.3/tcp/4747")
	if want := "/ip4/11.0.0.1/tcp/4747 /ip4/11.0.0.1/udp/4747/quic-v1 /ip6/2600::1/tcp/4747"; strings.Join(got, " ") != want {
		t.Errorf("may be dialled: %q\nwant            %q", got, want)
	}
	for i := 2; i <= discovery.MaxHeardDials; i++ {
		if len(ask("/ip4/11.0.0.1/tcp/4747")) != 1 {
			t.Errorf("attempt %d of a minute is refused", i)
		}
	}
	if got := ask("/ip4/11.0.0.1/tcp/4747"); got != nil {
		t.Errorf("attempt %d of a minute may go to %q", discovery.MaxHeardDials+1, got)
	}
	now = now.Add(time.Minute)
	var many []string
	for port := range maxPunchAddrs + 1 {
		many = append(many, fmt.Sprintf("/ip4/11.0.0.1/tcp/%d", port+1))
	}
	if got := ask(many...); len(got) != maxPunchAddrs {
		t.Errorf("of %d addresses %d may be dialled, want %d", len(many), len(got), maxPunchAddrs)
	}
}

func TestSmallRelaysAreUsedOnce(t *testing.T) {
	o := newOutside(hostConfig{})
	reach := func() Reach { return Reach{TCP: NATSymmetric, UDP: NATSymmetric} }
	for range 2 {
		if err := o.mayUse("a", 0, reach); err != nil {
			t.Errorf("without a limit: %v", err)
		}
		if err := o.mayUse("a", worthwhile, reach); err != nil {
			t.Errorf("with room for a chunk: %v", err)
		}
	}
	if err := o.mayUse("a", worthwhile-1, reach); err != nil {
		t.Errorf("the first time, for a small file: %v", err)
	}
	err := o.mayUse("a", worthwhile-1, reach)
	if err == nil || !strings.Contains(err.Error(), "symmetric") {
		t.Errorf("the second time there is %v, which should name the NAT", err)
	}
	if err := o.mayUse("b", worthwhile-1, reach); err != nil {
		t.Errorf("another peer: %v", err)
	}
}

func TestRelayServiceLimits(t *testing.T) {
	for _, r := range []RelayService{
		{Reservations: -1},
		{Reservations: maxConnsInbound/2 + 1},
		{Circuits: maxPeerStreams + 1},
		{Duration: time.Millisecond},
		{Data: leastRelayData - 1},
		{Allow: []string{"nobody"}},
	} {
		if err := r.validate(); err == nil {
			t.Errorf("%+v is accepted", r)
		}
	}
	for _, r := range []RelayService{{}, {Reservations: maxConnsInbound / 2, Circuits: maxPeerStreams, Duration: time.Second, Data: leastRelayData}} {
		if err := r.validate(); err != nil {
			t.Errorf("%+v: %v", r, err)
		}
	}
	if err := (&Config{Home: t.TempDir(), RelayService: &RelayService{}}).validate(); err == nil {
		t.Error("there is a relay on the network lan")
	}
}

// TestRelayAllowList asks a relay for a place that it keeps for another.
func TestRelayAllowList(t *testing.T) {
	friend, other := test.RandPeerIDFatal(t), test.RandPeerIDFatal(t)
	acl := relayFor{friend}
	if !acl.AllowReserve(friend, nil) || acl.AllowReserve(other, nil) {
		t.Error("a place is for those on the list, and for nobody else")
	}
	if !acl.AllowConnect(other, nil, friend) || acl.AllowConnect(friend, nil, other) {
		t.Error("anybody may speak to those on the list, and to nobody else")
	}
}
