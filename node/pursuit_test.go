package node

import (
	"slices"
	"strings"
	"testing"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/shoal-p2p/shoal/discovery"
	"github.com/shoal-p2p/shoal/transfer"
)

// The user hears of each change of a peer's state once, and that it had the root even if nobody looked while it was joined.
func TestNewsOfAPeer(t *testing.T) {
	p := &pursuit{told: make(map[peer.ID]transfer.ContactState), gave: make(map[peer.ID]bool)}
	for i, c := range []struct {
		status transfer.PeerStatus
		want   []transfer.ContactState
	}{
		{transfer.PeerStatus{State: transfer.Dialing}, []transfer.ContactState{transfer.Dialing}},
		{transfer.PeerStatus{State: transfer.Dialing}, nil},
		{transfer.PeerStatus{State: transfer.Unreachable, Down: 1}, []transfer.ContactState{transfer.Joined, transfer.Unreachable}},
		{transfer.PeerStatus{State: transfer.Joined, Down: 2}, []transfer.ContactState{transfer.Joined}},
		{transfer.PeerStatus{State: transfer.Unreachable, Down: 3}, []transfer.ContactState{transfer.Unreachable}},
		{transfer.PeerStatus{State: transfer.Dialing, Down: 3}, []transfer.ContactState{transfer.Dialing}},
	} {
		if got := p.news(c.status); !slices.Equal(got, c.want) {
			t.Errorf("look %d at %v with %d bytes: the user hears of %v, want %v", i, c.status.State, c.status.Down, got, c.want)
		}
	}
}

// However a peer was found: that it is relayed is said.
func TestRelayedIsSaid(t *testing.T) {
	for _, route := range []string{discovery.RouteTicket, discovery.RouteRemembered, discovery.RouteExchange, discovery.RouteDHT} {
		c := transfer.PeerStatus{State: transfer.Joined, Relayed: true, Learnt: route == discovery.RouteExchange}
		if m := describe(c, route); !strings.Contains(m, "relayed, limited") {
			t.Errorf("found by %s: %q", route, m)
		}
	}
}
