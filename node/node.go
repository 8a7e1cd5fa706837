package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"sync/atomic"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/network"
	"golang.org/x/sync/errgroup"

	"github.com/shoal-p2p/shoal/content"
	"github.com/shoal-p2p/shoal/discovery"
	"github.com/shoal-p2p/shoal/store"
	"github.com/shoal-p2p/shoal/store/fault"
	"github.com/shoal-p2p/shoal/transfer"
)

// Version is what this build calls itself. The linker sets it; a plain build asks the module.
var Version = moduleVersion()

func moduleVersion() string {
	if b, ok := debug.ReadBuildInfo(); ok && b.Main.Version != "" && b.Main.Version != "(devel)" {
		return b.Main.Version
	}
	return "dev"
}

// Config says what kind of node to open. Home must be set.
type Config struct {
	Home      string
	Network   Network      // LAN when empty
	Listen    []string     // multiaddrs; empty: every interface, the default port if it is free
	Peers     []string     // multiaddrs with /p2p/ that are dialled at the start and again when they are lost
	Bootstrap []string     // the same, as ways into the DHT; IPFSBootstrap stands for the public ones of IPFS
	Name      string       // what neighbours are told that this node is called; empty: the name of the machine
	Log       *slog.Logger // nil discards
	Rates     Rates
	DHTPrefix string   // of the DHT's protocols, like /name; nodes with another one are in another DHT
	Allow     []string // peer IDs: connect with them and nobody else; empty: with anybody
	Block     []string // peer IDs: never connect with them
	Switches

	// Ephemeral makes this node a new peer, known to nobody and forgotten when it ends: its key is written nowhere, neighbours are not
	// told the name of the machine, it neither asks nor remembers those who delivered, and it uses a DHT without being part of one.
	Ephemeral bool

	// Bootstrapper is a node that others begin with: it serves the DHT even if nobody has said that it can be reached.
	Bootstrapper bool

	// Of the network public alone.
	RelayPeers   []string      // multiaddrs with /p2p/ of relays, besides the bootstrap peers, to be found through behind a NAT
	RelayService *RelayService // be a relay for others; nil: do not

	Underlay *Underlay // nil: the sockets and interfaces of this machine
}

// Switches turn off what the network would have on.
type Switches struct {
	NoMDNS bool
	NoDHT  bool

	NoRelay bool // use no relay, and punch no holes into NATs, which takes one
	NoUPnP  bool // do not ask the router to forward a port
}

func (c *Config) validate() error {
	if c.Home == "" {
		return fmt.Errorf("%w: home is not set", ErrUsage)
	}
	if c.Network == "" {
		c.Network = LAN
	}
	if !c.Network.Known() {
		return fmt.Errorf("%w: network %q is not one of isolated, lan, public", ErrUsage, c.Network)
	}
	if c.Name == "" && !c.Ephemeral {
		host, _ := os.Hostname() // a machine without a name makes a node without one
		c.Name = discovery.CleanNodeName(host)
	} else if err := discovery.CheckNodeName(c.Name); c.Name != "" && err != nil {
		return fmt.Errorf("%w: node name: %w", ErrUsage, err)
	}
	if c.Ephemeral && (c.Bootstrapper || c.RelayService != nil) {
		return fmt.Errorf("%w: others know a bootstrapper or a relay by its identity, and an ephemeral node has another one each time", ErrUsage)
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if err := errors.Join(c.validateBootstrap(), c.validateDHT()); err != nil {
		return err
	}
	if c.Network != Public && c.RelayService != nil {
		return fmt.Errorf("%w: a relay is for the network public, and this one is %s", ErrUsage, c.Network)
	}
	if err := c.RelayService.validate(); err != nil {
		return err
	}
	return c.Rates.validate()
}

// Node is one running peer.
type Node struct {
	config     Config
	host       *netHost
	store      *store.Store
	transfer   *transfer.Service
	mdns       *discovery.MDNS  // nil when the network is isolated, or mDNS is switched off
	dhts       []*discovery.DHT // that of the local network first
	finder     *discovery.Finder
	dials      errgroup.Group // to neighbours, for the DHT
	partings   errgroup.Group // pursuits that have what they wanted, until their peers have heard it
	card       card
	background background
	probes     probes
	dests      claims
	names      names
	started    time.Time
	stale      atomic.Int64 // files, as of the last look
}

// Open takes the home and starts to listen. It returns ErrBusy, with the other process's id, when the home is in use.
func Open(ctx context.Context, c Config) (*Node, error) {
	if err := c.validate(); err != nil {
		return nil, err
	}
	if err := makeHome(c.Home); err != nil {
		return nil, err
	}
	st, err := store.Open(store.Config{Home: c.Home})
	if err != nil {
		return nil, openError(err)
	}
	n, err := assemble(c, st)
	if err != nil {
		return nil, errors.Join(err, st.Close())
	}
	return n, nil
}

func assemble(c Config, st *store.Store) (*Node, error) {
	key, err := c.identity()
	if err != nil {
		return nil, err
	}
	relays, err := parsePeers(slices.Concat(c.RelayPeers, c.bootstrapAddrs()))
	if err != nil {
		return nil, err
	}
	allow, err := parseIDs(c.Allow)
	if err != nil {
		return nil, err
	}
	block, err := parseIDs(c.Block)
	if err != nil {
		return nil, err
	}
	h, err := newHost(hostConfig{
		Key: key, Network: c.Network, Listen: c.Listen, UserAgent: "shoal/" + Version, Allow: allow, Block: block,
		Underlay: c.Underlay, NoUPnP: c.NoUPnP, NoRelay: c.NoRelay, Relays: relays, RelayService: c.RelayService,
	})
	if err != nil {
		return nil, err
	}
	if err := h.gater.loadBans(c.Home); err != nil {
		c.Log.Warn("bans of earlier are not known", "err", err)
	}
	n := &Node{config: c, host: h, store: st, started: time.Now()}
	var i transfer.Introducer // none when the network is isolated: such a node talks to those that it was told to
	if c.Network != Isolated {
		i = introducer{h}
	}
	n.transfer = n.newTransfer(i)
	if c.Network != Isolated && !c.NoMDNS {
		n.mdns = discovery.NewMDNS(h.Host, discovery.Config{})
	}
	n.dials.SetLimit(maxIntroductions)
	if err := n.openDHTs(); err != nil {
		return nil, errors.Join(err, n.closeDHTs(), h.Close())
	}
	if n.finder, err = n.newFinder(); err != nil {
		return nil, errors.Join(err, n.closeDHTs(), h.Close())
	}
	return n, nil
}

func (n *Node) newTransfer(i transfer.Introducer) *transfer.Service {
	c := transfer.Config{
		Host: n.host, Library: library{n.store}, Keep: n.host.ConnManager(), Log: n.config.Log, Introducer: i,
		Doors: n.store,
		Ban:   n.distrust,
		Trip:  roundTrip,
		Rates: n.config.Rates.limits(),
	}
	if n.config.Rates.ExemptLAN {
		c.Exempt = func(c network.Conn) bool { return n.host.gater.onLAN(c) }
	}
	return transfer.New(c)
}

// makeHome creates the home, readable by its owner alone.
func makeHome(home string) error {
	if err := os.MkdirAll(filepath.Dir(home), 0o755); err != nil {
		return fmt.Errorf("%w: create home: %w", ErrDisk, err)
	}
	if err := os.Mkdir(home, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return fmt.Errorf("%w: create home: %w", ErrDisk, err)
	}
	info, err := os.Stat(home)
	if err != nil {
		return fmt.Errorf("%w: home: %w", ErrDisk, err)
	}
	if !info.IsDir() {
		return fmt.Errorf("%w: home %s is not a directory", ErrUsage, home)
	}
	return nil
}

func openError(err error) error {
	var locked *store.LockedError
	if errors.As(err, &locked) {
		return fmt.Errorf("%w: process %d has it", ErrBusy, locked.PID)
	}
	return fmt.Errorf("%w: open index: %w", ErrDisk, err)
}

// Run finds neighbours and answers other peers until ctx ends.
func (n *Node) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return n.transfer.Run(ctx) })
	group.Go(func() error { return n.finder.Run(ctx) })
	group.Go(func() error { return n.welcome(ctx) })
	if n.host.outside != nil {
		group.Go(func() error { return n.host.outside.run(ctx, n.host) })
	}
	group.Go(func() error { n.beIntroduced(ctx); return nil })
	if n.mdns != nil {
		group.Go(func() error { return n.mdns.Run(ctx) })
	}
	group.Go(func() error { n.beProbed(ctx); return nil })
	group.Go(func() error { n.watchBackground(ctx); return nil })
	group.Go(func() error { return n.runDHTs(ctx) })
	group.Go(func() error { n.keepIndex(ctx); return nil })
	group.Go(func() error { n.keepBans(ctx); return nil })
	err := group.Wait()
	_ = n.dials.Wait() // none of them fails
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// keepIndex looks at the start, and now and then, whether the shared files are still what was indexed.
func (n *Node) keepIndex(ctx context.Context) {
	for pause := time.Duration(0); ; pause = rescanEvery {
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return
		}
		if err := n.store.Rescan(ctx); err != nil && ctx.Err() == nil {
			n.config.Log.Warn("rescan", "err", err)
		}
	}
}

// Close gives everything back. Run must have returned.
func (n *Node) Close() error {
	fault.Point("K14")
	err := errors.Join(n.closeDHTs(), n.host.Close(), n.partings.Wait())
	fault.Point("K14")
	return errors.Join(err, n.store.Close())
}

// library lets the transfer service read the store.
type library struct{ *store.Store }

func (l library) Tree(ctx context.Context, root cid.Cid) (*content.Tree, error) {
	here := l.Public // a part of a root that is not for everybody is not either
	if !l.Access(root).Open() {
		here = l.Whole // who asks has been let in
	}
	if !here(root) {
		return nil, transfer.ErrNotFound // of an unfinished download only the session that runs it can give
	}
	t, err := l.Store.Tree(ctx, root)
	if errors.Is(err, store.ErrNotFound) {
		return nil, transfer.ErrNotFound
	}
	return t, err
}
