package discovery

import (
	"cmp"
	"context"
	"encoding/binary"
	"net/netip"
	"slices"
	"time"

	"github.com/ipfs/go-datastore"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
)

// knownNode is a node of a DHT as it is remembered for the next start.
type knownNode struct {
	id    peer.ID
	first time.Time // when it was known first, to the second, as the next one
	last  time.Time // when it answered last
	addrs []ma.Multiaddr
	from  netip.Prefix // our own network from which it was reached; the zero value means any
}

// knownKey is where the nodes of this DHT are remembered: apart from those of another one.
func (d *DHT) knownKey() datastore.Key {
	return datastore.NewKey("/known/" + d.config.Route + d.config.Prefix)
}

// recall returns the nodes that were remembered and can be meant where this machine stands now, the best first. The disk may hold
// anything.
func (d *DHT) recall(ctx context.Context, now time.Time) (known []knownNode) {
	row, err := d.config.Records.Get(ctx, d.knownKey())
	if err != nil {
		return nil // nothing yet
	}
	for _, n := range parseKnown(row) {
		n.addrs = best(n.id, d.usable(n.addrs))
		past := now.Sub(n.last)
		if len(n.addrs) > 0 && n.id != d.host.ID() && past > -clockSlack && past < rememberFor {
			known = append(known, n)
		}
	}
	return known
}

// remember writes down the nodes that answered lately, and those of earlier as far as there is room.
func (d *DHT) remember(ctx context.Context, now time.Time) error {
	known := make(map[peer.ID]knownNode)
	for _, n := range d.recall(ctx, now) {
		known[n.id] = n
	}
	for _, p := range d.dht.RoutingTable().GetPeerInfos() {
		n, ok := d.reached(p.Id)
		if !ok {
			continue
		}
		n.first, n.last = p.AddedAt, now
		if old, before := known[p.Id]; before && old.first.Before(n.first) {
			n.first = old.first
		}
		known[p.Id] = n
	}
	if len(known) == 0 {
		return nil
	}
	var all []knownNode
	for _, n := range known {
		all = append(all, n)
	}
	slices.SortFunc(all, func(a, b knownNode) int { return a.compare(b, now) })
	var row []byte
	for _, n := range all[:min(len(all), maxKnown)] {
		row = n.append(row)
	}
	return d.config.Records.Put(ctx, d.knownKey(), row)
}

// compare puts first who answered lately, and of those who have been there the longest: they are the likeliest to stay.
func (n knownNode) compare(other knownNode, now time.Time) int {
	lately := func(n knownNode) int {
		if now.Sub(n.last) < answeredLately {
			return 0
		}
		return 1
	}
	return cmp.Or(cmp.Compare(lately(n), lately(other)), n.first.Compare(other.first), cmp.Compare(n.id, other.id))
}

// reached says where a node is, if this node is connected with it. An address counts that was dialled, or that has the IP address the
// node comes from.
func (d *DHT) reached(p peer.ID) (n knownNode, ok bool) {
	n.id = p
	for _, c := range d.host.Network().ConnsToPeer(p) {
		remote, there := firstIP(c.RemoteMultiaddr())
		if !there || c.Stat().Limited || !d.config.Usable(remote) {
			continue
		}
		if n.from = d.standing(c, remote); d.config.Here != nil && !n.from.IsValid() {
			continue
		}
		addrs := []ma.Multiaddr{c.RemoteMultiaddr()}
		if c.Stat().Direction == network.DirInbound {
			addrs = slices.DeleteFunc(d.host.Peerstore().Addrs(p), func(a ma.Multiaddr) bool { ip, ok := firstIP(a); return !ok || ip != remote })
		}
		if addrs = best(p, d.usable(addrs)); len(addrs) > 0 {
			n.addrs = addrs[:min(len(addrs), maxKnownAddrs)]
			return n, true
		}
	}
	return n, false
}

// standing is our own network from which a node is reached: that of its address, or else that of ours.
func (d *DHT) standing(c network.Conn, remote netip.Addr) netip.Prefix {
	if d.config.Here == nil {
		return netip.Prefix{}
	}
	local, _ := firstIP(c.LocalMultiaddr())
	for _, ip := range []netip.Addr{remote, local} {
		for _, p := range d.config.Here() {
			if p.Contains(ip) {
				return p
			}
		}
	}
	return netip.Prefix{}
}

// here reports whether a node can be meant on the networks that this machine is on.
func (d *DHT) here(n knownNode) bool {
	return d.config.Here == nil || slices.Contains(d.config.Here(), n.from)
}

// append adds a node to a row: its length in bytes and then, each with its length where it has one, peer ID, the times (seconds since
// 1970), our network, number of addresses, addresses.
func (n knownNode) append(row []byte) []byte {
	from, _ := n.from.MarshalBinary() // knows no error
	b := appendText(nil, string(n.id))
	b = binary.AppendUvarint(b, uint64(max(0, n.first.Unix())))
	b = binary.AppendUvarint(b, uint64(max(0, n.last.Unix())))
	b = appendText(b, string(from))
	b = binary.AppendUvarint(b, uint64(len(n.addrs)))
	for _, a := range n.addrs {
		b = appendText(b, string(a.Bytes()))
	}
	return appendText(row, string(b))
}

// parseKnown reads a row. What makes no sense in it is left out.
func parseKnown(row []byte) (known []knownNode) {
	r := fields{rest: row[:min(len(row), maxKnownRow)]}
	for len(r.rest) > 0 && len(known) < maxKnown {
		b := r.bytes()
		if r.bad {
			return known
		}
		if n, ok := parseKnownNode(b); ok {
			known = append(known, n)
		}
	}
	return known
}

func parseKnownNode(b []byte) (n knownNode, ok bool) {
	r := fields{rest: b}
	id, err := peer.IDFromBytes(r.bytes())
	n.id = id
	n.first = time.Unix(int64(r.number(maxMemorySeconds)), 0)
	n.last = time.Unix(int64(r.number(maxMemorySeconds)), 0)
	if from := r.bytes(); err == nil {
		err = n.from.UnmarshalBinary(from)
	}
	for range r.number(maxKnownAddrs) {
		a, bad := ma.NewMultiaddrBytes(r.bytes())
		r.bad = r.bad || bad != nil
		n.addrs = append(n.addrs, a)
	}
	return n, err == nil && !r.bad && len(r.rest) == 0
}
