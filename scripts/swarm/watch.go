//go:build linux

package main

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"golang.org/x/sync/errgroup"

	"github.com/shoal-p2p/shoal/content"
	"github.com/shoal-p2p/shoal/transfer/wire"
)

// union is which chunks at least one of the watched peers says it has.
type union struct {
	mu    sync.Mutex // guards set
	set   *content.Set
	whole chan struct{} // closed when it is full
}

func (u *union) add(ranges []content.Range) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.set.Full() {
		return
	}
	for _, r := range ranges {
		if uint64(r.First)+uint64(r.Count) <= uint64(u.set.Len()) {
			u.set.AddRange(r)
		}
	}
	if u.set.Full() {
		close(u.whole)
	}
}

// watch prints a line when it listens to the peers, and another one when together they have every chunk.
func (a *actor) watch(ctx context.Context, h host.Host) error {
	u := &union{set: content.NewSet(int(a.chunks())), whole: make(chan struct{})}
	group, watching := errgroup.WithContext(ctx)
	for _, addr := range strings.Split(a.peers, ",") {
		info, err := peer.AddrInfoFromString(addr)
		if err != nil {
			return err
		}
		group.Go(func() error {
			for watching.Err() == nil {
				a.listenTo(watching, h, *info, u)
				_ = pause(watching, 100*time.Millisecond) // it may not know the tree yet
			}
			return nil
		})
	}
	if err := (part{Addr: h.ID().String()}).print(); err != nil {
		return err
	}
	select {
	case <-u.whole:
		if err := (part{Whole: true}).print(); err != nil {
			return err
		}
		<-ctx.Done()
	case <-ctx.Done():
	}
	return group.Wait()
}

// listenTo takes down what one peer says it has, until the stream ends.
func (a *actor) listenTo(ctx context.Context, h host.Host, info peer.AddrInfo, u *union) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if err := h.Connect(ctx, info); err != nil {
		return
	}
	str, err := h.NewStream(ctx, info.ID, protocol)
	if err != nil {
		return
	}
	context.AfterFunc(ctx, func() { _ = str.ResetWithError(network.StreamShutdown) })
	if err := say(str, wire.Hello{Root: a.root.CID}); err != nil {
		return
	}
	for in := wire.NewReader(str); ; {
		m, err := in.Next()
		if err != nil {
			return
		}
		if have, ok := m.(wire.Have); ok {
			u.add(have.Ranges)
		}
	}
}
