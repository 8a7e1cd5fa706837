package testnet

import (
	"cmp"
	"slices"
	"time"
)

// actionKeys are what may stand beside an action, and beside at.
var actionKeys = map[string][]string{
	"share":     {"by"},
	"fetch":     {"by", "over", "from"},
	"kill":      {},
	"stop":      {},
	"start":     {},
	"restart":   {"down"},
	"partition": {},
	"heal":      {},
	"slow":      {"link"},
	"churn":     {"every", "down", "until"},
}

// actions in the order in which a user is told of them.
var actions = []string{"share", "fetch", "kill", "stop", "start", "restart", "partition", "heal", "slow", "churn"}

func (p *parsing) steps(f field) {
	for _, v := range f.each(maxSteps) {
		p.step(v)
		if p.moments > maxMoments {
			f.wrong("spread over nodes and time these are more than %d steps", maxMoments)
			return
		}
	}
	slices.SortStableFunc(p.Steps, func(a, b Step) int { return cmp.Compare(a.At, b.At) })
	p.inOrder()
}

func (p *parsing) step(f field) {
	t := f.table(append([]string{"at"}, append(slices.Clone(actions), "by", "over", "from", "link", "every", "down", "until")...)...)
	if len(t.values) == 0 {
		return // said already
	}
	var did []string
	for _, a := range actions {
		if _, ok := t.get(a); ok {
			did = append(did, a)
		}
	}
	if len(did) != 1 {
		t.wrong("a step does one of share, fetch, kill, stop, start, restart, partition, heal, slow, churn, and this one %d of them", len(did))
		return
	}
	for key, v := range t.values {
		if key != "at" && key != did[0] && !slices.Contains(actionKeys[did[0]], key) {
			v.wrong("means nothing with %s", did[0])
		}
	}
	at, ok := t.need("at")
	if !ok {
		return
	}
	s := Step{At: at.duration(0, p.Limit), Line: f.line()}
	p.act(did[0], t, s)
}

// do adds a step, unless there are too many.
func (p *parsing) do(s Step) {
	p.moments += max(len(s.Nodes), 1)
	if s.Do == Partition {
		p.moments += len(p.Nodes)
	}
	if p.moments <= maxMoments {
		p.Steps = append(p.Steps, s)
	}
}

// act adds the steps of one in the file.
func (p *parsing) act(what string, t table, s Step) {
	object, _ := t.get(what)
	s.Do = Action(what)
	switch what {
	case "share", "fetch":
		p.move(object, t, s)
	case "kill", "stop", "start":
		s.Nodes = p.nodes(object)
		p.do(s)
	case "restart":
		p.restart(object, t, s)
	case "churn":
		p.churn(object, t, s)
	case "slow":
		p.slow(object, t, s)
	case "partition":
		p.lack(Processes, object, true, "processes on loopback have no links that could be cut")
		s.Sides = p.sides(object)
		p.do(s)
	case "heal":
		object.yes()
		p.do(s)
	}
}

// move is a share or a fetch.
func (p *parsing) move(object field, t table, s Step) {
	s.Content = p.known(object)
	if by, ok := t.need("by"); ok {
		s.Nodes = p.nodes(by)
	}
	if s.Do == Share {
		p.do(s)
		return
	}
	s.From = FromCID
	if v, ok := t.get("from"); ok {
		s.From = v.oneOf(FromCID, FromTicket, FromDHT)
	}
	over, ok := t.get("over")
	if !ok || len(s.Nodes) < 2 {
		p.do(s)
		return
	}
	span := over.duration(0, max(p.Limit-s.At, 0))
	for i, n := range s.Nodes {
		one := s
		one.Nodes = []string{n}
		one.At += span * time.Duration(i) / time.Duration(len(s.Nodes)-1)
		p.do(one)
	}
}

const defaultDown = time.Second // of a restart

func (p *parsing) restart(object field, t table, s Step) {
	down := defaultDown
	if v, ok := t.get("down"); ok {
		down = v.duration(0, p.Limit)
	}
	s.Nodes, s.Do = p.nodes(object), Stop
	back := s
	back.At, back.Do = s.At+down, Start
	p.do(s)
	p.do(back)
}

// churn takes one node after the other down, of those that are up by its own account, and brings it back.
func (p *parsing) churn(object field, t table, s Step) {
	names := p.nodes(object)
	every, ok := t.need("every")
	down, ok2 := t.need("down")
	until, ok3 := t.need("until")
	if !ok || !ok2 || !ok3 {
		return
	}
	step, away := every.duration(leastChurn, p.Limit), down.duration(0, p.Limit)
	end := until.duration(s.At, p.Limit)
	if len(names) == 0 || step == 0 || end == 0 {
		return
	}
	var back []Step // those that are down, in the order in which they return
	for at := s.At; at <= end && p.moments <= maxMoments; at += step {
		for len(back) > 0 && back[0].At <= at {
			names, back = append(names, back[0].Nodes[0]), back[1:]
		}
		if len(names) == 0 {
			continue
		}
		i := p.rng.IntN(len(names))
		kill, start := s, s
		kill.At, kill.Do, kill.Nodes = at, Kill, []string{names[i]}
		start.At, start.Do, start.Nodes = at+away, Start, kill.Nodes
		p.do(kill)
		p.do(start)
		names[i] = names[len(names)-1]
		names, back = names[:len(names)-1], append(back, start)
	}
}

// slow changes what it names of each node's own link.
func (p *parsing) slow(object field, t table, s Step) {
	link, ok := t.need("link")
	if !ok {
		return
	}
	broken := len(p.list)
	for _, n := range p.nodes(object) {
		one := s
		one.Nodes = []string{n}
		one.Link = p.link(link, p.Nodes[p.place[n]].Link)
		p.do(one)
		if len(p.list) > broken {
			return // the same for all of them
		}
	}
}

// sides reads who is cut off from whom. A node that is named goes where it is named rather than where its group is. Those that no
// side names are together on a side of their own.
func (p *parsing) sides(f field) (sides [][]string) {
	on := map[string]int{}        // the side of each node
	byName := map[string]bool{}   // it is there by its own name
	lists := f.each(maxSimulated) // of names
	for i, side := range lists {
		said := map[string]bool{}
		for _, v := range side.each(maxSimulated) {
			own, _ := v.scalar()
			if said[own] {
				continue
			}
			said[own] = true
			names := p.named(v)
			itself := len(names) == 1 && names[0] == own
			for _, n := range names {
				was, placed := on[n]
				if placed && itself == byName[n] && was != i {
					v.wrong("%q is on two sides", n)
					return nil
				}
				if !placed || itself {
					on[n], byName[n] = i, itself
				}
			}
		}
	}
	sides = make([][]string, len(lists)+1)
	for _, n := range p.Nodes {
		i, placed := on[n.Name]
		if !placed {
			i = len(lists)
		}
		sides[i] = append(sides[i], n.Name)
	}
	sides = slices.DeleteFunc(sides, func(side []string) bool { return len(side) == 0 })
	if len(sides) < 2 && !p.vague {
		f.wrong("all nodes are on one side")
	}
	return sides
}

// inOrder looks at the steps in the order of time: what is fetched has to be shared before, and nothing can happen to nobody.
func (p *parsing) inOrder() {
	if p.vague || len(p.list) > 0 {
		return
	}
	shared := map[string]bool{}
	for _, s := range p.Steps {
		where := func(format string, args ...any) { p.add(s.Line, "steps", format, args...) }
		switch {
		case s.At > p.Limit:
			where("this leads to a %s at %v, and the run ends at %v", s.Do, s.At, p.Limit)
		case s.Do == Share:
			shared[s.Content] = true
		case s.Do == Fetch && !shared[s.Content]:
			where("%s is fetched at %v, and nobody shares it before", s.Content, s.At)
		}
		if len(p.list) > 0 {
			return
		}
	}
	p.parts()
}

// parts looks at who does what: nobody shares and fetches the same, and who is not honest does what fits the role.
func (p *parsing) parts() {
	does := map[[2]string]Action{} // by node and content
	for _, s := range p.Steps {
		if s.Do != Share && s.Do != Fetch {
			continue
		}
		for _, n := range s.Nodes {
			role := p.Nodes[p.place[n]].Role
			before, twice := does[[2]string{n, s.Content}]
			switch {
			case twice:
				p.add(s.Line, "steps", "%s has a step to %s %s already", n, before, s.Content)
			case s.Do == Fetch && (role == Liar || role == Staller):
				p.add(s.Line, "steps", "%s is a %s, and only shares", n, role)
			case s.Do == Share && bad(role) && !p.imposable(s.Content):
				p.add(s.Line, "steps", "a %s shares single files of at most 1 GiB", role)
			case s.Do == Share && role == FreeRider:
				p.add(s.Line, "steps", "%s is a freerider, and only fetches", n)
			}
			does[[2]string{n, s.Content}] = s.Do
			if len(p.list) > 0 {
				return
			}
		}
	}
}

// imposable tells whether an impostor can share a content.
func (p *parsing) imposable(content string) bool {
	c, _ := p.content(content)
	return c.Files == 1 && c.Size <= maxImposed
}
