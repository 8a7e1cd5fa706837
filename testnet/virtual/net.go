package virtual

import (
	"context"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/shoal-p2p/shoal/node"
	"github.com/shoal-p2p/shoal/testnet"
)

// Config says what kind of network to make. The zero value works.
type Config struct {
	Dir   string // for the homes; empty: a folder that goes with the test
	Seed  uint64 // of who is linked with whom, and of what packets suffer
	Links int    // that each node has, with others at random, and no more, without a DHT; 0: nodes connect as they like, and begin with the first one

	// Bend changes what a node is opened with; nil changes nothing.
	Bend func(name string, c *node.Config)
}

// Net is a network of nodes in virtual time. Its methods may be called from many goroutines of the bubble at once.
type Net struct {
	config   Config
	internet *internet
	begun    time.Time
	ctx      context.Context // of all nodes, until Close
	end      context.CancelFunc
	loops    sync.WaitGroup

	mu    sync.Mutex // guards nodes, their state, and hosts
	nodes []*Node
	hosts int
}

// New makes an empty network. It must be called in a bubble, and ends with its test.
func New(t testing.TB, c Config) *Net {
	if c.Dir == "" {
		c.Dir = t.TempDir()
	}
	n := &Net{config: c, internet: newInternet(c.Seed), begun: time.Now()}
	n.ctx, n.end = context.WithCancel(context.WithoutCancel(t.Context()))
	n.loops.Go(func() { n.internet.run(n.ctx) })
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	return n
}

// Close stops all nodes and gives everything back but the homes.
func (n *Net) Close() error {
	var failed error
	for _, x := range n.Nodes() {
		if err := n.Stop(x.Name); err != nil && failed == nil {
			failed = err
		}
	}
	n.end()
	n.loops.Wait()
	return failed
}

// Elapsed is the virtual time since the network was made.
func (n *Net) Elapsed() time.Duration { return time.Since(n.begun) }

// Nodes lists the nodes, those that do not run among them, in the order in which they were added.
func (n *Net) Nodes() []*Node {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.nodes)
}

// Node returns a node by its name.
func (n *Net) Node(name string) (*Node, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	i := slices.IndexFunc(n.nodes, func(x *Node) bool { return x.Name == name })
	if i < 0 {
		return nil, fmt.Errorf("%w: no node is called %q", testnet.ErrRequest, name)
	}
	return n.nodes[i], nil
}

// Add makes nodes and starts them. It returns when all of them listen; they need a while more to connect, see [Net.Settle].
func (n *Net) Add(specs ...testnet.Spec) error {
	fresh, err := n.prepare(specs)
	if err != nil {
		return err
	}
	n.meet(fresh)
	for _, x := range fresh {
		if err := n.Start(x.Name); err != nil {
			return err
		}
	}
	return nil
}

// prepare gives nodes their homes, identities and addresses.
func (n *Net) prepare(specs []testnet.Spec) (fresh []*Node, err error) {
	for _, s := range specs {
		if err := fits(s); err != nil {
			return nil, err
		}
		if _, err := n.Node(s.Name); err == nil {
			return nil, fmt.Errorf("%w: two nodes are called %q", testnet.ErrRequest, s.Name)
		}
		x := &Node{Spec: s, net: n, Home: filepath.Join(n.config.Dir, s.Name, "home"), place: &place{link: s.Link}, changing: make(chan struct{}, 1)}
		if x.ID, err = node.PeerOf(x.Home); err != nil {
			return nil, fmt.Errorf("node %s: %w", s.Name, err)
		}
		n.mu.Lock()
		x.Addr = n.newAddrLocked()
		n.nodes = append(n.nodes, x)
		n.mu.Unlock()
		fresh = append(fresh, x)
	}
	return fresh, nil
}

// fits says what this ground cannot give a node.
func fits(s testnet.Spec) error {
	lacks := ""
	switch {
	case s.Role != "" && s.Role != "honest":
		lacks = "is a " + s.Role + ", and real nodes in virtual time are honest: choose the ground processes or simulated"
	case s.NAT != "":
		lacks = "is behind a NAT, and there is none in virtual time: choose the ground namespaces"
	case len(s.Networks) > 0:
		lacks = "names its networks, and in virtual time there is one: choose the ground namespaces or containers"
	case len(s.Flags) > 0:
		lacks = "has flags of a command, and in virtual time there is none: use Config.Bend"
	default:
		return nil
	}
	return fmt.Errorf("%w: node %s %s", testnet.ErrGround, s.Name, lacks)
}

// newAddrLocked returns an address that nobody has: one in 10.0.0.0/8, which nodes take for a local network.
func (n *Net) newAddrLocked() netip.Addr {
	n.hosts++
	return netip.AddrFrom4([4]byte{10, byte(n.hosts >> 16), byte(n.hosts >> 8), byte(n.hosts)})
}

// meet says whom new nodes dial. With Links, that is half of those with whom they may be connected.
func (n *Net) meet(fresh []*Node) {
	if n.config.Links == 0 {
		for _, x := range fresh {
			if first := n.Nodes()[0]; first != x {
				x.peers = []string{first.Multiaddr()}
			}
		}
		return
	}
	for a, linked := range neighbours(len(fresh), n.config.Links, n.config.Seed) {
		for _, b := range linked {
			fresh[a].allow = append(fresh[a].allow, fresh[b].ID.String())
			if b < a {
				fresh[a].peers = append(fresh[a].peers, fresh[b].Multiaddr())
			}
		}
	}
}

// Settle waits until the nodes are connected with those whom they were told to dial, for a minute at most.
func (n *Net) Settle(ctx context.Context) error {
	const most, pause = time.Minute, 50 * time.Millisecond
	for began := time.Now(); ; {
		lonely := slices.IndexFunc(n.Nodes(), func(x *Node) bool { return !x.settled() })
		switch {
		case lonely < 0:
			return nil
		case time.Since(began) > most:
			return fmt.Errorf("node %s has not reached everybody whom it was told of within %v", n.Nodes()[lonely].Name, most)
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Shape gives a node another link.
func (n *Net) Shape(name string, l testnet.Link) error {
	x, err := n.Node(name)
	if err != nil {
		return err
	}
	n.internet.mu.Lock()
	defer n.internet.mu.Unlock()
	x.place.link = l
	return nil
}

// Partition lets packets pass only between nodes of the same side. Those on no side are together on one of their own.
func (n *Net) Partition(sides [][]string) error {
	on := make(map[*place]int)
	for i, side := range sides {
		for _, name := range side {
			x, err := n.Node(name)
			if err != nil {
				return err
			}
			on[x.place] = i + 1
		}
	}
	for _, x := range n.Nodes() {
		n.internet.mu.Lock()
		x.place.side = on[x.place]
		n.internet.mu.Unlock()
	}
	return nil
}

// Heal ends a partition.
func (n *Net) Heal() error { return n.Partition(nil) }

// Packets returns how many packets were sent so far, and how many of them got lost.
func (n *Net) Packets() (sent, lost int64) {
	n.internet.mu.Lock()
	defer n.internet.mu.Unlock()
	return n.internet.sent, n.internet.lost
}
