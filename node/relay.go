package node

import (
	"fmt"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/relay"
	"github.com/multiformats/go-multiaddr"
)

// RelayService makes a node with a public address a relay for others: those behind NATs keep a connection to it, over which
// others can speak to them. It is meant for the few words that two nodes need to agree when to punch holes into their NATs; with
// Data large enough, content can pass too. The zero value of a field is its default.
type RelayService struct {
	Allow        []string      // peer IDs that may be reached through this relay; empty means all
	Reservations int           // nodes that may be reached at a time, default 64
	Circuits     int           // connections of one node at a time, default 16
	Duration     time.Duration // of one connection, default 2 minutes
	Data         int64         // bytes in each direction of one connection, default 128 KiB
}

// What a relay gives when the user does not say: a hole punch takes 4 KiB and a few seconds.
const (
	relayReservations = 64
	relayCircuits     = 16
	relayDuration     = 2 * time.Minute
	relayData         = 128 << 10

	leastRelayData  = 16 << 10 // bytes: handshake, identify and a hole punch
	reservationsOne = 8        // for one IP address: an office, a household
)

func (r *RelayService) validate() error {
	if r == nil {
		return nil
	}
	switch {
	case r.Reservations < 0 || r.Reservations > maxConnsInbound/2:
		return fmt.Errorf("%w: a relay for %d nodes: it can be for up to %d", ErrUsage, r.Reservations, maxConnsInbound/2)
	case r.Circuits < 0 || r.Circuits > maxPeerStreams:
		return fmt.Errorf("%w: %d relayed connections of one node: there can be up to %d", ErrUsage, r.Circuits, maxPeerStreams)
	case r.Duration < 0 || r.Duration > 0 && r.Duration < time.Second || r.Duration > 1<<31*time.Second:
		return fmt.Errorf("%w: a relayed connection of %s: a second is the shortest", ErrUsage, r.Duration)
	case r.Data < 0 || r.Data > 0 && r.Data < leastRelayData:
		return fmt.Errorf("%w: a relayed connection of %d bytes: it needs %d to be of use", ErrUsage, r.Data, leastRelayData)
	}
	_, err := r.allowed()
	return err
}

func (r *RelayService) allowed() ([]peer.ID, error) {
	out := make([]peer.ID, 0, len(r.Allow))
	for _, text := range r.Allow {
		p, err := peer.Decode(text)
		if err != nil {
			return nil, fmt.Errorf("%w: %q is not a peer ID", ErrUsage, text)
		}
		out = append(out, p)
	}
	return out, nil
}

// options are those of the relay itself. The service has been validated.
func (r *RelayService) options() []relay.Option {
	or := func(v, otherwise int) int {
		if v == 0 {
			return otherwise
		}
		return v
	}
	limit := relay.RelayLimit{Duration: r.Duration, Data: r.Data}
	if limit.Duration == 0 {
		limit.Duration = relayDuration
	}
	if limit.Data == 0 {
		limit.Data = relayData
	}
	res := relay.DefaultResources()
	res.Limit = &limit
	res.MaxReservations, res.MaxCircuits = or(r.Reservations, relayReservations), or(r.Circuits, relayCircuits)
	res.MaxReservationsPerIP = reservationsOne
	out := []relay.Option{relay.WithResources(res)}
	if allowed, err := r.allowed(); err == nil && len(allowed) > 0 {
		out = append(out, relay.WithACL(relayFor(allowed)))
	}
	return out
}

// relayFor lets a relay be used by some peers only. Anybody may speak to them.
type relayFor []peer.ID

func (r relayFor) AllowReserve(p peer.ID, _ multiaddr.Multiaddr) bool { return slices.Contains(r, p) }

func (r relayFor) AllowConnect(_ peer.ID, _ multiaddr.Multiaddr, to peer.ID) bool {
	return slices.Contains(r, to)
}

// passes is how many bytes a relay lets through a limited connection; 0 if it does not say.
func passes(c network.Conn) int64 {
	limit, ok := c.Stat().Extra[relayedData].(uint64)
	if !ok || limit > 1<<62 {
		return 0
	}
	return int64(limit)
}
