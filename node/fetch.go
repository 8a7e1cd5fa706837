package node

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/shoal-p2p/shoal/content"
	"github.com/shoal-p2p/shoal/store"
	"github.com/shoal-p2p/shoal/transfer"
)

// Fetch writes what Ref names to Dest and goes on serving it from there. The last event, which it also returns, is "done".
// An interrupted fetch leaves a hidden part beside Dest, which the same request takes up again.
func (n *Node) Fetch(ctx context.Context, r FetchRequest, emit func(Event)) (Event, error) {
	start := time.Now()
	emit = oneAtATime(emit)
	t, err := n.seek(r.Ref, r.Peers)
	if err != nil {
		return Event{}, err
	}
	release, err := n.dests.claim(ctx, r.Dest)
	if err != nil {
		return Event{}, err
	}
	defer release()
	defer n.names.lend(t.root, filepath.Base(r.Dest))()
	if a := t.access(); !a.Open() {
		if err := n.store.Confine(t.root, a); err != nil {
			return Event{}, storeError(err)
		}
	}
	f := &fetching{n: n, request: r, target: t, emit: emit}
	done, err := f.run(ctx)
	if err != nil {
		return Event{}, errors.Join(err, n.store.Forgive(t.root))
	}
	done.Kind, done.CID, done.Path, done.Seconds = "done", t.root.String(), r.Dest, time.Since(start).Seconds()
	emit(done)
	return done, nil
}

func oneAtATime(emit func(Event)) func(Event) {
	var mu sync.Mutex
	return func(e Event) {
		mu.Lock()
		defer mu.Unlock()
		emit(e)
	}
}

// claims are the destinations that fetches of this node write to.
type claims struct {
	mu    sync.Mutex // guards taken
	taken map[string]chan struct{}
}

// claim takes a destination for one fetch. An interrupted fetch takes a moment to let go of it, and the user's next command
// may be quicker; so it waits a little.
func (c *claims) claim(ctx context.Context, dest string) (release func(), err error) {
	late := time.After(letGo)
	for {
		c.mu.Lock()
		busy := c.taken[dest]
		if busy == nil {
			mine := make(chan struct{})
			if c.taken == nil {
				c.taken = make(map[string]chan struct{})
			}
			c.taken[dest] = mine
			c.mu.Unlock()
			return func() {
				c.mu.Lock()
				defer c.mu.Unlock()
				delete(c.taken, dest)
				close(mine)
			}, nil
		}
		c.mu.Unlock()
		select {
		case <-busy:
		case <-late:
			return nil, fmt.Errorf("%w: another request is writing to %s just now", ErrExists, dest)
		case <-ctx.Done():
			return nil, fmt.Errorf("%w: the request was cancelled", ErrStopped)
		}
	}
}

// fetching is one Fetch on its way.
type fetching struct {
	n       *Node
	request FetchRequest
	target  target
	emit    func(Event)

	tree     *content.Tree
	download *store.Download
	pursuit  *pursuit // nil as long as everything is found on this machine
	came     int64    // bytes of a chunk that came with the tree
}

func (f *fetching) run(ctx context.Context) (Event, error) {
	defer func() {
		if f.pursuit != nil {
			f.pursuit.stop()
		}
		if f.download != nil {
			f.download.Close()
		}
	}()
	if err := f.learnTree(ctx); err != nil {
		return Event{}, err
	}
	if err := f.begin(ctx); err != nil {
		return Event{}, err
	}
	if err := f.copyLocal(ctx); err != nil {
		return Event{}, err
	}
	present := f.total() - f.missing() - f.came
	if err := f.receive(ctx); err != nil {
		return Event{}, err
	}
	f.emit(Event{Kind: "syncing", Bytes: f.total(), Total: f.total()})
	if f.pursuit != nil {
		f.pursuit.pause(true)
	}
	share, err := f.download.Commit(ctx)
	if err != nil {
		return Event{}, storeError(err)
	}
	f.n.announce(share.Root)
	done := Event{Bytes: share.Bytes, Files: share.Files, Present: present, Skipped: skippedList(f.download.Skipped())}
	if f.pursuit != nil {
		f.pursuit.delivered(&done)
		f.pursuit.part()
		f.pursuit = nil
	}
	f.download = nil
	return done, nil
}

// learnTree finds the shape of the root: in the index (an earlier attempt left it there), or from a peer.
func (f *fetching) learnTree(ctx context.Context) error {
	t, err := f.n.store.Tree(ctx, f.target.root)
	if err == nil {
		f.tree = t
		return nil
	}
	if !errors.Is(err, store.ErrNotFound) {
		return storeError(err)
	}
	if f.target.self {
		return fmt.Errorf("%w: the ticket is this node's own, and it no longer shares %s", ErrNotFound, f.target.root)
	}
	f.pursue(ctx, nil)
	if f.tree, err = f.pursuit.tree(); err != nil {
		return err
	}
	return storeError(f.n.store.SaveNodes(f.target.root, f.pursuit.session.Nodes()))
}

func (f *fetching) pursue(ctx context.Context, t *content.Tree) {
	f.pursuit = f.n.pursue(ctx, f.target, pursuitOptions{
		Tree: t, Patience: patience(f.request.Timeout), Emit: f.emit,
	})
}

// begin prepares the destination and verifies what lies there already.
func (f *fetching) begin(ctx context.Context) error {
	if _, ok := f.tree.Find(f.target.path); !ok {
		return fmt.Errorf("%w: there is no %q in %s", ErrNotFound, f.target.path, f.target.root)
	}
	if f.pursuit != nil {
		f.pursuit.pause(true) // until receive: this side is busy
	}
	var p store.Progress
	stop := report(f.emit, func() Event {
		return Event{Kind: "checking", Bytes: p.Bytes.Load(), Total: p.Total.Load(), Message: "verifying what is here already"}
	})
	defer stop()
	d, err := f.n.store.Begin(ctx, f.tree, store.Dest{Path: f.request.Dest, Sub: f.target.path, Force: f.request.Force}, &p)
	if err != nil {
		return storeError(err)
	}
	f.download = d
	if f.tree.Inline != nil && d.Wanted().Has(0) {
		c, err := content.Verify(f.tree.Digest(0), f.tree.Inline)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrVerify, err)
		}
		if f.pursuit != nil {
			f.came = int64(len(f.tree.Inline))
		}
		return storeError(d.Put(0, c))
	}
	return nil
}

// copyLocal takes chunks that lie in other files of this node: what one has needs no network.
func (f *fetching) copyLocal(ctx context.Context) error {
	var copied atomic.Int64
	missing := f.missing()
	stop := report(f.emit, func() Event {
		return Event{Kind: "checking", Bytes: copied.Load(), Total: missing, Message: "copying what this node has in other files"}
	})
	defer stop()
	wanted := f.download.Wanted()
	buf := make([]byte, content.MaxBlock)
	for i := wanted.NextSet(0); i >= 0; i = wanted.NextSet(i + 1) {
		if ctx.Err() != nil {
			return fmt.Errorf("%w: the request was cancelled", ErrStopped)
		}
		d := f.tree.Digest(uint32(i))
		n, err := f.n.store.ReadChunk(d, buf)
		if err != nil {
			continue // not here, or not any more
		}
		c, err := content.Verify(d, buf[:n])
		if err != nil {
			continue
		}
		if err := f.download.Put(uint32(i), c); err != nil {
			return storeError(err)
		}
		copied.Add(int64(n))
	}
	return nil
}

// receive fetches what is still missing.
func (f *fetching) receive(ctx context.Context) error {
	wanted := f.download.Wanted()
	if wanted.Count() == 0 {
		return nil
	}
	if f.pursuit == nil {
		f.pursue(ctx, f.tree)
	}
	f.pursuit.pause(false)
	f.pursuit.mu.Lock()
	f.pursuit.total, f.pursuit.present = f.total(), f.total()-f.missing()
	f.pursuit.mu.Unlock()
	return f.pursuit.fetch(sink{f.download}, f.download.Present(), wanted)
}

// total is the size of the selection in bytes, each distinct chunk counted once.
func (f *fetching) total() int64 { return f.download.Size() }

func (f *fetching) missing() int64 { return chunkBytes(f.tree, f.download.Wanted()) }

func chunkBytes(t *content.Tree, s *content.Set) int64 {
	var sum int64
	for i := s.NextSet(0); i >= 0; i = s.NextSet(i + 1) {
		sum += int64(t.ChunkLen(uint32(i)))
	}
	return sum
}

// sink lets a transfer session write into a download.
type sink struct{ *store.Download }

func (s sink) ReadChunk(n uint32, buf []byte) (int, error) {
	got, err := s.Download.ReadChunk(n, buf)
	if errors.Is(err, store.ErrNotFound) {
		return 0, transfer.ErrNotFound
	}
	return got, err
}
