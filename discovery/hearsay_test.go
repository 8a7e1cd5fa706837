package discovery

import (
	"net/netip"
	"testing"
	"time"

	ma "github.com/multiformats/go-multiaddr"
)

func TestHearsayIsBounded(t *testing.T) {
	now := time.Now()
	h := NewHearsay(func() time.Time { return now })
	m := ma.StringCast("/ip4/10.0.0.7/tcp/4747")
	for n := range maxHeard {
		if !h.Add(someone(n).ID, m, false) {
			t.Fatalf("address %d is refused", n)
		}
	}
	if h.Add("one more", m, false) || !h.Add(someone(0).ID, m, false) {
		t.Error("expected new ones refused and known ones refreshed")
	}
	for n := range maxHeard + 10 {
		ip := netip.AddrFrom4([4]byte{10, 1, byte(n >> 8), byte(n)})
		if got := h.Spend(ip); got != (n < maxHeard) {
			t.Fatalf("dial to address %d: %v", n, got)
		}
	}
	now = now.Add(HearsayFresh)
	if !h.Add("one more", m, false) || len(h.addrs) != 1 {
		t.Errorf("%d addresses after their time", len(h.addrs))
	}
	if !h.Spend(netip.MustParseAddr("10.2.0.0")) || len(h.dials) != 1 {
		t.Errorf("%d tallies after their minute", len(h.dials))
	}
}
