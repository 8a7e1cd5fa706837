package testnet

import (
	"context"
	"errors"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/shoal-p2p/shoal/node"
)

// actor is one node's part in a scenario.
type actor struct {
	*player
	node Node
	todo chan Step

	mu    sync.Mutex // guards the rest
	up    bool       // as far as the steps and the looks at it say
	wants map[string]*wanted
	die   context.CancelFunc // ends what the node is asked in this life of its
	fetch errgroup.Group     // one for each of wants that has begun and whose node is up
}

// wanted is a content that a node fetches. The figures of a fetch that a fault has cut off are added to those of the next.
type wanted struct {
	from     string
	over     bool // it is there
	last     node.Event
	twice    int64            // duplicate bytes of earlier fetches
	before   map[string]int64 // bytes by peer of earlier fetches
	told     map[string]int64 // bytes by peer, as recorded
	problem  error
	searched bool
}

func (w *wanted) reason() string {
	if w.problem != nil {
		return w.problem.Error()
	}
	return "it was not complete when the run ended"
}

// act does the node's steps in order, and waits for what it fetches.
func (a *actor) act(ctx context.Context) error {
	life := a.live(ctx)
	for s := range a.todo {
		if ctx.Err() != nil {
			break
		}
		if s.Do == Start && !a.isUp() {
			if err := a.start(ctx); err != nil {
				return stepError(ctx, s, err)
			}
			life = a.live(ctx)
			a.resume(life)
			continue
		}
		if err := a.do(ctx, life, s); err != nil {
			return stepError(ctx, s, err)
		}
	}
	err := a.fetch.Wait()
	return errors.Join(context.Cause(ctx), err)
}

// live begins a life of the node. It ends with ctx, and when the node goes down.
func (a *actor) live(ctx context.Context) context.Context {
	a.mu.Lock()
	defer a.mu.Unlock()
	ctx, a.die = context.WithCancel(ctx)
	a.up = true
	return ctx
}

func (a *actor) isUp() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.up
}

func (a *actor) do(ctx, life context.Context, s Step) error {
	switch s.Do {
	case Share:
		return a.share(ctx, s.Content)
	case Fetch:
		a.mu.Lock()
		a.wants[s.Content] = &wanted{from: s.From, before: map[string]int64{}, told: map[string]int64{}}
		a.mu.Unlock()
		a.record(Event{Kind: "fetch", Node: a.node.Name, Content: s.Content})
		if a.isUp() {
			a.pursue(life, s.Content)
		}
	case Kill:
		return a.end(ctx, a.fleet.Kill)
	case Stop:
		return a.end(ctx, a.fleet.Stop)
	}
	return nil
}

// share lets the node have a content. The first one to do so tells the others what it is called.
func (a *actor) share(ctx context.Context, content string) error {
	shared, err := a.fleet.Share(ctx, a.node.Name, node.ShareRequest{Paths: []string{copyPath(a.node, content)}})
	if err != nil {
		return err
	}
	a.record(Event{Kind: "share", Node: a.node.Name, Content: content, CID: shared.CID, Bytes: shared.Bytes})
	if bad(a.node.Role) {
		return nil // what it says of a ticket is worth nothing
	}
	src := a.sources[content]
	src.once.Do(func() { src.shared = shared; close(src.known) })
	return nil
}

// end takes the node down, if it is not yet, and waits until its fetches have noticed.
func (a *actor) end(ctx context.Context, how func(context.Context, string) error) error {
	a.mu.Lock()
	up := a.up
	a.up = false
	a.mu.Unlock()
	if !up {
		return nil
	}
	err := how(ctx, a.node.Name)
	a.die()
	return errors.Join(err, a.fetch.Wait())
}

// start lets the node run again. If it went down by itself, its fetches may not have noticed yet.
func (a *actor) start(ctx context.Context) error {
	if err := a.fetch.Wait(); err != nil {
		return err
	}
	return a.fleet.Start(ctx, a.node.Name)
}

// resume takes up what the node was fetching.
func (a *actor) resume(life context.Context) {
	for _, c := range a.sc.Content {
		a.mu.Lock()
		w := a.wants[c.Name]
		again := w != nil && !w.over
		a.mu.Unlock()
		if again {
			a.pursue(life, c.Name)
		}
	}
}

// pursue fetches a content in a goroutine of its own until it is there or the node is not.
func (a *actor) pursue(ctx context.Context, content string) {
	a.fetch.Go(func() error {
		select {
		case <-a.sources[content].known:
		case <-ctx.Done():
			return nil
		}
		a.mu.Lock()
		w := a.wants[content]
		a.mu.Unlock()
		done, err := a.get(ctx, content, w)
		a.mu.Lock()
		defer a.mu.Unlock()
		if err == nil {
			w.over, w.last = true, done
			a.finish(content, w)
			return nil
		}
		w.fold()
		if a.up && ctx.Err() == nil { // nobody took it down: it gave up by itself
			w.problem = err
		}
		return nil
	})
}

// get looks for whom to ask in the way that the step says, and asks.
func (a *actor) get(ctx context.Context, content string, w *wanted) (node.Event, error) {
	shared := a.sources[content].shared
	r := node.FetchRequest{Ref: shared.CID, Dest: copyPath(a.node, content), Peers: a.liars(content), Timeout: -1}
	switch w.from {
	case FromTicket:
		r.Ref = shared.Ticket
	case FromDHT:
		if providers := a.lookUp(ctx, content, w); len(providers) > 0 {
			r.Peers = append(r.Peers, providers...)
		}
	}
	return a.fleet.Fetch(ctx, a.node.Name, r, func(e node.Event) {
		if e.Kind == "fetching" { // while it is checking, its bytes are those that it has looked at
			a.mu.Lock()
			defer a.mu.Unlock()
			w.last = e
		}
	})
}

// lookUp asks a DHT for providers and returns their addresses.
func (a *actor) lookUp(ctx context.Context, content string, w *wanted) (addrs []string) {
	found, err := a.fleet.Find(ctx, a.node.Name, node.FindRequest{Ref: a.sources[content].shared.CID})
	if w.searched || ctx.Err() != nil {
		return nil
	}
	w.searched = true
	e := Event{
		Kind: "lookup", Node: a.node.Name, Content: content,
		Found: len(found.Providers), Asked: int(found.Asked), Hops: int(found.Hops), Seconds: found.Seconds,
	}
	if err != nil {
		e.Reason = err.Error()
	}
	a.record(e)
	for _, p := range found.Providers {
		for _, addr := range p.Addrs {
			addrs = append(addrs, addr+"/p2p/"+p.Peer)
		}
	}
	return addrs
}

// fold keeps the figures of a fetch that ended early.
func (w *wanted) fold() {
	w.twice += w.last.Duplicate
	for _, s := range w.last.Sources {
		w.before[s.Peer] += s.Bytes
	}
	w.last = node.Event{Bytes: w.last.Bytes, Total: w.last.Total}
}

// finish records that a content is there.
func (a *actor) finish(content string, w *wanted) {
	a.tellFed(content, w)
	spec, _ := a.sc.Node(a.node.Name)
	a.record(Event{
		Kind: "done", Node: a.node.Name, Group: spec.Group, Content: content, CID: w.last.CID, Bytes: w.last.Bytes, Duplicate: w.twice + w.last.Duplicate,
		Seconds: w.last.Seconds, Bound: a.bounds[boundOf{spec.Group, content}].Seconds(),
	})
}

// tellFed records who has given what in all so far, where that has changed.
func (a *actor) tellFed(content string, w *wanted) {
	for _, s := range w.last.Sources {
		bytes := w.before[s.Peer] + s.Bytes
		if bytes == 0 || w.told[s.Peer] == bytes {
			continue
		}
		w.told[s.Peer] = bytes
		from := a.names[s.Peer]
		if from == "" {
			from = s.Peer
		}
		a.record(Event{Kind: "fed", Node: a.node.Name, From: from, Content: content, Bytes: bytes})
	}
}
