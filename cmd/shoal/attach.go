package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/shoal-p2p/shoal/gateway"
	"github.com/shoal-p2p/shoal/node"
)

// peer is what a command asks of a node, wherever the node runs.
type peer interface {
	Share(context.Context, node.ShareRequest, func(node.Event)) (node.Shared, error)
	Fetch(context.Context, node.FetchRequest, func(node.Event)) (node.Event, error)
	Cat(context.Context, node.CatRequest, io.Writer, func(node.Event)) error
	List(context.Context, node.ListRequest, func(node.Event)) ([]node.Entry, error)
	Check(context.Context, node.CheckRequest, func(node.Event)) (node.Checked, error)
	Find(context.Context, node.FindRequest, func(node.Event)) (node.Found, error)
	Shares(context.Context) ([]node.Share, error)
	Unshare(ctx context.Context, ref string) error
	Unlist(ctx context.Context, ref string) error
	Nearby(context.Context, func(node.Event)) ([]node.Neighbour, error)
	Doctor(context.Context, node.DoctorRequest, func(node.Event)) (node.Diagnosis, error)
	Ticket(context.Context, node.TicketRequest) (node.Ticketed, error)
	Inspect(context.Context, node.InspectRequest, func(node.Event)) (node.Inspected, error)
	Peers(context.Context) ([]node.PeerStatus, error)
	Status(context.Context) (node.Status, error)
	Identity(context.Context) (node.Identity, error)
}

// ownNode is a node in this process.
type ownNode interface {
	peer
	Run(context.Context) error
	Close() error
}

func openNode(ctx context.Context, c node.Config) (ownNode, error) {
	n, err := node.Open(ctx, c)
	if err != nil {
		return nil, err // and no nil *node.Node in an interface
	}
	return n, nil
}

// session is a node that a command may ask.
type session struct {
	peer
	remote *remote // nil if the node is this process's own
	tell   teller  // has begun; to be stopped before anything is printed
	ctx    context.Context
	close  func() error
}

// with lets use work with a node: the one that runs on this home, or else one of its own. When a node that belongs to another
// process goes away before use is done, use is called again with the next one.
func (a *app) with(ctx context.Context, use func(ctx context.Context, s *session) error) error {
	patience := time.Duration(startup)
	for soon := 0; ; {
		start := time.Now()
		tell := a.teller()
		s, err := a.attach(ctx, patience)
		if err != nil {
			tell.stop()
			return err
		}
		s.tell = tell
		err = use(s.ctx, s)
		tell.stop()
		if cause := context.Cause(s.ctx); cause != nil && ctx.Err() == nil && err != nil {
			err = cause // the node itself broke
		}
		if closed := s.close(); err == nil && closed != nil {
			return fmt.Errorf("%w: close the node: %w", node.ErrDisk, closed)
		}
		left := s.remote != nil && ctx.Err() == nil && (errors.Is(err, gateway.ErrLost) || errors.Is(err, node.ErrStopped))
		if !left {
			return err
		}
		if soon++; time.Since(start) > time.Second {
			soon = 0
		}
		if soon > 5 {
			return err
		}
		patience = takeover
		a.remark("the process whose node did this has ended; going on without it")
	}
}

// Who has the home and does not answer is about to answer, or about to leave. How long to wait for that.
const (
	startup  = 500 * time.Millisecond // at first: a user should hear within a second that a home is in use
	takeover = 15 * time.Second       // after its node has left us: longer than a node takes to close
)

// attach finds the node that runs on this home, or opens one.
func (a *app) attach(ctx context.Context, patience time.Duration) (*session, error) {
	s, err := a.join(ctx)
	if !errors.Is(err, gateway.ErrNoNode) {
		return s, err
	}
	start := time.Now()
	for {
		s, busy := a.host(ctx, lends)
		if !errors.Is(busy, node.ErrBusy) {
			return s, busy
		}
		for again := time.Now().Add(startup); time.Now().Before(again) && ctx.Err() == nil; {
			time.Sleep(20 * time.Millisecond)
			if s, err := a.join(ctx); !errors.Is(err, gateway.ErrNoNode) {
				return s, err
			}
		}
		if ctx.Err() != nil || time.Since(start) >= patience {
			return nil, busy
		}
	}
}

// join uses the node of another process. It returns gateway.ErrNoNode if there is none.
func (a *app) join(ctx context.Context) (*session, error) {
	if err := a.locate(); err != nil {
		return nil, err
	}
	client, err := gateway.Dial(socketPath(a.home))
	if errors.Is(err, os.ErrPermission) || errors.Is(err, gateway.ErrRefused) {
		return nil, foreign(a.home, err)
	}
	if err != nil {
		return nil, err
	}
	r := &remote{client: client}
	if r.about, err = gateway.Call[none, about](ctx, client, "about", none{}, nil); err != nil {
		return nil, fromCode(err)
	}
	if n := a.typed.Network; n != "" && n != r.about.Network {
		return nil, &advised{
			usage("the node that runs on this home (process %d) has --network %s, not %s", r.about.PID, r.about.Network, n),
			"end that node first, or leave --network away",
		}
	}
	for _, flag := range startFlags {
		if a.explicit(flag) {
			return nil, &advised{
				usage("a node runs on this home already (process %d), so --%s comes too late", r.about.PID, flag),
				"end that node first, or leave --" + flag + " away",
			}
		}
	}
	if a.typed.Rates != (node.Rates{}) {
		return nil, &advised{
			usage("a node runs on this home already (process %d), so limits like --up-rate come too late", r.about.PID),
			"start that node with them ('shoal status' shows those it has), or leave them away",
		}
	}
	if len(a.typed.Allow)+len(a.typed.Block) > 0 {
		return nil, &advised{
			usage("a node runs on this home already (process %d), so --allow and --block come too late", r.about.PID),
			"start that node with them ('shoal status' shows those it has), or leave them away",
		}
	}
	return &session{peer: r, remote: r, ctx: ctx, close: func() error { return nil }}, nil
}

// foreign is the error for a home into which this user may not look.
func foreign(home string, err error) error {
	return &advised{usage("the home %s belongs to another user: %s", home, err), "choose another home with --home or SHOAL_HOME"}
}

// host opens a node in this process and answers on the control socket for as long as the session is open.
func (a *app) host(ctx context.Context, role string, peers ...string) (*session, error) {
	if err := a.locate(); err != nil {
		return nil, err
	}
	if err := makeHome(a.home); err != nil {
		return nil, err
	}
	set, err := a.settings()
	if err != nil {
		return nil, err
	}
	n, err := a.open(ctx, node.Config{
		Home: a.home, Network: set.Network, Ephemeral: set.Ephemeral, Listen: set.Listen, Peers: peers, Bootstrap: set.Bootstrap, Name: set.Name, Log: a.log(),
		Rates: set.Rates, DHTPrefix: set.DHTPrefix, Allow: set.Allow, Block: set.Block, Switches: set.Switches,
		Bootstrapper: a.bootstrapper, RelayPeers: set.RelayPeers, RelayService: set.relayService(role),
	})
	if err != nil {
		return nil, err
	}
	network := cmp.Or(set.Network, node.LAN)
	control := gateway.NewControl(gateway.Config{Socket: socketPath(a.home), Code: codeOf, Log: a.log()})
	register(control, n, about{PID: os.Getpid(), Role: role, Network: network, Version: node.Version})
	if err := control.Listen(); err != nil {
		return nil, errors.Join(err, n.Close())
	}
	return run(ctx, n, control), nil
}

// run keeps a node and its control socket going until the session is closed. The session's context ends with ctx, and when
// one of the two breaks.
func run(ctx context.Context, n ownNode, control *gateway.Control) *session {
	ctx, broke := context.WithCancelCause(ctx)
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	var group errgroup.Group
	keep := func(f func(context.Context) error) {
		group.Go(func() error {
			err := f(life)
			if err != nil && life.Err() == nil {
				broke(err)
			}
			return nil
		})
	}
	keep(n.Run)
	keep(control.Run)
	return &session{peer: n, ctx: ctx, close: func() error {
		broke(nil)
		end()
		_ = group.Wait()
		return n.Close()
	}}
}
