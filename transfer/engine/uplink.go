package engine

// flight is what is under way to a peer.
type flight struct {
	listed  bool // in uplink.flights
	tells   bool // it says what it has read
	pending int  // bytes of chunks given and not settled
	unread  int  // bytes written and not read, as far as the peer says; negative when it has read of what is pending
}

// under is how many bytes are under way.
func (f *flight) under() int { return max(f.pending+f.unread, 0) }

// uplink is lent to one chunk after the other.
type uplink struct {
	pace
	alone   bool    // no two peers lack anything, or wait for it: nobody needs to be protected from anybody
	flights []*peer // to whom something is under way
}

// uplinkFree reports whether another chunk may be begun now.
func (e *Engine) uplinkFree() bool {
	if e.uplink.alone || e.cfg.Shared {
		return true
	}
	for _, p := range e.uplink.flights {
		if p.flight.under() > overlapUp {
			due := e.uplink.next(e.turnSize())
			if e.now < due {
				e.wake(due)
			}
			return e.now >= due
		}
	}
	return true
}

// turnSize is what a turn takes of a link, in bytes.
func (e *Engine) turnSize() int { return max(turnBytes, e.largest) }

// lift counts bytes given to p.
func (e *Engine) lift(p *peer, bytes int) {
	p.flight.pending += bytes
	if !p.flight.listed {
		p.flight.listed = true
		e.uplink.flights = append(e.uplink.flights, p)
	}
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
	clear(u.flights[len(kept):])
	u.flights = kept
}
