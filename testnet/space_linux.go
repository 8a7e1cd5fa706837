package testnet

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// space is a network namespace without a name: the kernel ends it, with all its links, as soon as no process holds it or runs in
// it. So nothing is left behind, whoever is killed.
type space struct {
	ns    netns.NsHandle
	links *netlink.Handle // a socket inside
}

// newSpace makes a namespace in which nothing but the loopback device is up.
func newSpace() (*space, error) {
	s := &space{ns: netns.None()}
	err := onThread(func() (err error) {
		s.ns, err = netns.New()
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("make a network namespace: %w", err)
	}
	if s.links, err = netlink.NewHandleAt(s.ns, unix.NETLINK_ROUTE); err != nil {
		return nil, errors.Join(fmt.Errorf("look into a network namespace: %w", err), s.ns.Close())
	}
	if err := s.up("lo"); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// close lets go of the namespace. Processes inside keep it alive, and with it their ends of the links.
func (s *space) close() {
	s.links.Close()
	_ = s.ns.Close() // a descriptor that only this type knows
}

// path is where other processes find the namespace.
func (s *space) path() string { return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), int(s.ns)) }

// onThread runs f on a thread that is thrown away afterwards, so that f may change the thread's namespace.
func onThread(f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		done <- f()
	}()
	return <-done
}

// in runs f on a thread inside: sockets that f opens and processes that it starts belong there.
func (s *space) in(f func() error) error { return inside(s.ns, f) }

func inside(ns netns.NsHandle, f func() error) error {
	return onThread(func() error {
		if err := netns.Set(ns); err != nil {
			return fmt.Errorf("enter a network namespace: %w", err)
		}
		return f()
	})
}

// set writes a setting of the kernel's network, as sysctl does: net/ipv4/ip_forward.
func (s *space) set(name, value string) error {
	return s.in(func() error { return os.WriteFile("/proc/sys/"+name, []byte(value), 0) })
}

// device finds a device by its name.
func (s *space) device(name string) (netlink.Link, error) {
	l, err := s.links.LinkByName(name)
	if err != nil {
		return nil, fmt.Errorf("find the network device %s: %w", name, err)
	}
	return l, nil
}

// up switches a device on.
func (s *space) up(name string) error {
	l, err := s.device(name)
	if err != nil {
		return err
	}
	if err := s.links.LinkSetUp(l); err != nil {
		return fmt.Errorf("switch on %s: %w", name, err)
	}
	return nil
}

// bridge adds a switch without ports.
func (s *space) bridge(name string) error {
	flood := false // nobody asks who listens, so every group must go everywhere: mDNS among them
	b := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: name}, MulticastSnooping: &flood}
	if err := s.links.LinkAdd(b); err != nil {
		return fmt.Errorf("make the bridge %s: %w", name, err)
	}
	return s.up(name)
}

// attach makes a device a port of a bridge, whatever it was a port of before.
func (s *space) attach(name, bridge string) error {
	l, err := s.device(name)
	if err != nil {
		return err
	}
	b, err := s.device(bridge)
	if err != nil {
		return err
	}
	if err := s.links.LinkSetMaster(l, b); err != nil {
		return fmt.Errorf("attach %s to %s: %w", name, bridge, err)
	}
	return nil
}

// cable lays a link between a new device here, called name, and a new one in another namespace. Both are on.
func (s *space) cable(name string, far *space, farName string) error {
	v := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: name}, PeerName: farName, PeerNamespace: netlink.NsFd(far.ns)}
	if err := s.links.LinkAdd(v); err != nil {
		return fmt.Errorf("lay a link from %s to %s: %w", name, farName, err)
	}
	return errors.Join(s.up(name), far.up(farName))
}

// address gives a device an address, and its network a route.
func (s *space) address(name string, addr netip.Prefix) error {
	l, err := s.device(name)
	if err != nil {
		return err
	}
	a, err := netlink.ParseAddr(addr.String())
	if err == nil {
		err = s.links.AddrAdd(l, a)
	}
	if err != nil {
		return fmt.Errorf("give %s the address %s: %w", name, addr, err)
	}
	return nil
}

// hardware is the address of a device that has this address of the network.
func hardware(a netip.Addr) net.HardwareAddr {
	const ours = 0x02 // given by hand, and to one device
	return append(net.HardwareAddr{ours, 0}, a.AsSlice()...)
}

// known gives a device the hardware address that follows from its address in the network.
func (s *space) known(name string, a netip.Addr) error {
	l, err := s.device(name)
	if err == nil {
		err = s.links.LinkSetHardwareAddr(l, hardware(a))
	}
	if err != nil {
		return fmt.Errorf("give %s its hardware address: %w", name, err)
	}
	return nil
}

// neighbours tells a device of known ones, for good. All namespaces share one table of those that are asked for by ARP, and it
// holds a thousand: that is thirty nodes who all know each other.
func (s *space) neighbours(name string, addrs ...netip.Addr) error {
	l, err := s.device(name)
	if err != nil {
		return err
	}
	for _, a := range addrs {
		n := &netlink.Neigh{LinkIndex: l.Attrs().Index, State: netlink.NUD_PERMANENT, IP: a.AsSlice(), HardwareAddr: hardware(a)}
		if err := s.links.NeighSet(n); err != nil {
			return fmt.Errorf("tell %s of its neighbour %s: %w", name, a, err)
		}
	}
	return nil
}

// gateway sends all that is for elsewhere to one neighbour.
func (s *space) gateway(via netip.Addr) error {
	if err := s.links.RouteAdd(&netlink.Route{Gw: via.AsSlice()}); err != nil {
		return fmt.Errorf("route by %s: %w", via, err)
	}
	return nil
}

// resize sets the bytes of the longest packet that a device takes.
func (s *space) resize(name string, mtu int) error {
	l, err := s.device(name)
	if err != nil {
		return err
	}
	if err := s.links.LinkSetMTU(l, mtu); err != nil {
		return fmt.Errorf("set the MTU of %s to %d: %w", name, mtu, err)
	}
	return nil
}

// delete takes a device away, and with it the other end of its link.
func (s *space) delete(name string) error {
	l, err := s.device(name)
	if err != nil {
		return err
	}
	if err := s.links.LinkDel(l); err != nil {
		return fmt.Errorf("take %s away: %w", name, err)
	}
	return nil
}

// mostSegments is how many packets the kernel hands to a device in one piece, if it can.
const mostSegments = 65535

// pieces sets of how many packets a piece may consist that is handed to a device.
func (s *space) pieces(name string, segments int) error {
	l, err := s.device(name)
	if err != nil {
		return err
	}
	if l.Attrs().GSOMaxSegs == uint32(segments) {
		return nil
	}
	if err := s.links.LinkSetGSOMaxSegs(l, segments); err != nil {
		return fmt.Errorf("have %s take its packets %d at a time: %w", name, segments, err)
	}
	return nil
}
