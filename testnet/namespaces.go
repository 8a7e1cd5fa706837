package testnet

import (
	"fmt"
	"slices"
	"strings"
)

// The ground of namespaces needs two commands of the program that users do not call: KeepVerb DIR, which is Keep, and
// EnterVerb PATH -- ARGS, which is Enter.
const (
	KeepVerb  = "testnet-keep"
	EnterVerb = "testnet-enter"
)

// onlyNetwork is that of the nodes that name none.
const onlyNetwork = "lan"

// place says what a site is to be.
type place struct {
	Name     string   `json:"name"`
	Networks []string `json:"networks"`
	NAT      NAT      `json:"nat,omitempty"`
	Public   bool     `json:"public,omitempty"` // its networks stand for the internet
	Link     Link     `json:"link"`
}

// placeOf is what a node wants to be its site. A network with a NAT at its edge stands for the internet.
func placeOf(n Spec, all []*Node) place {
	p := place{Name: n.Name, Networks: n.Networks, NAT: NAT(n.NAT), Link: n.Link}
	if len(p.Networks) == 0 {
		p.Networks = []string{onlyNetwork}
	}
	p.Public = n.NAT != "" || slices.ContainsFunc(all, func(other *Node) bool { return other.NAT != "" && meet(other, &Node{Spec: n}) })
	return p
}

func (p place) check() error {
	switch p.NAT {
	case "", Cone, PortRestricted, Symmetric:
	default:
		return fmt.Errorf("%w: %q is no kind of NAT: choose %s, %s or %s", ErrRequest, p.NAT, Cone, PortRestricted, Symmetric)
	}
	if p.NAT != "" && len(p.Networks) > 1 {
		return fmt.Errorf("%w: a node behind a NAT is in one network, and %s is to be in %d", ErrRequest, p.Name, len(p.Networks))
	}
	return p.Link.check()
}

// publicFlags are those with which a node takes part in an internet with NATs: who can be reached by all helps the others.
func publicFlags(n *Node) (flags []string) {
	if !slices.ContainsFunc(n.Flags, func(f string) bool { return f == "--network" || strings.HasPrefix(f, "--network=") }) {
		flags = append(flags, "--network", "public")
	}
	if n.NAT == "" {
		flags = append(flags, "--bootstrapper", "--relay")
	}
	return flags
}
