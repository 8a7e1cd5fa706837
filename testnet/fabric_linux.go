package testnet

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"slices"
)

// fabric is the networks of a testnet on this machine. Each network is a bridge in one namespace, the middle; each site is a
// namespace with a link to one bridge or several. That namespace is not the machine's own, where a firewall may have rules for
// what passes a bridge (that of Docker drops it all). A fabric is not for concurrent use.
type fabric struct {
	middle   *space
	netem    bool   // the kernel can hold packets back
	pace     *pacer // does it where the kernel cannot
	networks []network
	sites    []*site
	ports    int        // ever made
	sides    [][]string // names of sites; nil: nothing is cut
}

// network is a bridge.
type network struct {
	name   string
	public bool // it stands for the internet: with addresses that no local network has
}

// bridge is the device of the network with this number.
func bridgeName(number int) string { return fmt.Sprintf("net%d", number) }

// Limits of a fabric.
const (
	mostBridges = 100
	maxPorts    = 60000 // two bytes of an address
)

func newFabric() (*fabric, error) {
	middle, err := newSpace()
	if err != nil {
		return nil, err
	}
	// The bridges are switches: the middle has no addresses, and says nothing.
	if err := middle.set("net/ipv6/conf/default/disable_ipv6", "1"); err != nil && !errors.Is(err, fs.ErrNotExist) {
		middle.close()
		return nil, fmt.Errorf("keep the bridges silent: %w", err)
	}
	pace, err := newPacer()
	if err != nil {
		middle.close()
		return nil, err
	}
	return &fabric{middle: middle, netem: middle.hasNetem(), pace: pace}, nil
}

// close takes the links away. What still runs at a site has no network then.
func (f *fabric) close() error {
	var err error
	for _, s := range f.sites {
		err = errors.Join(err, f.clear(s))
	}
	err = errors.Join(err, f.pace.close())
	f.middle.close()
	return err
}

// network finds a network by its name, or makes it.
func (f *fabric) network(name string, public bool) (number int, err error) {
	number = slices.IndexFunc(f.networks, func(n network) bool { return n.name == name })
	switch {
	case number < 0 && len(f.networks) == mostBridges:
		return 0, fmt.Errorf("%w: there are %d networks, and no more can be", ErrGround, mostBridges)
	case number < 0:
		number = len(f.networks)
		if err := f.middle.bridge(bridgeName(number)); err != nil {
			return 0, err
		}
		f.networks = append(f.networks, network{name, public})
	case public && !f.networks[number].public:
		return 0, fmt.Errorf("%w: a NAT stands at the edge of the internet, and this network has been a local one since its first node "+
			"came: put it up with a node behind a NAT, or name another of its networks", ErrGround)
	}
	return number, nil
}

// addr is the address of a port in a network.
func (f *fabric) addr(network, port int) netip.Prefix {
	a := [4]byte{10, 77 + byte(network), byte(port >> 8), byte(port)}
	if f.networks[network].public {
		a[0] = 11 // no test needs a neighbour that is one by accident
	}
	return netip.PrefixFrom(netip.AddrFrom4(a), 16)
}

func (f *fabric) site(name string) *site {
	for _, s := range f.sites {
		if s.Name == name {
			return s
		}
	}
	return nil
}

// shape changes the links of a site.
func (f *fabric) shape(name string, l Link) error {
	if err := l.check(); err != nil {
		return err
	}
	s := f.site(name)
	if s == nil {
		return fmt.Errorf("%w: %s has no place here yet", ErrRequest, name)
	}
	before := s.Link
	s.Link = l
	if err := f.reshape(s); err != nil {
		s.Link = before
		return errors.Join(err, f.reshape(s))
	}
	return nil
}

func (f *fabric) reshape(s *site) error {
	for _, p := range s.ports {
		if err := f.bend(p, s.Link); err != nil {
			return err
		}
	}
	return f.refilter()
}

// cut lets frames pass between sites on the same side only; the sites that are on none are on one together. Without sides,
// nothing is cut.
func (f *fabric) cut(sides [][]string) error {
	before := f.sides
	f.sides = sides
	if err := f.refilter(); err != nil {
		f.sides = before
		return err
	}
	return nil
}

// refilter puts what the bridges must not let through into force. What is lost must be packets as on a wire, and so nobody
// may hand on several in one piece then.
func (f *fabric) refilter() error {
	rules := filter{loss: make(map[string]float64)}
	for _, s := range f.sites {
		if s.Link.Loss > 0 {
			for _, p := range s.ports {
				rules.loss[p.entry()] = s.Link.Loss
			}
		}
	}
	pieces := mostSegments
	if len(rules.loss) > 0 {
		pieces = 1
	}
	for _, s := range f.sites {
		for _, p := range s.ports {
			if err := p.edge.pieces(p.far, pieces); err != nil {
				return err
			}
		}
	}
	rest := slices.Clone(f.sites)
	for _, side := range f.sides {
		var in []*site
		for _, name := range side {
			if s := f.site(name); s != nil { // one without a place yet is kept out when it comes
				in = append(in, s)
			}
		}
		rest = slices.DeleteFunc(rest, func(s *site) bool { return slices.Contains(in, s) })
		rules.sides = append(rules.sides, entriesOf(in))
	}
	if len(f.sides) > 0 {
		rules.sides = append(rules.sides, entriesOf(rest))
	}
	return rules.apply(f.middle)
}

// entriesOf are the devices by which the sites come onto bridges.
func entriesOf(sites []*site) (names []string) {
	for _, s := range sites {
		for _, p := range s.ports {
			names = append(names, p.entry())
		}
	}
	return names
}
