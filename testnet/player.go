package testnet

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/shoal-p2p/shoal/node"
)

// fleet is what a scenario is played with: a Net, or in tests what looks like one.
type fleet interface {
	Nodes() []Node
	Status(ctx context.Context, name string) (node.Status, error)
	Share(ctx context.Context, name string, r node.ShareRequest) (node.Shared, error)
	Find(ctx context.Context, name string, r node.FindRequest) (node.Found, error)
	Fetch(ctx context.Context, name string, r node.FetchRequest, emit func(node.Event)) (node.Event, error)
	Start(ctx context.Context, name string) error
	Stop(ctx context.Context, name string) error
	Kill(ctx context.Context, name string) error
	Shape(ctx context.Context, name string, l Link) error
	Partition(ctx context.Context, sides [][]string) error
	Heal(ctx context.Context) error
}

// player carries out the steps of a scenario at their times. Each node has a goroutine that does what concerns it in order, and
// the links between them have one together, so that a slow node holds up nobody else.
type player struct {
	sc     *Scenario
	fleet  fleet
	record func(Event)

	actors  map[string]*actor
	links   chan Step
	sources map[string]*source
	names   map[string]string // of nodes, by peer ID
	bounds  map[boundOf]time.Duration
}

// boundOf is what a bound is of.
type boundOf struct{ group, content string }

// source is a content as those who fetch it hear of it.
type source struct {
	known  chan struct{} // closed when the rest is there
	once   sync.Once
	shared node.Shared
}

func newPlayer(sc *Scenario, f fleet, record func(Event)) *player {
	p := &player{
		sc: sc, fleet: f, record: record,
		actors: map[string]*actor{}, links: make(chan Step, len(sc.Steps)), sources: map[string]*source{},
		names: map[string]string{}, bounds: map[boundOf]time.Duration{},
	}
	for _, c := range sc.Content {
		p.sources[c.Name] = &source{known: make(chan struct{})}
		byGroup := map[string][]string{}
		for n := range sc.Fetchers(c.Name) {
			spec, _ := sc.Node(n)
			byGroup[spec.Group] = append(byGroup[spec.Group], n)
		}
		for group, nodes := range byGroup {
			p.bounds[boundOf{group, c.Name}] = sc.Bound(c.Name, nodes)
		}
	}
	steps := map[string]int{}
	for _, s := range sc.Steps {
		for _, n := range s.Nodes {
			steps[n]++
		}
	}
	for _, n := range f.Nodes() {
		p.names[n.Peer] = n.Name
		p.actors[n.Name] = &actor{player: p, node: n, todo: make(chan Step, steps[n.Name]), up: true, wants: map[string]*wanted{}}
	}
	return p
}

var errOver = errors.New("the run has ended")

// play returns when every step is done and every fetch by a node that is there at the end has come to one, or when the
// scenario's time is over.
func (p *player) play(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, p.sc.Limit, errOver)
	defer cancel()
	looks, stop := context.WithCancel(ctx)
	var watching errgroup.Group
	watching.Go(func() error { p.watch(looks); return nil })
	group, scope := errgroup.WithContext(ctx)
	for _, a := range p.actors {
		group.Go(func() error { return a.act(scope) })
	}
	group.Go(func() error { return p.relink(scope) })
	group.Go(func() error { return p.timeline(scope) })
	err := group.Wait()
	stop()
	_ = watching.Wait()
	if errors.Is(err, errOver) {
		err = nil // what is not there by now is judged
	}
	p.giveUp()
	return err
}

// timeline hands each step at its time to those whom it concerns.
func (p *player) timeline(ctx context.Context) error {
	defer func() {
		close(p.links)
		for _, a := range p.actors {
			close(a.todo)
		}
	}()
	begun := time.Now()
	for _, s := range p.sc.Steps {
		if err := sleep(ctx, s.At-time.Since(begun)); err != nil {
			return err
		}
		switch s.Do {
		case Partition, Heal, Slow:
			p.links <- s
		default:
			for _, n := range s.Nodes {
				p.actors[n].todo <- s
			}
		}
	}
	return nil
}

// sleep waits, unless ctx ends before.
func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return context.Cause(ctx)
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// relink changes links, one step after the other.
func (p *player) relink(ctx context.Context) error {
	for s := range p.links {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		var err error
		switch s.Do {
		case Partition:
			err = p.fleet.Partition(ctx, s.Sides)
		case Heal:
			err = p.fleet.Heal(ctx)
		case Slow:
			for _, n := range s.Nodes {
				err = errors.Join(err, p.fleet.Shape(ctx, n, s.Link))
			}
		}
		if err != nil {
			return stepError(ctx, s, err)
		}
	}
	return nil
}

// stepError says which step failed. When the run was over it was that.
func stepError(ctx context.Context, s Step, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return fmt.Errorf("the %s of line %d: %w", s.Do, s.Line, err)
}

// giveUp records what did not become complete.
func (p *player) giveUp() {
	for _, a := range p.actors {
		a.mu.Lock()
		for content, w := range a.wants {
			if !w.over {
				p.record(Event{Kind: "failed", Node: a.node.Name, Content: content, Reason: w.reason()})
			}
		}
		a.mu.Unlock()
	}
}

// liars are addresses of nodes that share a content dishonestly. Who fetches it is told of them, as if others had named them.
func (p *player) liars(content string) (addrs []string) {
	for _, s := range p.sc.Steps {
		if s.Do != Share || s.Content != content {
			continue
		}
		for _, n := range s.Nodes {
			if of := p.actors[n].node; bad(of.Role) && len(of.Addrs) > 0 {
				addrs = append(addrs, of.Addrs[0])
			}
		}
	}
	return addrs
}

// bad tells whether a role is played by a program that only looks like a node.
func bad(role string) bool { return role == Liar || role == Staller }
