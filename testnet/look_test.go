package testnet

import (
	"math"
	"slices"
	"testing"

	"github.com/shoal-p2p/shoal/node"
)

// seen is a node with what it says of one root.
func seen(name string, up, down float64, t ...node.Transfer) Seen {
	s := Seen{Node: Node{Spec: Spec{Name: name, Link: Link{Up: up, Down: down}}, Peer: "peer-" + name}}
	s.status.Transfers = t
	return s
}

func TestLookComparesWithTheBound(t *testing.T) {
	const file = 1000
	give := node.Transfer{CID: "root", Name: "film", Direction: "up"}
	take := func(has int64, rate float64) node.Transfer {
		return node.Transfer{CID: "root", Name: "my copy", Direction: "both", Bytes: has, Total: file, Rate: rate, Sources: []node.Source{
			{Peer: "peer-seed", Rate: rate, Bytes: has}, {Peer: "peer-stranger", Rate: 1},
		}}
	}
	for _, c := range []struct {
		name string
		seed Seen
		down float64 // of the two receivers
		best float64 // bytes a second of both together
	}{
		{"the seeder's uplink binds", seen("seed", 50, 0, give), 0, 2 * 50},
		{"a downlink binds", seen("seed", 500, 0, give), 20, 2 * 20},
		{"all uplinks together bind", seen("seed", 150, 0, give), 0, 150 + 2*40},
	} {
		l := Look{Nodes: []Seen{c.seed, seen("a", 40, c.down, take(200, 30)), seen("b", 40, c.down, take(600, 10))}}
		l.sum([][]node.PeerStatus{{{ID: "peer-a"}}, {{ID: "peer-seed"}, {ID: "peer-b"}}, {{ID: "peer-stranger"}}})
		if len(l.Swarms) != 1 {
			t.Fatalf("%s: swarms %+v, want one", c.name, l.Swarms)
		}
		s := l.Swarms[0]
		if math.Abs(s.Best-c.best) > 1e-9 || s.Rate != 40 || s.Has != 800 || s.Receivers != 2 || s.Name != "film" {
			t.Errorf("%s: %+v, want best %g, rate 40, 800 bytes there of film at 2 receivers", c.name, s, c.best)
		}
		if want := [][2]int{{0, 1}, {1, 2}}; !slices.Equal(l.Pairs, want) {
			t.Errorf("%s: connected are %v, want %v", c.name, l.Pairs, want)
		}
		if want := []Flow{{"seed", "a", "root", 200, 30}, {"seed", "b", "root", 600, 10}}; !slices.Equal(l.Flows, want) {
			t.Errorf("%s: flows %v, want %v", c.name, l.Flows, want)
		}
	}
	free := Look{Nodes: []Seen{seen("seed", 0, 0, give), seen("a", 0, 0, take(200, 30))}}
	if free.sum(make([][]node.PeerStatus, 2)); free.Swarms[0].Best != 0 {
		t.Errorf("without limits the best is %g, want 0: not known", free.Swarms[0].Best)
	}
}
