package engine

import (
	"slices"
	"time"

	"github.com/shoal-p2p/shoal/content"
)

// The give half chooses who gets what. It tells a peer which chunk it would give it next, and gives what it is asked for: so
// each side has a say, no two peers bring the same chunk, and nothing is under way that nobody asked for. The chunk is the one
// that this side has given least often, then the rarest among its peers; the peer is one to whom nothing is on its way, then
// the one who has least.

// offers are the chunks that are here, by how often they were given and how many have them.
type offers struct {
	length int
	next   uint32                       // where the last run ended
	stand  bool                         // somebody may have been offered something; false saves a look at every peer
	times  []uint8                      // by chunk: how often it was given
	open   []uint8                      // by chunk: to how many peers it is offered
	levels [timesCount * levelCount]set // of what is here
}

// timesCount is how many numbers of gifts are told apart. Between two of them stand the chunks that somebody is offered just now:
// others are better, but not those that were given once more.
const timesCount = 6

func (o *offers) init(n int, place uint32) {
	o.length = n
	o.next = place
	o.times, o.open = make([]uint8, n), make([]uint8, n)
}

func (o *offers) level(c uint32, avail uint16) *set {
	times := 2*int(o.times[c]) + min(int(o.open[c]), 1)
	s := &o.levels[min(times, timesCount-1)*levelCount+min(int(avail), levelCount-1)]
	s.grow(o.length)
	return s
}

// offer adds a chunk that is here now.
func (e *Engine) offer(c uint32) {
	if e.cfg.TakeOnly {
		return
	}
	e.offers.level(c, e.picker.avail[c]).add(c)
	for _, p := range e.peers {
		if p.takes.sought.has(c) {
			p.takes.n++
		}
	}
}

// move changes how many peers have or get c.
func (o *offers) move(c uint32, avail *uint16, by int) {
	if s := o.level(c, *avail); s.remove(c) {
		o.level(c, uint16(int(*avail)+by)).add(c)
	}
}

// given counts one gift of c more, or one less.
func (e *Engine) given(c uint32, by int) { e.count(c, e.offers.times, by) }

// stands counts one offer of c more, or one less.
func (e *Engine) stands(c uint32, by int) { e.count(c, e.offers.open, by) }

// count changes one of the numbers by which chunks are chosen.
func (e *Engine) count(c uint32, of []uint8, by int) {
	o := &e.offers
	here := o.level(c, e.picker.avail[c]).remove(c)
	if n := int(of[c]) + by; n >= 0 && n < 255 {
		of[c] = uint8(n)
	}
	if here {
		o.level(c, e.picker.avail[c]).add(c)
	}
}

// taking is what a peer lacks and is getting. A chunk stands in one of the three sets at most, and in none that the peer has.
type taking struct {
	sought set
	n      int // of those, how many are here
	coming set // on their way to it from others
	mine   set // given to it, and not said to be there

	offered []uint32 // what it was offered and has not asked for
	all     bool     // it was offered everything
	shy     bool     // it let an offer stand although nothing else was on its way
	at      moment   // when it was offered something last
}

// Sought reports whether some peer lacks a chunk that nobody is bringing it.
func (e *Engine) Sought(chunk uint32) bool {
	for _, p := range e.peers {
		if p.takes.sought.has(chunk) {
			return true
		}
	}
	return false
}

// seeks notes chunks that p lacks and nobody is bringing.
func (e *Engine) seeks(p *peer, ranges []content.Range) {
	t := &p.takes
	if e.cfg.TakeOnly || p.holds.everything {
		return
	}
	p.flight.tells = true
	t.sought.grow(e.picker.length)
	for _, r := range ranges {
		first, end := clip(r, e.picker.length)
		for _, s := range []*set{&t.coming, &t.mine} {
			for c := s.next(first); c >= 0 && c < int(end); c = s.next(uint32(c) + 1) {
				if s == &t.mine {
					e.given(uint32(c), -1) // it was called off: nothing came of that
				}
				e.arrived(p, uint32(c))
			}
		}
		t.sought.addRange(first, end)
	}
	t.sought.removeAll(&p.holds.all)
	t.n = inBoth(&e.have, &t.sought)
}

// mostComing is how many chunks that are on their way to one peer are remembered: as many as are asked for where all are small,
// and few enough that saying it over and over costs its hearer little.
const mostComing = 16384

// coming notes chunks that are on their way to p.
func (e *Engine) coming(p *peer, ranges []content.Range) {
	if e.cfg.TakeOnly {
		return
	}
	for _, r := range ranges {
		first, end := clip(r, e.picker.length)
		for c := first; c < end && p.takes.coming.n < mostComing; c++ {
			if !p.holds.has(c) && !p.takes.mine.has(c) {
				e.approach(p, &p.takes.coming, c)
			}
		}
	}
}

// approach notes that c is on its way to p: set is one of takes.
func (e *Engine) approach(p *peer, set *set, c uint32) {
	if set.has(c) {
		return
	}
	e.arrived(p, c)
	set.grow(e.picker.length)
	set.add(c)
	if p.holds.counted {
		e.rarer(c, 1)
	}
}

// arrived takes c out of what p takes or is getting.
func (e *Engine) arrived(p *peer, c uint32) {
	t := &p.takes
	switch {
	case t.sought.remove(c):
		if e.have.has(c) {
			t.n--
		}
	case t.coming.remove(c), t.mine.remove(c):
		if p.holds.counted {
			e.rarer(c, -1)
		}
	}
}

// forgetNear forgets what p takes and is getting.
func (e *Engine) forgetNear(p *peer) {
	e.retract(p, false)
	t := &p.takes
	for _, s := range []*set{&t.coming, &t.mine} {
		for c := s.next(0); c >= 0; c = s.next(uint32(c) + 1) {
			s.remove(uint32(c))
			if p.holds.counted {
				e.rarer(uint32(c), -1)
			}
		}
	}
	p.takes = taking{}
}

// near is how many chunks p has or gets.
func (p *peer) near(length int) int {
	return p.holds.count(length) + p.takes.coming.n + p.takes.mine.n
}

// load is how many chunks are on their way to p, but for one that is nearly there.
func (p *peer) load() int {
	n := p.takes.coming.n
	if p.flight.under() > overlapUp {
		n++
	}
	return n
}

// taker returns the peer that should be offered something next: of those to whom least is on its way, the one that has least.
// Nil if there is nobody. Who has been offered something is left out.
func (e *Engine) taker() (best *peer, load int) {
	var near, ties int
	for _, p := range e.peers {
		if p.takes.n == 0 || len(p.takes.offered) > 0 || p.flight.under() > e.cfg.MaxGives {
			continue
		}
		l, n := p.load(), p.near(e.picker.length)
		switch {
		case best == nil || l < load || l == load && n < near:
			best, load, near, ties = p, l, n, 1
		case l == load && n == near:
			if ties++; e.rng.IntN(ties) == 0 { // engines that decide at the same time should not decide the same
				best = p
			}
		}
	}
	return best, load
}

// choose returns the chunk for p. There must be one. Runs go on as long as they can; where one ends, somebody else is at work,
// so the next begins at a random place.
func (e *Engine) choose(p *peer) uint32 {
	o, sought := &e.offers, &p.takes.sought
	place := e.rng.Uint32N(uint32(o.length))
	for i := range o.levels {
		s := &o.levels[i]
		if s.n == 0 {
			continue
		}
		if s.has(o.next) && sought.has(o.next) {
			return o.next
		}
		c, stopped := nextBothWithin(s, sought, place, searchPace)
		if c < 0 && int(stopped) >= o.length {
			c, _ = nextBothWithin(s, sought, 0, searchPace)
		}
		if c >= 0 {
			return uint32(c)
		}
	}
	for c := e.have.next(0); ; c = e.have.next(uint32(c) + 1) {
		if sought.has(uint32(c)) {
			return uint32(c)
		}
	}
}

const (
	mostStanding = 8                      // offers to peers that are busy just now
	shyAfter     = 300 * time.Millisecond // without an answer, a peer to which nothing is on its way does not want what it seeks
)

// propose keeps offers standing as long as the uplink is free: one to a peer that can take it at once or, if there is none,
// several to those who will be able to. A peer that is alone in seeking may have whatever it asks for.
func (e *Engine) propose() {
	if e.cfg.TakeOnly {
		return
	}
	places := e.places()
	busy := places == 0
	if busy && !e.offers.stand && !e.uplink.alone {
		return
	}
	e.retractEarly()
	seekers, open, standing := e.seekers()
	if seekers <= 1 {
		e.offerAll()
		return
	}
	for _, p := range e.peers {
		if p.takes.all {
			e.retract(p, true)
		}
	}
	if busy {
		if open+standing > 0 {
			e.retractAll()
		}
		return
	}
	for open < places || e.cfg.Shared {
		p, load := e.taker()
		if p == nil || !e.inTime(p) || load > e.soon(p) && (standing >= mostStanding || e.cfg.Shared) {
			break
		}
		e.makeOffer(p)
		if load <= e.soon(p) {
			open++
			e.wake(e.now.plus(shyAfter + p.trip))
		} else {
			standing++
		}
	}
}

// seekers counts the peers that lack something, and the offers to those that can take them at once and to others.
func (e *Engine) seekers() (seekers, open, standing int) {
	e.offers.stand = false
	for _, p := range e.peers {
		t := &p.takes
		e.offers.stand = e.offers.stand || t.all || len(t.offered) > 0
		if t.sought.n+t.coming.n+t.mine.n == 0 && !t.all {
			continue
		}
		if len(t.offered) > 0 {
			e.pruneOffer(p)
		}
		if len(t.offered) > 0 {
			ready := p.load() <= e.soon(p)
			if ready && !t.shy && e.now >= t.at.plus(shyAfter+p.trip) {
				t.shy = true
			}
			if ready && !t.shy {
				open++
			} else {
				standing++
			}
		}
		if !t.shy {
			seekers++
		}
	}
	return seekers, open, standing
}

// pruneOffer forgets what p was offered and does not need any more.
func (e *Engine) pruneOffer(p *peer) {
	t := &p.takes
	kept := t.offered[:0]
	for _, c := range t.offered {
		if t.sought.has(c) {
			kept = append(kept, c)
		} else {
			e.stands(c, -1)
		}
	}
	t.offered = kept
}

// offerAll lets those who seek ask for what they like. There is one of them, and those that were too shy to ask.
func (e *Engine) offerAll() {
	for _, p := range e.peers {
		if t := &p.takes; t.n > 0 && !t.all {
			e.offerEverything(p)
		}
	}
}

func (e *Engine) offerEverything(p *peer) {
	e.retract(p, false)
	p.takes.all, e.offers.stand = true, true
	e.act(Offer{p.id, []content.Range{{First: 0, Count: uint32(e.picker.length)}}})
}

// makeOffer offers p one large chunk, or several small ones.
func (e *Engine) makeOffer(p *peer) {
	t := &p.takes
	e.retract(p, false)
	var ranges []content.Range
	for spent := 0; t.n > 0; {
		c := e.choose(p)
		one := cost(e.cfg.Sizes[c])
		if spent > 0 && spent+one > turnBytes {
			break
		}
		spent += one
		t.sought.remove(c) // so that it is not chosen again
		t.n--
		t.offered = append(t.offered, c)
		e.stands(c, 1)
		e.offers.next = c + 1
		ranges = extend(ranges, c)
	}
	for _, c := range t.offered {
		t.sought.add(c)
		t.n++
	}
	t.at, e.offers.stand = e.now, true
	e.act(Offer{p.id, ranges})
}

// retract takes back what p was offered, and tells it so if tell is set.
func (e *Engine) retract(p *peer, tell bool) {
	t := &p.takes
	if !t.all && len(t.offered) == 0 {
		return
	}
	for _, c := range t.offered {
		e.stands(c, -1)
	}
	t.offered, t.all = t.offered[:0], false
	if tell {
		e.act(Offer{p.id, nil})
	}
}

func (e *Engine) retractAll() {
	for _, p := range e.peers {
		e.retract(p, true)
	}
}

// answered notes that p asked for chunks: those that it was offered are on their way.
func (e *Engine) answered(p *peer, ranges []content.Range) {
	t := &p.takes
	t.shy = false
	kept := t.offered[:0]
	for _, c := range t.offered {
		if t.sought.has(c) && within(ranges, c) {
			e.stands(c, -1)
			e.given(c, 1)
			e.approach(p, &t.mine, c)
		} else {
			kept = append(kept, c)
		}
	}
	t.offered = kept
}

func within(ranges []content.Range, c uint32) bool {
	return slices.ContainsFunc(ranges, func(r content.Range) bool { return c >= r.First && c-r.First < r.Count })
}
