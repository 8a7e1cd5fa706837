package node

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	"github.com/multiformats/go-multiaddr"
)

type peerID = peer.ID

// neighbours are the peers that a request can ask: found by mDNS, named by the user, or connected to us.
type neighbours struct {
	self  peer.ID
	named []peer.AddrInfo

	mu       sync.Mutex // guards the rest
	known    map[peer.ID]neighbour
	watchers map[chan<- struct{}]struct{}
}

type neighbour struct {
	route string // mdns, peer, ticket, inbound
	seen  time.Time
}

func newNeighbours(self peer.ID) *neighbours {
	return &neighbours{self: self, known: make(map[peer.ID]neighbour), watchers: make(map[chan<- struct{}]struct{})}
}

// name adds peers that the user typed; they are always worth a dial, whatever their address.
func (s *neighbours) name(h *netHost, addrs []string) error {
	infos, err := parsePeers(addrs)
	if err != nil {
		return err
	}
	for _, info := range infos {
		s.named = append(s.named, info)
		h.allowNamed(info)
		s.add(h, info, "peer")
	}
	return nil
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

// add makes a peer known and tells whoever watches.
func (s *neighbours) add(h *netHost, info peer.AddrInfo, route string) {
	if info.ID == s.self {
		return
	}
	if len(info.Addrs) > 0 {
		h.gater.hearsay.forget(info.ID, info.Addrs...)
		h.Peerstore().AddAddrs(info.ID, info.Addrs, peerstore.RecentlyConnectedAddrTTL)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, old := s.known[info.ID]; !old && len(s.known) >= maxNeighbours {
		return
	}
	s.known[info.ID] = neighbour{route: route, seen: time.Now()}
	for w := range s.watchers {
		select {
		case w <- struct{}{}:
		default:
		}
	}
}

// watch returns a channel that gets a token when there may be somebody new; stop must be called.
func (s *neighbours) watch() (news <-chan struct{}, stop func()) {
	c := make(chan struct{}, 1)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.watchers[c] = struct{}{}
	c <- struct{}{}
	return c, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.watchers, c)
	}
}

// list returns everybody who is known now.
func (s *neighbours) list() []peer.ID {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]peer.ID, 0, len(s.known))
	for id := range s.known {
		out = append(out, id)
	}
	return out
}

func (s *neighbours) route(p peer.ID) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.known[p].route
}

// run keeps the named peers connected and forgets those that were not heard of for long.
func (s *neighbours) run(ctx context.Context, h *netHost) error {
	inbound := &network.NotifyBundle{ConnectedF: func(_ network.Network, c network.Conn) {
		if c.Stat().Direction == network.DirInbound && s.route(c.RemotePeer()) == "" {
			s.add(h, peer.AddrInfo{ID: c.RemotePeer()}, "inbound")
		}
	}}
	h.Network().Notify(inbound)
	defer h.Network().StopNotify(inbound)
	ticker := time.NewTicker(10 * time.Second)
	defer ticker.Stop()
	for {
		for _, info := range s.named {
			if h.Network().Connectedness(info.ID) == network.NotConnected {
				s.connect(ctx, h, info)
			}
		}
		select {
		case <-ticker.C:
			s.forget(h, time.Now())
		case <-ctx.Done():
			return nil
		}
	}
}

func (s *neighbours) connect(ctx context.Context, h *netHost, info peer.AddrInfo) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	h.Peerstore().AddAddrs(info.ID, info.Addrs, peerstore.RecentlyConnectedAddrTTL)
	_ = h.Connect(ctx, info) // a fetch that needs the peer reports why it cannot be reached
}

func (s *neighbours) forget(h *netHost, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, x := range s.known {
		gone := h.Network().Connectedness(id) == network.NotConnected
		if gone && x.route != "peer" && (x.route == "inbound" || now.Sub(x.seen) > forgetAfter) {
			delete(s.known, id)
		}
	}
}
