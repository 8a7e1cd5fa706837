package discovery

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

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
	// Note takes the addresses of a node that is remembered, as hearsay, and reports whether there is a way to it; nil takes them as they are.
	Note func(peer.AddrInfo) bool
	// Here are the networks that this machine has a foot in: what is remembered of a node is for the one from which it was reached. Nil
	// means that it does not matter.
	Here func() []netip.Prefix
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
		dht.Resiliency(nearest),
		dht.BootstrapPeers(d.config.Bootstrap...),
		dht.Datastore(dated{namespace.Wrap(d.config.Records, datastore.NewKey("/dht/"+d.config.Route))}),
		dht.AddressFilter(d.usable),
		dht.QueryFilter(func(_ any, p peer.AddrInfo) bool { return len(d.usable(p.Addrs)) > 0 }),
		dht.RoutingTableFilter(func(_ any, p peer.ID) bool { return d.near(p) }),
	}
	if d.config.Prefix != string(dht.DefaultPrefix) {
		options = append(options, dht.DisableValues()) // we keep none, and strangers need not either
	}
	if d.config.Route == RouteLANDHT {
		options = append(options, dht.RoutingTableRefreshPeriod(refreshLAN))
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
	state := namespace.Wrap(records, datastore.NewKey("state"))
	d.provider, err = provider.New(
		provider.WithHost(d.host), provider.WithRouter(d.dht), provider.WithMessageSender(d.dht.MessageSender()),
		provider.WithReplicationFactor(d.dht.BucketSize()), provider.WithSelfAddrs(d.dht.FilteredAddrs),
		provider.WithKeystore(d.keys), provider.WithDatastore(state), provider.WithDhtType(d.config.Route),
		provider.WithResumeCycle(!ahead(context.Background(), state, time.Now())),
	)
	return err
}

// Close leaves the DHT, and writes down whom it knows.
func (d *DHT) Close() error {
	var err error
	if d.dht != nil {
		ctx, cancel := context.WithTimeout(context.Background(), closeTime)
		defer cancel()
		_ = d.remember(ctx, time.Now()) // a hint for the next start, which does without
	}
	if d.provider != nil {
		err = errors.Join(err, d.provider.Close())
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
