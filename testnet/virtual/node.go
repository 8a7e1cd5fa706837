package virtual

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/shoal-p2p/shoal/node"
	"github.com/shoal-p2p/shoal/testnet"
)

// port is where all nodes listen.
const port = node.DefaultPort

// Node is one node of a Net, whether it runs or not.
type Node struct {
	testnet.Spec
	ID   peer.ID
	Addr netip.Addr
	Home string

	net   *Net
	place *place
	peers []string // that it dials, as multiaddrs
	allow []string // IDs of those with whom it may be connected; none: all

	changing chan struct{} // has one while the node is started or ended

	mu      sync.Mutex // guards running; held for moments only, as virtual time stands still for whoever waits for it
	running *running   // nil while it does not run
}

// running is a node from its start to its end.
type running struct {
	*node.Node
	under *underlay
	ctx   context.Context // until it is to end
	end   context.CancelFunc
	done  chan error     // has one when Run has returned
	uses  sync.WaitGroup // fetches
}

// errDown says that a node does not run.
var errDown = errors.New("the node does not run")

// Multiaddr is where others reach the node, with its ID.
func (x *Node) Multiaddr() string {
	return fmt.Sprintf("/ip4/%s/udp/%d/quic-v1/p2p/%s", x.Addr, port, x.ID)
}

// Running returns the node itself, or an error if it does not run.
func (x *Node) Running() (*node.Node, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.running == nil {
		return nil, fmt.Errorf("%s: %w", x.Name, errDown)
	}
	return x.running.Node, nil
}

// Fetch lets the node fetch. It ends with the node, as for a program that asks one over its socket.
func (x *Node) Fetch(ctx context.Context, request node.FetchRequest, emit func(node.Event)) (node.Event, error) {
	x.mu.Lock()
	r := x.running
	if r == nil {
		x.mu.Unlock()
		return node.Event{}, fmt.Errorf("%s: %w", x.Name, errDown)
	}
	r.uses.Add(1)
	x.mu.Unlock()
	defer r.uses.Done()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(r.ctx, cancel)()
	return r.Fetch(ctx, request, emit)
}

// settled reports whether a node is connected with all whom it dials, of those that run.
func (x *Node) settled() bool {
	running, err := x.Running()
	if err != nil {
		return true
	}
	list, err := running.Peers(x.net.ctx)
	return err == nil && !slices.ContainsFunc(x.net.Nodes(), func(other *Node) bool {
		_, down := other.Running()
		return down == nil && slices.Contains(x.peers, other.Multiaddr()) &&
			!slices.ContainsFunc(list, func(p node.PeerStatus) bool { return p.ID == other.ID.String() })
	})
}

// Start opens a node with what its home holds, and lets it run. It does nothing to one that runs.
func (n *Net) Start(name string) error {
	x, err := n.Node(name)
	if err != nil {
		return err
	}
	x.changing <- struct{}{}
	defer func() { <-x.changing }()
	if _, err := x.Running(); err == nil {
		return nil
	}
	n.internet.lift(x.place, false)
	under := &underlay{net: n.internet, ip: x.Addr, host: x.place}
	opened, err := node.Open(n.ctx, n.configOf(x, under))
	if err != nil {
		return errors.Join(fmt.Errorf("start %s: %w", name, err), under.Close())
	}
	ctx, end := context.WithCancel(n.ctx)
	r := &running{Node: opened, under: under, ctx: ctx, end: end, done: make(chan error, 1)}
	x.run(r)
	n.loops.Go(func() { r.done <- r.Run(ctx) })
	return nil
}

// run sets what runs, and returns what ran before.
func (x *Node) run(r *running) (before *running) {
	x.mu.Lock()
	defer x.mu.Unlock()
	before, x.running = x.running, r
	return before
}

func (n *Net) configOf(x *Node, under *underlay) node.Config {
	c := node.Config{
		Home: x.Home, Network: node.LAN, Name: x.Name, Peers: x.peers, Allow: x.allow,
		Listen:   []string{fmt.Sprintf("/ip4/%s/udp/%d/quic-v1", x.Addr, port)},
		Switches: node.Switches{NoMDNS: true, NoDHT: n.config.Links > 0},
		Underlay: under.forNode(),
	}
	if n.config.Bend != nil {
		n.config.Bend(x.Name, &c)
	}
	return c
}

// Stop ends a node in good order. It does nothing to one that does not run.
func (n *Net) Stop(name string) error { return n.halt(name, false) }

// Kill takes a node off the network without a word, as when its power fails. Its home is left in good order all the same: what a
// crash does to that is for other tests.
func (n *Net) Kill(name string) error { return n.halt(name, true) }

func (n *Net) halt(name string, silently bool) error {
	x, err := n.Node(name)
	if err != nil {
		return err
	}
	x.changing <- struct{}{}
	defer func() { <-x.changing }()
	r := x.run(nil)
	if r == nil {
		return nil
	}
	n.internet.lift(x.place, silently)
	r.end()
	r.uses.Wait()
	if err := errors.Join(<-r.done, r.Close(), r.under.Close()); err != nil {
		return fmt.Errorf("end %s: %w", name, err)
	}
	return nil
}
