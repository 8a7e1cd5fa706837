package node

import (
	"context"
	"errors"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	"github.com/multiformats/go-multiaddr"

	"github.com/shoal-p2p/shoal/content"
	"github.com/shoal-p2p/shoal/discovery"
)

// Identity says who this node is and where others can reach it.
func (n *Node) Identity(context.Context) (Identity, error) {
	id := Identity{ID: n.host.ID().String()}
	for _, a := range n.host.addrs() {
		id.Addrs = append(id.Addrs, a.String()+"/p2p/"+id.ID)
	}
	return id, nil
}

// Peers lists the connected peers.
func (n *Node) Peers(context.Context) ([]PeerStatus, error) {
	out := []PeerStatus{}
	for _, p := range n.host.Network().Peers() {
		conns := n.host.Network().ConnsToPeer(p)
		if len(conns) == 0 {
			continue
		}
		v := n.transfer.Exchanged(p)
		s := PeerStatus{ID: p.String(), Route: n.route(p, conns[0]), Down: v.Down, Up: v.Up, Direction: "out", Transport: transport(conns[0])}
		if conns[0].Stat().Direction == network.DirInbound {
			s.Direction = "in"
		}
		for _, c := range conns {
			s.Addrs = append(s.Addrs, c.RemoteMultiaddr().String())
		}
		if a, err := n.host.Peerstore().Get(p, "AgentVersion"); err == nil {
			if agent, ok := a.(string); ok {
				s.Agent = content.Printable(agent)
			}
		}
		out = append(out, s)
	}
	return out, nil
}

// route says how a peer was found. One that we dialled although nothing else knows of it was named by another peer.
func (n *Node) route(p peerID, c network.Conn) string {
	if r := n.finder.Route(p); r != "" || c.Stat().Direction == network.DirInbound {
		return r
	}
	return discovery.RouteExchange
}

func transport(c network.Conn) string {
	if relayed(c.RemoteMultiaddr()) {
		return "relay"
	}
	if _, err := c.RemoteMultiaddr().ValueForProtocol(multiaddr.P_QUIC_V1); err == nil {
		return "quic"
	}
	return "tcp"
}

// Status is the node at a glance.
func (n *Node) Status(ctx context.Context) (Status, error) {
	shares, err := n.Shares(ctx)
	if err != nil {
		return Status{}, err
	}
	id, err := n.Identity(ctx)
	if err != nil {
		return Status{}, err
	}
	down, up := n.transfer.Totals()
	s := Status{
		ID: id.ID, Version: Version, Home: n.config.Home, PID: os.Getpid(), Network: n.config.Network,
		Ephemeral: n.config.Ephemeral,
		Uptime:    time.Since(n.started).Seconds(), Addrs: id.Addrs, Shares: len(shares), Stale: int(n.stale.Load()),
		Peers: len(n.host.Network().Peers()), Memory: resident(), Down: down, Up: up,
		Rates: n.config.Rates, Allow: n.config.Allow, Block: n.config.Block, Background: n.backgroundNow(),
	}
	if cpu, ok := cpuTime(); ok {
		s.CPU = cpu.Seconds()
	}
	if r, err := n.Reach(ctx); err == nil {
		s.Reach = &r
	}
	s.Transfers = n.transfers(shares)
	return s, nil
}

// resident is the memory that the process occupies, in bytes; what the runtime took from the system where that is not known.
func resident() int64 {
	if b, err := os.ReadFile("/proc/self/statm"); err == nil {
		if f := strings.Fields(string(b)); len(f) > 1 {
			if pages, err := strconv.ParseInt(f[1], 10, 64); err == nil {
				return pages * int64(os.Getpagesize())
			}
		}
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.Sys)
}

var errNotAdmitted = errors.New("this node does not connect with it: it is blocked, banned or not allowed, or nothing but hearsay gives its address")

// brief is the part of a dial error that a person can use: libp2p lists every address on lines of its own.
func brief(err error) string {
	if err == nil {
		return "no reason given"
	}
	if errors.Is(err, swarm.ErrGaterDisallowedConnection) {
		return errNotAdmitted.Error()
	}
	var d *swarm.DialError
	if errors.As(err, &d) {
		for _, t := range d.DialErrors {
			return t.Cause.Error()
		}
		if d.Cause != nil {
			return d.Cause.Error()
		}
	}
	s, _, _ := strings.Cut(err.Error(), "\n")
	return s
}
