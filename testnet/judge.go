package testnet

import (
	"fmt"
	"math"
	"slices"
	"time"
)

// judge hears the events of a run and says at the end which expectations hold. It asks nothing but them, and so judges every
// ground in the same way.
type judge struct {
	sc      *Scenario
	copies  map[copyOf]*fetched
	nodes   map[string]*played
	lookups []Event
}

// copyOf is one node's copy of a content.
type copyOf struct{ node, content string }

// fetched is what is known of a copy.
type fetched struct {
	begun, done      float64 // seconds; done is less than 0 as long as it is not
	bytes, duplicate int64
	reason           string // of its failure
	verified, equal  bool
}

// played is what is known of a node.
type played struct {
	up      bool
	crashed bool
	sent    int64 // in earlier lives
	life    int64 // sent in this one
}

func newJudge(sc *Scenario) *judge {
	return &judge{sc: sc, copies: map[copyOf]*fetched{}, nodes: map[string]*played{}}
}

func (j *judge) node(name string) *played {
	if j.nodes[name] == nil {
		j.nodes[name] = &played{}
	}
	return j.nodes[name]
}

func (j *judge) hear(e Event) {
	switch e.Kind {
	case "up":
		n := j.node(e.Node)
		n.up, n.sent, n.life = true, n.sent+n.life, 0
	case "down":
		n := j.node(e.Node)
		n.up, n.crashed = false, n.crashed || e.Reason == string(StateCrashed)
	case "fetch":
		j.copies[copyOf{e.Node, e.Content}] = &fetched{begun: e.T, done: -1}
	case "lookup":
		j.lookups = append(j.lookups, e)
	case "sample":
		if n := j.node(e.Node); e.Sent >= n.life {
			n.life = e.Sent
		}
		if c := j.copies[copyOf{e.Node, e.Content}]; c != nil && c.done < 0 {
			c.bytes, c.duplicate = max(c.bytes, e.Bytes), max(c.duplicate, e.Duplicate)
		}
	case "done", "failed", "verified":
		if c := j.copies[copyOf{e.Node, e.Content}]; c != nil {
			c.hear(e)
		}
	}
}

func (c *fetched) hear(e Event) {
	switch e.Kind {
	case "done":
		c.done, c.bytes, c.duplicate = e.T, e.Bytes, e.Duplicate
	case "failed":
		c.reason = e.Reason
	case "verified":
		c.verified, c.equal = true, e.OK
	}
}

// verdicts returns an event for each expectation.
func (j *judge) verdicts() []Event {
	out := make([]Event, len(j.sc.Expect))
	for i, e := range j.sc.Expect {
		v := Event{Kind: "expect", Name: e.Text}
		switch e.Kind {
		case Complete:
			j.complete(e, &v)
		case Equal:
			j.equal(e, &v)
		case Alive:
			j.alive(e, &v)
		case Duplicates:
			j.duplicates(e, &v)
		case Sent:
			j.sent(e, &v)
		case Lookups:
			j.found(e, &v)
		}
		out[i] = v
	}
	return out
}

func (j *judge) complete(e Expectation, v *Event) {
	first, last, have, why := math.Inf(1), 0.0, 0, ""
	for _, n := range e.Nodes {
		c := j.copies[copyOf{n, e.Content}]
		switch {
		case c == nil:
			why = n + " never began"
		case c.done < 0:
			first, why = min(first, c.begun), fmt.Sprintf("%s has %s of it", n, percent(c.bytes, j.size(e.Content)))
			if c.reason != "" {
				why = n + ": " + c.reason
			}
		default:
			first, last, have = min(first, c.begun), max(last, c.done), have+1
		}
	}
	bound := j.sc.Bound(e.Content, e.Nodes).Seconds()
	limit := e.Within.Seconds()
	v.Want = "before the end"
	if e.Times > 0 {
		limit = e.Times * bound
		v.Want = fmt.Sprintf("within %.4gx of %s", e.Times, shortly(bound))
	} else if limit > 0 {
		v.Want = "within " + shortly(limit)
	}
	if have < len(e.Nodes) {
		v.Got = fmt.Sprintf("%d of %d; %s", have, len(e.Nodes), why)
		return
	}
	took := last - first
	v.OK, v.Seconds, v.Got = limit == 0 || took <= limit, took, shortly(took)
	if bound > 0 {
		v.Bound, v.Got = bound, fmt.Sprintf("%.2fx (%s)", took/bound, shortly(took))
	}
}

func (j *judge) size(content string) int64 {
	c, _ := j.sc.content(content)
	return c.Size
}

// equal wants a comparison of every copy that is to be complete, and that of no other to have failed.
func (j *judge) equal(e Expectation, v *Event) {
	want, equal, other := j.sc.Fetchers(e.Content), 0, ""
	for n := range want {
		if c := j.copies[copyOf{n, e.Content}]; c != nil && c.verified && c.equal {
			equal++
		}
	}
	for key, c := range j.copies {
		if key.content == e.Content && c.verified && !c.equal {
			other = key.node
		}
	}
	v.Want, v.Got = fmt.Sprintf("%d", len(want)), fmt.Sprintf("%d", equal)
	v.OK = equal == len(want) && other == ""
	if other != "" {
		v.Got += "; " + other + " has other bytes"
	}
}

func (j *judge) alive(e Expectation, v *Event) {
	gone := j.sc.Gone()
	want, up, wrong := 0, 0, ""
	for _, name := range e.Nodes {
		n := j.node(name)
		if n.crashed {
			wrong = name + " crashed"
		}
		if gone[name] {
			continue
		}
		want++
		if n.up {
			up++
		} else if wrong == "" {
			wrong = name + " does not run"
		}
	}
	v.Want, v.Got, v.OK = fmt.Sprintf("%d", want), fmt.Sprintf("%d", up), up == want && wrong == ""
	if wrong != "" {
		v.Got += "; " + wrong
	}
}

func (j *judge) duplicates(e Expectation, v *Event) {
	var bytes, twice int64
	for _, c := range j.copies {
		bytes, twice = bytes+c.bytes, twice+c.duplicate
	}
	v.Want, v.Got = fmt.Sprintf("at most %.4g%%", e.Share*100), percent(twice, bytes)
	v.OK = float64(twice) <= e.Share*float64(bytes)
}

func (j *judge) sent(e Expectation, v *Event) {
	var sent, size int64
	for _, n := range e.Nodes {
		sent += j.node(n).sent + j.node(n).life
	}
	for _, c := range j.sc.Content {
		if e.Content == "" || e.Content == c.Name {
			size += c.Size
		}
	}
	v.Want, v.OK = fmt.Sprintf("at most %.4gx", e.Times), float64(sent) <= e.Times*float64(size)
	v.Got = fmt.Sprintf("%.2fx (%s)", float64(sent)/float64(max(size, 1)), mebibytes(sent))
}

func (j *judge) found(e Expectation, v *Event) {
	found, asked := 0, 0
	var took []float64
	for _, l := range j.lookups {
		asked += l.Asked
		took = append(took, l.Seconds)
		if l.Found > 0 {
			found++
		}
	}
	v.Want = fmt.Sprintf("at least %.4g%%", e.Share*100)
	if e.Within > 0 {
		v.Want += fmt.Sprintf(", 95%% within %v", e.Within)
	}
	if !math.IsInf(e.Asked, 1) {
		v.Want += fmt.Sprintf(", %.4g asked", e.Asked)
	}
	if len(took) == 0 {
		v.Got = "there was none"
		return
	}
	slices.Sort(took)
	p95 := took[int(math.Ceil(0.95*float64(len(took))))-1]
	mean := float64(asked) / float64(len(took))
	v.Got = fmt.Sprintf("%d of %d, 95%% within %s, %.1f asked", found, len(took), shortly(p95), mean)
	v.OK = float64(found) >= e.Share*float64(len(took)) && mean <= e.Asked && (e.Within == 0 || p95 <= e.Within.Seconds())
}

// percent writes a part of a whole.
func percent(part, whole int64) string {
	return fmt.Sprintf("%.1f%%", 100*float64(part)/float64(max(whole, 1)))
}

func mebibytes(n int64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }

// shortly writes seconds for people.
func shortly(seconds float64) string {
	if seconds < 1 {
		return time.Duration(seconds * float64(time.Second)).Round(time.Millisecond).String()
	}
	return fmt.Sprintf("%.1fs", seconds)
}
