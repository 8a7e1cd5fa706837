package testnet

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// loopback is the ground of processes that talk over this machine's loopback. It has no links: each node is as far from each
// other as this machine lets it.
type loopback struct{ processes }

func (l *loopback) suits(s Spec) error {
	const next = "choose namespaces (Linux, root): up --netns, run --on namespaces"
	switch {
	case s.Link != Link{}:
		return fmt.Errorf("%w: node %s: processes on loopback have no links of their own: %s", ErrGround, s.Name, next)
	case s.NAT != "":
		return fmt.Errorf("%w: node %s: there is no router before a process on loopback: %s", ErrGround, s.Name, next)
	case len(s.Networks) > 0:
		return fmt.Errorf("%w: node %s: processes on loopback are all in one network: %s", ErrGround, s.Name, next)
	}
	return nil
}

// start lets a node listen where it did before, so that others find it again.
func (l *loopback) start(n *Node, args []string) error {
	if !slices.ContainsFunc(n.Flags, func(f string) bool { return strings.HasPrefix(f, "--listen") }) {
		listen := []string{"/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/udp/0/quic-v1"}
		if len(n.Addrs) > 0 {
			listen = nil
			for _, a := range n.Addrs {
				addr, _, _ := strings.Cut(a, "/p2p/")
				listen = append(listen, addr)
			}
		}
		args = append(args, "--listen", strings.Join(listen, ","))
	}
	return l.launch(n, l.command(n, append(args, "--no-mdns")...)) // mDNS would go out on the machine's links
}

func (l *loopback) clear(context.Context) error { return nil }
