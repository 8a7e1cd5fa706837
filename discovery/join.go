package discovery

import (
	"context"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"golang.org/x/sync/errgroup"
)

// Meet lets the DHT know of a peer that may be part of it. It dials as long as few are known, and blocks until that ends.
func (d *DHT) Meet(ctx context.Context, info peer.AddrInfo) {
	if d.Size() >= enoughKnown || d.host.Network().Connectedness(info.ID) != network.NotConnected {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, meetTime)
	defer cancel()
	_ = d.host.Connect(ctx, info) // who speaks the protocol is taken in when it has said so
}

// Run finds the way into the DHT, and back into it when all whom it knew have gone, until ctx ends. Whom it knows it writes down now and
// then, and what is announced it announces again when this node can be reached elsewhere.
func (d *DHT) Run(ctx context.Context) {
	var group errgroup.Group
	group.Go(func() error { d.follow(ctx); return nil })
	d.stay(ctx)
	_ = group.Wait() // none of them fails
}

func (d *DHT) stay(ctx context.Context) {
	var noted time.Time
	asked := 0 // nodes that were known when they were last asked for others
	for pause := joinPause; ctx.Err() == nil; pause = min(2*pause, joinPauseMost) {
		d.join(ctx)
		if size := d.Size(); worthAsking(size, asked) {
			asked = size
			_ = d.dht.Bootstrap(ctx) // who has been met is asked for others
		}
		if d.Size() >= fewKnown {
			pause = joinPauseMost
		}
		wait(ctx, nil, pause)
		if now := time.Now(); d.Size() > 0 && now.Sub(noted) > rememberEvery {
			noted = now
			_ = d.remember(ctx, now) // a hint for the next start, which does without
		}
	}
}

// worthAsking reports whether to ask the nodes of a table for others. Where few are known, that costs little, and is how who was there
// first hears of who came later: behind a NAT, it cannot be asked itself. A larger table has to be so different from what it was that half
// of it is new, or gone: each such question makes some twenty others answer with twenty addresses each, and a network on which nothing
// happens should be silent.
func worthAsking(size, asked int) bool { return size < fewKnown || size >= 2*asked || 2*size <= asked }

// join meets whom this node knew when it ran last, and the bootstrap peers a moment later: a DHT must go on without those.
func (d *DHT) join(ctx context.Context) {
	var group errgroup.Group
	group.SetLimit(joinAtOnce)
	known := d.recall(ctx, time.Now())
	group.Go(func() error {
		if len(known) > 0 {
			wait(ctx, nil, joinPause)
		}
		for _, info := range d.config.Bootstrap {
			d.Meet(ctx, info)
		}
		return nil
	})
	for _, n := range known {
		info := peer.AddrInfo{ID: n.id, Addrs: n.addrs}
		if !d.here(n) || d.Size() >= enoughKnown || d.config.Note != nil && !d.config.Note(info) {
			continue
		}
		group.Go(func() error { d.Meet(ctx, info); return nil })
	}
	_ = group.Wait() // none of them fails
}
