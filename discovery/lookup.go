package discovery

import (
	"context"
	"sync/atomic"

	"github.com/ipfs/go-cid"
	kb "github.com/libp2p/go-libp2p-kbucket"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/routing"
)

// Lookup is one question to a [Source]: who has a root?
type Lookup struct {
	Root cid.Cid
	// Thorough asks all who could know. Otherwise it is enough that some providers are known and the next few answers name nobody
	// new: each provider writes itself down with the twenty nodes that are the closest to the root, so a few of them know what all do.
	Thorough bool
	Asked    *atomic.Int64 // counts the nodes that are asked; may be nil
	Hops     *atomic.Int64 // becomes the length of the longest chain of asked nodes, each of which named the next; may be nil
}

// Providers yields providers of a root as nodes of the DHT name them, at most MaxProviders and never this node. The channel is
// closed when enough nodes have been asked, or when ctx ends; who does not read on must end it.
func (d *DHT) Providers(ctx context.Context, l Lookup) <-chan Finding {
	if l.Asked == nil {
		l.Asked = new(atomic.Int64)
	}
	if l.Hops == nil {
		l.Hops = new(atomic.Int64)
	}
	out := make(chan Finding)
	go func() {
		defer close(out)
		d.lookUp(ctx, l, out)
	}()
	return out
}

func (d *DHT) lookUp(ctx context.Context, l Lookup, out chan<- Finding) {
	ctx, cancel := context.WithCancel(ctx)
	asking, events := routing.RegisterForQueryEvents(ctx)
	before := make(distances)
	for _, id := range d.dht.RoutingTable().NearestPeers(kb.ConvertKey(string(l.Root.Hash())), firstAsked) {
		before[id] = 0
	}
	found := d.dht.FindProvidersAsync(asking, l.Root, MaxProviders)
	defer func() {
		cancel()
		for range found { // until nothing of the look-up runs any more
		}
		for e := range events {
			l.count(e, before)
		}
	}()
	providers, since := 0, 0 // and answers since the last of them was new
	for l.Thorough || providers == 0 || since < enoughAnswers {
		select {
		case e, ok := <-events:
			if !ok {
				return
			}
			l.count(e, before)
			if e.Type == routing.PeerResponse {
				since++
			}
		case info, ok := <-found:
			if !ok {
				return
			}
			f, ok := d.finding(info)
			if !ok || providers == MaxProviders {
				continue
			}
			providers, since = providers+1, 0
			select {
			case out <- f:
			case <-ctx.Done():
			}
		}
	}
}

// firstAsked is with how many nodes of its table a look-up begins: as many as Kademlia keeps together.
const firstAsked = 20

// distances say how many nodes were asked one after the other until one of them named a node; none did for those known before.
type distances map[peer.ID]int

// count takes note of a question or an answer. Whoever is asked and was named by nobody is a neighbour.
func (l Lookup) count(e *routing.QueryEvent, before distances) {
	switch e.Type {
	case routing.SendingQuery:
		l.Asked.Add(1)
		hops := int64(before[e.ID] + 1)
		for was := l.Hops.Load(); was < hops && !l.Hops.CompareAndSwap(was, hops); was = l.Hops.Load() {
		}
	case routing.PeerResponse:
		for _, named := range e.Responses {
			if _, known := before[named.ID]; !known {
				before[named.ID] = before[e.ID] + 1
			}
		}
	}
}

// finding is a provider that the DHT names; ok is false if it is this node, or nowhere where it could be reached.
func (d *DHT) finding(info peer.AddrInfo) (f Finding, ok bool) {
	f = Finding{peer.AddrInfo{ID: info.ID, Addrs: best(info.ID, d.usable(info.Addrs))}, d.config.Route}
	return f, f.Info.ID != d.host.ID() && len(f.Info.Addrs) > 0
}
