package node

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync/atomic"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/ipfs/go-datastore"
	"github.com/ipfs/go-datastore/sync"
	dht "github.com/libp2p/go-libp2p-kad-dht"
	"github.com/libp2p/go-libp2p/core/peer"
	"golang.org/x/sync/errgroup"

	"github.com/shoal-p2p/shoal/discovery"
)

// The protocols of the DHTs, unless Config.DHTPrefix says otherwise: that of the local network is for Shoal nodes, the one
// beyond is that of IPFS.
const (
	lanPrefix = "/shoal"
	wanPrefix = string(dht.DefaultPrefix)
)

func (c *Config) validateDHT() error {
	switch p := c.DHTPrefix; {
	case p == "":
	case !strings.HasPrefix(p, "/") || strings.HasSuffix(p, "/") || len(p) > maxPrefix || strings.ContainsFunc(p, func(r rune) bool { return r <= ' ' || r > '~' }):
		return fmt.Errorf("%w: the DHT prefix %q is not like /name", ErrUsage, p)
	case p == wanPrefix:
		return fmt.Errorf("%w: the DHT prefix %q is that of IPFS: leave it away to be part of that", ErrUsage, p)
	}
	if c.Bootstrapper && c.NoDHT {
		return fmt.Errorf("%w: a bootstrapper is part of the DHT, which is switched off", ErrUsage)
	}
	if c.Bootstrapper && c.Network == Isolated {
		return fmt.Errorf("%w: a bootstrapper tells others of others, and the network isolated has none", ErrUsage)
	}
	return nil
}

// openDHTs joins the DHTs of the network: that of the local one, and with the network public the one beyond.
func (n *Node) openDHTs() error {
	if n.config.Network == Isolated || n.config.NoDHT {
		return nil
	}
	records, err := n.dhtRecords()
	if err != nil {
		return fmt.Errorf("%w: %w", ErrDisk, err)
	}
	bootstrap, err := parsePeers(n.config.bootstrapAddrs())
	if err != nil {
		return err
	}
	wan, lan := wanPrefix, lanPrefix
	if p := n.config.DHTPrefix; p != "" {
		wan, lan = p, p
	}
	all := []discovery.DHTConfig{{
		Route: discovery.RouteLANDHT, Prefix: lan + "/lan", Mode: dht.ModeServer, Usable: n.host.gater.usableInLAN,
		Here: n.host.gater.links.list,
	}}
	if n.config.Network == Public {
		mode := dht.ModeAuto // a server as soon as others say that we can be reached
		if n.config.Bootstrapper {
			mode = dht.ModeServer
		}
		all = append(all, discovery.DHTConfig{Route: discovery.RouteDHT, Prefix: wan, Mode: mode, Usable: usableBeyond})
	}
	for _, c := range all {
		c.Bootstrap, c.Records = bootstrap, records
		if n.config.Ephemeral {
			c.Mode = dht.ModeClient // whoever is in others' tables, and then gone, is of no use to them
		}
		c.Note = func(info peer.AddrInfo) bool {
			return n.host.Note(discovery.Finding{Info: info, Route: discovery.RouteRemembered})
		}
		d, err := discovery.OpenDHT(n.host.Host, c)
		if err != nil {
			return err
		}
		n.dhts = append(n.dhts, d)
	}
	return nil
}

// dhtRecords is where the DHTs keep what they know and what they have announced. An ephemeral node has announced nothing yet, whatever
// the peer of this home has, and leaves nothing behind.
func (n *Node) dhtRecords() (datastore.Batching, error) {
	if n.config.Ephemeral {
		return sync.MutexWrap(datastore.NewMapDatastore()), nil
	}
	return n.store.Datastore()
}

func (n *Node) closeDHTs() error {
	var err error
	for _, d := range n.dhts {
		err = errors.Join(err, d.Close())
	}
	return err
}

// usableInLAN reports whether an address can be that of a node of the local network. Loopback is not, because it means another
// machine to everybody who is told; but to a node that can be reached over loopback alone, it is the whole network: all who can tell
// it something there, or be told, are on this machine.
func (g *gater) usableInLAN(ip netip.Addr) bool {
	if g.inward {
		return ip.IsLoopback()
	}
	return !ip.IsLoopback() && !within(metadata, ip) && g.local(ip)
}

// usableBeyond reports whether an address can be that of a node anywhere. Those that carry one of IPv4 could lead to what IPv4
// may not lead to.
func usableBeyond(ip netip.Addr) bool {
	return ip.IsGlobalUnicast() && !within(privateRanges, ip) && !within(carriers, ip)
}

// carriers are NAT64, 6to4 and Teredo.
var carriers = prefixes("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32")

// runDHTs finds the way into the DHTs, and announces what is shared.
func (n *Node) runDHTs(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, d := range n.dhts {
		group.Go(func() error { d.Run(ctx); return nil })
		group.Go(func() error { n.announceShares(ctx, d); return nil })
	}
	return group.Wait()
}

// announceShares announces what is shared and fetched, and nothing that is so no longer.
func (n *Node) announceShares(ctx context.Context, d *discovery.DHT) {
	shares, err := n.store.Shares()
	if err == nil {
		var roots []cid.Cid
		for _, s := range shares {
			if s.Access.Open() {
				roots = append(roots, s.Root)
			}
		}
		err = d.AnnounceOnly(ctx, roots)
	}
	if err != nil && ctx.Err() == nil {
		n.config.Log.Warn("announce", "err", err)
	}
}

// announce tells the DHTs of a root that is shared or complete from now on, unless it is for some only.
func (n *Node) announce(root cid.Cid) {
	if !n.store.Access(root).Open() {
		n.withdraw(root) // it may have been for all before
		return
	}
	n.eachAnnouncer(root, discovery.Announcer.Announce)
}

// withdraw ends that.
func (n *Node) withdraw(root cid.Cid) { n.eachAnnouncer(root, discovery.Announcer.Withdraw) }

func (n *Node) eachAnnouncer(root cid.Cid, do func(discovery.Announcer, ...cid.Cid) error) {
	for _, d := range n.dhts {
		if err := do(d, root); err != nil {
			n.config.Log.Warn("announce", "root", root, "err", err)
		}
	}
}

// introduce lets the DHT of the local network know of a neighbour.
func (n *Node) introduce(ctx context.Context, info peer.AddrInfo) {
	if len(n.dhts) > 0 {
		n.dials.TryGo(func() error { n.dhts[0].Meet(ctx, info); return nil }) // who comes while many are dialled comes again
	}
}

// FindRequest asks who has a root.
type FindRequest struct {
	Ref     string  `json:"ref"`
	Timeout float64 `json:"timeout,omitempty"` // seconds; 0 means DefaultPatience, less than 0 until enough have been asked
	All     bool    `json:"all,omitempty"`     // ask all nodes that could know, also when providers are known
}

// Provider is a peer that is said to have a root. Nobody has checked that.
type Provider struct {
	Peer    string   `json:"peer"`
	Addrs   []string `json:"addrs"`
	Route   string   `json:"route"`   // dht-lan, dht: who says so
	Seconds float64  `json:"seconds"` // since the search began
}

// Found is the outcome of a search.
type Found struct {
	CID       string     `json:"cid"`
	Providers []Provider `json:"providers"`
	Asked     int64      `json:"asked"` // nodes of the DHTs that were asked
	Hops      int64      `json:"hops"`  // of the longest chain of them, each of which named the next
	Seconds   float64    `json:"seconds"`
}

// Find looks for providers of a root in the DHTs, and emits each as it is found. It ends with ErrNotFound when nobody knows one,
// and with ErrNoPeer when nobody could be asked.
func (n *Node) Find(ctx context.Context, r FindRequest, emit func(Event)) (Found, error) {
	t, err := n.resolve(r.Ref, nil)
	if err != nil {
		return Found{}, err
	}
	if !t.access().Open() || !n.store.Access(t.root).Open() {
		return Found{}, fmt.Errorf("%w: what only some may have is not announced, and the DHT is not asked about it; inspect asks the one who shares it", ErrUsage)
	}
	if len(n.dhts) == 0 {
		return Found{}, fmt.Errorf("%w: this node takes part in no DHT", ErrNoPeer)
	}
	if d := patience(r.Timeout); d > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, d)
		defer cancel()
	}
	lookup := discovery.Lookup{Root: t.root, Thorough: r.All, Asked: new(atomic.Int64), Hops: new(atomic.Int64)}
	s := search{lookup: lookup, start: time.Now(), emit: oneAtATime(emit), seen: make(map[string]bool), results: make(chan Provider)}
	out, err := s.run(ctx, n.dhts)
	if err != nil || len(out.Providers) > 0 {
		return out, err
	}
	if out.Providers = n.askThemselves(ctx, &s); len(out.Providers) == 0 {
		err = n.nobodyFound(t.root)
	}
	out.Seconds = time.Since(s.start).Seconds()
	return out, err
}

// askThemselves asks those who can be reached whether they have a root of which the DHTs know nothing: a node is not in its own part of
// the table, so that in a network of two nobody knows who has what.
func (n *Node) askThemselves(ctx context.Context, s *search) []Provider {
	s.emit(Event{Kind: "finding", Message: "nobody has told the DHT, asking the nodes themselves"})
	p := n.pursue(ctx, target{root: s.lookup.Root}, pursuitOptions{Leech: true, Probe: true, Patience: inspectMost, Emit: func(Event) {}})
	defer p.stop()
	holders, err := p.holders(false)
	if err != nil {
		return []Provider{}
	}
	out := make([]Provider, 0, len(holders))
	for _, h := range holders {
		id, err := peer.Decode(h.Peer)
		if err != nil {
			continue
		}
		x := Provider{Peer: h.Peer, Addrs: []string{h.Addr}, Route: p.search.Route(id), Seconds: time.Since(s.start).Seconds()}
		out = append(out, x)
		s.emit(Event{Kind: "provider", Peer: x.Peer, Addrs: x.Addrs, Route: x.Route, Seconds: x.Seconds})
	}
	return out
}

// nobodyFound says what was tried.
func (n *Node) nobodyFound(root cid.Cid) error {
	known := 0
	for _, d := range n.dhts {
		known += d.Size()
	}
	if known == 0 {
		return fmt.Errorf("%w: no other node of the DHT is known", ErrNoPeer)
	}
	return fmt.Errorf("%w: none of the nodes of the DHT that were asked knows a provider of %s", ErrNotFound, root)
}

// search is one Find on its way.
type search struct {
	lookup  discovery.Lookup
	start   time.Time
	emit    func(Event)
	seen    map[string]bool // peer and route
	results chan Provider
}

func (s *search) run(ctx context.Context, dhts []*discovery.DHT) (Found, error) {
	var group errgroup.Group
	for _, d := range dhts {
		group.Go(func() error { s.ask(ctx, d); return nil })
	}
	go func() { _ = group.Wait(); close(s.results) }()
	out := Found{CID: s.lookup.Root.String(), Providers: []Provider{}}
	for p := range s.results {
		if key := p.Route + p.Peer; !s.seen[key] {
			s.seen[key] = true
			out.Providers = append(out.Providers, p)
			s.emit(Event{Kind: "provider", Peer: p.Peer, Addrs: p.Addrs, Route: p.Route, Seconds: p.Seconds})
		}
	}
	out.Seconds, out.Asked, out.Hops = time.Since(s.start).Seconds(), s.lookup.Asked.Load(), s.lookup.Hops.Load()
	if errors.Is(ctx.Err(), context.Canceled) {
		return out, fmt.Errorf("%w: the request was cancelled", ErrStopped)
	}
	return out, nil
}

// ask waits for the DHT to know somebody, because a node that has just started does not, and looks once.
func (s *search) ask(ctx context.Context, d *discovery.DHT) {
	soon := time.NewTicker(dhtLook)
	defer soon.Stop()
	where := routeNames[d.Routes()[0]]
	if d.Trouble() == nil {
		s.emit(Event{Kind: "finding", Message: "asking " + where})
	} else {
		s.emit(Event{Kind: "finding", Message: "waiting for a node of " + where + ", none is known yet"})
	}
	for giveUp := time.After(dhtStart); d.Trouble() != nil; {
		select {
		case <-soon.C:
		case <-giveUp:
			return
		case <-ctx.Done():
			return
		}
	}
	for f := range d.Providers(ctx, s.lookup) {
		p := Provider{Peer: f.Info.ID.String(), Route: f.Route, Seconds: time.Since(s.start).Seconds()}
		for _, a := range f.Info.Addrs {
			p.Addrs = append(p.Addrs, a.String())
		}
		s.results <- p // the reader goes on until this is closed
	}
}
