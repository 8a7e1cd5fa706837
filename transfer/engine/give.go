package engine

import "github.com/shoal-p2p/shoal/content"

const (
	turnBytes  = 256 << 10 // of one turn: what one frame holds; a larger chunk is a turn of its own
	mostOrders = 16384     // ranges that wait for one peer. A window of ours is far less, however the chunks are scattered
)

// orders is what one peer asked for.
type orders struct {
	queue   []content.Range // in the order of asking; may name chunks that are not waiting any more
	head    int             // of queue
	waiting set             // chunks that are to be given
	given   set             // chunks in a Give, not sent yet
	cost    int             // of those given
	inTurn  bool            // it stands in the line of turns
}

// turns is the line of peers that have something to wait for.
type turns struct {
	line   []*peer
	giving int // cost of all that is given and not sent
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

// withdrawn forgets chunks, whether they wait or are given. The queue loses them when it comes to them.
func (e *Engine) withdrawn(p *peer, ranges []content.Range) {
	o := &p.owed
	if o.waiting.n == 0 && o.given.n == 0 {
		return
	}
	for _, r := range ranges {
		first, end := clip(r, len(e.cfg.Sizes))
		o.waiting.removeRange(first, end)
		for c := o.given.nextBefore(first, end); c < end; c = o.given.nextBefore(c+1, end) {
			e.sent(o, c)
		}
	}
	o.tidy()
	e.takeTurn(p)
}

// gave frees what chunks took of the bounds.
func (e *Engine) gave(p *peer, chunks []uint32) {
	for _, c := range chunks {
		if p.owed.given.has(c) {
			e.sent(&p.owed, c)
		}
	}
	e.takeTurn(p)
}

func (e *Engine) sent(o *orders, c uint32) {
	o.given.remove(c)
	o.cost -= cost(e.cfg.Sizes[c])
	e.turns.giving -= cost(e.cfg.Sizes[c])
}

func (e *Engine) dropOrders(p *peer) {
	e.turns.giving -= p.owed.cost
	p.owed = orders{inTurn: p.owed.inTurn}
}

// takeTurn lets p stand in line, if it has something to wait for. A peer to which nothing is on its way gets one turn at once,
// whatever the others hold: peers that do not read must not stop those who do.
func (e *Engine) takeTurn(p *peer) {
	o := &p.owed
	if o.waiting.n > 0 && o.cost == 0 {
		e.giveTurn(p)
	}
	if o.waiting.n > 0 && !o.inTurn {
		o.inTurn = true
		e.turns.line = append(e.turns.line, p)
	}
}

// giveTurns gives one turn after the other, as far as the bounds reach. Peers at their own bound leave the line until some of
// theirs is sent.
func (e *Engine) giveTurns() {
	turn := max(turnBytes, e.largest)
	line := e.turns.line
	for len(line) > 0 && e.turns.giving+turn <= e.cfg.MaxGiving {
		p := line[0]
		line = line[1:]
		p.owed.inTurn = false
		if p.here && p.owed.waiting.n > 0 && p.owed.cost+turn <= e.cfg.MaxGives {
			e.giveTurn(p)
			p.owed.inTurn = true
			line = append(line, p)
		}
	}
	e.turns.line = append(e.turns.line[:0], line...)
}

// giveTurn gives p one large chunk or several small ones.
func (e *Engine) giveTurn(p *peer) {
	o := &p.owed
	due := e.speakTo(p)
	for spent := 0; o.waiting.n > 0; {
		c := o.next()
		one := cost(e.cfg.Sizes[c])
		if spent > 0 && spent+one > turnBytes {
			break
		}
		spent += one
		o.cost += one
		e.turns.giving += one
		o.waiting.remove(c)
		o.given.add(c)
		due.give = extend(due.give, c)
	}
	o.tidy()
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
