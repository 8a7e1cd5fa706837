package virtual

import (
	"context"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/shoal-p2p/shoal/node"
	"github.com/shoal-p2p/shoal/testnet"
)

// Ground is what the events of a run in virtual time call it.
const Ground = "virtual"

// Simulate returns what plays scenarios with whole nodes in virtual time, for [testnet.PlaySimulated]. It must be called, and what it
// returns too, in a bubble.
func Simulate(t testing.TB, c Config) func(context.Context, *testnet.Scenario, func(testnet.Event)) error {
	return func(ctx context.Context, sc *testnet.Scenario, record func(testnet.Event)) error {
		if c.Dir == "" {
			c.Dir = t.TempDir()
		}
		c.Seed = sc.Seed
		f := &fleet{Net: New(t, c), record: record}
		var fetchers []string
		content := ""
		for _, x := range sc.Content {
			if of := sc.Fetchers(x.Name); content == "" && len(of) > 0 {
				content = x.Name
				for name := range of {
					fetchers = append(fetchers, name)
				}
			}
		}
		f.tell(testnet.Event{Kind: "begin", Scenario: sc.Name, Ground: Ground, Bound: sc.Bound(content, fetchers).Seconds()})
		if err := f.Add(sc.Nodes...); err != nil {
			return err
		}
		for _, x := range f.Net.Nodes() {
			f.tell(testnet.Event{Kind: "node", Node: x.Name, Peer: x.ID.String(), Group: x.Group, Role: x.Role, Up: x.Link.Up, Down: x.Link.Down})
			f.tell(testnet.Event{Kind: "up", Node: x.Name})
		}
		if err := f.Settle(ctx); err != nil {
			return err
		}
		f.begin()
		return testnet.Perform(ctx, sc, f, filepath.Join(c.Dir, ".content"), f.tell)
	}
}

// fleet is a Net as scenarios are played with.
type fleet struct {
	*Net

	mu     sync.Mutex // guards the rest
	begun  time.Time  // zero: it has not
	record func(testnet.Event)
}

func (f *fleet) begin() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.begun = time.Now()
}

// tell records what happens now. What comes before the beginning happens at 0.
func (f *fleet) tell(e testnet.Event) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if e.T = 0; !f.begun.IsZero() {
		e.T = time.Since(f.begun).Seconds()
	}
	f.record(e)
}

func (f *fleet) Nodes() (out []testnet.Node) {
	for _, x := range f.Net.Nodes() {
		n := testnet.Node{Spec: x.Spec, Home: x.Home, Peer: x.ID.String(), Addrs: []string{x.Multiaddr()}, State: testnet.StateUp}
		if _, err := x.Running(); err != nil {
			n.State = testnet.StateStopped
		}
		out = append(out, n)
	}
	return out
}

// running returns a node that runs.
func (n *Net) running(name string) (*node.Node, error) {
	x, err := n.Node(name)
	if err != nil {
		return nil, err
	}
	return x.Running()
}

// Status leaves out what is said of the process, in which all nodes live.
func (f *fleet) Status(ctx context.Context, name string) (node.Status, error) {
	x, err := f.running(name)
	if err != nil {
		return node.Status{}, err
	}
	s, err := x.Status(ctx)
	s.Memory, s.CPU = 0, 0
	return s, err
}

func (f *fleet) Share(ctx context.Context, name string, r node.ShareRequest) (node.Shared, error) {
	x, err := f.running(name)
	if err != nil {
		return node.Shared{}, err
	}
	return x.Share(ctx, r, func(node.Event) {})
}

func (f *fleet) Find(ctx context.Context, name string, r node.FindRequest) (node.Found, error) {
	x, err := f.running(name)
	if err != nil {
		return node.Found{}, err
	}
	return x.Find(ctx, r, func(node.Event) {})
}

func (f *fleet) Fetch(ctx context.Context, name string, r node.FetchRequest, emit func(node.Event)) (node.Event, error) {
	x, err := f.Node(name)
	if err != nil {
		return node.Event{}, err
	}
	return x.Fetch(ctx, r, emit)
}

func (f *fleet) Start(_ context.Context, name string) error {
	err := f.Net.Start(name)
	if err == nil {
		f.tell(testnet.Event{Kind: "up", Node: name})
	}
	return err
}

func (f *fleet) Stop(_ context.Context, name string) error {
	f.tell(testnet.Event{Kind: "down", Node: name, Reason: string(testnet.Stopped)})
	return f.Net.Stop(name)
}

func (f *fleet) Kill(_ context.Context, name string) error {
	f.tell(testnet.Event{Kind: "down", Node: name, Reason: string(testnet.Killed)})
	return f.Net.Kill(name)
}

func (f *fleet) Shape(_ context.Context, name string, l testnet.Link) error {
	f.tell(testnet.Event{Kind: "link", Node: name, Up: l.Up, Down: l.Down})
	return f.Net.Shape(name, l)
}

func (f *fleet) Partition(_ context.Context, sides [][]string) error {
	f.tell(testnet.Event{Kind: "cut", Sides: sides})
	return f.Net.Partition(sides)
}

func (f *fleet) Heal(context.Context) error {
	f.tell(testnet.Event{Kind: "cut"})
	return f.Net.Heal()
}
