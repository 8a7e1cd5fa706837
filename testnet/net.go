package testnet

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gofrs/flock"
	"golang.org/x/sync/errgroup"
)

var (
	// ErrRequest means that what was asked makes no sense: a node that is not there, a name that is taken, too many nodes.
	ErrRequest = errors.New("bad request")

	// ErrGround means that the ground cannot do what was asked.
	ErrGround = errors.New("not on this ground")

	// ErrNone means that the folder holds no test network.
	ErrNone = errors.New("there is no such test network")

	// ErrExists means that there is a test network already.
	ErrExists = errors.New("there is such a test network already")

	errBroken = errors.New("unreadable")
)

// Node is one node of a Net as it was last seen.
type Node struct {
	Spec
	process
	Home   string   `json:"home"`
	Socket string   `json:"socket"` // of its control API
	Log    string   `json:"log"`    // what it prints
	Peer   string   `json:"peer"`   // ID
	Addrs  []string `json:"addrs"`  // with /p2p/
	State  State    `json:"state"`
}

// State is what a node's process does.
type State string

const (
	StateNew     State = "new" // has never answered
	StateUp      State = "up"
	StateStopped       = State(Stopped)
	StateKilled        = State(Killed)
	StateCrashed State = "crashed" // ended although nobody asked it to
)

// Net is a network of real nodes. It goes on without the process that put it up, until Down. Its methods may be called by several
// goroutines and processes at once; those that change something wait for each other.
type Net struct {
	dir      string
	emit     func(Event)
	emitting sync.Mutex // held while emit runs

	mu     sync.Mutex // guards what follows and the nodes in it, which are those of the last change that this process made
	state  *state
	ground ground
}

// Up starts the nodes and returns once all have joined. emit, which may be nil, is called for what happens, one event at a time. When it
// fails, nothing is left. It returns ErrExists if the folder holds a network already, also a broken one: see Clean.
func Up(ctx context.Context, c Config, emit func(Event)) (*Net, error) {
	if err := c.validate(); err != nil {
		return nil, err
	}
	if mine, err := Ours(c.Dir); err != nil || !mine {
		return nil, errors.Join(err, fmt.Errorf("%w: the folder %s holds other things: choose another", ErrRequest, c.Dir))
	}
	l, err := lock(ctx, c.Dir)
	if err != nil {
		return nil, err
	}
	if _, err := readState(c.Dir); !errors.Is(err, ErrNone) {
		return nil, errors.Join(ErrExists, l.Close())
	}
	n := &Net{dir: c.Dir, emit: emit, state: &state{
		Format: stateFormat, Ground: c.Ground, Shoal: c.Shoal, Begun: time.Now().UTC(), Owner: self(), Usual: c.Usual, dir: c.Dir,
	}}
	if n.ground, err = newGround(n.state); err == nil {
		err = n.addLocked(ctx, c.Nodes)
	}
	if err == nil && c.Stay {
		err = n.save(func() { n.state.Owner = process{} })
	}
	if err != nil {
		return nil, errors.Join(err, n.removeLocked(l))
	}
	return n, l.Close()
}

// Open finds a network that is up. It returns ErrNone if there is none.
func Open(dir string, emit func(Event)) (*Net, error) {
	s, g, err := open(dir)
	return &Net{dir: dir, emit: emit, state: s, ground: g}, err
}

// open reads what is written down.
func open(dir string) (*state, ground, error) {
	s, err := readState(dir)
	if err != nil {
		return nil, nil, err
	}
	g, err := newGround(s)
	if err != nil {
		return nil, nil, err
	}
	return s, g, nil
}

// Nodes lists the nodes in the order in which they were added, as they are now; none when the network has been taken down.
func (n *Net) Nodes() []Node {
	nodes, _ := n.nodes() // a network that cannot be read has none
	return nodes
}

// Usual is what nodes are like that are added, if nobody says otherwise.
func (n *Net) Usual() Spec { return n.state.Usual }

func (n *Net) nodes() ([]Node, error) {
	s, g, err := open(n.dir) // other processes may have changed it
	if err != nil {
		return nil, err
	}
	return s.now(g), nil
}

// now is what the nodes are like now.
func (s *state) now(g ground) []Node {
	out := make([]Node, len(s.Nodes))
	for i, node := range s.Nodes {
		out[i] = *node
		if out[i].State == StateUp && !g.running(node) {
			out[i].State = StateCrashed
		}
	}
	return out
}

// Node returns one node.
func (n *Net) Node(name string) (Node, error) {
	s, g, err := open(n.dir)
	if err != nil {
		return Node{}, err
	}
	node, err := s.node(name)
	if err != nil {
		return Node{}, err
	}
	if node.State == StateUp && !g.running(node) {
		node.State = StateCrashed
	}
	return *node, nil
}

// Command prepares shoal with these arguments to run beside a node: with its network, its files and its home.
func (n *Net) Command(name string, args ...string) (*exec.Cmd, error) {
	of, err := n.Node(name)
	if err != nil {
		return nil, err
	}
	return n.ground.command(&of, args...), nil
}

// change does something that changes the network, while nobody else does.
func (n *Net) change(ctx context.Context, do func() error) error {
	return n.locked(ctx, func(l *flock.Flock) error { return errors.Join(do(), l.Close()) })
}

// locked hands the network, as it is now, to do, which gives the lock back.
func (n *Net) locked(ctx context.Context, do func(*flock.Flock) error) error {
	if _, err := readState(n.dir); err != nil {
		return err // and no folder is made for a lock
	}
	l, err := lock(ctx, n.dir)
	if err != nil {
		return err
	}
	s, g, err := open(n.dir)
	if errors.Is(err, ErrNone) {
		return errors.Join(err, removeFolder(n.dir, l)) // it went while we waited, and the lock has brought the folder back
	}
	if err != nil {
		return errors.Join(err, l.Close())
	}
	n.mu.Lock()
	n.state, n.ground = s, g
	n.mu.Unlock()
	return do(l)
}

// save writes down what has changed.
func (n *Net) save(change func()) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	change()
	return n.state.save()
}

// tell emits an event.
func (n *Net) tell(e Event) {
	if n.emit == nil {
		return
	}
	n.mu.Lock()
	e.T = time.Since(n.state.Begun).Seconds()
	n.mu.Unlock()
	n.emitting.Lock()
	defer n.emitting.Unlock()
	n.emit(e)
}

// Add starts more nodes and returns once they have joined. If one fails, those that came with it are removed again.
func (n *Net) Add(ctx context.Context, specs ...Spec) error {
	return n.change(ctx, func() error { return n.addLocked(ctx, specs) })
}

func (n *Net) addLocked(ctx context.Context, specs []Spec) error {
	if err := checkSpecs(n.dir, specs, n.state.Nodes); err != nil {
		return err
	}
	var fresh []*Node
	for _, s := range specs {
		if err := n.ground.suits(s); err != nil {
			return err
		}
		home := homeOf(n.dir, s.Name)
		fresh = append(fresh, &Node{Spec: s, Home: home, Socket: socketOf(home), Log: logOf(home), State: StateNew})
	}
	if err := n.save(func() { n.state.Nodes = append(n.state.Nodes, fresh...) }); err != nil {
		return err
	}
	if err := n.startAll(ctx, fresh); err != nil {
		return errors.Join(err, n.discard(fresh))
	}
	return nil
}

// startAll starts nodes, several at a time, and waits until they have joined. The first one is there before the others, who are
// told of it.
func (n *Net) startAll(ctx context.Context, nodes []*Node) error {
	nodes = slices.Clone(nodes)
	slices.SortStableFunc(nodes, func(a, b *Node) int { return strings.Compare(a.NAT, b.NAT) }) // who is behind a NAT is of no help to others
	if len(nodes) > 0 && len(n.ways(nodes[0])) == 0 {
		if err := n.startOne(ctx, nodes[0]); err != nil {
			return err
		}
		nodes = nodes[1:]
	}
	group, scope := errgroup.WithContext(ctx)
	group.SetLimit(2 * runtime.NumCPU())
	for _, node := range nodes {
		group.Go(func() error { return n.startOne(scope, node) })
	}
	if err := group.Wait(); err != nil {
		return err
	}
	return n.joined(ctx)
}
