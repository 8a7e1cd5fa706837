package engine

// flight is what is under way to a peer.
type flight struct {
	listed  bool   // in uplink.flights
	tells   bool   // it says what it has read
	pending int    // bytes of chunks given and not settled
	movedAt moment // when it began, or the peer said that it has read some
	unread  int    // bytes written and not read, as far as the peer says; negative when it has read of what is pending
}

// under is how many bytes are under way.
func (f *flight) under() int { return max(f.pending+f.unread, 0) }

// uplink is lent to one chunk after the other.
type uplink struct {
	pace
	through moment  // when what was given has left, at the highest speed seen
	alone   bool    // no two peers lack anything, or wait for it: nobody needs to be protected from anybody
	flights []*peer // to whom something is under way
}

// uplinkFree reports whether another chunk may be begun now.
func (e *Engine) uplinkFree() bool {
	if e.uplink.alone || e.cfg.Shared {
		return true
	}
	for _, p := range e.uplink.flights {
		if p.flight.under() > e.overlap() && !e.leaves(p) && !e.uplink.stuck(e.now, p.flight.movedAt, e.turnSize()) {
			due := e.uplink.next(e.turnSize())
			if e.now < due {
				e.wake(due)
			}
			return e.now >= due
		}
	}
	return true
}

// uplinkClear reports whether what is under way will have left by the time that the first bytes of another chunk do. Two chunks on
// one link take twice as long each, and the links at their other ends rest half of that time; so the next one is arranged
// while this one is under way, and begins when it ends.
func (e *Engine) uplinkClear() bool {
	u := &e.uplink
	if u.alone || u.peak == 0 || e.now >= u.next(e.turnSize()) {
		return true
	}
	for _, p := range u.flights {
		if p.trip > 0 || p.flight.under() > e.overlap() {
			continue
		}
		// What p had read when it said so was sent half a round trip before, and as much was on its way.
		if due := p.flight.movedAt.plus(timeFor(p.flight.under(), u.peak)/2 - leadUp - p.ping); e.now < due {
			e.wake(due)
			return false
		}
	}
	return true
}

// overlap is how many bytes of a chunk are still under way when the next is offered. A swarm cannot be faster than its source, and
// when the one who gets a chunk still gets the end of another, the source's link has nothing else to do, unless its next chunk has
// begun by then.
func (e *Engine) overlap() int {
	if e.have.n == len(e.cfg.Sizes) {
		return overlapAll
	}
	return overlapUp
}

// turnSize is what a turn takes of a link, in bytes.
func (e *Engine) turnSize() int { return max(turnBytes, e.largest) }

// lift counts bytes given to p.
func (e *Engine) lift(p *peer, bytes int) {
	if p.flight.under() == 0 {
		p.flight.movedAt = e.now
	}
	p.flight.pending += bytes
	if !p.flight.listed {
		p.flight.listed = true
		e.uplink.flights = append(e.uplink.flights, p)
	}
	e.uplink.reckon(e.now, bytes)
	e.uplink.begin(e.now)
}

// tidyFlights forgets those to whom nothing is under way.
func (e *Engine) tidyFlights() {
	u := &e.uplink
	kept := u.flights[:0]
	for _, p := range u.flights {
		if p.here && p.flight.under() > 0 {
			kept = append(kept, p)
		} else {
			p.flight.listed = false
		}
	}
	if len(kept) == 0 {
		u.through = 0 // whatever was reckoned
	}
	clear(u.flights[len(kept):])
	u.flights = kept
}
