package discovery

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/ipfs/go-cid"
	"github.com/ipfs/go-datastore"
	"github.com/ipfs/go-datastore/namespace"
	dht "github.com/libp2p/go-libp2p-kad-dht"
	"github.com/libp2p/go-libp2p-kad-dht/provider"
	"github.com/libp2p/go-libp2p-kad-dht/provider/keystore"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	ma "github.com/multiformats/go-multiaddr"
	mh "github.com/multiformats/go-multihash"
)

// DHTConfig says in which DHT a node takes part, and how.
type DHTConfig struct {
	Route     string // RouteLANDHT or RouteDHT
	Prefix    string // of the protocol: who uses another one is in another DHT
	Mode      dht.ModeOpt
	Bootstrap []peer.AddrInfo    // who is asked as long as nobody else is known
	Records   datastore.Batching // keeps what others announce, and what we do; not closed
	// Usable reports whether an address can mean anything in this DHT. Others are neither passed on, nor dialled, nor believed.
	Usable func(netip.Addr) bool
}

// Announcer tells others that this node has roots, and tells them again before they forget, until the roots are withdrawn.
type Announcer interface {
	Announce(roots ...cid.Cid) error
	// Withdraw ends that. Who was told forgets in a day or two.
	Withdraw(roots ...cid.Cid) error
}

// DHT is one Kademlia DHT: a table of who has which root, kept by everybody together. Roots are announced by kad-dht's sweeping
// provider, which visits each region of the key space once a cycle with all roots that belong there, so that a hundred thousand
// of them cost little more connections than a thousand.
//
// This node does not list itself as a provider in its own part of the table: a record there could not be withdrawn, and whoever
// asks us is connected with us anyway.
type DHT struct {
	config   DHTConfig
	host     host.Host
	dht      *dht.IpfsDHT
	provider *provider.SweepingProvider
	keys     keystore.Keystore
}

// OpenDHT joins a DHT. Its keeper closes it before the host and the records.
func OpenDHT(h host.Host, c DHTConfig) (*DHT, error) { return openDHT(h, c) }

func openDHT(h host.Host, c DHTConfig, more ...dht.Option) (*DHT, error) {
	d := &DHT{config: c, host: h}
	if err := errors.Join(d.open(more), d.openProvider()); err != nil {
		return nil, errors.Join(fmt.Errorf("open DHT: %w", err), d.Close())
	}
	return d, nil
}

func (d *DHT) open(more []dht.Option) (err error) {
	options := []dht.Option{
		dht.ProtocolPrefix(protocol.ID(d.config.Prefix)),
		dht.Mode(d.config.Mode),
		dht.Concurrency(lookups),
		dht.BootstrapPeers(d.config.Bootstrap...),
		dht.Datastore(namespace.Wrap(d.config.Records, datastore.NewKey("/dht/"+d.config.Route))),
		dht.AddressFilter(d.usable),
		dht.QueryFilter(func(_ any, p peer.AddrInfo) bool { return len(d.usable(p.Addrs)) > 0 }),
		dht.RoutingTableFilter(func(_ any, p peer.ID) bool { return d.near(p) }),
	}
	if d.config.Prefix != string(dht.DefaultPrefix) {
		options = append(options, dht.DisableValues()) // we keep none, and strangers need not either
	}
	if d.config.Route == RouteDHT {
		options = append(options, dht.RoutingTablePeerDiversityFilter(dht.NewRTPeerDiversityFilter(d.host, maxPerSubnetBucket, maxPerSubnet)))
	}
	d.dht, err = dht.New(d.host, append(options, more...)...)
	return err
}

func (d *DHT) openProvider() (err error) {
	if d.dht == nil {
		return nil
	}
	records := namespace.Wrap(d.config.Records, datastore.NewKey("/announced/"+d.config.Route))
	if d.keys, err = keystore.NewKeystore(namespace.Wrap(records, datastore.NewKey("roots"))); err != nil {
		return err
	}
	d.provider, err = provider.New(
		provider.WithHost(d.host), provider.WithRouter(d.dht), provider.WithMessageSender(d.dht.MessageSender()),
		provider.WithReplicationFactor(d.dht.BucketSize()), provider.WithSelfAddrs(d.dht.FilteredAddrs),
		provider.WithKeystore(d.keys), provider.WithDatastore(namespace.Wrap(records, datastore.NewKey("state"))),
		provider.WithDhtType(d.config.Route),
	)
	return err
}

// Close leaves the DHT.
func (d *DHT) Close() error {
	var err error
	if d.provider != nil {
		err = d.provider.Close()
	}
	if d.keys != nil {
		err = errors.Join(err, d.keys.Close())
	}
	if d.dht != nil {
		err = errors.Join(err, d.dht.Close())
	}
	return err
}

// usable leaves the addresses that can mean anything in this DHT.
func (d *DHT) usable(addrs []ma.Multiaddr) []ma.Multiaddr {
	var out []ma.Multiaddr
	for _, a := range addrs[:min(len(addrs), maxRead)] {
		if ip, ok := firstIP(a); ok && d.config.Usable(ip) {
			out = append(out, a)
		}
	}
	return out
}

// near reports whether a peer may have a place in the routing table: one of our connections with it is of this network.
func (d *DHT) near(p peer.ID) bool {
	return slices.ContainsFunc(d.host.Network().ConnsToPeer(p), func(c network.Conn) bool {
		ip, ok := firstIP(c.RemoteMultiaddr())
		return ok && d.config.Usable(ip)
	})
}

func firstIP(a ma.Multiaddr) (netip.Addr, bool) {
	if len(a) == 0 || a[0].Code() != ma.P_IP4 && a[0].Code() != ma.P_IP6 {
		return netip.Addr{}, false
	}
	ip, ok := netip.AddrFromSlice(a[0].RawValue())
	return ip, ok && !ip.Is4In6()
}

// Routes are the routes of what it finds.
func (d *DHT) Routes() []string { return []string{d.config.Route} }

// Size is how many nodes of the DHT this one knows.
func (d *DHT) Size() int { return d.dht.RoutingTable().Size() }

// Trouble says why nobody can be found just now, or nil.
func (d *DHT) Trouble() error {
	if d.Size() == 0 {
		return errors.New("no other node of it is known yet")
	}
	return nil
}

// Meet lets the DHT know of a peer that may be part of it. It dials as long as few are known, and blocks until that ends.
func (d *DHT) Meet(ctx context.Context, info peer.AddrInfo) {
	if d.Size() >= enoughKnown || d.host.Network().Connectedness(info.ID) != network.NotConnected {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, meetTime)
	defer cancel()
	_ = d.host.Connect(ctx, info) // who speaks the protocol is taken in when it has said so
}

// Run finds the way into the DHT, and back into it when all whom it knew have gone, until ctx ends.
func (d *DHT) Run(ctx context.Context) {
	for pause := joinPause; ctx.Err() == nil; pause = min(2*pause, joinPauseMost) {
		for _, info := range d.config.Bootstrap {
			d.Meet(ctx, info)
		}
		_ = d.dht.Bootstrap(ctx) // who has been met is asked for others
		if d.Size() > 0 {
			pause = joinPauseMost
		}
		wait(ctx, nil, pause)
	}
}

// Providers yields providers of root as nodes of the DHT name them, at most MaxProviders and never this node. The channel is
// closed when all who could know have been asked, or when ctx ends; who does not read on must end it.
func (d *DHT) Providers(ctx context.Context, root cid.Cid) <-chan Finding {
	out := make(chan Finding)
	go func() {
		defer close(out)
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		found := d.dht.FindProvidersAsync(ctx, root, MaxProviders)
		n := 0
		for info := range found {
			f := Finding{peer.AddrInfo{ID: info.ID, Addrs: best(info.ID, d.usable(info.Addrs))}, d.config.Route}
			if f.Info.ID == d.host.ID() || len(f.Info.Addrs) == 0 || n == MaxProviders {
				continue
			}
			n++
			select {
			case out <- f:
			case <-ctx.Done():
			}
		}
	}()
	return out
}

// Announce adds roots to those that are announced. It returns as soon as that is written down.
func (d *DHT) Announce(roots ...cid.Cid) error {
	if err := d.provider.StartProviding(false, hashes(roots)...); err != nil {
		return fmt.Errorf("announce: %w", err)
	}
	return nil
}

// Withdraw ends the announcing of roots.
func (d *DHT) Withdraw(roots ...cid.Cid) error {
	if err := d.provider.StopProviding(hashes(roots)...); err != nil {
		return fmt.Errorf("withdraw: %w", err)
	}
	return nil
}

// AnnounceOnly announces these roots and no others.
func (d *DHT) AnnounceOnly(ctx context.Context, roots []cid.Cid) error {
	keep := make(map[string]bool, len(roots))
	for _, root := range roots {
		keep[string(root.Hash())] = true
	}
	old, err := d.keys.Get(ctx, "")
	if err != nil {
		return fmt.Errorf("read what was announced: %w", err)
	}
	old = slices.DeleteFunc(old, func(h mh.Multihash) bool { return keep[string(h)] })
	if len(old) > 0 {
		if err := d.provider.StopProviding(old...); err != nil {
			return fmt.Errorf("withdraw: %w", err)
		}
	}
	for part := range slices.Chunk(roots, announceAtOnce) {
		if err := d.Announce(part...); err != nil {
			return err
		}
	}
	return nil
}

func hashes(roots []cid.Cid) []mh.Multihash {
	out := make([]mh.Multihash, len(roots))
	for i, root := range roots {
		out[i] = root.Hash()
	}
	return out
}
