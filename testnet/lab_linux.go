package testnet

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// Lack returns why there can be no Lab on this machine, in a few words, or nil.
func Lack() error {
	if os.Getuid() != 0 {
		return errors.New("network namespaces need root")
	}
	if _, err := exec.LookPath("nsenter"); err != nil {
		return errors.New("there is no nsenter")
	}
	return nil
}

// maxSites keeps the addresses of a lab in 11.0.0.0/16.
const maxSites = 250

// Lab is an internet in network namespaces. Each site, which is a machine or a router, has a link of its own to the core, with
// a public address: 11.0.N.2, for no test needs a neighbour that is one by accident. It is not for concurrent use.
type Lab struct {
	core   *space
	spaces []*space // all that there are
	sites  int
}

// NewLab makes an empty internet. Close must be called.
func NewLab() (*Lab, error) {
	l := &Lab{}
	core, err := l.space()
	if err != nil {
		return nil, err
	}
	l.core = core
	if err := core.forward(); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

// Close ends all namespaces and with them their links. Programs that still run in them lose their network.
func (l *Lab) Close() {
	for _, s := range l.spaces {
		s.close()
	}
	l.spaces = nil
}

func (l *Lab) space() (*space, error) {
	s, err := newSpace()
	if err == nil {
		l.spaces = append(l.spaces, s)
	}
	return s, err
}

// Machine is one namespace with an address.
type Machine struct {
	Addr netip.Addr

	*space
	site int // of its link to the core; 0 if it has none
	lab  *Lab
}

func (l *Lab) machine() (*Machine, error) {
	s, err := l.space()
	return &Machine{space: s, lab: l}, err
}

// Public adds a machine with a public address.
func (l *Lab) Public() (*Machine, error) {
	m, err := l.machine()
	if err != nil {
		return nil, err
	}
	return m, l.connect(m)
}

// connect gives a machine a link to the core, called wan.
func (l *Lab) connect(m *Machine) error {
	if l.sites == maxSites {
		return fmt.Errorf("a lab has no more than %d sites", maxSites)
	}
	l.sites++
	m.site = l.sites
	m.Addr = netip.AddrFrom4([4]byte{11, 0, byte(m.site), 2})
	gateway := netip.AddrFrom4([4]byte{11, 0, byte(m.site), 1})
	return errors.Join(
		l.core.cable(m.port(), m.space, wanDevice),
		l.core.address(m.port(), netip.PrefixFrom(gateway, 24)),
		m.address(wanDevice, netip.PrefixFrom(m.Addr, 24)),
		m.gateway(gateway),
	)
}

// port is the core's end of a site's link.
func (m *Machine) port() string { return fmt.Sprintf("site%d", m.site) }

// Command prepares a program to run on this machine.
func (m *Machine) Command(name string, args ...string) *exec.Cmd {
	return exec.Command("nsenter", append([]string{"--net=" + m.path(), "--", name}, args...)...)
}

// Output runs a program on this machine and returns its standard output.
func (m *Machine) Output(name string, args ...string) ([]byte, error) {
	cmd := m.Command(name, args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return out, fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, stderr.Bytes())
	}
	return out, nil
}

// SetMTU makes the middle of the way to this machine narrower than both its ends, which believe in 1500 bytes. A silent core
// drops what is too long, here and elsewhere; others say so, as they ought to.
func (m *Machine) SetMTU(bytes int, silent bool) error {
	core := m.lab.core
	if err := core.resize(m.port(), bytes); err != nil || !silent {
		return err
	}
	return core.rules("mute", nftables.TableFamilyIPv4, func(r ruleset) error {
		chain := r.chain("output", nftables.ChainTypeFilter, nftables.ChainHookOutput, *nftables.ChainPriorityFilter)
		const unreachable = 3 // the type of an ICMP message, its first byte
		r.rule(chain, transport(unix.IPPROTO_ICMP), []expr.Any{
			&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: 0, Len: 1},
			&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{unreachable}},
		}, verdict(expr.VerdictDrop))
		return nil
	})
}

// Received returns how many bytes have come over a machine's link to the core.
func (m *Machine) Received() (int64, error) {
	l, err := m.device(wanDevice)
	if err != nil {
		return 0, err
	}
	return int64(l.Attrs().Statistics.RxBytes), nil
}
