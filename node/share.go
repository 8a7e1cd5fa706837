package node

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/shoal-p2p/shoal/content"
	"github.com/shoal-p2p/shoal/store"
)

// Share indexes files where they lie. They are served as soon as it returns.
func (n *Node) Share(ctx context.Context, r ShareRequest, emit func(Event)) (Shared, error) {
	if len(r.Paths) == 0 {
		return Shared{}, fmt.Errorf("%w: nothing to share", ErrUsage)
	}
	terms, err := n.terms(r)
	if err != nil {
		return Shared{}, err
	}
	if r.Listed != nil && *r.Listed && (r.Private || len(r.Allow) > 0) {
		return Shared{}, fmt.Errorf("%w: what only some may have is not shown to all neighbours: leave the listing away", ErrUsage)
	}
	start := time.Now()
	var p store.Progress
	stop := report(emit, func() Event {
		return Event{Kind: "hashing", Bytes: p.Bytes.Load(), Total: p.Total.Load(), Files: int(p.Files.Load())}
	})
	share, skipped, err := n.store.Add(ctx, r.Paths, store.AddOptions{Hidden: r.Hidden, Progress: &p, Access: terms.apply})
	stop()
	if err != nil {
		return Shared{}, storeError(err)
	}
	if r.Listed != nil {
		if err := n.store.List(share.Root, *r.Listed); err != nil {
			return Shared{}, storeError(err)
		}
		share.Listed = *r.Listed
	}
	if terms.changed {
		n.transfer.Revoke(share.Root)
	}
	n.host.settle(ctx, emit)
	n.announce(share.Root)
	ticket := n.ticket(share, terms.until)
	return Shared{
		CID: share.Root.String(), Ticket: ticket.Text(), Name: share.Name, Terms: termsOf(share.Access, ticket.Until),
		Bytes: share.Bytes, Files: share.Files, Seconds: time.Since(start).Seconds(), Listed: listable(share),
		Skipped: skippedList(skipped),
	}, nil
}

// report emits what look returns, until stop: at once, then often enough for a progress bar.
func report(emit func(Event), look func() Event) (stop func()) {
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		t := time.NewTicker(watchEvery)
		defer t.Stop()
		for {
			select {
			case <-t.C:
				emit(look())
			case <-quit:
				return
			}
		}
	}()
	return func() { close(quit); <-done }
}

// Shares lists what this node serves.
func (n *Node) Shares(ctx context.Context) ([]Share, error) {
	list, err := n.store.Shares()
	if err != nil {
		return nil, storeError(err)
	}
	out := make([]Share, 0, len(list))
	stale := 0
	for _, s := range list {
		origin := "shared"
		if s.Origin == store.Fetched {
			origin = "fetched"
		}
		stale += len(s.Stale)
		out = append(out, Share{
			CID: s.Root.String(), Name: s.Name, Paths: s.Paths, Origin: origin, Bytes: s.Bytes, Files: s.Files,
			Added: s.Added, Listed: listable(s), Stale: skippedList(s.Stale), Terms: termsOf(s.Access, s.Access.Until),
		})
	}
	n.stale.Store(int64(stale))
	return out, nil
}

// Unshare stops serving a root. The files stay where they are.
func (n *Node) Unshare(ctx context.Context, ref string) error {
	t, err := n.resolve(ref, nil)
	if err != nil {
		return err
	}
	if t.path != "" {
		return fmt.Errorf("%w: unshare takes a whole share, not a path inside it", ErrUsage)
	}
	if err := n.store.Remove(t.root); err != nil {
		return shareError(t.root, err)
	}
	n.withdraw(t.root)
	n.transfer.Revoke(t.root)
	return nil
}

// Unlist stops showing a share to neighbours. It goes on being served.
func (n *Node) Unlist(ctx context.Context, ref string) error {
	t, err := n.resolve(ref, nil)
	if err != nil {
		return err
	}
	if t.path != "" {
		return fmt.Errorf("%w: unlist takes a whole share, not a path inside it", ErrUsage)
	}
	return shareError(t.root, n.store.List(t.root, false))
}

// shareError is what a user reads when something cannot be done with a share.
func shareError(root cid.Cid, err error) error {
	if errors.Is(err, store.ErrNotFound) {
		return fmt.Errorf("%w: %s is not shared here", ErrNotFound, root)
	}
	return storeError(err)
}

// Check reads and hashes again what is shared or fetched, and with Repair fetches the chunks that broke.
func (n *Node) Check(ctx context.Context, r CheckRequest, emit func(Event)) (Checked, error) {
	start := time.Now()
	shares, err := n.checked(r.Ref)
	if err != nil {
		return Checked{}, err
	}
	var out Checked
	var p store.Progress
	stop := report(emit, func() Event {
		return Event{Kind: "checking", Bytes: p.Bytes.Load(), Total: p.Total.Load(), Files: int(p.Files.Load())}
	})
	found := make([][]store.Damage, len(shares))
	for i, s := range shares {
		if found[i], err = n.store.Check(ctx, s.Root, &p); err != nil {
			break
		}
		out.Shares++
		out.Files += s.Files
	}
	stop()
	out.Bytes = p.Bytes.Load()
	if err != nil {
		return out, storeError(err)
	}
	for i, s := range shares {
		if len(found[i]) > 0 && r.Repair && s.Origin == store.Fetched {
			fixed, err := n.repair(ctx, s.Root, found[i], r, emit)
			out.Repaired += fixed
			if err != nil {
				return out, err
			}
			if found[i], err = n.store.Check(ctx, s.Root, nil); err != nil {
				return out, storeError(err)
			}
		}
		for _, d := range found[i] {
			out.Bad = append(out.Bad, Broken{CID: s.Root.String(), Path: d.Path, Reason: d.Reason, Chunks: len(d.Chunks)})
		}
	}
	out.Seconds = time.Since(start).Seconds()
	return out, nil
}

// checked returns the shares that a check is about.
func (n *Node) checked(ref string) ([]store.Share, error) {
	all, err := n.store.Shares()
	if err != nil {
		return nil, storeError(err)
	}
	if ref == "" {
		return all, nil
	}
	t, err := n.resolve(ref, nil)
	if err != nil {
		return nil, err
	}
	for _, s := range all {
		if s.Root.Equals(t.root) {
			return []store.Share{s}, nil
		}
	}
	return nil, fmt.Errorf("%w: %s is neither shared nor fetched here", ErrNotFound, t.root)
}

// repair fetches the broken chunks of a fetched share and writes them back, leaving alone what the user edited.
func (n *Node) repair(ctx context.Context, root cid.Cid, damage []store.Damage, r CheckRequest, emit func(Event)) (int, error) {
	tree, err := n.store.Tree(ctx, root)
	if err != nil {
		return 0, storeError(err)
	}
	wanted := content.NewSet(tree.NumChunks())
	for _, d := range damage {
		for _, c := range d.Chunks {
			if !d.Edited {
				wanted.Add(int(c))
			}
		}
	}
	if wanted.Count() == 0 {
		return 0, nil
	}
	t, err := n.resolve(root.String(), r.Peers) // the secret of a private root lies with it
	if err != nil {
		return 0, err
	}
	sink := &repairSink{store: n.store, tree: tree}
	p := n.pursue(ctx, t, pursuitOptions{Tree: tree, Leech: true, Patience: patience(r.Timeout), Emit: emit})
	defer p.stop()
	err = p.fetch(sink, content.NewSet(tree.NumChunks()), wanted)
	return int(sink.fixed.Load()), err
}

type repairSink struct {
	store *store.Store
	tree  *content.Tree
	fixed atomic.Int64
}

func (s *repairSink) Put(n uint32, c content.Chunk) error {
	if err := s.store.Repair(s.tree, n, c); err != nil {
		return err
	}
	s.fixed.Add(1)
	return nil
}

func (s *repairSink) ReadChunk(uint32, []byte) (int, error) { return 0, errNotServed }

func skippedList(in []store.Skipped) []Skipped {
	out := make([]Skipped, 0, len(in))
	for _, s := range in {
		out = append(out, Skipped{Path: s.Path, Reason: s.Reason})
	}
	return out
}

// storeError gives the store's errors the identity that callers of this package know.
func storeError(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, context.Canceled):
		return fmt.Errorf("%w: %w", ErrStopped, err)
	case errors.Is(err, store.ErrNotFound):
		return fmt.Errorf("%w: %w", ErrNotFound, err)
	case errors.Is(err, store.ErrExists):
		return fmt.Errorf("%w: %w", ErrExists, err)
	case errors.Is(err, store.ErrRefused):
		return fmt.Errorf("%w: %w", ErrUsage, err)
	}
	return fmt.Errorf("%w: %w", ErrDisk, err)
}
