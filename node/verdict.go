package node

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/shoal-p2p/shoal/discovery"
	"github.com/shoal-p2p/shoal/transfer"
)

// fate is what became of one peer that a search found.
type fate struct {
	route string
	state transfer.ContactState
	err   error
}

// note remembers a peer's fate, also when the session has given it up. It needs p.mu.
func (p *pursuit) note(c transfer.PeerStatus) {
	if _, known := p.fates[c.Peer]; !known && len(p.fates) >= maxFates {
		return
	}
	old := p.fates[c.Peer].state
	again := old == transfer.Unreachable || old == transfer.NotHere
	if c.State == transfer.Waiting || again && (c.State == transfer.Dialing || c.State == transfer.Asking) {
		return // until a new attempt ends, the old news stands
	}
	p.fates[c.Peer] = fate{p.search.Route(c.Peer), c.State, c.Err}
}

// routes says what came of each way to find peers.
func (p *pursuit) routes() []RouteStatus {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.routesLocked()
}

func (p *pursuit) routesLocked() []RouteStatus {
	var out []RouteStatus
	for _, t := range p.search.Tried() {
		r := RouteStatus{Route: t.Route, Found: t.Found, Refused: t.Refused, Asking: t.Asking}
		if t.Err != nil {
			r.Error = t.Err.Error()
		}
		out = append(out, r)
	}
	if p.n.config.Network != Isolated {
		out = append(out, RouteStatus{Route: discovery.RouteExchange})
	}
	for _, f := range p.fates {
		i := slices.IndexFunc(out, func(r RouteStatus) bool { return r.Route == f.route })
		if i < 0 {
			continue
		}
		if f.route == discovery.RouteExchange {
			out[i].Found++
		}
		switch f.state {
		case transfer.NotHere:
			out[i].Without++
		case transfer.Unreachable, transfer.Banned:
			out[i].Unreachable++
			if f.err != nil {
				out[i].Error = brief(f.err)
			}
		}
	}
	return out
}

// routeNames are what a user understands.
var routeNames = map[string]string{
	discovery.RouteTicket:     "the node that the ticket names",
	discovery.RouteNamed:      "the peers that you named",
	discovery.RouteRemembered: "whoever gave you something before",
	discovery.RouteInbound:    "whoever is connected",
	discovery.RouteMDNS:       "the neighbours on this network (mDNS)",
	discovery.RouteExchange:   "whom other peers name",
	discovery.RouteLANDHT:     "the DHT of this network",
	discovery.RouteDHT:        "the public DHT",
}

// plan says where holders are looked for.
func (p *pursuit) plan() string {
	var who []string
	for _, r := range p.routes() {
		who = append(who, routeNames[r.Route])
	}
	return "asking " + enumerate(who)
}

func enumerate(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:len(words)-1], ", ") + " and " + words[len(words)-1]
}

// outcome is what came of a route in a few words.
func (r RouteStatus) outcome() string {
	var parts []string
	add := func(n int, what string) {
		if n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, what))
		}
	}
	add(r.Found, "found")
	add(r.Without, "without it")
	add(r.Unreachable, "unreachable")
	add(r.Refused, "at addresses that cannot be meant")
	if len(parts) == 0 {
		parts = append(parts, "nobody")
	}
	if r.Error != "" {
		parts = append(parts, r.Error)
	}
	return strings.Join(parts, ", ")
}

// waiting says why nothing moves.
func (p *pursuit) waiting(s transfer.Status, waited time.Duration) string {
	all := sum(p.routesLocked())
	asking := max(0, all.Found-all.Without-all.Unreachable)
	m := ""
	switch {
	case s.Joined > 0:
		m = fmt.Sprintf("%s it, but nothing has come for %d s", plural(s.Joined, "peer has", "peers have"), int(waited.Seconds()))
	case all.Found == 0 && p.n.config.Network == Isolated:
		m = "no peer is connected"
	case all.Found == 0:
		m = "no other node has answered yet"
		if all.Error != "" {
			m += " (" + all.Error + ")"
		}
	default:
		m = fmt.Sprintf("nobody who has it yet: %s, %d without it, %d unreachable",
			plural(asking, "peer being asked", "peers being asked"), all.Without, all.Unreachable)
	}
	if p.options.Patience >= 0 {
		m += fmt.Sprintf("; giving up in %d s", int((p.options.Patience - waited).Seconds()))
	}
	return m
}

func sum(routes []RouteStatus) RouteStatus {
	var all RouteStatus
	for _, r := range routes {
		all.Found, all.Without, all.Unreachable = all.Found+r.Found, all.Without+r.Without, all.Unreachable+r.Unreachable
		if all.Error == "" {
			all.Error = r.Error
		}
	}
	return all
}

// verdict says why the pursuit ends without the content, and what was tried.
func (p *pursuit) verdict(s transfer.Status, waited time.Duration) error {
	routes := p.routesLocked()
	all := sum(routes)
	secs := int(waited.Seconds())
	var tried []string
	for _, r := range routes {
		tried = append(tried, fmt.Sprintf("%s (%s)", routeNames[r.Route], r.outcome()))
	}
	after := "; tried " + strings.Join(tried, "; ")
	if onlyDHT(routes) {
		after = "; only a DHT named anybody, where holders can be made up or hidden: a ticket does without it" + after
	}
	root := p.target.root
	switch {
	case blocked(s) != nil:
		return fmt.Errorf("%w: %w%s", ErrNoPeer, blocked(s), after)
	case s.Joined > 0 || p.movedBy > 0:
		return fmt.Errorf("%w: whoever had %s has sent nothing for %d s%s", ErrNoPeer, root, secs, after)
	case all.Without > 0:
		return fmt.Errorf("%w: asked %s, none has %s%s", ErrNotFound, plural(all.Without, "peer"), root, after)
	case all.Unreachable > 0:
		return fmt.Errorf("%w: %s found, %d tried, none could be reached%s", ErrNoPeer, plural(all.Found, "peer"), all.Unreachable, after)
	case all.Found > 0:
		return fmt.Errorf("%w: %s found, and none has answered in %d s%s", ErrNoPeer, plural(all.Found, "peer"), secs, after)
	case p.n.config.Network == Isolated:
		return fmt.Errorf("%w: no peer is connected, and the network is %s, so none is looked for", ErrNoPeer, p.n.config.Network)
	}
	return fmt.Errorf("%w: nobody who might have %s was found in %d s%s", ErrNoPeer, root, secs, after)
}

// onlyDHT reports whether a DHT named peers, and nothing else did.
func onlyDHT(routes []RouteStatus) bool {
	dht := false
	for _, r := range routes {
		switch {
		case r.Found == 0 && r.Refused == 0:
		case discovery.FromDHT(r.Route):
			dht = true
		default:
			return false
		}
	}
	return dht
}

// warn says once that all sources were found through a DHT. It needs p.mu.
func (p *pursuit) warn(now time.Time) {
	if p.warned || now.Sub(p.begun) < warnAfter {
		return
	}
	joined := false
	for id, f := range p.fates {
		if f.state != transfer.Joined {
			continue
		}
		route := p.search.Route(id) // not as of its fate: another way may have led there later
		if joined = true; !discovery.FromDHT(route) && route != discovery.RouteExchange {
			return
		}
	}
	if joined {
		p.warned = true
		p.options.Emit(Event{Kind: "note", Message: "only a DHT led to peers that have this; whoever writes into it can hide them next time, and a ticket does without it"})
	}
}

// blocked is the error of a peer that only a relay reaches, if that is what keeps a session from its content.
func blocked(s transfer.Status) error {
	if s.Joined > 0 {
		return nil
	}
	for _, c := range s.Peers {
		if errors.Is(c.Err, ErrBlocked) {
			return c.Err
		}
	}
	return nil
}
