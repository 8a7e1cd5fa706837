package testnet

import (
	"context"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	leastPause   = 250 * time.Millisecond // between two looks at a node
	pauseForEach = leastPause / 20        // so that a large net is looked at as often in all as one of twenty nodes
	lookPatience = 2 * time.Second        // for a node's answer
	fedEvery     = 4                      // looks
)

// watch looks at every node again and again until ctx ends, and then once more.
func (p *player) watch(ctx context.Context) {
	pause := max(leastPause, pauseForEach*time.Duration(len(p.actors)))
	for n := 0; ; n++ {
		late := sleep(ctx, pause) != nil
		p.lookAtAll(context.WithoutCancel(ctx), n%fedEvery == 0 || late)
		if late {
			return
		}
	}
}

func (p *player) lookAtAll(ctx context.Context, fed bool) {
	ctx, cancel := context.WithTimeout(ctx, lookPatience)
	defer cancel()
	states := map[string]State{}
	for _, n := range p.fleet.Nodes() {
		states[n.Name] = n.State
	}
	var group errgroup.Group
	group.SetLimit(atOnce)
	for name, a := range p.actors {
		if states[name] == StateCrashed {
			a.crashed()
			continue
		}
		group.Go(func() error { a.look(ctx, fed); return nil })
	}
	_ = group.Wait() // none of them fails
}

// crashed notes that the node has ended by itself.
func (a *actor) crashed() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.up {
		a.up = false
		a.die()
		a.record(Event{Kind: "down", Node: a.node.Name, Reason: string(StateCrashed)})
	}
}

// look records how the node is and how far it has come.
func (a *actor) look(ctx context.Context, fed bool) {
	a.mu.Lock()
	up := a.up
	a.mu.Unlock()
	if !up {
		return
	}
	s, err := a.fleet.Status(ctx, a.node.Name)
	if err != nil {
		return // it is ending, or too busy; the next look will tell
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.up {
		return
	}
	e := Event{Kind: "sample", Node: a.node.Name, Received: s.Down, Sent: s.Up, Memory: s.Memory, CPU: s.CPU, Peers: s.Peers}
	alone := true
	for _, c := range a.sc.Content {
		w := a.wants[c.Name]
		if w == nil {
			continue
		}
		e.Content, e.Bytes, e.Total, e.Duplicate = c.Name, w.last.Bytes, c.Size, w.twice+w.last.Duplicate
		a.record(e)
		alone = false
		if fed {
			a.tellFed(c.Name, w)
		}
	}
	if alone {
		a.record(e)
	}
}
