package testnet

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
)

// site is where one node is.
type site struct {
	place
	node   *space // in which the node runs
	router *space // between that and the network; nil without a NAT
	ports  []*port
}

// port is a link of a site to a bridge.
type port struct {
	edge   *space // with the device far: where the link begins, seen from the node
	far    string
	number int
	addr   netip.Addr // in its network
	bridge string
	line   *line // on the way to the bridge; nil if there has been no delay so far
}

// Devices of a port in the middle. Frames come by near, and where there is a line, by hop, a bridge with nothing but near and
// the line's first end, to its other end.
func (p *port) near() string { return fmt.Sprintf("port%d", p.number) }
func (p *port) hop() string  { return fmt.Sprintf("hop%d", p.number) }

func (p *port) ends() [2]string {
	return [2]string{fmt.Sprintf("to%d", p.number), fmt.Sprintf("from%d", p.number)}
}

// entry is the device by which the frames of a port come onto its bridge.
func (p *port) entry() string {
	if p.line != nil {
		return p.ends()[1]
	}
	return p.near()
}

// What a router and the node behind it call each other. All local networks have the same addresses, as in life.
const lanDevice = "lan"

var (
	homeRouter = netip.MustParsePrefix("192.168.1.1/24")
	homeNode   = netip.MustParsePrefix("192.168.1.2/24")
)

// put makes a site, or gives one that is there already its link.
func (f *fabric) put(p place) (*site, error) {
	if err := p.check(); err != nil {
		return nil, err
	}
	if s := f.site(p.Name); s != nil {
		if slices.Equal(s.Networks, p.Networks) && s.NAT == p.NAT {
			return s, f.shape(p.Name, p.Link)
		}
		if err := f.remove(s); err != nil {
			return nil, err
		}
	}
	node, err := newSpace()
	if err != nil {
		return nil, err
	}
	s := &site{place: p, node: node}
	f.sites = append(f.sites, s)
	if err := f.furnish(s); err != nil {
		return nil, errors.Join(err, f.remove(s))
	}
	return s, nil
}

func (f *fabric) furnish(s *site) error {
	edge, device := s.node, "eth"
	if s.NAT != "" {
		if err := s.route(); err != nil {
			return err
		}
		edge, device = s.router, wanDevice
	}
	for i, name := range s.Networks {
		far := device
		if s.NAT == "" {
			far = fmt.Sprintf("%s%d", device, i)
		}
		if err := f.plug(s, edge, far, name); err != nil {
			return err
		}
	}
	return f.reshape(s)
}

// route puts a router before the node.
func (s *site) route() (err error) {
	if s.router, err = newSpace(); err != nil {
		return err
	}
	return errors.Join(
		s.router.cable(lanDevice, s.node, "eth0"),
		s.router.address(lanDevice, homeRouter),
		s.node.address("eth0", homeNode),
		s.node.gateway(homeRouter.Addr()),
		s.router.translate(s.NAT),
	)
}

// plug gives a site a port in a network.
func (f *fabric) plug(s *site, edge *space, far, network string) error {
	number, err := f.network(network, s.Public)
	if err != nil {
		return err
	}
	if f.ports == maxPorts {
		return fmt.Errorf("%w: %d links were made here, and no more can be: take the network down, and put it up again", ErrGround, maxPorts)
	}
	f.ports++
	addr := f.addr(number, f.ports)
	p := &port{edge: edge, far: far, number: f.ports, addr: addr.Addr(), bridge: bridgeName(number)}
	if err := f.middle.cable(p.near(), edge, far); err != nil {
		return err
	}
	s.ports = append(s.ports, p)
	return errors.Join(
		f.middle.attach(p.near(), p.bridge), edge.address(far, addr), edge.known(far, p.addr), f.introduce(p))
}

// introduce tells a port and the others of its bridge of each other.
func (f *fabric) introduce(p *port) error {
	var others []netip.Addr
	for _, s := range f.sites {
		for _, q := range s.ports {
			if q == p || q.bridge != p.bridge {
				continue
			}
			others = append(others, q.addr)
			if err := q.edge.neighbours(q.far, p.addr); err != nil {
				return err
			}
		}
	}
	return p.edge.neighbours(p.far, others...)
}

// bend gives a port the properties of a link, but for its loss. A constant delay is netem's where there is netem; with jitter,
// netem would let packets overtake each other.
func (f *fabric) bend(p *port, l Link) error {
	if p.line == nil && (l.Jitter > 0 || l.Delay > 0 && !f.netem) {
		if err := f.stretch(p); err != nil {
			return err
		}
	}
	delay := l.Delay
	if p.line != nil {
		p.line.set(l.Delay, l.Jitter)
		delay = 0
	}
	mtu := l.MTU
	if mtu == 0 {
		mtu = usualMTU
	}
	return errors.Join(
		p.edge.resize(p.far, mtu), f.middle.resize(p.near(), mtu),
		p.edge.queue(p.far, l.Up, delay), f.middle.queue(p.near(), l.Down, delay),
	)
}

// stretch puts a line between a port and its bridge. It stays: what is on it must not get lost when there is no more delay.
func (f *fabric) stretch(p *port) error {
	l, err := f.pace.lay(f.middle, p.ends())
	if err != nil {
		return err
	}
	err = f.middle.bridge(p.hop())
	if err == nil {
		err = errors.Join(
			f.middle.attach(p.ends()[0], p.hop()),
			f.middle.attach(p.ends()[1], p.bridge),
			f.middle.attach(p.near(), p.hop()),
		)
	}
	if err != nil {
		return errors.Join(err, l.close(), f.middle.attach(p.near(), p.bridge))
	}
	p.line = l
	return nil
}

// remove takes a site away.
func (f *fabric) remove(s *site) error {
	f.sites = slices.DeleteFunc(f.sites, func(have *site) bool { return have == s })
	return errors.Join(f.clear(s), f.refilter())
}

// clear takes the links of a site away, and lets go of its namespaces.
func (f *fabric) clear(s *site) (err error) {
	for _, p := range s.ports {
		if p.line != nil {
			err = errors.Join(err, p.line.close(), f.middle.delete(p.hop()))
		}
		err = errors.Join(err, f.middle.delete(p.near()))
	}
	s.node.close()
	if s.router != nil {
		s.router.close()
	}
	return err
}
