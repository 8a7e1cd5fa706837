package node

import (
	"testing"
	"time"
)

// Both transports say how long a round trip takes.
func TestRoundTrip(t *testing.T) {
	for name, listen := range map[string]string{"TCP": "/ip4/127.0.0.1/tcp/0", "QUIC": "/ip4/127.0.0.1/udp/0/quic-v1"} {
		a, err := openHost(t, listen)
		if err != nil {
			t.Fatal(err)
		}
		b, err := openHost(t, listen)
		if err != nil {
			t.Fatal(err)
		}
		c := link(t, a, b)
		if trip := roundTrip(c); trip <= 0 || trip > 5*time.Second {
			t.Errorf("%s: %v", name, trip)
		}
	}
}
