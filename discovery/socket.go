package discovery

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"slices"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

// socket sends to the mDNS group of one family of addresses, and receives.
type socket struct {
	ifaces []net.Interface
	shared bool // what comes to one machine alone is not meant for it
	read   func(b []byte) (n int, to arrival, from net.Addr, err error)
	write  func(b []byte, via *net.Interface) error
	close  func() error
}

// arrival is where a packet came in, as far as the system says.
type arrival struct {
	iface int    // its index; 0 if unknown
	to    net.IP // nil if unknown
}

var (
	group4 = &net.UDPAddr{IP: net.IPv4(224, 0, 0, 251), Port: 5353}
	group6 = &net.UDPAddr{IP: net.ParseIP("ff02::fb"), Port: 5353}
)

// listenGroup hears what is said to everybody, on these interfaces. The port is shared with every other program that does so.
func listenGroup(six bool, ifaces []net.Interface) (*socket, error) {
	network, any, group := "udp4", &net.UDPAddr{IP: net.IPv4(224, 0, 0, 0), Port: 5353}, group4 // an address of a group makes Go share the port
	if six {
		network, any, group = "udp6", &net.UDPAddr{IP: net.ParseIP("ff02::"), Port: 5353}, group6
	}
	conn, err := net.ListenUDP(network, any)
	if err != nil {
		return nil, err
	}
	s, join := wrap(six, conn, ifaces)
	s.shared = true
	joined := 0
	for _, i := range ifaces {
		if err = join(&i, &net.UDPAddr{IP: group.IP}); err == nil {
			joined++
		}
	}
	if joined == 0 {
		return nil, errors.Join(fmt.Errorf("join the mDNS group on any of %d interfaces: %w", len(ifaces), err), conn.Close())
	}
	return s, nil
}

// openAsker makes a socket of this program's own, for questions with answers that nobody else is to get: the shared port hands a
// packet for one machine to any of the programs that listen there.
func openAsker(six bool, ifaces []net.Interface) (*socket, error) {
	network := "udp4"
	if six {
		network = "udp6"
	}
	conn, err := net.ListenUDP(network, nil)
	if err != nil {
		return nil, err
	}
	s, _ := wrap(six, conn, ifaces)
	return s, nil
}

func wrap(six bool, conn *net.UDPConn, ifaces []net.Interface) (*socket, func(*net.Interface, net.Addr) error) {
	if six {
		p := ipv6.NewPacketConn(conn)
		_ = p.SetControlMessage(ipv6.FlagInterface|ipv6.FlagDst, true) // where there are none, packets of all interfaces count
		_ = p.SetMulticastHopLimit(255)
		return &socket{
			ifaces: ifaces, close: conn.Close,
			read: func(b []byte) (n int, at arrival, from net.Addr, err error) {
				n, c, from, err := p.ReadFrom(b)
				if c != nil {
					at = arrival{c.IfIndex, c.Dst}
				}
				return n, at, from, err
			},
			write: func(b []byte, via *net.Interface) error {
				var c *ipv6.ControlMessage
				if err := choose(via, p.SetMulticastInterface, func() { c = &ipv6.ControlMessage{IfIndex: via.Index} }); err != nil {
					return err
				}
				_, err := p.WriteTo(b, c, group6)
				return err
			},
		}, p.JoinGroup
	}
	p := ipv4.NewPacketConn(conn)
	_ = p.SetControlMessage(ipv4.FlagInterface|ipv4.FlagDst, true)
	_ = p.SetMulticastTTL(255)
	return &socket{
		ifaces: ifaces, close: conn.Close,
		read: func(b []byte) (n int, at arrival, from net.Addr, err error) {
			n, c, from, err := p.ReadFrom(b)
			if c != nil {
				at = arrival{c.IfIndex, c.Dst}
			}
			return n, at, from, err
		},
		write: func(b []byte, via *net.Interface) error {
			var c *ipv4.ControlMessage
			if err := choose(via, p.SetMulticastInterface, func() { c = &ipv4.ControlMessage{IfIndex: via.Index} }); err != nil {
				return err
			}
			_, err := p.WriteTo(b, c, group4)
			return err
		},
	}, p.JoinGroup
}

// choose has the next packet leave through an interface: by a control message where the system has those for sending.
func choose(via *net.Interface, set func(*net.Interface) error, byMessage func()) error {
	if runtime.GOOS == "windows" {
		return set(via)
	}
	byMessage()
	return nil
}

// send multicasts on every interface. It is an error if none takes it.
func (s *socket) send(b []byte) (sent int, err error) {
	for _, i := range s.ifaces {
		if failed := s.write(b, &i); failed != nil {
			err = failed
			continue
		}
		sent += len(b)
	}
	if sent > 0 {
		return sent, nil
	}
	return 0, err
}

// receive returns the next packet of the interfaces that count.
func (s *socket) receive(b []byte) ([]byte, netip.Addr, error) {
	for {
		n, at, from, err := s.read(b)
		if err != nil {
			return nil, netip.Addr{}, err
		}
		udp, ok := from.(*net.UDPAddr)
		if !ok || at.iface != 0 && !slices.ContainsFunc(s.ifaces, func(i net.Interface) bool { return i.Index == at.iface }) {
			continue // Linux hands every socket of a port what any program on this machine has joined
		}
		if s.shared && at.to != nil && !at.to.IsMulticast() {
			continue
		}
		return b[:n], udp.AddrPort().Addr().Unmap().WithZone(""), nil
	}
}
