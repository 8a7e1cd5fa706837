package node

import (
	"fmt"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/multiformats/go-multiaddr"

	"github.com/shoal-p2p/shoal/transfer"
)

// Rates limit how fast content moves, in bytes a second; 0 is without limit.
type Rates struct {
	Up        int64 `json:"up,omitempty"` // of the whole node, shared fairly among the peers that want some of it
	Down      int64 `json:"down,omitempty"`
	PeerUp    int64 `json:"peer_up,omitempty"` // to any one peer
	PeerDown  int64 `json:"peer_down,omitempty"`
	ExemptLAN bool  `json:"exempt_lan,omitempty"` // peers on the local network are not limited, and do not count
}

// LeastRate is the lowest limit, in bytes a second.
const LeastRate = transfer.LeastRate

func (r Rates) validate() error {
	for _, v := range []int64{r.Up, r.Down, r.PeerUp, r.PeerDown} {
		if v < 0 || v > 0 && v < LeastRate {
			return fmt.Errorf("%w: a rate of %d bytes a second: the lowest is %d, and 0 is no limit", ErrUsage, v, LeastRate)
		}
	}
	return nil
}

// limits are the rates as the transfer service has them.
func (r Rates) limits() transfer.Rates {
	return transfer.Rates{Up: r.Up, Down: r.Down, PeerUp: r.PeerUp, PeerDown: r.PeerDown}
}

// onLAN reports whether a connection stays on the local network: it goes to this machine, to a private address or into a
// subnet of one of our interfaces. Behind a relay there may be anybody, and the range that carriers and overlay networks
// share (RFC 6598) says nothing of how far it is.
func (g *gater) onLAN(c network.ConnMultiaddrs) bool {
	m := c.RemoteMultiaddr()
	ip, ok := ipOf(m)
	if !ok || relayed(m) {
		return false
	}
	return ip.IsLoopback() || within(privateRanges, ip) && !within(sharedRange, ip) || g.links.contain(ip)
}

var sharedRange = privateRanges[3:4]

func relayed(m multiaddr.Multiaddr) bool {
	_, err := m.ValueForProtocol(multiaddr.P_CIRCUIT)
	return err == nil
}
