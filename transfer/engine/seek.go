package engine

import (
	"slices"
	"time"

	"github.com/shoal-p2p/shoal/content"
)

// The want half tells everybody what it lacks and what is on its way, and asks for what it is offered. Only chunks that a
// reader waits for, those at the end, and those of peers that never offer anything are asked for without an offer.

const (
	muteAfter = time.Second     // with nothing on its way, before peers are asked for what they did not offer
	turnAfter = 5 * time.Second // the same, since a peer told of a chunk that comes to it: on slow lines a turn is long in coming
	patience  = time.Minute     // and the most
)

// seeking is what this side has said about what it lacks.
type seeking struct {
	heardAt moment // when something was on its way last, or could have been
	movedAt moment // when a peer told of a chunk that comes to it
	offers  bool   // somebody may offer something; false saves a look at every peer
}

// offer is what a peer would give next.
type offer struct {
	all    bool     // whatever it has
	single bool     // chunk by chunk: it has others to serve
	chunks []uint32 // not asked for
	taken  []uint32 // of the last offer that was not empty, asked for
}

const mostOffered = 1024 // chunks of an offer that are remembered: a quarter of a megabyte of the smallest files

// sought lists the chunks that others may offer. Who keeps nothing of what arrives does not take part: nobody could know what
// it has got.
func (e *Engine) sought() []content.Range {
	if e.cfg.TakeOnly {
		return nil
	}
	var out []content.Range
	for c := e.picker.free.next(0); c >= 0; c = e.picker.free.next(uint32(c) + 1) {
		if !e.picker.ordered.has(uint32(c)) {
			out = extend(out, uint32(c))
		}
	}
	return out
}

// seekAll tells everybody what is sought.
func (e *Engine) seekAll() {
	e.seeking.heardAt = e.now
	if ranges := e.sought(); len(ranges) > 0 {
		for _, p := range e.peers {
			e.act(Seek{p.id, ranges})
		}
	}
	e.wake(e.now.plus(muteAfter))
}

// tellMoves tells everybody which chunks have begun to come in this step, and which come no longer.
func (e *Engine) tellMoves() {
	moved := e.step.moved
	e.step.moved = moved[:0]
	if len(moved) == 0 || e.cfg.TakeOnly || len(e.peers) == 0 {
		return
	}
	slices.Sort(moved)
	var sought, coming []content.Range
	for _, c := range slices.Compact(moved) {
		switch {
		case e.have.has(c):
		case e.requests.first[c] != 0:
			coming = extend(coming, c)
		case e.picker.free.has(c) && !e.picker.ordered.has(c):
			sought = extend(sought, c)
		}
	}
	for _, p := range e.peers {
		if len(coming) > 0 && len(e.peers) > 1 {
			e.act(Announce{p.id, coming})
		}
		if len(sought) > 0 {
			e.act(Seek{p.id, sought})
		}
	}
}

// offered notes what p would give next.
func (e *Engine) offered(p *peer, ranges []content.Range) {
	p.mute = false
	if p.offer.all && !covers(ranges, e.picker.length) {
		e.askLess(p)
	}
	if len(ranges) == 0 {
		e.missed(p)
	}
	p.offer.taken = p.offer.taken[:0]
	p.offer.single = !covers(ranges, e.picker.length)
	p.offer.all, p.offer.chunks = covers(ranges, e.picker.length), p.offer.chunks[:0]
	if !p.offer.all {
		for _, r := range ranges {
			first, end := clip(r, e.picker.length)
			for c := first; c < end && len(p.offer.chunks) < mostOffered; c++ {
				p.offer.chunks = append(p.offer.chunks, c)
				e.seeking.offers = true
			}
		}
	}
	e.stir(p)
}

// missed calls off what p was asked for, because it has taken its offer back before it heard of that: somebody else was quicker,
// and p would serve us after them.
func (e *Engine) missed(p *peer) {
	for _, c := range p.offer.taken {
		id := e.requests.find(p, c)
		if begun := id == p.open.oldest && p.open.arrived > 0; id != 0 && !begun {
			e.revoke(id)
		}
	}
}

// askLess calls off what p was asked for when it had nobody else to give to, but for what is under way.
func (e *Engine) askLess(p *peer) {
	kept := p.open.arrived + overlapUp
	for id := p.open.newest; id != 0 && p.open.cost > kept+e.largest; {
		older := e.requests.pool[id].older
		e.revoke(id)
		id = older
	}
}

// swarmMoves notes that others get something.
func (e *Engine) swarmMoves() { e.seeking.movedAt = e.now }

// asks reports whether p may be asked for any free chunk that it has.
func (e *Engine) asks(p *peer) bool { return e.cfg.TakeOnly || p.mute || p.offer.all }

// accept takes offers as long as the downlink has room: the rarest chunk first.
func (e *Engine) accept() {
	if e.cfg.TakeOnly || e.picker.free.n == 0 || e.held() {
		return
	}
	for e.seeking.offers {
		p := e.bestOffer()
		if p == nil || !e.downlinkFree(p) {
			return
		}
		e.takeOffer(p)
	}
}

// bestOffer returns the peer whose offer begins with the rarest chunk that is free.
func (e *Engine) bestOffer() (best *peer) {
	rarest, ties := 0, 0
	e.seeking.offers = false
	for _, p := range e.peers {
		for len(p.offer.chunks) > 0 && !e.picker.free.has(p.offer.chunks[0]) {
			p.offer.chunks = slices.Delete(p.offer.chunks, 0, 1)
		}
		if len(p.offer.chunks) == 0 {
			continue
		}
		e.seeking.offers = true
		if p.late.slow && (e.now < p.late.retry || p.open.n > 0) {
			continue
		}
		c := p.offer.chunks[0]
		if p.open.n > 0 && p.open.cost+cost(e.cfg.Sizes[c]) > p.flow.window {
			continue
		}
		if !p.holds.has(c) {
			p.offer.chunks = p.offer.chunks[:0]
			continue
		}
		switch avail := int(e.picker.avail[c]); {
		case best == nil || avail < rarest:
			best, rarest, ties = p, avail, 1
		case avail == rarest:
			if ties++; e.rng.IntN(ties) == 0 {
				best = p
			}
		}
	}
	return best
}

// takeOffer asks p for all that it offers and is free.
func (e *Engine) takeOffer(p *peer) {
	for i, c := range p.offer.chunks {
		if i > 0 && p.open.cost+cost(e.cfg.Sizes[c]) > p.flow.window {
			break
		}
		if !e.picker.free.has(c) || !p.holds.has(c) || e.requests.inFlight+cost(e.cfg.Sizes[c]) > e.cfg.MaxInFlight && e.requests.open > 0 {
			continue
		}
		e.occupy(c)
		e.request(p, c)
		p.offer.taken = append(p.offer.taken, c)
		e.downlink.begin(e.now)
	}
	p.offer.chunks = p.offer.chunks[:0]
}

// downlinkFree reports whether another chunk may be asked of a peer beside those that come.
func (e *Engine) downlinkFree(from *peer) bool {
	if from.trip > 0 && e.thirsty(from) {
		return true
	}
	for _, p := range e.peers {
		if p.open.left() > e.turnSize()/overlapDown && !e.downlink.stuck(e.now, p.late.heardAt, e.turnSize()) {
			due := e.downlink.next(e.turnSize())
			if e.now < due {
				e.wake(due)
			}
			return e.now >= due
		}
	}
	return e.downlinkClear(from)
}

// downlinkClear reports whether what comes will have come by the time that the first bytes of another chunk do, if it is asked of
// a peer now.
func (e *Engine) downlinkClear(from *peer) bool {
	d := &e.downlink
	if d.peak == 0 || e.now >= d.next(e.turnSize()) {
		return true
	}
	for _, p := range e.peers {
		left := p.open.left()
		if left <= 0 || p.trip > 0 || left > e.turnSize()/overlapDown {
			continue
		}
		if due := p.late.heardAt.plus(timeFor(left, d.peak)/2 - leadDown - from.ping); e.now < due {
			e.wake(due)
			return false
		}
	}
	return true
}

// expireSeeking asks those who have what is sought, and from whom nothing comes, in so many words: they may not know how to
// offer. Nobody is asked as long as somebody sends, or has not been slow for long.
func (e *Engine) expireSeeking() {
	if e.cfg.TakeOnly || e.goal.missing == 0 {
		return
	}
	if e.held() || slices.ContainsFunc(e.peers, func(p *peer) bool { return p.open.n > 0 && !p.late.slow }) {
		e.seeking.heardAt = e.now
	}
	due := e.seeking.heardAt.plus(muteAfter)
	if e.seeking.movedAt > 0 {
		due = max(due, min(e.seeking.movedAt.plus(turnAfter), e.seeking.heardAt.plus(patience)))
	}
	if e.now < due {
		e.wake(due)
		return
	}
	for _, p := range e.peers {
		if !p.mute && p.open.n == 0 && e.useful(p) > 0 {
			p.mute = true
			p.flow.window = e.leastWindow()
		}
	}
	e.wake(e.now.plus(muteAfter))
}
