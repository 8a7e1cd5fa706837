package node

import (
	"net/netip"

	"github.com/libp2p/go-libp2p"
)

// Underlay is what a node of a simulated network stands on, in place of the sockets and interfaces of this machine. Such a node
// listens on QUIC addresses alone, which Config.Listen names, and has NoMDNS.
type Underlay struct {
	Addr    netip.Addr      // of the node's one interface
	Options []libp2p.Option // that let QUIC send its packets there
}

func (u *Underlay) interfaces() []iface {
	return []iface{{name: "simulated", addrs: []netip.Addr{u.Addr}}}
}
