package discovery

import (
	"net/netip"
	"time"
)

// turnstile lets in so many packets a second of one address, and of all: to take a packet apart costs far more than to throw it
// away, and whoever floods must not keep others from being heard.
type turnstile struct {
	until time.Time
	all   int
	from  map[netip.Addr]int
}

func (t *turnstile) admit(now time.Time, from netip.Addr) bool {
	if !now.Before(t.until) {
		t.until, t.all, t.from = now.Add(time.Second), 0, make(map[netip.Addr]int)
	}
	if t.all >= maxPackets || t.from[from] >= maxPacketsFrom {
		return false
	}
	t.all++
	t.from[from]++
	return true
}
