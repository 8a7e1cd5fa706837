package discovery

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/event"
	mh "github.com/multiformats/go-multihash"
)

// Announcer tells others that this node has roots, and tells them again before they forget, until the roots are withdrawn.
type Announcer interface {
	Announce(roots ...cid.Cid) error
	// Withdraw ends that. Who was told forgets in a day or two.
	Withdraw(roots ...cid.Cid) error
}

// Announce adds roots to those that are announced. It returns as soon as that is written down.
func (d *DHT) Announce(roots ...cid.Cid) error {
	if err := d.provider.StartProviding(false, hashes(roots)...); err != nil {
		return fmt.Errorf("announce: %w", err)
	}
	return nil
}

// Withdraw ends the announcing of roots.
func (d *DHT) Withdraw(roots ...cid.Cid) error {
	if err := d.provider.StopProviding(hashes(roots)...); err != nil {
		return fmt.Errorf("withdraw: %w", err)
	}
	return nil
}

// AnnounceOnly announces these roots and no others.
func (d *DHT) AnnounceOnly(ctx context.Context, roots []cid.Cid) error {
	keep := make(map[string]bool, len(roots))
	for _, root := range roots {
		keep[string(root.Hash())] = true
	}
	old, err := d.keys.Get(ctx, "")
	if err != nil {
		return fmt.Errorf("read what was announced: %w", err)
	}
	old = slices.DeleteFunc(old, func(h mh.Multihash) bool { return keep[string(h)] })
	if len(old) > 0 {
		if err := d.provider.StopProviding(old...); err != nil {
			return fmt.Errorf("withdraw: %w", err)
		}
	}
	for part := range slices.Chunk(roots, announceAtOnce) {
		if err := d.Announce(part...); err != nil {
			return err
		}
	}
	return nil
}

func hashes(roots []cid.Cid) []mh.Multihash {
	out := make([]mh.Multihash, len(roots))
	for i, root := range roots {
		out[i] = root.Hash()
	}
	return out
}

// follow announces everything again when this node has become reachable at an address that it had not when it announced last, such as
// that of a relay, until ctx ends: what others wrote down leads nowhere else.
func (d *DHT) follow(ctx context.Context) {
	moved, err := d.host.EventBus().Subscribe(new(event.EvtLocalAddressesUpdated))
	if err != nil {
		return // the host is closed
	}
	defer moved.Close()
	told := d.dht.FilteredAddrs()
	var last time.Time
	var due <-chan time.Time
	for {
		select {
		case <-moved.Out():
			if due == nil && !covers(told, d.dht.FilteredAddrs()) {
				due = time.After(max(settleTime, announceAgain-time.Since(last)))
			}
		case <-due:
			due, last, told = nil, time.Now(), d.dht.FilteredAddrs()
			_ = d.announceAll(ctx) // the cycle of the provider comes to all of them in the end
		case <-ctx.Done():
			return
		}
	}
}

func (d *DHT) announceAll(ctx context.Context) error {
	all, err := d.keys.Get(ctx, "")
	if err != nil {
		return fmt.Errorf("read what was announced: %w", err)
	}
	for part := range slices.Chunk(all, announceAtOnce) {
		if err := d.provider.StartProviding(true, part...); err != nil {
			return fmt.Errorf("announce: %w", err)
		}
	}
	return nil
}
