package testnet

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/shoal-p2p/shoal/node"
)

const (
	startPatience = 30 * time.Second // until a node answers: it takes a tenth of a second, and a crowd on a busy machine much longer
	meetPatience  = 5 * time.Second  // until a node that was started again has met somebody
	maxWays       = 3                // nodes of which a node is told when it starts
)

// startOne starts a node and waits until it answers.
func (n *Net) startOne(ctx context.Context, node *Node) error {
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	if err := n.launch(ctx, node); err != nil {
		return fmt.Errorf("node %s: %w", node.Name, err)
	}
	n.tell(Event{Kind: "node", Node: node.Name, Peer: node.Peer, Group: node.Group, Role: node.Role, Up: node.Link.Up, Down: node.Link.Down})
	n.tell(Event{Kind: "up", Node: node.Name})
	return nil
}

func (n *Net) launch(ctx context.Context, node *Node) error {
	for _, dir := range []string{filepath.Join(n.dir, nodesName), node.Home} {
		if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
			return fmt.Errorf("make its home: %w", err)
		}
	}
	started := *node // others are writing the state down meanwhile
	err := n.ground.start(&started, n.arguments(node))
	if err == nil {
		err = n.save(func() { *node = started }) // from here on the process is found again
	}
	if err != nil {
		return errors.Join(err, n.ground.end(context.WithoutCancel(ctx), &started, Killed)) // it may run already
	}
	s, err := n.answers(ctx, node)
	if err != nil {
		return errors.Join(err, n.ground.end(context.WithoutCancel(ctx), node, Killed))
	}
	return n.save(func() { node.Peer, node.Addrs, node.State = s.ID, s.Addrs, StateUp })
}

// arguments are those with which a node serves.
func (n *Net) arguments(node *Node) []string {
	args := append([]string{"serve", "--node-name", node.Name}, node.Flags...)
	way := "--bootstrap"
	if alone(node.Flags) {
		way = "--peer"
	}
	switch {
	case bad(node.Role):
		args, way = []string{ImpostorVerb, node.Role}, "--peer"
	case node.Role == FreeRider:
		args = append(args, fmt.Sprintf("--up-rate=%d", leastUpRate))
	}
	for _, addr := range n.ways(node) {
		args = append(args, way, addr)
	}
	return args
}

// alone reports whether a node with these flags has no DHT through which to find others.
func alone(flags []string) bool {
	for i, f := range flags {
		if f == "--no-dht" || f == "--no-dht=true" || f == "--network=isolated" ||
			f == "isolated" && i > 0 && flags[i-1] == "--network" {
			return true
		}
	}
	return false
}

// ways are addresses of nodes that are up, in a network of this one's, and not behind a NAT.
func (n *Net) ways(node *Node) []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	var out []string
	told := 0
	for _, other := range n.state.Nodes {
		if told == maxWays {
			break
		}
		if other == node || other.NAT != "" || other.State != StateUp || len(other.Addrs) == 0 || !meet(node, other) || !n.ground.running(other) {
			continue
		}
		told++
		if len(other.Networks) > 1 {
			out = append(out, other.Addrs...) // some of them are of the network that the two share
		} else {
			out = append(out, other.Addrs[0])
		}
	}
	return out
}

// meet reports whether two nodes are in one network.
func meet(a, b *Node) bool {
	return len(a.Networks) == 0 && len(b.Networks) == 0 ||
		slices.ContainsFunc(a.Networks, func(name string) bool { return slices.Contains(b.Networks, name) })
}

// answers waits until a node that was started answers on its control socket.
func (n *Net) answers(ctx context.Context, of *Node) (status node.Status, err error) {
	gone := false
	late := until(ctx, startPatience, func() bool {
		running := n.ground.running(of)
		if status, err = ask[node.Status](ctx, of.Socket, "status"); err == nil {
			return true
		}
		gone = !running // it was gone before it could have answered
		return gone
	})
	switch {
	case gone && lastWords(of.Log) == "":
		return status, fmt.Errorf("it ended without a word: is there room on the disk at %s?", of.Home)
	case gone:
		return status, fmt.Errorf("it ended instead of serving: %s", lastWords(of.Log))
	case errors.Is(late, errLate):
		return status, fmt.Errorf("it does not answer after %v (%s): is the machine overloaded?", startPatience, lastWords(of.Log))
	}
	return status, late
}

// Start starts a node that does not run, with the home and the identity that it had. It returns once the node has met somebody, or
// after a few seconds in which it has not: there may be a partition.
func (n *Net) Start(ctx context.Context, name string) error {
	var started *Node
	err := n.change(ctx, func() (err error) {
		if started, err = n.state.node(name); err != nil {
			return err
		}
		if n.ground.running(started) {
			return fmt.Errorf("%w: node %s runs already", ErrRequest, name)
		}
		return n.startOne(ctx, started)
	})
	if err != nil || len(n.ways(started)) == 0 {
		return err
	}
	late := until(ctx, meetPatience, func() bool {
		peers, err := ask[[]node.PeerStatus](ctx, started.Socket, "peers")
		return err == nil && len(peers) > 0
	})
	if errors.Is(late, errLate) {
		n.tell(Event{Kind: "note", Node: name, Reason: fmt.Sprintf("%s runs, and has met nobody after %v", name, meetPatience)})
		return nil
	}
	return late
}

// Stop asks a node to end and returns when it has. Its home stays.
func (n *Net) Stop(ctx context.Context, name string) error { return n.end(ctx, name, Stopped) }

// Kill ends a node as a power cut would. Its home stays.
func (n *Net) Kill(ctx context.Context, name string) error { return n.end(ctx, name, Killed) }

func (n *Net) end(ctx context.Context, name string, how Ending) error {
	return n.change(ctx, func() error {
		node, err := n.state.node(name)
		if err != nil {
			return err
		}
		if !n.ground.running(node) {
			return fmt.Errorf("%w: node %s does not run", ErrRequest, name)
		}
		if err := n.ground.end(ctx, node, how); err != nil {
			return fmt.Errorf("node %s: %w", name, err)
		}
		n.tell(Event{Kind: "down", Node: name, Reason: string(how)})
		return n.save(func() { node.State = State(how) })
	})
}

// discard removes nodes again that could not be started.
func (n *Net) discard(nodes []*Node) error {
	ctx := context.Background() // it has to be done whoever has lost patience
	var group errgroup.Group
	for _, node := range nodes {
		group.Go(func() error {
			return errors.Join(n.ground.end(ctx, node, Killed), os.RemoveAll(node.Home))
		})
	}
	err := group.Wait()
	return errors.Join(err, n.save(func() {
		n.state.Nodes = slices.DeleteFunc(n.state.Nodes, func(have *Node) bool { return slices.Contains(nodes, have) })
	}))
}

// Shape changes what lies between a node and the others.
func (n *Net) Shape(ctx context.Context, name string, l Link) error {
	return n.change(ctx, func() error {
		node, err := n.state.node(name)
		if err != nil {
			return err
		}
		ground, ok := n.ground.(linked)
		if !ok {
			return n.unlinked()
		}
		if err := ground.shape(node, l); err != nil {
			return fmt.Errorf("the link of node %s: %w", name, err)
		}
		n.tell(Event{Kind: "link", Node: name, Up: l.Up, Down: l.Down})
		return n.save(func() { node.Link = l })
	})
}

// Partition lets only nodes of the same side talk with each other, until Heal; nodes of no side are on one together.
func (n *Net) Partition(ctx context.Context, sides [][]string) error {
	if len(sides) == 0 {
		return fmt.Errorf("%w: a partition needs sides", ErrRequest)
	}
	return n.cut(ctx, sides)
}

// Heal ends a partition.
func (n *Net) Heal(ctx context.Context) error { return n.cut(ctx, nil) }

func (n *Net) cut(ctx context.Context, sides [][]string) error {
	return n.change(ctx, func() error {
		ground, ok := n.ground.(linked)
		if !ok {
			return n.unlinked()
		}
		for _, side := range sides {
			for _, name := range side {
				if _, err := n.state.node(name); err != nil {
					return err
				}
			}
		}
		if err := ground.cut(n.state.Nodes, sides); err != nil {
			return fmt.Errorf("cut the network: %w", err)
		}
		n.tell(Event{Kind: "cut", Sides: sides})
		return n.save(func() { n.state.Sides = sides })
	})
}

func (n *Net) unlinked() error {
	return fmt.Errorf("%w: %s have no links of their own that could be changed: choose namespaces (Linux, root): up --netns, run --on namespaces",
		ErrGround, strings.TrimSpace(n.state.Ground))
}
