package testnet

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"time"
)

// ReadScenario reads a scenario file. What is wrong in it comes back as a *ScenarioError.
func ReadScenario(path string) (*Scenario, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("scenario: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxText+1))
	if err != nil {
		return nil, fmt.Errorf("scenario: %w", err)
	}
	return ParseScenario(text)
}

// ParseScenario reads a scenario and makes every choice that it leaves to chance. Its errors are *ScenarioError.
func ParseScenario(text []byte) (*Scenario, error) {
	root, err := parseText(text)
	if err != nil {
		return nil, err
	}
	p := &parsing{
		Scenario: &Scenario{Limit: defaultLimit, Seed: 1, Text: bytes.Clone(text), lacks: map[string][]Fault{}},
		members:  map[string][]string{}, place: map[string]int{},
	}
	p.all(field{&p.faults, root, ""}.table("name", "about", "seed", "limit", "link", "groups", "content", "steps", "expect"))
	if err := p.err(); err != nil {
		return nil, err
	}
	return p.Scenario, nil
}

// parsing is a scenario as far as it has been read.
type parsing struct {
	*Scenario
	faults
	rng *rand.Rand

	members map[string][]string // of each group, and of each node itself
	place   map[string]int      // of each node in Nodes
	moments int                 // steps, for each node one
	vague   bool                // groups or contents could not be read, so that a name may be right though it is not known
}

func (p *parsing) all(top table) {
	p.Name = "scenario"
	if f, ok := top.get("name"); ok {
		p.Name = p.name(f)
	}
	if f, ok := top.get("about"); ok {
		p.About = f.text(maxAbout)
	}
	if f, ok := top.get("seed"); ok {
		p.Seed = uint64(f.whole(0, 1<<53))
	}
	if f, ok := top.get("limit"); ok {
		if d := f.duration(time.Second, maxLimit); d > 0 {
			p.Limit = d // and else the steps are measured by the usual one
		}
	}
	p.rng = rand.New(rand.NewPCG(p.Seed, 0))
	var common Link
	if f, ok := top.get("link"); ok {
		common = p.link(f, Link{})
	}
	before := len(p.list)
	if f, ok := top.need("groups"); ok {
		p.groups(f, common)
	}
	if f, ok := top.get("content"); ok {
		p.contents(f)
	}
	p.vague = len(p.list) > before
	if f, ok := top.get("steps"); ok {
		p.steps(f)
	}
	if f, ok := top.get("expect"); ok {
		p.expectations(f)
	}
}

// name is fit for a folder, a container or a part of an interface.
func (p *parsing) name(f field) string {
	name := f.text(maxName)
	if name != "" && !names.MatchString(name) {
		f.wrong("%q: a name is made of small letters, digits and hyphens, and begins with a letter", name)
		return ""
	}
	return name
}

// link reads what a link says; the rest is as in base.
func (p *parsing) link(f field, base Link) Link {
	t := f.table("rate", "up", "down", "delay", "jitter", "loss", "mtu")
	p.lack(Processes, f, true, "processes on loopback have no links of their own")
	if v, ok := t.get("rate"); ok {
		base.Up = v.rate()
		base.Down = base.Up
	}
	if v, ok := t.get("up"); ok {
		base.Up = v.rate()
	}
	if v, ok := t.get("down"); ok {
		base.Down = v.rate()
	}
	if v, ok := t.get("delay"); ok {
		base.Delay = v.duration(0, maxDelay)
	}
	if v, ok := t.get("jitter"); ok {
		base.Jitter = v.duration(0, maxDelay)
		p.lack(Containers, v, base.Jitter > 0, "nothing between containers makes a jitter")
	}
	if base.Jitter > base.Delay {
		t.wrong("a jitter of %v is more than the delay of %v", base.Jitter, base.Delay)
	}
	if v, ok := t.get("loss"); ok {
		base.Loss = v.percent()
		p.lack(Containers, v, base.Loss > 0, "nothing between containers loses packets")
	}
	if v, ok := t.get("mtu"); ok {
		base.MTU = int(v.whole(leastMTU, mostMTU))
	}
	return base
}

// lack notes what a ground does not have, if it is asked for.
func (p *parsing) lack(ground string, f field, asked bool, what string) {
	have := p.lacks[ground]
	if !asked || len(have) == maxFaults || slices.ContainsFunc(have, func(h Fault) bool { return h.Field == f.path }) {
		return
	}
	p.lacks[ground] = append(have, Fault{f.line(), f.path, what + ": use --on namespaces (Linux, root)"})
}

// everybody is the name that stands for all nodes.
const everybody = "all"

func (p *parsing) groups(f field, common Link) {
	list := f.each(maxGroups)
	if f.isList() && len(list) == 0 {
		f.wrong("there has to be one at least")
	}
	for _, g := range list {
		p.group(g, common)
	}
	for _, n := range p.Nodes {
		p.members[everybody] = append(p.members[everybody], n.Name)
	}
}

func (p *parsing) group(f field, common Link) {
	t := f.table("name", "nodes", "link", "networks", "nat", "role", "flags")
	spec := Spec{Link: common, Role: Honest}
	count, name := int64(1), field{}
	if v, ok := t.need("name"); ok {
		name, spec.Group = v, p.name(v)
	}
	if v, ok := t.get("nodes"); ok {
		count = v.whole(1, maxSimulated)
	}
	if v, ok := t.get("link"); ok {
		spec.Link = p.link(v, common)
	}
	if v, ok := t.get("networks"); ok {
		p.lack(Processes, v, true, "processes on loopback have no networks of their own")
		for _, n := range v.each(maxNetworks) {
			spec.Networks = append(spec.Networks, p.name(n))
		}
	}
	if v, ok := t.get("nat"); ok {
		spec.NAT = v.oneOf(string(Cone), string(PortRestricted), string(Symmetric))
		p.lack(Processes, v, true, "processes on loopback have no router before them")
		p.lack(Containers, v, true, "containers have no router before them")
		p.lack(Simulated, v, true, "models of nodes have no router before them")
	}
	if v, ok := t.get("role"); ok {
		spec.Role = v.oneOf(Honest, Liar, Staller, FreeRider)
	}
	if v, ok := t.get("flags"); ok {
		spec.Flags = p.flags(v)
		p.lack(Simulated, v, len(spec.Flags) > 0, "these are flags of a program, and on the simulated ground none runs")
	}
	p.lack(Simulated, f, spec.Link.Loss >= 1, "this link loses every packet, and nothing comes of a simulation of that")
	p.lack(Simulated, f, len(p.Nodes) > 0 && !slices.Equal(spec.Networks, p.Nodes[0].Networks), "the simulated ground has one network, and these nodes are in others than the first ones")
	if spec.Group != "" && count > 0 {
		p.enrol(name, spec, int(count))
	}
}

// enrol makes the nodes of a group.
func (p *parsing) enrol(f field, spec Spec, count int) {
	if spec.Group == everybody {
		f.wrong("%q stands for all nodes", everybody)
		return
	}
	if len(p.Nodes)+count > maxSimulated {
		f.wrong("with this group there are %d nodes, and %d at most are allowed", len(p.Nodes)+count, maxSimulated)
		return
	}
	var names []string
	for i := range count {
		name := spec.Group
		if count > 1 {
			name = fmt.Sprintf("%s-%d", spec.Group, i+1)
		}
		names = append(names, name)
	}
	for _, name := range append([]string{spec.Group}, names...) {
		if _, taken := p.members[name]; taken {
			f.wrong("there is another %q", name)
			return
		}
	}
	for _, name := range names {
		spec.Name = name
		p.place[name] = len(p.Nodes)
		p.members[name] = []string{name}
		p.Nodes = append(p.Nodes, spec)
	}
	p.members[spec.Group] = names
}

func (p *parsing) flags(f field) (flags []string) {
	for _, v := range f.each(maxFlags) {
		flag := v.text(maxFlag)
		switch name, _, _ := strings.Cut(flag, "="); {
		case flag == "":
		case !strings.HasPrefix(flag, "--"):
			v.wrong("%q: a flag of 'shoal serve' begins with --, and its value follows after =", flag)
		case name == "--home" || name == "--json" || name == "--help":
			v.wrong("%s is not for a scenario to say", name)
		default:
			flags = append(flags, flag)
		}
	}
	return flags
}

func (p *parsing) contents(f field) {
	for _, v := range f.each(maxContents) {
		t := v.table("name", "size", "files")
		c := Content{Files: 1}
		if n, ok := t.need("name"); ok {
			c.Name = p.name(n)
			if _, taken := p.content(c.Name); taken {
				n.wrong("there is another %q", c.Name)
			}
		}
		if n, ok := t.need("size"); ok {
			c.Size = n.size(maxContent)
		}
		if n, ok := t.get("files"); ok {
			c.Files = int(n.whole(1, maxFiles))
		}
		if c.Size > 0 && int64(c.Files) > c.Size {
			t.wrong("%d files of %d bytes together would be empty ones", c.Files, c.Size)
		}
		p.Content = append(p.Content, c)
	}
}

// known reads the name of a content.
func (p *parsing) known(f field) string {
	name, ok := f.scalar()
	if !ok {
		return ""
	}
	if _, known := p.content(name); !known && !p.vague {
		f.wrong("there is no content %q", name)
	}
	return name
}

// nodes reads who is meant: a name of a node or a group, a list of them, or a share of a group that chance chooses.
func (p *parsing) nodes(f field) (names []string) {
	switch {
	case f.isList():
		said := map[string]bool{}
		for _, v := range f.each(maxSimulated) {
			if text, ok := v.scalar(); ok && !said[text] {
				said[text] = true
				names = append(names, p.named(v)...)
			}
		}
	case f.isTable():
		names = p.some(f)
	default:
		names = p.named(f)
	}
	slices.SortFunc(names, func(a, b string) int { return p.place[a] - p.place[b] })
	return slices.Compact(names)
}

// named reads the name of a node or a group. A group of one may be called by the name that its node would have among others.
func (p *parsing) named(f field) []string {
	name, ok := f.scalar()
	if !ok {
		return nil
	}
	names, known := p.members[name]
	if !known {
		group, first := strings.CutSuffix(name, "-1")
		if names = p.members[group]; !first || len(names) != 1 || names[0] != group {
			names = nil
			if !p.vague {
				f.wrong("there is no node or group %q", name)
			}
		}
	}
	return slices.Clone(names)
}

func (p *parsing) some(f field) []string {
	t := f.table("of", "share")
	of, ok := t.need("of")
	share, ok2 := t.need("share")
	if !ok || !ok2 {
		return nil
	}
	names := p.named(of)
	part := share.percent()
	p.rng.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	return names[:int(part*float64(len(names))+0.5)]
}
