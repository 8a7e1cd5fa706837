package engine

import (
	"slices"

	"github.com/shoal-p2p/shoal/content"
)

const (
	turnBytes  = 256 << 10 // of one turn: what one frame holds; a larger chunk is a turn of its own
	mostOrders = 16384     // ranges that wait for one peer. A window of ours is far less, however the chunks are scattered
)

// orders is what one peer asked for.
type orders struct {
	queue   []content.Range // in the order of asking; may name chunks that are not waiting any more
	head    int             // of queue
	waiting set             // chunks that are to be given
	given   set             // chunks in a Give, not settled yet
	cut     set             // those of them that were withdrawn
	cost    int             // of those given
	inTurn  bool            // it stands in the line of turns
}

// turns is the line of peers that wait for what they asked for.
type turns struct {
	line   []*peer
	giving int // cost of all that is given and not settled
}

// asked queues what is here and declines the rest.
func (e *Engine) asked(p *peer, ranges []content.Range) {
	o := &p.owed
	n := uint32(len(e.cfg.Sizes))
	o.waiting.grow(int(n))
	o.given.grow(int(n))
	var declined []content.Range
	for _, r := range ranges {
		for c, end := clip(r, int(n)); c < end; {
			here, stop := e.stretch(c, end)
			if here && !e.cfg.TakeOnly && len(o.queue)-o.head < mostOrders {
				o.add(c, stop)
			} else {
				declined = append(declined, content.Range{First: c, Count: stop - c})
			}
			c = stop
		}
	}
	e.answered(p, ranges)
	if len(declined) > 0 {
		e.act(Decline{p.id, declined})
	}
	e.takeTurn(p)
}

// stretch reports whether c is here, and where that changes before end.
func (e *Engine) stretch(c, end uint32) (here bool, stop uint32) {
	if !e.have.has(c) {
		return false, e.have.nextBefore(c, end)
	}
	if at := e.have.nextAbsent(c, end); at >= 0 {
		return true, uint32(at)
	}
	return true, end
}

// add queues chunks, but for those that wait or are given already.
func (o *orders) add(first, end uint32) {
	for c := first; c < end; {
		at := o.waiting.nextAbsent(c, end)
		if at < 0 {
			return
		}
		if c = uint32(at); o.given.has(c) {
			c++
			continue
		}
		stop := min(o.waiting.nextBefore(c, end), o.given.nextBefore(c, end))
		o.waiting.addRange(c, stop)
		o.queue = append(o.queue, content.Range{First: c, Count: stop - c})
		c = stop
	}
}

// withdrawn forgets chunks that wait, and has those that are given cut short. The queue loses them when it comes to them. Who
// calls a chunk off gets it from somebody else, unless it seeks it again.
func (e *Engine) withdrawn(p *peer, ranges []content.Range) {
	o := &p.owed
	for _, r := range ranges {
		first, end := clip(r, len(e.cfg.Sizes))
		if o.waiting.n > 0 {
			o.waiting.removeRange(first, end)
		}
		for c := p.takes.mine.next(first); c >= 0 && c < int(end); c = p.takes.mine.next(uint32(c) + 1) {
			e.given(uint32(c), -1)
			e.approach(p, &p.takes.coming, uint32(c))
		}
		if o.given.n == 0 {
			continue
		}
		for c := o.given.nextBefore(first, end); c < end; c = o.given.nextBefore(c+1, end) {
			o.given.remove(c)
			o.cut.grow(len(e.cfg.Sizes))
			o.cut.add(c)
		}
	}
	o.tidy()
	e.takeTurn(p)
}

// gave frees what chunks took of the bounds.
func (e *Engine) gave(p *peer, ev Gave) {
	o, f := &p.owed, &p.flight
	for _, c := range ev.Chunks {
		if int(c) >= len(e.cfg.Sizes) || !o.cut.remove(c) && !o.given.remove(c) {
			continue
		}
		o.cost -= cost(e.cfg.Sizes[c])
		e.turns.giving -= cost(e.cfg.Sizes[c])
		f.pending -= int(e.cfg.Sizes[c])
	}
	if f.tells {
		f.unread += max(ev.Bytes, 0)
	}
	e.takeTurn(p)
}

// got notes what p has read.
func (e *Engine) got(p *peer, bytes int) {
	p.flight.tells = true
	if bytes = min(bytes, p.flight.under()); bytes > 0 {
		p.flight.unread -= bytes
		p.flight.movedAt = e.now
		e.uplink.movedFor(p, e.now, bytes, e.turnSize())
	}
}

func (e *Engine) dropOrders(p *peer) {
	e.turns.giving -= p.owed.cost
	p.owed = orders{inTurn: p.owed.inTurn}
	p.flight.pending, p.flight.unread = 0, 0
}

// takeTurn lets p stand in line, if it waits for what it asked for.
func (e *Engine) takeTurn(p *peer) {
	if o := &p.owed; o.waiting.n > 0 && !o.inTurn {
		o.inTurn = true
		e.turns.line = append(e.turns.line, p)
	}
}

// upload lends the uplink to one peer after the other that waits for what it asked for, as long as it is free, and then offers
// what is left of it.
func (e *Engine) upload() {
	e.tidyFlights()
	e.uplink.alone = e.alone()
	turn := e.turnSize()
	for e.cfg.Shared || e.uplinkFree() && e.uplinkClear() {
		p := e.asker(e.turns.giving+turn > e.cfg.MaxGiving)
		if p == nil {
			break
		}
		e.leaveLine()
		e.giveTurn(p)
		e.takeTurn(p)
	}
	e.propose()
}

// alone reports whether no two peers lack something or wait for something.
func (e *Engine) alone() bool {
	sharers := 0
	for _, p := range e.peers {
		if t := &p.takes; t.sought.n+t.coming.n+t.mine.n > 0 && !t.shy || p.owed.waiting.n > 0 {
			if sharers++; sharers > 1 {
				return false // the others need not be looked at, which in a large simulation nobody has in a cache
			}
		}
	}
	return true
}

// asker returns the first of the line. Peers at their own bound leave it until some of theirs is settled. When too much is
// given altogether, only those to whom nothing is on its way get something: peers that do not read must not stop those who do.
func (e *Engine) asker(much bool) *peer {
	for len(e.turns.line) > 0 {
		p := e.turns.line[0]
		fits := p.owed.cost == 0 || p.owed.cost+e.turnSize() <= e.cfg.MaxGives && !e.cfg.Shared && !much
		if p.here && p.owed.waiting.n > 0 && fits {
			return p
		}
		e.leaveLine()
	}
	return nil
}

// leaveLine takes the first out of the line.
func (e *Engine) leaveLine() {
	e.turns.line[0].owed.inTurn = false
	e.turns.line = slices.Delete(e.turns.line, 0, 1)
}

// giveTurn gives p one large chunk or several small ones of those that it asked for.
func (e *Engine) giveTurn(p *peer) {
	o := &p.owed
	for spent := 0; o.waiting.n > 0; {
		c := o.next()
		one := cost(e.cfg.Sizes[c])
		if spent > 0 && spent+one > turnBytes {
			break
		}
		spent += one
		o.waiting.remove(c)
		e.give(p, c)
	}
	o.tidy()
}

// give has one chunk sent.
func (e *Engine) give(p *peer, c uint32) {
	o := &p.owed
	o.given.grow(len(e.cfg.Sizes))
	o.given.add(c)
	o.cost += cost(e.cfg.Sizes[c])
	e.turns.giving += cost(e.cfg.Sizes[c])
	e.lift(p, int(e.cfg.Sizes[c]))
	if !p.holds.has(c) && !p.takes.mine.has(c) {
		e.given(c, 1)
		e.approach(p, &p.takes.mine, c)
	}
	due := e.speakTo(p)
	due.give = extend(due.give, c)
}

// next returns the next chunk that waits. There must be one.
func (o *orders) next() uint32 {
	for {
		r := &o.queue[o.head]
		end := r.First + r.Count
		if c := o.waiting.next(r.First); c >= 0 && c < int(end) {
			r.First, r.Count = uint32(c), end-uint32(c)
			return uint32(c)
		}
		o.head++
	}
}

// tidy frees what the queue has left behind.
func (o *orders) tidy() {
	switch {
	case o.waiting.n == 0:
		o.queue, o.head = o.queue[:0], 0
	case o.head > len(o.queue)/2:
		o.queue = o.queue[:copy(o.queue, o.queue[o.head:])]
		o.head = 0
	}
}
