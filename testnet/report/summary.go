package report

import (
	"fmt"
	"slices"
	"strings"

	"github.com/shoal-p2p/shoal/testnet"
)

// Summary is a run in figures. Times are in seconds, amounts in bytes; 0 is also what a run of which nothing is known has.
type Summary struct {
	Scenario  string    `json:"scenario,omitempty"`
	Ground    string    `json:"ground,omitempty"`
	Nodes     int       `json:"nodes"`
	Seconds   float64   `json:"seconds"` // of the whole run
	Ended     bool      `json:"ended"`
	OK        bool      `json:"ok"` // as the run itself says
	Transfers Transfers `json:"transfers"`
	Lookups   Lookups   `json:"lookups"`
	Machine   Machine   `json:"machine"`
	Expected  int       `json:"expected"` // expectations
	Held      int       `json:"held"`     // of them
	Corrupt   int       `json:"corrupt"`  // copies that differ from the original
}

// Transfers is what was fetched. Last is about the content and group that took longest, as a multiple of the bound where there is
// one: from their first fetch until the last of them had it.
type Transfers struct {
	Fetches   int     `json:"fetches"`
	Done      int     `json:"done"`
	Failed    int     `json:"failed"`
	Bytes     float64 `json:"bytes"` // of content that arrived
	What      string  `json:"what,omitempty"`
	Last      float64 `json:"last"`
	Bound     float64 `json:"bound,omitempty"`
	Times     float64 `json:"times,omitempty"` // Last / Bound
	Median    float64 `json:"median"`          // seconds that a fetch took
	Slowest   float64 `json:"slowest"`
	Duplicate float64 `json:"duplicate"` // bytes that came for nothing, as part of Bytes
	Peak      float64 `json:"peak"`      // bytes of content a second that arrived at all nodes together, at most
	Seeded    float64 `json:"seeded"`    // bytes that those sent who only gave
}

// Lookups are the searches in a DHT.
type Lookups struct {
	Count  int     `json:"count"`
	Found  float64 `json:"found"` // part of them that found somebody
	Median float64 `json:"median"`
	P95    float64 `json:"p95"`
	Asked  float64 `json:"asked"` // peers, on average
	Hops   float64 `json:"hops"`  // on average
}

// Machine is what the nodes used.
type Machine struct {
	Memory  float64 `json:"memory"`  // the greatest of one node
	Average float64 `json:"average"` // of the nodes' greatest
	CPU     float64 `json:"cpu"`     // seconds of one core, of all nodes
}

// Summary adds the run up.
func (r *Run) Summary() Summary {
	s := Summary{
		Scenario: r.scenario, Ground: r.ground, Nodes: len(r.nodes.names), Seconds: r.now, Ended: r.ended, OK: r.ok,
		Transfers: r.transfers(), Lookups: r.searches(), Machine: r.machine(), Expected: len(r.expected), Corrupt: r.verified[0],
	}
	for _, e := range r.expected {
		if e.OK {
			s.Held++
		}
	}
	return s
}

// leg is one content on its way to one group.
type leg struct {
	item, group   string
	first, last   float64 // seconds
	bound         float64
	fetches, done int
}

func (l leg) took() float64 { return l.last - l.first }

// times is how many times the bound it took; 0 if it has none.
func (l leg) times() float64 {
	if l.bound <= 0 {
		return 0
	}
	return l.took() / l.bound
}

// legs are the run's transfers by content and group.
func (r *Run) legs() []leg {
	var out []leg
	for _, it := range r.contents.each() {
		at := map[string]int{}
		for _, f := range it.fetches.each() {
			i, known := at[f.node.group]
			if !known {
				i = len(out)
				at[f.node.group] = i
				out = append(out, leg{item: clean(it.name), group: clean(f.node.group), first: f.began})
			}
			l := &out[i]
			l.first = min(l.first, f.began)
			l.fetches++
			if f.done {
				l.last, l.bound = max(l.last, f.ended), max(l.bound, f.bound)
				l.done++
			}
		}
	}
	if len(out) == 1 && out[0].bound == 0 {
		out[0].bound = r.bound
	}
	return out
}

func (r *Run) transfers() Transfers {
	var t Transfers
	var took []float64
	for _, n := range r.nodes.each() {
		for _, f := range n.fetches {
			t.Fetches++
			t.Bytes += float64(f.had)
			t.Duplicate += f.duplicate.total()
			if f.done {
				t.Done++
				took = append(took, f.took)
			} else if f.failed != "" {
				t.Failed++
			}
		}
		if len(n.fetches) == 0 {
			t.Seeded += n.sent.total()
		}
	}
	slices.Sort(took)
	t.Median, t.Slowest = quantile(took, 0.5), quantile(took, 1)
	if t.Bytes > 0 {
		t.Duplicate /= t.Bytes
	}
	for _, p := range r.arrived.rates() {
		t.Peak = max(t.Peak, p.Y)
	}
	for _, l := range r.legs() {
		if l.done > 0 && (l.times() > t.Times || l.times() == t.Times && l.took() > t.Last) {
			t.What, t.Last, t.Bound, t.Times = l.item, l.took(), l.bound, l.times()
		}
	}
	return t
}

func (r *Run) searches() Lookups {
	l := Lookups{Count: len(r.lookups)}
	if l.Count == 0 {
		return l
	}
	var took []float64
	for _, e := range r.lookups {
		took = append(took, e.seconds)
		l.Asked += float64(e.asked)
		l.Hops += float64(e.hops)
		if e.found > 0 {
			l.Found++
		}
	}
	n := float64(l.Count)
	l.Asked, l.Hops, l.Found = l.Asked/n, l.Hops/n, l.Found/n
	slices.Sort(took)
	l.Median, l.P95 = quantile(took, 0.5), quantile(took, 0.95)
	return l
}

func (r *Run) machine() Machine {
	var m Machine
	measured := 0
	for _, n := range r.nodes.each() {
		m.CPU += n.cpu.total() / 1000
		if n.peak > 0 {
			m.Memory = max(m.Memory, n.peak)
			m.Average += n.peak
			measured++
		}
	}
	if measured > 0 {
		m.Average /= float64(measured)
	}
	return m
}

// Sentence tells in one sentence what happened.
func (s Summary) Sentence() string {
	var b strings.Builder
	name := s.Scenario
	if name == "" {
		name = "A run without a name"
	}
	fmt.Fprintf(&b, "%s, ", name)
	switch s.Ground {
	case "":
	case testnet.Simulated:
		b.WriteString("simulated, ")
	default:
		fmt.Fprintf(&b, "on %s, ", s.Ground)
	}
	fmt.Fprintf(&b, "%d nodes, %s: ", s.Nodes, seconds(s.Seconds))
	t := s.Transfers
	switch {
	case t.Fetches == 0:
		b.WriteString("nothing was fetched")
	case t.Done == 0:
		fmt.Fprintf(&b, "none of %d fetches ended well", t.Fetches)
	default:
		fmt.Fprintf(&b, "%d of %d fetches ended well, the last receiver had %s after %s", t.Done, t.Fetches, t.What, seconds(t.Last))
		if t.Times > 0 {
			fmt.Fprintf(&b, ", %.2f × the bound of %s", t.Times, seconds(t.Bound))
		}
		fmt.Fprintf(&b, "; %s of the bytes came twice", percent(t.Duplicate))
	}
	if s.Corrupt > 0 {
		fmt.Fprintf(&b, "; %d copies differ from the original", s.Corrupt)
	}
	if s.Expected > 0 {
		fmt.Fprintf(&b, "; %d of %d expectations hold", s.Held, s.Expected)
	}
	if !s.Ended {
		b.WriteString("; the record ends before the run did")
	}
	return b.String() + "."
}
