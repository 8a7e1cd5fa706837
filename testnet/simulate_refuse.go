package testnet

import "slices"

// refuse says what the model does not have, and finds the content.
func (p *simulation) refuse() error {
	f := faults{slices.Clone(p.sc.lacks[Simulated])}
	for _, s := range p.sc.Steps {
		p.refuseStep(&f, s)
	}
	for _, e := range p.sc.Expect {
		if e.Kind == Lookups {
			f.add(e.Line, "expect", "the simulated ground has no DHT, so nothing can be said of look-ups")
		}
	}
	if p.content.Name == "" && len(f.list) == 0 {
		f.add(0, "steps", "nobody shares anything, and the simulated ground plays nothing else")
	}
	return f.err()
}

func (p *simulation) refuseStep(f *faults, s Step) {
	if s.Content != "" {
		if p.content.Name == "" {
			p.content, _ = p.sc.content(s.Content)
		}
		if s.Content != p.content.Name {
			f.add(s.Line, "steps", "the simulated ground plays one content, and %s is a second one", s.Content)
		}
	}
	if s.Do == Fetch && s.From == FromDHT {
		f.add(s.Line, "steps", "the simulated ground has no DHT to look in: leave from away, or use another ground")
	}
	if s.Do != Slow {
		return
	}
	for _, name := range s.Nodes {
		n, _ := p.sc.Node(name)
		if l := s.Link; l.Delay != n.Link.Delay || l.Jitter != n.Link.Jitter || l.MTU != n.Link.MTU || l.Loss >= 1 {
			f.add(s.Line, "steps", "on the simulated ground only the rates of a link can change, and its loss, to less than all")
		}
	}
}
