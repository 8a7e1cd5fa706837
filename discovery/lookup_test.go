package discovery

import (
	"sync/atomic"
	"testing"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/routing"
)

// TestHopsAreTheLongestChain has a look-up ask two neighbours. One names the other, which is no longer way for that, and a chain of
// three begins at the second.
func TestHopsAreTheLongestChain(t *testing.T) {
	l := Lookup{Asked: new(atomic.Int64), Hops: new(atomic.Int64)}
	before := distances{"a": 0, "b": 0}
	ask := func(id peer.ID, want int64, names ...peer.ID) {
		t.Helper()
		l.count(&routing.QueryEvent{Type: routing.SendingQuery, ID: id}, before)
		if got := l.Hops.Load(); got != want {
			t.Errorf("after %s was asked there are %d hops, want %d", id, got, want)
		}
		var closer []*peer.AddrInfo
		for _, name := range names {
			closer = append(closer, &peer.AddrInfo{ID: name})
		}
		l.count(&routing.QueryEvent{Type: routing.PeerResponse, ID: id, Responses: closer}, before)
	}
	ask("a", 1, "b")
	ask("b", 1, "c", "a")
	ask("c", 2, "d")
	ask("d", 3, "c")
	ask("stranger", 3)
	if l.Asked.Load() != 5 {
		t.Errorf("%d were asked, want 5", l.Asked.Load())
	}
}
