package node

import (
	"errors"
	"testing"
	"time"

	"github.com/multiformats/go-multiaddr"

	"github.com/shoal-p2p/shoal/discovery"
	"github.com/shoal-p2p/shoal/transfer"
)

func TestOnLAN(t *testing.T) {
	g := testGater()
	const relay = "/p2p/12D3KooWGRUVh7vKPYyJEMq1wyL6yYZE5P6FQXCqYcnMFwPqdTQv/p2p-circuit"
	for addr, want := range map[string]bool{
		"/ip4/10.1.2.3/tcp/1":         true,
		"/ip4/192.168.1.2/udp/1":      true,
		"/ip4/169.254.7.7/tcp/1":      true,
		"/ip4/127.0.0.1/tcp/1":        true,
		"/ip4/192.0.2.77/tcp/1":       true,  // on one of our own subnets
		"/ip4/100.64.0.1/tcp/1":       false, // a carrier's network, or an overlay that may span the world
		"/ip4/8.8.8.8/tcp/1":          false,
		"/ip6/fd12:3456::1/tcp/1":     true,
		"/ip6/fe80::1/tcp/1":          true,
		"/ip6/2001:db8:5::99/tcp/1":   true,
		"/ip6/2606:4700::1111/tcp/1":  false,
		"/ip4/10.1.2.3/tcp/1" + relay: false, // the relay is near; who is behind it may not be
		"/dns4/example.com/tcp/1":     false,
	} {
		if got := g.onLAN(ends{multiaddr.StringCast(addr)}); got != want {
			t.Errorf("%s: on the local network %v, expected %v", addr, got, want)
		}
	}
}

func TestRatesAreChecked(t *testing.T) {
	for r, ok := range map[Rates]bool{
		{}: true, {Up: LeastRate}: true, {Up: LeastRate - 1}: false, {Down: 1}: false, {PeerUp: -1}: false, {PeerDown: 1000}: false,
		{Up: 1 << 20, Down: 1 << 20, PeerUp: 1 << 20, PeerDown: 1 << 20, ExemptLAN: true}: true,
	} {
		if err := r.validate(); (err == nil) != ok || err != nil && !errors.Is(err, ErrUsage) {
			t.Errorf("%+v: %v", r, err)
		}
	}
}

// With a low rate a chunk takes longer than a request's patience. As long as bytes of it come, nobody has fallen silent.
func TestBytesOfAChunkAreProgress(t *testing.T) {
	start := time.Unix(1e9, 0)
	for _, comes := range []bool{true, false} {
		p := &pursuit{
			n: &Node{}, search: discovery.NewFinder(discovery.FinderConfig{}).Search(discovery.Query{}),
			options: pursuitOptions{Patience: DefaultPatience, Emit: func(Event) {}}, moved: start, reminded: start,
		}
		var err error
		s := transfer.Status{Joined: 1, Came: 1000}
		for i := 0; i < 300 && err == nil; i++ {
			if comes {
				s.Came += 1000
			}
			err = p.judge(s, start.Add(time.Duration(i)*time.Second))
		}
		if gaveUp := errors.Is(err, ErrNoPeer); gaveUp == comes {
			t.Errorf("bytes come: %v; judged %v", comes, err)
		}
	}
}
