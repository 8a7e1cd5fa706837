package report

import (
	"maps"
	"slices"

	"github.com/shoal-p2p/shoal/testnet"
)

// take adds an event to the run.
func (r *Run) take(e testnet.Event) error {
	if err := sound(e); err != nil {
		return err
	}
	r.events++
	e.T = max(e.T, r.now) // some of the same moment may have changed places
	r.now = e.T
	switch e.Kind {
	case "begin":
		r.scenario, r.ground, r.bound = clean(e.Scenario), clean(e.Ground), e.Bound
	case "end":
		r.ended, r.ok = true, e.OK
	case "node":
		return r.takeNode(e)
	case "up", "down":
		return r.takeState(e)
	case "link", "cut", "note":
		keep(r, "happenings", &r.happened, maxHappened, e)
	case "share", "fetch", "sample", "done", "failed":
		return r.takeContent(e)
	case "fed":
		return r.takeFed(e)
	case "lookup":
		keep(r, "look-ups", &r.lookups, maxLookups, lookup{e.Seconds, e.Found, e.Asked, e.Hops})
	case "verified":
		return r.takeVerified(e)
	case "expect":
		keep(r, "expectations", &r.expected, maxExpected, e)
	default:
		r.left["events of a kind that this version does not know"]++
	}
	return nil
}

// keep appends something to a list that has an end.
func keep[T any](r *Run, what string, list *[]T, most int, e T) {
	if len(*list) == most {
		r.left[what]++
		return
	}
	*list = append(*list, e)
}

func (r *Run) takeNode(e testnet.Event) error {
	n, err := r.node(e.Node, e.Group)
	if err != nil {
		return err
	}
	if e.Group != "" && e.Group != n.group {
		n.group = e.Group
		r.member(n)
	}
	n.role, n.peer, n.up, n.down = e.Role, e.Peer, e.Up, e.Down
	return nil
}

// takeState notes that a node runs or does not. That all begin to run is no news.
func (r *Run) takeState(e testnet.Event) error {
	n, err := r.node(e.Node, "")
	if err != nil {
		return err
	}
	was := n.state
	if n.state = ""; e.Kind == "down" {
		n.state = clean(e.Reason)
		if n.state == "" {
			n.state = "stopped"
		}
	}
	if e.Kind == "down" || was != "" {
		keep(r, "happenings", &r.happened, maxHappened, e)
	}
	return nil
}

func (r *Run) takeContent(e testnet.Event) error {
	switch e.Kind {
	case "share":
		if _, err := r.node(e.Node, e.Group); err != nil {
			return err
		}
		it, err := r.item(e.Content)
		if err == nil {
			it.size = max(it.size, e.Bytes)
		}
		return err
	case "sample":
		if err := r.takeSample(e); err != nil || e.Content == "" {
			return err
		}
		if it, ok := r.contents.get(e.Content); ok {
			if _, fetching := it.fetches.get(e.Node); !fetching {
				return nil // it shares this
			}
		}
	}
	f, err := r.fetch(e)
	if err != nil {
		return err
	}
	f.take(r, e)
	return nil
}

// take adds an event to a fetch.
func (f *fetch) take(r *Run, e testnet.Event) {
	size := max(f.item.size, e.Total)
	if e.Kind == "done" {
		size = max(size, e.Bytes)
	}
	f.item.size = size
	bytes := e.Bytes
	switch {
	case e.Kind == "done":
		f.done, f.failed, f.ended, f.took, f.bound = true, "", e.T, e.Seconds, e.Bound
		bytes = size
		e.Duplicate = max(e.Duplicate, f.duplicate.last)
	case f.done && e.Kind == "sample":
		return // a node does not look at what it has all of
	case e.Kind == "failed":
		f.failed, f.ended = clean(e.Reason), e.T
		if f.failed == "" {
			f.failed = "no reason given"
		}
		keep(r, "happenings", &r.happened, maxHappened, e)
		return
	case e.Kind == "fetch":
		f.done, f.failed = false, ""
	}
	r.arrived.add(f.last, e.T, float64(bytes-f.had))
	f.had = max(f.had, bytes)
	if e.Duplicate > 0 {
		r.twice.add(f.last, e.T, float64(f.duplicate.set(e.Duplicate)))
	}
	f.last = e.T
	if size > 0 {
		f.progress.add(e.T, min(1, float64(bytes)/float64(size)))
	}
}

// sameLook is the time in seconds between two samples that are of one look at a node which fetches several contents.
const sameLook = 0.01

// takeSample notes what a look at a node showed of itself, whatever it fetches.
func (r *Run) takeSample(e testnet.Event) error {
	n, err := r.node(e.Node, e.Group)
	if err != nil {
		return err
	}
	if n.sampled >= 0 && e.T-n.sampled < sameLook {
		return nil // the same figures beside another content
	}
	from := max(n.sampled, 0)
	if e.Received > 0 {
		n.received.set(e.Received)
	}
	if e.Sent > 0 {
		f := r.sent[n.group]
		if f == nil {
			f = &flow{}
			r.sent[n.group] = f
		}
		f.add(from, e.T, float64(n.sent.set(e.Sent)))
	}
	if e.Memory > 0 {
		n.memory.add(e.T, float64(e.Memory))
		n.peak = max(n.peak, float64(e.Memory))
	}
	if e.CPU > 0 {
		used := float64(n.cpu.set(int64(e.CPU*1000))) / 1000
		if n.sampled >= 0 && e.T > from {
			n.load.add(e.T, used/(e.T-from))
		}
	}
	n.sampled = e.T
	return nil
}

func (r *Run) takeFed(e testnet.Event) error {
	for _, name := range []string{e.Node, e.From} {
		if _, err := r.node(name, ""); err != nil {
			return err
		}
	}
	way := feed{e.From, e.Node, e.Content}
	c := r.fed[way]
	if c == nil {
		if len(r.fed) == maxFeeds {
			r.left["records of who fed whom"]++
			return nil
		}
		c = &counter{}
		r.fed[way] = c
	}
	c.set(e.Bytes)
	return nil
}

func (r *Run) takeVerified(e testnet.Event) error {
	if e.OK {
		r.verified[1]++
		return nil
	}
	r.verified[0]++
	keep(r, "happenings", &r.happened, maxHappened, e)
	return nil
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
