package testnet

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
)

// NAT says how a router translates addresses, in the words of RFC 4787.
type NAT string

const (
	// Cone maps one inside port to one outside port, whoever is spoken to (endpoint-independent mapping), and lets in only
	// those who were spoken to. Most homes are behind such a NAT.
	Cone NAT = "cone"
	// Symmetric takes another outside port for each destination, so that nobody can be told where to knock. Carriers and
	// companies have such NATs.
	Symmetric NAT = "symmetric"
)

// Router is a site that shares its public address among the machines behind it.
type Router struct {
	*Machine
	inside int
}

// lanGateway is the router's own address on its LAN. All LANs have the same range, as in life.
const lanGateway = "192.168.1.1"

// Router adds a router with a public address and an empty LAN behind it.
func (l *Lab) Router(kind NAT) (*Router, error) {
	m, err := l.machine()
	if err != nil {
		return nil, err
	}
	mapping := "masquerade"
	if kind == Symmetric {
		mapping = "masquerade fully-random"
	}
	err = errors.Join(
		l.connect(m),
		m.forward(),
		m.run("ip", "link", "add", "lan", "type", "bridge"),
		m.run("ip", "addr", "add", lanGateway+"/24", "dev", "lan"),
		m.run("ip", "link", "set", "lan", "up"),
		// Linux keeps a port where it can, which makes it a cone. Who comes unasked is dropped without an answer: a refusal
		// would end the very attempt to punch a hole.
		m.rules(fmt.Sprintf(`table ip shoal {
	chain postrouting {
		type nat hook postrouting priority 100
		oifname "wan" %s
	}
	chain input {
		type filter hook input priority 0
		iifname "wan" ct state established,related accept
		iifname "wan" drop
	}
	chain forward {
		type filter hook forward priority 0
		iifname "wan" ct state established,related accept
		iifname "wan" ct status dnat accept
		iifname "wan" drop
	}
}`, mapping)),
	)
	return &Router{Machine: m}, err
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
		r.run("ip", "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", strconv.Itoa(m.hold.Process.Pid)),
		r.run("ip", "link", "set", port, "master", "lan", "up"),
		m.run("ip", "addr", "add", m.Addr.String()+"/24", "dev", "eth0"),
		m.run("ip", "link", "set", "eth0", "up"),
		m.run("ip", "route", "add", "default", "via", lanGateway),
	)
}

// Block drops a transport protocol, udp or tcp, of those behind the router, as the networks of companies do.
func (r *Router) Block(protocol string) error {
	return r.rules(fmt.Sprintf(`table ip block {
	chain forward {
		type filter hook forward priority -10
		ip protocol %s drop
	}
}`, protocol))
}
