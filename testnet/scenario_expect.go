package testnet

import (
	"fmt"
	"math"
	"slices"
	"time"
)

// The kinds of expectation.
const (
	Complete   = "complete"   // Nodes have Content within Within, or Times their bound, of the first of their fetches; without either in time for the end
	Equal      = "equal"      // every copy of Content is what was shared, bit by bit
	Alive      = "alive"      // Nodes run at the end, unless a step took them down, and none crashed
	Duplicates = "duplicates" // of the bytes that were received, Share at most came for nothing
	Sent       = "sent"       // Nodes together sent Times the size of Content at most
	Lookups    = "found"      // of the look-ups in a DHT, Share at least found somebody, 95 % within Within, with Asked peers asked at most on average
)

// Expectation is what has to be true at the end. Fields that its kind does not name are zero.
type Expectation struct {
	Kind    string
	Nodes   []string
	Content string // Sent: empty is all content together
	Within  time.Duration
	Times   float64
	Share   float64
	Asked   float64
	Text    string // as a user is told of it
	Line    int    // of the file
}

func (p *parsing) expectations(f field) {
	for _, v := range f.each(maxExpect) {
		p.expectation(v)
	}
}

func (p *parsing) expectation(f field) {
	kinds := []string{Complete, Equal, Alive, Duplicates, Sent, Lookups}
	with := map[string][]string{Complete: {"of", "within"}, Sent: {"of", "most"}, Lookups: {"p95", "asked"}}
	t := f.table(append(slices.Clone(kinds), "of", "within", "most", "p95", "asked")...)
	if len(t.values) == 0 {
		return
	}
	kind := ""
	for _, k := range kinds {
		if _, ok := t.get(k); !ok {
			continue
		}
		if kind != "" {
			t.wrong("is about %s and %s: write two expectations", kind, k)
			return
		}
		kind = k
	}
	if kind == "" {
		t.wrong("is about none of complete, equal, alive, duplicates, sent, found")
		return
	}
	for key, v := range t.values {
		if key != kind && !slices.Contains(with[kind], key) {
			v.wrong("means nothing with %s", kind)
		}
	}
	e := Expectation{Kind: kind, Line: f.line()}
	p.expect(t, &e)
	p.Expect = append(p.Expect, e)
}

func (p *parsing) expect(t table, e *Expectation) {
	v, _ := t.get(e.Kind)
	switch e.Kind {
	case Complete:
		p.complete(t, v, e)
	case Equal:
		e.Content = p.known(v)
		e.Text = fmt.Sprintf("all copies of %s are equal", e.Content)
	case Alive:
		e.Nodes = p.nodes(v)
		e.Text = fmt.Sprintf("%s alive", said(v))
	case Duplicates:
		e.Share = v.percent()
		e.Text = "received for nothing"
	case Sent:
		e.Nodes = p.nodes(v)
		if of, ok := t.get("of"); ok {
			e.Content = p.known(of)
		}
		if most, ok := t.need("most"); ok {
			e.Times = most.times(0)
		}
		e.Text = fmt.Sprintf("sent by %s", said(v))
	case Lookups:
		e.Share, e.Asked = v.percent(), math.Inf(1)
		if p95, ok := t.get("p95"); ok {
			e.Within = p95.duration(0, maxLimit)
		}
		if asked, ok := t.get("asked"); ok {
			e.Asked = float64(asked.whole(0, maxSimulated))
		}
		e.Text = "look-ups found somebody"
	}
}

func (p *parsing) complete(t table, v field, e *Expectation) {
	e.Nodes = p.nodes(v)
	of, ok := t.need("of")
	if !ok {
		return
	}
	e.Content = p.known(of)
	e.Text = fmt.Sprintf("%s has %s", said(v), e.Content)
	if p.vague || len(p.list) > 0 {
		return
	}
	fetchers := p.Fetchers(e.Content)
	e.Nodes = slices.DeleteFunc(e.Nodes, func(n string) bool { _, ok := fetchers[n]; return !ok })
	if len(e.Nodes) == 0 {
		v.wrong("no step lets any of them fetch %s and be there at the end", e.Content)
		return
	}
	within, ok := t.get("within")
	if !ok {
		return
	}
	text, _ := within.scalar()
	if len(text) == 0 || text[len(text)-1] != 'x' {
		e.Within = within.duration(0, maxLimit)
		return
	}
	if e.Times = within.times(1); e.Times > 0 && p.Bound(e.Content, e.Nodes) == 0 {
		within.wrong("no link has a rate, so there is no bound; write a time, or give links a rate")
	}
}

// said is a value that names nodes, as a user wrote it.
func said(f field) string { return f.node.String() }
