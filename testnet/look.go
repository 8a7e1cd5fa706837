package testnet

import (
	"cmp"
	"context"
	"math"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/shoal-p2p/shoal/node"
)

// Look is a network at one moment.
type Look struct {
	Ground string     `json:"ground"`
	Age    float64    `json:"age"`             // seconds since it was put up
	Sides  [][]string `json:"sides,omitempty"` // of a partition; whom none names is together on another
	Nodes  []Seen     `json:"nodes"`
	Flows  []Flow     `json:"flows,omitempty"`  // the fastest first
	Swarms []Swarm    `json:"swarms,omitempty"` // one for each root that is being fetched
	Pairs  [][2]int   `json:"pairs,omitempty"`  // nodes that are connected, as places in Nodes, the lesser one first
}

// Seen is one node at one moment.
type Seen struct {
	Node
	Peers    int     `json:"peers"`    // connected, those of other networks included
	Received int64   `json:"received"` // bytes of content since it runs
	Sent     int64   `json:"sent"`
	Down     float64 `json:"down"`   // bytes of content a second
	Up       float64 `json:"up"`     // the same, of what it gives
	Memory   int64   `json:"memory"` // bytes

	status node.Status
}

// Flow is what one node gives another of a root just now.
type Flow struct {
	From  string  `json:"from"`
	To    string  `json:"to"`
	CID   string  `json:"cid"`
	Bytes int64   `json:"bytes"` // in this transfer so far
	Rate  float64 `json:"rate"`  // bytes a second
}

// Swarm is a root that nodes fetch just now.
type Swarm struct {
	CID       string  `json:"cid"`
	Name      string  `json:"name,omitempty"`
	Bytes     int64   `json:"bytes"` // of the whole; 0: not known yet
	Receivers int     `json:"receivers"`
	Has       int64   `json:"has"`       // bytes that the receivers have together
	Rate      float64 `json:"rate"`      // bytes a second that all of them receive together
	Best      float64 `json:"best"`      // the rate at which the bound is kept: receivers × bytes / bound; 0: no limit is known
	Duplicate int64   `json:"duplicate"` // bytes that came for nothing
}

// Look asks every node what it does. One that does not answer is shown without figures.
func (n *Net) Look(ctx context.Context) (Look, error) {
	s, g, err := open(n.dir) // other processes may have changed it
	if err != nil {
		return Look{}, err
	}
	nodes := s.now(g)
	look := Look{Ground: s.Ground, Age: time.Since(s.Begun).Seconds(), Sides: s.Sides, Nodes: make([]Seen, len(nodes))}
	connected := make([][]node.PeerStatus, len(nodes))
	var group errgroup.Group
	group.SetLimit(atOnce)
	for i, of := range nodes {
		look.Nodes[i].Node = of
		if of.State != StateUp {
			continue
		}
		group.Go(func() error {
			// Whether the node is gone, is stopped or is hung: there is nothing to show of it.
			look.Nodes[i].status, _ = ask[node.Status](ctx, of.Socket, "status")
			connected[i], _ = ask[[]node.PeerStatus](ctx, of.Socket, "peers")
			return nil
		})
	}
	_ = group.Wait() // none of them fails
	if err := ctx.Err(); err != nil {
		return Look{}, context.Cause(ctx)
	}
	look.sum(connected)
	return look, nil
}

// sum makes the figures from what the nodes said.
func (l *Look) sum(connected [][]node.PeerStatus) {
	place := make(map[string]int, len(l.Nodes))
	for i := range l.Nodes {
		place[l.Nodes[i].Peer] = i
	}
	pairs := make(map[[2]int]bool)
	swarms := make(map[string]*count)
	for i := range l.Nodes {
		s := &l.Nodes[i]
		s.Peers, s.Received, s.Sent, s.Memory = s.status.Peers, s.status.Down, s.status.Up, s.status.Memory
		for _, p := range connected[i] {
			if j, ok := place[p.ID]; ok && i != j {
				pairs[[2]int{min(i, j), max(i, j)}] = true
			}
		}
		for _, t := range s.status.Transfers {
			s.Down, s.Up = s.Down+t.Rate, s.Up+t.UpRate
			if swarms[t.CID] == nil {
				swarms[t.CID] = &count{}
			}
			swarms[t.CID].add(t, s)
			for _, from := range t.Sources {
				if j, ok := place[from.Peer]; ok && from.Rate > 0 {
					l.Flows = append(l.Flows, Flow{From: l.Nodes[j].Name, To: s.Name, CID: t.CID, Bytes: from.Bytes, Rate: from.Rate})
				}
			}
		}
	}
	for p := range pairs {
		l.Pairs = append(l.Pairs, p)
	}
	for _, t := range swarms {
		if t.Receivers > 0 {
			l.Swarms = append(l.Swarms, t.swarm())
		}
	}
	slices.SortFunc(l.Pairs, func(a, b [2]int) int { return slices.Compare(a[:], b[:]) })
	slices.SortFunc(l.Flows, func(a, b Flow) int {
		return cmp.Or(cmp.Compare(b.Rate, a.Rate), cmp.Compare(a.From, b.From), cmp.Compare(a.To, b.To))
	})
	slices.SortFunc(l.Swarms, func(a, b Swarm) int { return cmp.Compare(a.CID, b.CID) })
}

// limits are the rates that the node's link and its own limits leave it; infinite where nothing limits them.
func (s *Seen) limits() (up, down float64) {
	least := func(link float64, own int64) float64 {
		out := math.Inf(1)
		if link > 0 {
			out = link
		}
		if own > 0 {
			out = min(out, float64(own))
		}
		return out
	}
	return least(s.Link.Up, s.status.Rates.Up), least(s.Link.Down, s.status.Rates.Down)
}

// count adds up what nodes say of one root.
type count struct {
	Swarm
	sources float64 // bytes a second that nodes can send which have it all
	others  float64 // those which fetch it
	slowest float64 // of the receivers' downlinks
}

func (t *count) add(of node.Transfer, by *Seen) {
	up, down := by.limits()
	t.CID, t.Bytes = of.CID, max(t.Bytes, of.Total)
	if of.Name != "" && (t.Name == "" || of.Direction == "up") { // as those who share it call it
		t.Name = of.Name
	}
	if of.Direction == "up" {
		t.sources += up
		return
	}
	if t.Receivers == 0 {
		t.slowest = down
	}
	t.Receivers++
	t.slowest = min(t.slowest, down)
	t.others += up
	t.Has += of.Bytes
	t.Rate += of.Rate
	t.Duplicate += of.Duplicate
}

// swarm completes the sums by the bound: whoever has it sends it once, each receiver receives it, and all copies leave an uplink.
func (t *count) swarm() Swarm {
	out := t.Swarm
	size, n := float64(t.Bytes), float64(t.Receivers)
	if bound := max(size/t.sources, size/t.slowest, n*size/(t.sources+t.others)); bound > 0 && !math.IsInf(bound, 0) {
		out.Best = n * size / bound
	}
	return out
}
