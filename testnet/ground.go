package testnet

import (
	"context"
	"fmt"
	"os/exec"
)

// The grounds on which a Net can stand.
const (
	Processes  = "processes"  // on this machine's loopback
	Namespaces = "namespaces" // of the network, each with links of its own
	Containers = "containers"
)

// ground is what the nodes of a Net stand on: how their programs are run, and where. A Net calls it for several nodes at once, but for
// one node only one call at a time. Everything that it needs to know again in another process of the program it finds in the Net's
// folder or on the machine: a Net outlives the process that put it up.
type ground interface {
	// suits says why the ground cannot give a node what its Spec asks for, in a sentence with the next step, or returns nil.
	suits(s Spec) error

	// start makes room for a node, if there is none yet, and starts shoal with these arguments there. It does not wait until the node
	// answers. A process that it starts gets its marker (Config.marker) in the environment, and is noted in n.PID and n.Born.
	start(n *Node, args []string) error

	// running reports whether the node's process is there.
	running(n *Node) bool

	// end asks the node's process to end, or kills it, and returns when it is gone.
	end(ctx context.Context, n *Node, how Ending) error

	// command prepares shoal with these arguments to run beside the node: with its network, its files and its home.
	command(n *Node, args ...string) *exec.Cmd

	// clear removes everything that the ground made outside the Net's folder, also what a crash left. Processes of the Net on this
	// machine are gone already.
	clear(ctx context.Context) error
}

// linked is a ground whose nodes have links that can be changed. A Net refuses what takes one on other grounds.
type linked interface {
	// shape gives the node's link these properties.
	shape(n *Node, l Link) error

	// cut lets packets through between nodes of the same side only; nodes of no side are on one of their own together. Without sides, all
	// is as it was. nodes are all of the Net.
	cut(nodes []*Node, sides [][]string) error
}

// Ending says how a process is to end.
type Ending string

const (
	Stopped Ending = "stopped" // it is asked to, and has time to put things in order
	Killed  Ending = "killed"
)

// newGround returns the ground that a state names.
func newGround(s *state) (ground, error) {
	switch s.Ground {
	case Processes:
		return &loopback{processes{s}}, nil
	case Namespaces:
		return newNamespaces(s)
	case Containers:
		return newContainers(s), nil
	}
	return nil, fmt.Errorf("%w: the ground %q is not known: choose %s, %s or %s", ErrRequest, s.Ground, Processes, Namespaces, Containers)
}

// everyGround returns all of this system, to clear what a Net left of which nobody knows what it stood on.
func everyGround(s *state) []ground {
	all := []ground{&loopback{processes{s}}, newContainers(s)}
	if g, err := newNamespaces(s); err == nil {
		all = append(all, g)
	}
	return all
}
