package node

import (
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/quic-go/quic-go"
)

// longestTrip is what nobody would wait for. The kernel says more than that when it has measured nothing.
const longestTrip = 10 * time.Second

// roundTrip returns the shortest round trip that a connection has seen; 0 if it has not, or does not say.
func roundTrip(c network.Conn) (trip time.Duration) {
	var q *quic.Conn
	var m *muxConn
	switch {
	case c.As(&q):
		trip = q.ConnectionStats().MinRTT
	case c.As(&m) && m.unsent.wire != nil:
		if p, ok := m.unsent.wire.sending(); ok {
			trip = p.trip
		}
	}
	if trip > longestTrip {
		return 0
	}
	return trip
}
