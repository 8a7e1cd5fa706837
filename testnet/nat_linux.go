package testnet

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// Router is a site that shares its public address among the machines behind it.
type Router struct {
	*Machine
	inside int
}

// Router adds a router with a public address and an empty LAN behind it.
func (l *Lab) Router(kind NAT) (*Router, error) {
	m, err := l.machine()
	if err != nil {
		return nil, err
	}
	return &Router{Machine: m}, errors.Join(
		l.connect(m),
		m.bridge(lanDevice),
		m.address(lanDevice, homeRouter),
		m.translate(kind),
	)
}

// Inside adds a machine behind the router.
func (r *Router) Inside() (*Machine, error) {
	m, err := r.lab.machine()
	if err != nil {
		return nil, err
	}
	r.inside++
	m.Addr = netip.AddrFrom4([4]byte{192, 168, 1, byte(10 + r.inside)})
	port := fmt.Sprintf("lan%d", r.inside)
	return m, errors.Join(
		r.cable(port, m.space, "eth0"),
		r.attach(port, lanDevice),
		m.address("eth0", netip.PrefixFrom(m.Addr, homeRouter.Bits())),
		m.gateway(homeRouter.Addr()),
	)
}

// Block drops a transport protocol, udp or tcp, of those behind the router, as the networks of companies do.
func (r *Router) Block(protocol string) error {
	number, ok := map[string]byte{"udp": unix.IPPROTO_UDP, "tcp": unix.IPPROTO_TCP}[protocol]
	if !ok {
		return fmt.Errorf("block %q: it is neither udp nor tcp", protocol)
	}
	return r.rules("block", nftables.TableFamilyIPv4, func(rules ruleset) error {
		chain := rules.chain("forward", nftables.ChainTypeFilter, nftables.ChainHookForward, -10)
		rules.rule(chain, transport(number), verdict(expr.VerdictDrop))
		return nil
	})
}
