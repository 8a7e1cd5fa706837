package testnet

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/gofrs/flock"
	"golang.org/x/sync/errgroup"

	"github.com/shoal-p2p/shoal/node"
)

// Down ends all processes of the network and removes everything that was made for it.
func (n *Net) Down(ctx context.Context) error { return n.locked(ctx, n.removeLocked) }

// removeLocked ends the processes and removes the rest. It is done even for those who have lost patience. The lock goes with the
// folder.
func (n *Net) removeLocked(l *flock.Flock) error {
	ctx := context.Background()
	s, grounds := n.state, []ground{n.ground}
	switch {
	case s == nil:
		s = guess(n.dir)
		grounds = everyGround(s)
	case n.ground == nil: // this machine has none of that kind, and so nothing stands on it
		grounds = nil
	}
	err := endAll(ctx, s)
	for _, g := range grounds {
		err = errors.Join(err, g.clear(ctx))
	}
	if err != nil {
		return errors.Join(err, l.Close()) // what is written down is needed for the next try
	}
	return removeFolder(n.dir, l)
}

// rounds is how often processes are looked for: one that is just being started may appear after the first look.
const rounds = 5

// endAll kills every process of a network: those that are written down, those that carry its marker, and whoever has a home of
// its nodes.
func endAll(ctx context.Context, s *state) error {
	for range rounds {
		found := markedProcesses(s.dir)
		for _, n := range s.Nodes {
			if n.alive() {
				found = append(found, n.process)
			} else if p := homeKeeper(ctx, n); p.alive() {
				found = append(found, p)
			}
		}
		if len(found) == 0 {
			return nil
		}
		var group errgroup.Group
		for _, p := range found {
			group.Go(func() error { return p.end(ctx, Killed) })
		}
		if err := group.Wait(); err != nil {
			return err
		}
	}
	return fmt.Errorf("processes of the test network in %s keep coming back: is another command starting nodes?", s.dir)
}

// homeKeeper is the process of this machine that answers on a node's control socket, if it says that the home is its own. It finds nodes
// that were started and not written down, where processes carry no marker.
func homeKeeper(ctx context.Context, n *Node) process {
	s, err := ask[node.Status](ctx, n.Socket, "status")
	if err != nil || s.Home != n.Home || s.PID == 1 {
		return process{} // in a container, a node is the first process of its own counting; the ground removes it
	}
	born, _ := bornAt(s.PID)
	return process{s.PID, born}
}

// Abandoned reports whether the network was to go with the process that put it up, and that process is gone.
func (n *Net) Abandoned() bool { return n.state.Owner.PID != 0 && !n.state.Owner.alive() }

// Running reports whether a node of the network runs.
func (n *Net) Running() bool {
	return slices.ContainsFunc(n.Nodes(), func(node Node) bool { return node.State == StateUp })
}

// Adopt makes this process the one with which an abandoned network goes.
func (n *Net) Adopt(ctx context.Context) error {
	return n.change(ctx, func() error { return n.save(func() { n.state.Owner = self() }) })
}

// Leave lets the network go on without the process that put it up.
func (n *Net) Leave(ctx context.Context) error {
	return n.change(ctx, func() error { return n.save(func() { n.state.Owner = process{} }) })
}

// Cleaned says what Clean did about a folder.
type Cleaned struct {
	Dir     string `json:"dir"`
	Removed bool   `json:"removed"`
	Reason  string `json:"reason"` // why it was removed, or is still there
}

// Clean removes what crashes have left of networks whose folders lie in root: those that were abandoned, those of which no node
// runs, folders that hold a broken one, and processes without a folder. Networks that are in use stay.
func Clean(ctx context.Context, root string) ([]Cleaned, error) {
	entries, err := os.ReadDir(root)
	if errors.Is(err, fs.ErrNotExist) {
		entries, err = nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look for test networks: %w", err)
	}
	var out []Cleaned
	for _, e := range entries {
		dir := filepath.Join(root, e.Name())
		if mine, err := Ours(dir); !e.IsDir() || err != nil || !mine {
			continue // whatever that is, we did not make it
		}
		c, err := CleanOne(ctx, dir)
		if err != nil {
			return out, err
		}
		out = append(out, c)
	}
	for dir, found := range strayProcesses(root) {
		for _, p := range found {
			if err := p.end(ctx, Killed); err != nil {
				return out, err
			}
		}
		out = append(out, Cleaned{dir, true, fmt.Sprintf("the folder was gone and %d of its processes were not", len(found))})
	}
	_ = os.Remove(root) // if nothing is left in it
	return out, nil
}

// CleanOne is Clean for one folder.
func CleanOne(ctx context.Context, dir string) (Cleaned, error) {
	c := Cleaned{Dir: dir}
	l, err := lock(ctx, dir) // whoever puts it up just now has to be done before it can be judged
	if err != nil {
		return c, err
	}
	n, err := Open(dir, nil)
	switch {
	case errors.Is(err, ErrNone):
		c.Reason = "it was never up"
	case err != nil:
		c.Reason = err.Error()
	case n.Abandoned():
		c.Reason = "whoever put it up is gone"
	case n.state.Owner.alive():
		c.Reason = fmt.Sprintf("process %d uses it", n.state.Owner.PID)
		return c, l.Close()
	case n.Running():
		c.Reason = "it runs"
		return c, l.Close()
	default:
		c.Reason = "none of its nodes runs"
	}
	c.Removed = true
	return c, n.removeLocked(l)
}

// guess makes up a state from what lies in a folder that holds none that can be read.
func guess(dir string) *state {
	s := &state{dir: dir}
	homes, _ := os.ReadDir(filepath.Join(dir, nodesName)) // there may be none
	for _, h := range homes {
		home := homeOf(dir, h.Name())
		s.Nodes = append(s.Nodes, &Node{Spec: Spec{Name: h.Name()}, Home: home, Socket: socketOf(home), Log: logOf(home)})
	}
	return s
}
