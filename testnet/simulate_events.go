package testnet

import (
	"slices"
	"time"

	"github.com/shoal-p2p/shoal/transfer/sim"
)

// How many samples of a simulated run are recorded, more or less: that of a node is a line.
const (
	mostLooks     = 100_000
	leastSimPause = 250 * time.Millisecond // between two looks
	looksOfPause  = 40                     // before the pause is doubled
)

// pause is the time between two looks at all nodes.
func (p *simulation) pause() time.Duration {
	bound := max(p.swarm.Bound(), time.Second)
	return max(leastSimPause, time.Duration(float64(2*bound)*float64(len(p.names))/mostLooks))
}

// open records what is there at the beginning.
func (p *simulation) open() {
	byGroup := map[string][]string{}
	fetchers := p.sc.Fetchers(p.content.Name)
	var all []string
	for _, n := range p.sc.Nodes {
		if _, fetches := fetchers[n.Name]; fetches {
			byGroup[n.Group] = append(byGroup[n.Group], n.Name)
			all = append(all, n.Name)
		}
	}
	for group, names := range byGroup {
		p.bounds[group] = p.sc.Bound(p.content.Name, names)
	}
	p.record(Event{Kind: "begin", Scenario: p.sc.Name, Ground: Simulated, Bound: p.sc.Bound(p.content.Name, all).Seconds()})
	for _, n := range p.sc.Nodes {
		p.record(Event{Kind: "node", Node: n.Name, Group: n.Group, Role: n.Role, Up: n.Link.Up, Down: n.Link.Down})
		p.record(Event{Kind: "up", Node: n.Name})
	}
	if slices.ContainsFunc(p.sc.Nodes, func(n Spec) bool { return n.Link.Loss > 0 || n.Link.Jitter > 0 }) {
		p.record(Event{Kind: "note", Reason: "loss is modelled as the rate that repeats take, and jitter as more delay"})
	}
}

// steps records what the scenario did up to a time.
func (p *simulation) steps(until time.Duration) {
	for ; p.next < len(p.sc.Steps) && p.sc.Steps[p.next].At <= until; p.next++ {
		s := p.sc.Steps[p.next]
		at := s.At.Seconds()
		switch s.Do {
		case Partition:
			p.record(Event{T: at, Kind: "cut", Sides: s.Sides})
		case Heal:
			p.record(Event{T: at, Kind: "cut"})
		}
		for _, name := range s.Nodes {
			e := Event{T: at, Node: name}
			if s.Do == Kill || s.Do == Stop || s.Do == Start {
				if p.down[name] == (s.Do != Start) {
					continue // it is already
				}
				p.down[name] = s.Do != Start
			}
			switch s.Do {
			case Share:
				e.Kind, e.Content, e.Bytes = "share", s.Content, p.content.Size
			case Fetch:
				e.Kind, e.Content = "fetch", s.Content
			case Kill:
				e.Kind, e.Reason = "down", string(Killed)
			case Stop:
				e.Kind, e.Reason = "down", string(Stopped)
			case Start:
				e.Kind = "up"
			case Slow:
				e.Kind, e.Up, e.Down = "link", s.Link.Up, s.Link.Down
			default:
				continue
			}
			p.record(e)
		}
	}
}

// look records how far each node has come.
func (p *simulation) look(v sim.View) {
	p.steps(v.Now())
	p.view = v
	if v.Now() < p.due {
		return
	}
	if p.looks++; p.looks%looksOfPause == 0 {
		p.every *= 2 // it takes long, so it need not be looked at so often
	}
	p.due = v.Now() + p.every
	p.lookAtAll(v)
}

func (p *simulation) lookAtAll(v sim.View) {
	for host := range p.names {
		p.sample(v, host)
	}
}

func (p *simulation) sample(v sim.View, host int) {
	s := v.Host(host)
	if !s.Here {
		return
	}
	p.record(Event{
		T: v.Now().Seconds(), Kind: "sample", Node: p.names[host], Content: p.content.Name, Bytes: p.bytes(s.Has), Total: p.content.Size,
		Received: s.Received, Sent: s.Sent, Duplicate: s.Duplicate, Peers: s.Peers,
	})
}

// bytes are those of the content, of whose chunks the model makes equal ones.
func (p *simulation) bytes(has int64) int64 {
	modelled := int64(p.swarm.Chunks) * int64(p.swarm.Size)
	return int64(float64(has) / float64(modelled) * float64(p.content.Size))
}

// done records that a node has everything. That its copy is right the model says: it keeps wrong chunks out.
func (p *simulation) done(v sim.View, host int) {
	p.steps(v.Now())
	p.over[host] = true
	n, _ := p.sc.Node(p.names[host])
	p.sample(v, host)
	p.record(Event{
		T: v.Now().Seconds(), Kind: "done", Node: n.Name, Group: n.Group, Content: p.content.Name, Bytes: p.content.Size,
		Duplicate: v.Host(host).Duplicate, Seconds: (v.Now() - p.begun[host]).Seconds(), Bound: p.bounds[n.Group].Seconds(),
	})
}

// close records what came of it.
func (p *simulation) close(took time.Duration) {
	for _, s := range p.sc.Steps[p.next:] {
		took = max(took, s.At) // it changes nothing any more, and happens
	}
	took = min(took, p.sc.Limit)
	p.steps(p.view.Now())
	p.lookAtAll(p.view)
	p.steps(took)
	p.fed(took)
	for host, over := range p.over {
		e := Event{T: took.Seconds(), Node: p.names[host], Content: p.content.Name}
		switch role := p.swarm.Hosts[host].Role; {
		case role != sim.Receiver && role != sim.FreeRider:
			continue
		case over:
			e.Kind, e.OK = "verified", true
		default:
			e.Kind, e.Reason = "failed", "it was not complete when the run ended"
		}
		p.record(e)
	}
}

// fed records who gave how much to whom.
func (p *simulation) fed(at time.Duration) {
	given := map[[2]int]int64{}
	p.view.Fed(func(from, to int, bytes int64) { given[[2]int{to, from}] += bytes })
	pairs := make([][2]int, 0, len(given))
	for pair := range given {
		pairs = append(pairs, pair)
	}
	slices.SortFunc(pairs, func(a, b [2]int) int { return slices.Compare(a[:], b[:]) })
	for _, pair := range pairs {
		p.record(Event{
			T: at.Seconds(), Kind: "fed", Node: p.names[pair[0]], From: p.names[pair[1]], Content: p.content.Name, Bytes: p.bytes(given[pair]),
		})
	}
}
