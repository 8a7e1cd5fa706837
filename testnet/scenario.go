package testnet

import (
	"math"
	"slices"
	"time"
)

// Scenario is a play for many nodes, the same on every ground: who takes part, what they do and suffer when, and what is
// expected. [ParseScenario] makes one from YAML; then every name in it is of a node or content that exists, every group is
// spread into its nodes, and every choice that is left to chance has been made, from the seed. docs/testnet.md is its reference.
type Scenario struct {
	Name  string // short, fit for a folder's name
	About string // one line
	Seed  uint64 // of chance, and of what the contents hold
	Limit time.Duration

	Nodes   []Spec // in the order of the file, group after group
	Content []Content
	Steps   []Step // in the order of time
	Expect  []Expectation

	Text []byte // the file

	lacks map[string][]Fault // of each ground: what it does not have and the file asks for
}

// The roles of a node. Whoever is not honest has what its share step says, and misbehaves towards those who ask for it.
const (
	Honest    = "honest"
	Liar      = "liar"      // sends wrong bytes
	Staller   = "staller"   // is asked, and sends nothing
	FreeRider = "freerider" // fetches, and gives nothing on
)

// Content is what is shared: a file, or a folder of files. What is in them is made from the scenario's seed and the name.
type Content struct {
	Name  string
	Size  int64 // bytes of all files
	Files int   // if more than one, a folder
}

// Sizes returns the bytes of each file: equal ones, the first ones longer by a byte where that does not come out even.
func (c Content) Sizes() []int64 {
	sizes := make([]int64, c.Files)
	for i := range sizes {
		sizes[i] = c.Size / int64(c.Files)
		if int64(i) < c.Size%int64(c.Files) {
			sizes[i]++
		}
	}
	return sizes
}

// Action is what a step does.
type Action string

// The actions. A restart in the file is a Stop and a Start, churn is Kills and Starts.
const (
	Share     Action = "share"     // Nodes have Content
	Fetch     Action = "fetch"     // Nodes want Content, which they find as From says
	Kill      Action = "kill"      // Nodes end at once, as in a crash
	Stop      Action = "stop"      // Nodes are asked to end
	Start     Action = "start"     // Nodes run again with what they had, and go on with what they fetched
	Partition Action = "partition" // Sides no longer reach each other
	Heal      Action = "heal"      // all reach each other again
	Slow      Action = "slow"      // Nodes have Link from now on
)

// The ways in which a fetch finds whom to ask.
const (
	FromCID    = "cid"    // as the node does when it knows nothing but the content ID
	FromTicket = "ticket" // of whoever shared it first
	FromDHT    = "dht"    // a DHT is asked for providers
)

// Step is one thing that is done at one moment.
type Step struct {
	At      time.Duration // since the beginning
	Do      Action
	Nodes   []string   // in the order of Scenario.Nodes
	Content string     // Share, Fetch
	From    string     // Fetch
	Sides   [][]string // Partition: every node is on one of them
	Link    Link       // Slow
	Line    int        // of the file
}

// Suits says what a ground cannot give a scenario, by a *ScenarioError with the line and the next step, or returns nil. A ground may
// still refuse what this machine does not let it do.
func (sc *Scenario) Suits(ground string) error {
	if ground == Simulated {
		_, err := newSimulation(sc)
		return err
	}
	return (&faults{slices.Clone(sc.lacks[ground])}).err()
}

// Ground is where a scenario is played best with real nodes: as processes, if it does not take links that can be changed.
func (sc *Scenario) Ground() string {
	if len(sc.lacks[Processes]) > 0 {
		return Namespaces
	}
	return Processes
}

// Node returns what is said of a node.
func (sc *Scenario) Node(name string) (Spec, bool) {
	i := slices.IndexFunc(sc.Nodes, func(n Spec) bool { return n.Name == name })
	if i < 0 {
		return Spec{}, false
	}
	return sc.Nodes[i], true
}

// content returns what is said of a content.
func (sc *Scenario) content(name string) (Content, bool) {
	i := slices.IndexFunc(sc.Content, func(c Content) bool { return c.Name == name })
	if i < 0 {
		return Content{}, false
	}
	return sc.Content[i], true
}

// roles returns the role of each node.
func (sc *Scenario) roles() map[string]string {
	roles := make(map[string]string, len(sc.Nodes))
	for _, n := range sc.Nodes {
		roles[n.Name] = n.Role
	}
	return roles
}

// Gone returns the nodes that the steps take down for good. Nothing is expected of them.
func (sc *Scenario) Gone() map[string]bool {
	gone := map[string]bool{}
	for _, s := range sc.Steps {
		for _, n := range s.Nodes {
			switch s.Do {
			case Kill, Stop:
				gone[n] = true
			case Start:
				delete(gone, n)
			}
		}
	}
	return gone
}

// Fetchers returns when each of the honest nodes that are there at the end begins to fetch a content for the first time.
func (sc *Scenario) Fetchers(content string) map[string]time.Duration {
	first, gone, roles := map[string]time.Duration{}, sc.Gone(), sc.roles()
	for _, s := range sc.Steps {
		if s.Do != Fetch || s.Content != content {
			continue
		}
		for _, n := range s.Nodes {
			if _, known := first[n]; !known && !gone[n] && roles[n] == Honest {
				first[n] = s.At
			}
		}
	}
	return first
}

// Bound is the least time from the first of these nodes' fetches of a content until the last of them has it, by the rates of
// the links: whoever shares it has to send it once, each of the nodes has to receive it, and all copies have to leave
// somebody's uplink. It is 0 if no link limits them.
func (sc *Scenario) Bound(content string, nodes []string) time.Duration {
	c, known := sc.content(content)
	fetchers := sc.Fetchers(content)
	if !known || len(nodes) == 0 || len(fetchers) == 0 {
		return 0
	}
	size, fastest := float64(c.Size), sc.fastest()
	var source, up float64 // bytes a second; of those who share it, and of all who can give some
	for _, n := range sc.sharers(content) {
		source += fastest[n].Up
	}
	up = source
	for n := range fetchers {
		up += fastest[n].Up
	}
	begin, copies := time.Duration(math.MaxInt64), 0
	for _, n := range nodes {
		if at, ok := fetchers[n]; ok {
			begin, copies = min(begin, at), copies+1
		}
	}
	bound, arrival := max(size/source, float64(copies)*size/up), 0.0
	for _, n := range nodes {
		if at, ok := fetchers[n]; ok {
			alone := size / fastest[n].Down
			bound, arrival = max(bound, alone), max(arrival, (at-begin).Seconds()+alone)
		}
	}
	if bound == 0 {
		return 0
	}
	return time.Duration(max(bound, arrival) * float64(time.Second))
}

// sharers returns the honest nodes that share a content.
func (sc *Scenario) sharers(content string) (names []string) {
	roles := sc.roles()
	for _, s := range sc.Steps {
		if s.Do != Share || s.Content != content {
			continue
		}
		for _, n := range s.Nodes {
			if roles[n] == Honest {
				names = append(names, n)
			}
		}
	}
	return names
}

// fastest returns the best rates that each node has at any time, an infinite one where there is no limit.
func (sc *Scenario) fastest() map[string]Link {
	rates := make(map[string]Link, len(sc.Nodes))
	unlimited := func(rate float64) float64 {
		if rate == 0 {
			return math.Inf(1)
		}
		return rate
	}
	add := func(name string, l Link) {
		was := rates[name]
		rates[name] = Link{Up: max(was.Up, unlimited(l.Up)), Down: max(was.Down, unlimited(l.Down))}
	}
	for _, n := range sc.Nodes {
		add(n.Name, n.Link)
	}
	for _, s := range sc.Steps {
		if s.Do == Slow {
			for _, n := range s.Nodes {
				add(n, s.Link)
			}
		}
	}
	return rates
}
