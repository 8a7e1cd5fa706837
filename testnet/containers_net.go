package testnet

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/netip"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"
)

// networksOn are Docker's networks in which a node is to be on one side of a partition; on side 0 it is where it is while nothing
// is cut.
func (g *containers) networksOn(n *Node, side int) (out []string) {
	names := n.Networks
	if len(names) == 0 {
		names = []string{onlyNetwork}
	}
	for _, name := range names {
		if side > 0 {
			name = fmt.Sprintf("%s.side%d", name, side)
		}
		out = append(out, g.name(name))
	}
	return out
}

// networksNow are those in which a container is.
func (g *containers) networksNow(ctx context.Context, container string) ([]string, error) {
	var seen struct {
		NetworkSettings struct{ Networks map[string]struct{} }
	}
	if err := g.docker.ask(ctx, http.MethodGet, "/containers/"+container+"/json", nil, &seen); err != nil {
		return nil, err
	}
	return slices.Sorted(maps.Keys(seen.NetworkSettings.Networks)), nil
}

// makeNetwork makes one of Docker's networks if it is not there. The caller holds mu.
func (g *containers) makeNetwork(ctx context.Context, name string) error {
	if g.subnets[name].IsValid() {
		return nil
	}
	type config struct {
		Subnet string `json:",omitempty"`
	}
	type object = map[string]any
	make := func(configs ...config) error {
		return g.docker.ask(ctx, http.MethodPost, "/networks/create", object{
			"Name": name, "Driver": "bridge", "CheckDuplicate": true, "Labels": object{containerLabel: g.net.dir},
			"IPAM": object{"Config": configs},
		}, nil)
	}
	var made struct {
		IPAM struct{ Config []config }
	}
	look := func() error { return g.docker.ask(ctx, http.MethodGet, "/networks/"+name, nil, &made) }
	err := look()
	if missing(err) {
		// Docker chooses a subnet that is free, but gives out certain addresses only in one that it was told: so it is told.
		if err = make(); err == nil {
			err = look()
		}
		if err == nil {
			err = g.docker.ask(ctx, http.MethodDelete, "/networks/"+name, nil, nil)
		}
		if err == nil {
			err = make(made.IPAM.Config...)
		}
	}
	if err != nil {
		return err
	}
	for _, c := range made.IPAM.Config {
		if p, err := netip.ParsePrefix(c.Subnet); err == nil && p.Addr().Is4() {
			g.subnets[name] = p
		}
	}
	return nil
}

// endpoint is what a node is in a network: found by its name, and at the address that it had there before.
func (g *containers) endpoint(n *Node, network string) any {
	type object = map[string]any
	out := object{"Aliases": []string{n.Name}}
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, a := range n.Addrs {
		if parts := strings.Split(a, "/"); len(parts) > 2 && parts[1] == "ip4" {
			if ip, err := netip.ParseAddr(parts[2]); err == nil && g.subnets[network].Contains(ip) {
				out["IPAMConfig"] = object{"IPv4Address": ip.String()}
			}
		}
	}
	return out
}

func (g *containers) connect(ctx context.Context, n *Node, network string) error {
	return g.docker.ask(ctx, http.MethodPost, "/networks/"+network+"/connect",
		map[string]any{"Container": g.name(n.Name), "EndpointConfig": g.endpoint(n, network)}, nil)
}

func (g *containers) disconnect(ctx context.Context, n *Node, network string) error {
	return g.docker.ask(ctx, http.MethodPost, "/networks/"+network+"/disconnect",
		map[string]any{"Container": g.name(n.Name), "Force": true}, nil)
}

// cut implements linked: nodes on a side move into networks of their own. Docker cannot part those who are in one.
func (g *containers) cut(nodes []*Node, sides [][]string) error {
	ctx, cancel := context.WithTimeout(context.Background(), dockerPatience)
	defer cancel()
	side := sidesOf(nodes, sides)
	now, want := make(map[*Node][]string), make(map[*Node][]string)
	for _, n := range nodes {
		at, err := g.networksNow(ctx, g.name(n.Name))
		if missing(err) {
			continue // it has never run
		}
		if err != nil {
			return err
		}
		now[n], want[n] = at, g.networksOn(n, side[n.Name])
		if err := g.prepare(ctx, want[n]); err != nil {
			return err
		}
	}
	// All leave before the first arrives anywhere, so that nobody is a bridge between sides.
	if err := g.each(ctx, now, want, g.disconnect); err != nil {
		return err
	}
	return g.each(ctx, want, now, func(ctx context.Context, n *Node, network string) error {
		err := g.connect(ctx, n, network)
		if err != nil || n.Link == (Link{}) {
			return err
		}
		return g.shape(n, n.Link)
	})
}

// each calls do for the nodes' networks in one that are not in the other.
func (g *containers) each(ctx context.Context, in, notIn map[*Node][]string, do func(context.Context, *Node, string) error) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(2 * runtime.NumCPU())
	for n, networks := range in {
		for _, name := range networks {
			if !slices.Contains(notIn[n], name) {
				group.Go(func() error { return do(ctx, n, name) })
			}
		}
	}
	return group.Wait()
}

// sidesOf numbers the side that each node is on. Side 0 stays where it is: nodes that are named on no side, or if there are none,
// those of the largest.
func sidesOf(nodes []*Node, sides [][]string) map[string]int {
	at := make(map[string]int)
	largest := 0
	for i, side := range sides {
		for _, name := range side {
			at[name] = i + 1
		}
		if len(side) > len(sides[largest]) {
			largest = i
		}
	}
	if slices.ContainsFunc(nodes, func(n *Node) bool { return at[n.Name] == 0 }) {
		return at
	}
	for name, i := range at {
		if i == largest+1 {
			at[name] = 0
		}
	}
	return at
}
