package report

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/shoal-p2p/shoal/content"
	"github.com/shoal-p2p/shoal/testnet"
)

// Run is what is kept of the events of one run.
type Run struct {
	scenario, ground string
	bound            float64 // seconds, of the whole run; 0: it has none
	events           int
	now              float64 // seconds, of the last event
	ended, ok        bool

	nodes    index[*node]
	contents index[*item]
	groups   index[struct{}]
	fetches  int

	arrived flow             // bytes of content that receivers got
	twice   flow             // bytes that came for nothing
	sent    map[string]*flow // bytes that each group sent
	fed     map[feed]*counter

	lookups  []lookup
	expected []testnet.Event
	happened []testnet.Event
	verified [2]int // copies that are not, and that are, like the original
	remarks  []string
	left     map[string]int // what was left out for being too much
}

// index finds things by name and keeps the order in which they turned up.
type index[T any] struct {
	byName map[string]T
	names  []string
}

func (x *index[T]) get(name string) (T, bool) {
	v, ok := x.byName[name]
	return v, ok
}

func (x *index[T]) put(name string, v T) {
	if x.byName == nil {
		x.byName = map[string]T{}
	}
	x.byName[name] = v
	x.names = append(x.names, name)
}

// each returns the things in their order.
func (x *index[T]) each() []T {
	out := make([]T, 0, len(x.names))
	for _, name := range x.names {
		out = append(out, x.byName[name])
	}
	return out
}

// node is one node of the run.
type node struct {
	name, group, role, peer string
	up, down                float64 // bytes a second of its link
	state                   string  // why it does not run; empty: it does

	sampled        float64 // seconds, of its last sample; negative before
	received, sent counter // bytes
	cpu            counter // milliseconds
	memory, load   curve   // bytes; part of one core
	peak           float64 // bytes of memory
	fetches        []*fetch
}

// item is a content that is shared and fetched.
type item struct {
	name    string
	size    int64
	fetches index[*fetch] // by node
}

// fetch is a node's way to a content.
type fetch struct {
	node      *node
	item      *item
	began     float64 // seconds
	progress  curve   // share of the content, 0 to 1
	had       int64   // bytes, at most
	duplicate counter // bytes
	last      float64 // seconds, of what is known
	done      bool
	failed    string  // why it ended without
	ended     float64 // seconds
	took      float64 // seconds
	bound     float64 // seconds, of its group; 0: it has none
}

// lookup is one search in a DHT.
type lookup struct {
	seconds            float64
	found, asked, hops int
}

// feed is a way that bytes took.
type feed struct{ from, to, item string }

func newRun() *Run {
	return &Run{sent: map[string]*flow{}, fed: map[feed]*counter{}, left: map[string]int{}}
}

func (r *Run) remark(format string, args ...any) {
	r.remarks = append(r.remarks, fmt.Sprintf(format, args...))
}

// clean is a text of the events as it is shown.
func clean(text string) string {
	text = content.Printable(text)
	if runes := []rune(text); len(runes) > maxText {
		return string(runes[:maxText-1]) + "…"
	}
	return text
}

// node returns the node of a name, which may be new.
func (r *Run) node(name, group string) (*node, error) {
	if n, ok := r.nodes.get(name); ok {
		return n, nil
	}
	if len(r.nodes.names) == maxNodes {
		return nil, fmt.Errorf("more than %d nodes", maxNodes)
	}
	n := &node{name: name, group: cmp.Or(group, groupOf(name)), sampled: -1}
	r.nodes.put(name, n)
	r.member(n)
	return n, nil
}

// groupOf is the group of a node of which only the name is known: those of crowd are called crowd-1, crowd-2 and so on.
func groupOf(name string) string {
	if i := strings.LastIndexByte(name, '-'); i > 0 && strings.Trim(name[i+1:], "0123456789") == "" {
		return name[:i]
	}
	return name
}

func (r *Run) member(n *node) {
	if _, known := r.groups.get(n.group); !known {
		r.groups.put(n.group, struct{}{})
	}
}

func (r *Run) item(name string) (*item, error) {
	if it, ok := r.contents.get(name); ok {
		return it, nil
	}
	if len(r.contents.names) == maxContents {
		return nil, fmt.Errorf("more than %d contents", maxContents)
	}
	it := &item{name: name}
	r.contents.put(name, it)
	return it, nil
}

// fetch returns a node's way to a content, which may begin now.
func (r *Run) fetch(e testnet.Event) (*fetch, error) {
	n, err := r.node(e.Node, e.Group)
	if err != nil {
		return nil, err
	}
	it, err := r.item(cmp.Or(e.Content, e.CID))
	if err != nil {
		return nil, err
	}
	if f, ok := it.fetches.get(n.name); ok {
		return f, nil
	}
	if r.fetches++; r.fetches > maxFetches {
		return nil, fmt.Errorf("more than %d fetches", maxFetches)
	}
	f := &fetch{node: n, item: it, began: e.T, last: e.T}
	it.fetches.put(n.name, f)
	n.fetches = append(n.fetches, f)
	return f, nil
}

// finish looks at what the events have come to.
func (r *Run) finish() error {
	if r.events == 0 {
		return fmt.Errorf("%w: nothing is in it", ErrEvents)
	}
	if !r.ended {
		r.remark("The record has no end: the run was broken off, or goes on.")
	}
	for _, kind := range sortedKeys(r.left) {
		r.remark("%d %s are left out, for there are too many.", r.left[kind], kind)
	}
	return nil
}
