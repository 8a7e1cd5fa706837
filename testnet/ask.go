package testnet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"golang.org/x/sync/errgroup"

	"github.com/shoal-p2p/shoal/gateway"
	"github.com/shoal-p2p/shoal/node"
)

type none struct{}

// ask asks the node behind a control socket for what takes no arguments.
func ask[Res any](ctx context.Context, socket, verb string) (Res, error) {
	return call[none, Res](ctx, socket, verb, none{}, nil)
}

func call[Req, Res any](ctx context.Context, socket, verb string, req Req, emit func(node.Event)) (Res, error) {
	c, err := gateway.Dial(socket)
	if err != nil {
		var nothing Res
		return nothing, err
	}
	return gateway.Call[Req, Res](ctx, c, verb, req, func(text json.RawMessage) {
		var e node.Event
		if emit != nil && json.Unmarshal(text, &e) == nil {
			emit(e)
		}
	})
}

// Status is one node at a glance. Errors of this and the following methods are those of gateway.Call.
func (n *Net) Status(ctx context.Context, name string) (node.Status, error) {
	of, err := n.Node(name)
	if err != nil {
		return node.Status{}, err
	}
	return ask[node.Status](ctx, of.Socket, "status")
}

// Peers are those with whom a node is connected.
func (n *Net) Peers(ctx context.Context, name string) ([]node.PeerStatus, error) {
	of, err := n.Node(name)
	if err != nil {
		return nil, err
	}
	return ask[[]node.PeerStatus](ctx, of.Socket, "peers")
}

// Share lets a node share files.
func (n *Net) Share(ctx context.Context, name string, r node.ShareRequest) (node.Shared, error) {
	of, err := n.Node(name)
	if err != nil {
		return node.Shared{}, err
	}
	return call[node.ShareRequest, node.Shared](ctx, of.Socket, "share", r, nil)
}

// Find lets a node ask its DHTs for providers.
func (n *Net) Find(ctx context.Context, name string, r node.FindRequest) (node.Found, error) {
	of, err := n.Node(name)
	if err != nil {
		return node.Found{}, err
	}
	return call[node.FindRequest, node.Found](ctx, of.Socket, "find", r, nil)
}

// Fetch lets a node fetch content, and emits what happens meanwhile. It returns the last event, "done".
func (n *Net) Fetch(ctx context.Context, name string, r node.FetchRequest, emit func(node.Event)) (node.Event, error) {
	of, err := n.Node(name)
	if err != nil {
		return node.Event{}, err
	}
	return call[node.FetchRequest, node.Event](ctx, of.Socket, "fetch", r, emit)
}

// atOnce is how many nodes are asked at a time.
const atOnce = 16

// joined waits until the nodes that are up form one network: between any two of them that are in a network together, or connected
// by others that are, leads a way of connections.
func (n *Net) joined(ctx context.Context) error {
	var apart []string
	var failed error
	late := until(ctx, startPatience, func() bool {
		apart, failed = n.apart(ctx)
		return failed != nil || len(apart) == 0
	})
	if failed != nil {
		return failed
	}
	if errors.Is(late, errLate) {
		return fmt.Errorf("%d nodes have not found the others after %v, such as %s: 'logs' may say why", len(apart), startPatience, apart[0])
	}
	return late
}

// apart are the nodes that are up and not connected with the first one of their networks.
func (n *Net) apart(ctx context.Context) ([]string, error) {
	var nodes []*Node
	n.mu.Lock()
	for _, node := range n.state.Nodes {
		if node.State == StateUp && n.ground.running(node) {
			nodes = append(nodes, node)
		}
	}
	n.mu.Unlock()
	seen := make([][]node.PeerStatus, len(nodes))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(atOnce)
	for i, of := range nodes {
		group.Go(func() (err error) {
			if seen[i], err = ask[[]node.PeerStatus](ctx, of.Socket, "peers"); err != nil {
				err = fmt.Errorf("node %s: %w", of.Name, err)
			}
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	byPeer := make(map[string]int, len(nodes))
	for i, node := range nodes {
		byPeer[node.Peer] = i
	}
	should, are := newSets(len(nodes)), newSets(len(nodes))
	for i := range nodes {
		for j := range i {
			if meet(nodes[i], nodes[j]) {
				should.union(i, j)
			}
		}
		for _, p := range seen[i] {
			if j, ok := byPeer[p.ID]; ok {
				are.union(i, j)
			}
		}
	}
	var out []string
	for i, node := range nodes {
		if are.find(i) != are.find(should.find(i)) {
			out = append(out, node.Name)
		}
	}
	return out, nil
}

// sets are disjoint; each is known by its least member.
type sets []int

func newSets(n int) sets {
	s := make(sets, n)
	for i := range s {
		s[i] = i
	}
	return s
}

func (s sets) find(i int) int {
	for s[i] != i {
		s[i] = s[s[i]]
		i = s[i]
	}
	return i
}

func (s sets) union(i, j int) {
	i, j = s.find(i), s.find(j)
	s[max(i, j)] = min(i, j)
}
