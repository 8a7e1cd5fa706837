package transfer

import (
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
)

// Both sides of a link look how long a round trip takes, and look again while chunks go over it.
func TestRoundTripsAreMeasured(t *testing.T) {
	inWorld(t, func(w *world) {
		a, b := w.member("a"), w.member("b")
		looks := make(chan peer.ID, 1000)
		for _, m := range []*member{a, b} {
			m.trip = func(c network.Conn) time.Duration {
				looks <- c.RemotePeer()
				return 100 * time.Millisecond
			}
		}
		tree := a.put(t, 512*mib, 1)
		began := time.Now()
		w.fetch(b, tree.Root, a.host).must(t, time.Minute)
		seconds := int(time.Since(began) / tripAgain)
		at := map[peer.ID]int{}
		for len(looks) > 0 {
			at[<-looks]++
		}
		for _, h := range []*pipeHost{a.host, b.host} {
			if n := at[h.id]; n < 1+seconds/2 || n > 2+seconds {
				t.Errorf("it was looked %d times how far %s is, in %d s", n, h.id, seconds)
			}
		}
	})
}
