package testnet

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/shoal-p2p/shoal/transfer/sim"
)

// Simulated is the ground of [Simulate].
const Simulated = "simulated"

const (
	simChunk      = 1 << 20 // bytes of the largest chunk, as in every tree
	simNeighbours = 32      // of each node, chosen at random, and half as many in a large crowd: what they tell each other takes the time
	simCrowd      = 4096    // nodes that are not a large crowd
	simUnlimited  = 1.25e9  // bytes a second of a link without a rate: more than a disk takes
	simHeaders    = 52      // bytes of IP and TCP in each packet
	mostSimulated = 4 << 20 // chunks of all nodes together: what is kept of each of them, and of each of its connections, takes memory
)

// Simulate plays a scenario with models of nodes: the engine that decides who sends what to whom is the real one, and links, connections
// and chunks are numbers. It takes no root, no disk and no network, thousands of nodes, and no more time than the arithmetic needs; equal
// scenarios give equal events. What the model does not have is refused with a *ScenarioError. docs/testnet.md says what it is.
func Simulate(ctx context.Context, sc *Scenario, record func(Event)) error {
	p, err := newSimulation(sc)
	if err != nil {
		return err
	}
	p.record, p.every = record, p.pause()
	p.open()
	p.swarm.Watch = sim.Watch{Every: p.every, Look: p.look, Done: p.done, Stop: func() bool { return ctx.Err() != nil }}
	result := sim.Run(p.swarm)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	p.close(result.Took)
	return nil
}

// simulation is a scenario as the engine simulator plays it.
type simulation struct {
	sc      *Scenario
	content Content
	swarm   sim.Scenario
	names   []string       // of the hosts
	hosts   map[string]int // by name
	begun   []time.Duration
	bounds  map[string]time.Duration // by group
	record  func(Event)

	next  int             // step that is not recorded yet
	down  map[string]bool // nodes, as recorded
	over  []bool          // hosts that have everything
	looks int
	every time.Duration // between two of them
	due   time.Duration // when the next one is
	view  sim.View
}

// newSimulation turns a scenario into a swarm, or says what it has that the model has not.
func newSimulation(sc *Scenario) (*simulation, error) {
	p := &simulation{sc: sc, hosts: map[string]int{}, bounds: map[string]time.Duration{}, down: map[string]bool{}}
	if err := p.refuse(); err != nil {
		return nil, err
	}
	p.cast()
	chunks := 0
	for _, size := range p.content.Sizes() {
		chunks += int((size + simChunk - 1) / simChunk)
	}
	chunks = max(chunks, 1)
	if all := int64(chunks) * int64(len(p.names)); all > mostSimulated {
		return nil, &ScenarioError{[]Fault{{Field: "content", Text: fmt.Sprintf(
			"%d nodes with %d chunks each are more than the simulated ground holds, which is %d in all: take fewer nodes, or a smaller content",
			len(p.names), chunks, mostSimulated)}}}
	}
	mtu := 1500
	for _, n := range sc.Nodes {
		if n.Link.MTU > 0 {
			mtu = min(mtu, n.Link.MTU)
		}
	}
	p.swarm.Name, p.swarm.Seed, p.swarm.Limit = sc.Name, sc.Seed, sc.Limit
	p.swarm.Chunks, p.swarm.Size = chunks, int(max(p.content.Size/int64(chunks), 1))
	p.swarm.Neighbours = simNeighbours
	if len(sc.Nodes) > simCrowd {
		p.swarm.Neighbours /= 2
	}
	p.swarm.Overhead = float64(mtu) / float64(mtu-simHeaders)
	return p, nil
}

// cast makes a host of each node that shares or fetches, and says when it is there and what befalls it.
func (p *simulation) cast() {
	for _, s := range p.sc.Steps {
		if s.Do == Share || s.Do == Fetch {
			for _, name := range s.Nodes {
				p.join(s, name)
			}
		}
	}
	came := make([]bool, len(p.names))
	up, takesPart := slices.Repeat([]bool{true}, len(p.names)), make([]bool, len(p.names))
	for _, s := range p.sc.Steps {
		switch s.Do {
		case Partition, Heal:
			p.divide(s)
		case Slow:
			p.slow(s)
		default:
			for _, host := range p.hostsOf(s) {
				before := up[host] && takesPart[host]
				takesPart[host] = takesPart[host] || s.Do == Share || s.Do == Fetch
				up[host] = s.Do == Start || up[host] && s.Do != Kill && s.Do != Stop
				if now := up[host] && takesPart[host]; now != before {
					p.move(s.At, host, now, &came[host])
				}
			}
		}
	}
	for host, yes := range came {
		if !yes { // it is down whenever it could take part
			p.swarm.Hosts[host].Joins = p.sc.Limit + 1
			p.swarm.Changes = append(p.swarm.Changes, sim.Change{Do: sim.Leave, Host: host})
		}
	}
}

// move lets a host come or go.
func (p *simulation) move(at time.Duration, host int, comes bool, came *bool) {
	switch {
	case comes && !*came:
		*came, p.swarm.Hosts[host].Joins = true, at
	case comes:
		p.swarm.Changes = append(p.swarm.Changes, sim.Change{At: at, Do: sim.Return, Host: host})
	default:
		p.swarm.Changes = append(p.swarm.Changes, sim.Change{At: at, Do: sim.Leave, Host: host})
	}
}

// hostsOf are those of the nodes that a step names.
func (p *simulation) hostsOf(s Step) (hosts []int) {
	for _, name := range s.Nodes {
		if host, known := p.hosts[name]; known {
			hosts = append(hosts, host)
		}
	}
	return hosts
}

var simRoles = map[Action]map[string]sim.Role{
	Share: {"": sim.Source, Honest: sim.Source, Liar: sim.Liar, Staller: sim.Staller},
	Fetch: {"": sim.Receiver, Honest: sim.Receiver, FreeRider: sim.FreeRider},
}

// join makes the host of a node.
func (p *simulation) join(s Step, name string) {
	if _, known := p.hosts[name]; known {
		return
	}
	n, _ := p.sc.Node(name)
	up, down := simRates(n.Link)
	p.hosts[name] = len(p.names)
	p.names, p.begun, p.over = append(p.names, name), append(p.begun, s.At), append(p.over, false)
	p.swarm.Hosts = append(p.swarm.Hosts, sim.Host{Role: simRoles[s.Do][n.Role], Up: up, Down: down, Delay: simDelay(n.Link)})
}

// simRates are what a link carries of data that has to come whole: a packet that gets lost is sent again.
func simRates(l Link) (up, down float64) {
	rate := func(r float64) float64 {
		if r == 0 {
			r = simUnlimited
		}
		return r * (1 - l.Loss)
	}
	return rate(l.Up), rate(l.Down)
}

// simDelay is what a link takes at the worst: what comes in order waits for its latest packet.
func simDelay(l Link) time.Duration { return max(l.Delay+l.Jitter, time.Microsecond) }

func (p *simulation) divide(s Step) {
	if s.Do == Heal {
		p.swarm.Changes = append(p.swarm.Changes, sim.Change{At: s.At, Do: sim.Unite})
		return
	}
	sides := make([]int, len(p.names))
	for side, names := range s.Sides {
		for _, name := range names {
			if host, known := p.hosts[name]; known {
				sides[host] = side
			}
		}
	}
	p.swarm.Changes = append(p.swarm.Changes, sim.Change{At: s.At, Do: sim.Divide, Sides: sides})
}

func (p *simulation) slow(s Step) {
	up, down := simRates(s.Link)
	for _, host := range p.hostsOf(s) {
		p.swarm.Changes = append(p.swarm.Changes, sim.Change{At: s.At, Do: sim.Reshape, Host: host, Up: up, Down: down})
	}
}
