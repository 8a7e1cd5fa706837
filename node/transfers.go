package node

import (
	"cmp"
	"slices"
	"sync"

	"github.com/ipfs/go-cid"

	"github.com/shoal-p2p/shoal/transfer"
)

const maxSources = 64 // in what is told again and again; who delivered is listed whole at the end

// transfers lists what moves just now, by name. shares are the node's own.
func (n *Node) transfers(shares []Share) []Transfer {
	var out []Transfer
	for _, t := range n.transfer.Statuses() {
		if t.Serves && t.Links == 0 {
			continue
		}
		x := transferOf(t)
		x.Name = n.names.of(t.Root)
		if i := slices.IndexFunc(shares, func(s Share) bool { return s.CID == x.CID }); i >= 0 && x.Name == "" {
			x.Name = shares[i].Name
		}
		out = append(out, x)
	}
	slices.SortFunc(out, func(a, b Transfer) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.CID, b.CID), cmp.Compare(a.Direction, b.Direction), cmp.Compare(a.Total, b.Total))
	})
	return out
}

func transferOf(t transfer.Status) Transfer {
	x := Transfer{
		CID: t.Root.String(), Direction: "down", Peers: t.Joined, Bytes: t.Stored, Total: t.Total, Rate: t.Rate,
		Sent: t.Given, UpRate: t.GivenRate, Duplicate: t.Wasted, Sources: sources(t, maxSources),
	}
	switch {
	case t.Serves:
		x.Direction, x.Total = "up", 0
	case t.Given > 0:
		x.Direction = "both"
	}
	return x
}

// sources lists the peers of a transfer that take part or have done so: who delivered most comes first, then who took most.
func sources(s transfer.Status, most int) []Source {
	var out []Source
	for _, p := range s.Peers {
		if p.State == transfer.Joined || p.Down > 0 || p.Up > 0 || p.Bad > 0 || p.Wasted > 0 {
			out = append(out, Source{
				Peer: p.Peer.String(), Addr: p.Addr, Relayed: p.Relayed, Bytes: p.Down, Rate: p.Rate, Bad: p.Bad, Duplicate: p.Wasted,
				Sent: p.Up, UpRate: p.UpRate,
			})
		}
	}
	slices.SortFunc(out, func(a, b Source) int {
		return cmp.Or(cmp.Compare(b.Bytes, a.Bytes), cmp.Compare(b.Sent, a.Sent), cmp.Compare(a.Peer, b.Peer))
	})
	return out[:min(most, len(out))]
}

// names are what the content that is just being fetched will be called here.
type names struct {
	mu   sync.Mutex // guards lent
	lent map[cid.Cid][]string
}

// lend gives root a name until it is taken back.
func (x *names) lend(root cid.Cid, name string) (back func()) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.lent == nil {
		x.lent = make(map[cid.Cid][]string)
	}
	x.lent[root] = append(x.lent[root], name)
	return func() {
		x.mu.Lock()
		defer x.mu.Unlock()
		list := x.lent[root]
		if i := slices.Index(list, name); i >= 0 {
			list = slices.Delete(list, i, i+1)
		}
		if x.lent[root] = list; len(list) == 0 {
			delete(x.lent, root)
		}
	}
}

// of is the name of a root; empty if nobody fetches it.
func (x *names) of(root cid.Cid) string {
	x.mu.Lock()
	defer x.mu.Unlock()
	if list := x.lent[root]; len(list) > 0 {
		return list[0]
	}
	return ""
}
