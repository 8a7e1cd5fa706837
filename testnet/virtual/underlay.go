package virtual

import (
	"net"
	"net/netip"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/p2p/transport/quicreuse"
	"github.com/quic-go/quic-go"

	"github.com/shoal-p2p/shoal/node"
)

// underlay lets the QUIC of one host send its packets over the simulated internet, from one address.
type underlay struct {
	net     *internet
	ip      netip.Addr
	host    *place
	manager *quicreuse.ConnManager // once the host is made
}

// option makes a libp2p host use the underlay. Close comes after the host's.
func (u *underlay) option() libp2p.Option {
	connManager := func(reset quic.StatelessResetKey, token quic.TokenGeneratorKey, opts ...quicreuse.Option) (*quicreuse.ConnManager, error) {
		m, err := quicreuse.NewConnManager(reset, token, opts...)
		u.manager = m
		return m, err
	}
	return libp2p.QUICReuse(
		connManager,
		quicreuse.OverrideSourceIPSelector(func() (quicreuse.SourceIPSelector, error) { return only(u.ip), nil }),
		quicreuse.OverrideListenUDP(func(_ string, at *net.UDPAddr) (net.PacketConn, error) {
			return u.net.listen(netip.AddrPortFrom(u.ip, uint16(at.Port)), u.host)
		}),
	)
}

func (u *underlay) forNode() *node.Underlay {
	return &node.Underlay{Addr: u.ip, Options: []libp2p.Option{u.option()}}
}

// Close ends what libp2p leaves, because it has not made it.
func (u *underlay) Close() error {
	if u.manager == nil {
		return nil
	}
	return u.manager.Close()
}

// only is the one address that packets leave from.
type only netip.Addr

func (o only) PreferredSourceIPForDestination(*net.UDPAddr) (net.IP, error) {
	return netip.Addr(o).AsSlice(), nil
}
