package node

import (
	"context"
	"fmt"
	"net/netip"
	"slices"

	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	"github.com/multiformats/go-multiaddr"

	"github.com/shoal-p2p/shoal/discovery"
	"github.com/shoal-p2p/shoal/transfer"
)

type peerID = peer.ID

// newFinder puts together what this node looks for peers with.
func (n *Node) newFinder() (*discovery.Finder, error) {
	named, err := parsePeers(slices.Concat(n.config.Peers, n.config.bootstrapAddrs()))
	if err != nil {
		return nil, err
	}
	c := discovery.FinderConfig{Host: n.host, Named: named}
	if n.config.Network == Isolated {
		return discovery.NewFinder(c), nil
	}
	if n.mdns != nil {
		c.Nearby, c.Introduce = n.mdns, n.introduce
	}
	for _, d := range n.dhts {
		c.Sources = append(c.Sources, d)
	}
	if n.config.Ephemeral { // whom it asks would tell who it is
		return discovery.NewFinder(c), nil
	}
	if c.Memory, err = discovery.OpenMemory(n.store.Shelf()); err != nil {
		return nil, storeError(err)
	}
	return discovery.NewFinder(c), nil
}

// parsePeers turns multiaddrs that end in /p2p/ID into addresses by peer.
func parsePeers(addrs []string) ([]peer.AddrInfo, error) {
	parsed := make([]multiaddr.Multiaddr, 0, len(addrs))
	for _, a := range addrs {
		m, err := multiaddr.NewMultiaddr(a)
		if err != nil {
			return nil, fmt.Errorf("%w: peer %q: %w", ErrUsage, a, err)
		}
		if _, id := peer.SplitAddr(m); id == "" {
			return nil, fmt.Errorf("%w: peer %q does not end in /p2p/PEER-ID", ErrUsage, a)
		}
		parsed = append(parsed, m)
	}
	infos, err := peer.AddrInfosFromP2pAddrs(parsed...)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUsage, err)
	}
	return infos, nil
}

// Note takes the addresses of a finding. Those that the user typed or passed on in a ticket are always worth a dial, and mDNS
// has looked at its own; all others are hearsay.
func (h *netHost) Note(f discovery.Finding) bool {
	info := f.Info
	switch f.Route {
	case discovery.RouteNamed:
		h.allowNamed(info)
	case discovery.RouteTicket:
		h.allowTicket(info)
	case discovery.RouteMDNS, discovery.RouteInbound:
	default:
		return h.noteHearsay(f)
	}
	h.gater.hearsay.Vouch(info.ID, info.Addrs...)
	h.Peerstore().AddAddrs(info.ID, info.Addrs, peerstore.RecentlyConnectedAddrTTL)
	return true
}

// noteHearsay takes addresses that rest on a DHT's word, or on our own memory of where a peer once was.
func (h *netHost) noteHearsay(f discovery.Finding) bool {
	p := f.Info.ID
	if h.gater.isBanned(p) {
		return false
	}
	if h.Connected(p) {
		return true
	}
	own := h.addrs()
	var good []multiaddr.Multiaddr
	left, relays := maxHeardAddrs, maxHeardRelays
	for _, m := range f.Info.Addrs {
		ip, _ := ipOf(m)
		count, ok := &left, false
		switch {
		case relayed(m): // nobody but the DHT beyond needs to name such
			count, ok = &relays, f.Route == discovery.RouteDHT && h.viaHarmless(m)
		case !ip.IsLoopback() || f.Route == discovery.RouteRemembered || h.gater.inward: // nobody else knows what runs on this machine
			ok = h.harmless(m, own)
		}
		if ok && *count > 0 && h.gater.hearsay.Add(p, m, ip.IsLoopback()) {
			good = append(good, m)
			*count--
		}
	}
	h.Peerstore().AddAddrs(p, good, discovery.HearsayFresh)
	return len(good) > 0
}

// Connected reports whether there is a connection with p, be it through a relay.
func (h *netHost) Connected(p peer.ID) bool {
	return h.Network().Connectedness(p) != network.NotConnected
}

// Serves is false for a peer that has said what it speaks, without our protocol.
func (h *netHost) Serves(p peer.ID) bool {
	spoken, err := h.Peerstore().GetProtocols(p)
	return err != nil || len(spoken) == 0 || slices.Contains(spoken, transfer.Protocol)
}

// Local reports whether ip is on the local network.
func (h *netHost) Local(ip netip.Addr) bool { return h.gater.usableInLAN(ip) }

// welcome makes neighbours of those who connect to us, and of those who turn out to speak our protocol only later: a node
// that has just started may be connected before it serves.
func (n *Node) welcome(ctx context.Context) error {
	inbound := &network.NotifyBundle{ConnectedF: func(_ network.Network, c network.Conn) {
		if c.Stat().Direction == network.DirInbound {
			n.met(c.RemotePeer())
		}
	}}
	n.host.Network().Notify(inbound)
	defer n.host.Network().StopNotify(inbound)
	updates, err := n.host.EventBus().Subscribe(new(event.EvtPeerProtocolsUpdated))
	if err != nil {
		return fmt.Errorf("watch peers: %w", err)
	}
	defer updates.Close()
	for {
		select {
		case e := <-updates.Out():
			if u, ok := e.(event.EvtPeerProtocolsUpdated); ok && slices.Contains(u.Added, transfer.Protocol) {
				n.met(u.Peer)
			}
		case <-ctx.Done():
			return nil
		}
	}
}

func (n *Node) met(p peer.ID) {
	n.finder.Meet(discovery.Finding{Info: peer.AddrInfo{ID: p}, Route: discovery.RouteInbound})
}

// credit remembers who delivered, for the next search.
func (n *Node) credit(s transfer.Status) {
	for _, p := range s.Peers {
		if p.Down == 0 || p.Bad > 0 {
			continue
		}
		d := discovery.Delivery{Peer: p.Peer, Root: s.Root, Bytes: p.Down}
		for _, c := range n.host.Network().ConnsToPeer(p.Peer) {
			d.Addrs = append(d.Addrs, introducer{n.host}.Reached(c)...)
		}
		if err := n.finder.Delivered(d); err != nil {
			n.config.Log.Warn("remember a provider", "err", err)
		}
	}
}

// distrust bans a peer that sent what nobody asked for, or bytes that are not what they should be, and forgets its merits.
func (n *Node) distrust(p peer.ID) {
	n.host.ban(p, banTime)
	if err := n.finder.Distrust(p); err != nil {
		n.config.Log.Warn("forget a provider", "err", err)
	}
}
