package engine

import "github.com/shoal-p2p/shoal/content"

// What a change to the picker must keep true:
//
//   - A chunk is free if and only if it is wanted, not here, and asked of nobody.
//   - A free chunk stands in ordered if its interest is in order, and otherwise in the one level of its rarity.
//   - avail counts the peers whose holding is counted and that have the chunk or are getting it.
//   - useful of a peer that does not have everything is the number of free chunks that it has.
//
// checkInvariants in the tests holds it to that after every step.

const (
	levelCount = 16  // how many degrees of rarity are told apart; beyond that nothing is rare
	searchPace = 512 // words of a level looked at for one peer, from a random place: all of it up to 32,768 chunks
)

// picker finds the next chunk to ask a peer for.
type picker struct {
	length    int
	avail     []uint16        // by chunk: peers that have or get it, full holders not counted: they make no chunk rarer than another
	free      set             // may be asked for
	freeBytes int64           // their cost
	early     set             // of an interest in order
	ordered   set             // free and early
	levels    [levelCount]set // the other free ones, by avail
	places    uint32          // for the next peer's first run; see spread
}

func (k *picker) init(n int, seed uint64) {
	k.length = n
	k.avail = make([]uint16, n)
	k.free.grow(n)
	k.places = uint32(seed*0x9e3779b97f4a7c15>>32) - goldenStep
}

const goldenStep = 0x9e3779b9 // the golden ratio's part of 1<<32

// spread returns where a new peer's first run starts: steps of the golden ratio part the chunks evenly however many come.
func (k *picker) spread() uint32 {
	k.places += goldenStep
	return uint32(uint64(k.places) * uint64(k.length) >> 32)
}

// shelf is the set that a free chunk belongs to.
func (k *picker) shelf(c uint32) *set {
	if k.early.has(c) {
		return &k.ordered
	}
	s := &k.levels[min(int(k.avail[c]), levelCount-1)]
	s.grow(k.length)
	return s
}

// hasten moves a free chunk that has just become early.
func (k *picker) hasten(c uint32) {
	k.levels[min(int(k.avail[c]), levelCount-1)].remove(c)
	k.ordered.add(c)
}

// rarer notes that one peer more, or one less, has c or is getting it.
func (e *Engine) rarer(c uint32, by int) {
	e.offers.move(c, &e.picker.avail[c], by)
	e.picker.rarer(c, by)
}

func (k *picker) rarer(c uint32, by int) {
	if !k.free.has(c) {
		k.avail[c] = uint16(int(k.avail[c]) + by)
		return
	}
	k.shelf(c).remove(c)
	k.avail[c] = uint16(int(k.avail[c]) + by)
	k.shelf(c).add(c)
}

// offer adds a chunk to those that are free.
func (k *picker) offer(c uint32, cost int) {
	k.free.add(c)
	k.freeBytes += int64(cost)
	k.shelf(c).add(c)
}

// release makes one chunk free to be asked for.
func (e *Engine) release(c uint32) {
	e.picker.offer(c, cost(e.cfg.Sizes[c]))
	for _, p := range e.partials {
		if p.holds.all.has(c) {
			p.holds.useful++
		}
	}
	e.step.freed = true
	e.step.moved = append(e.step.moved, c)
	e.wake(e.now.plus(muteAfter))
}

// occupy takes one chunk out of those that are free.
func (e *Engine) occupy(c uint32) {
	k := &e.picker
	k.free.remove(c)
	k.freeBytes -= int64(cost(e.cfg.Sizes[c]))
	k.shelf(c).remove(c)
	for _, p := range e.partials {
		if p.holds.all.has(c) {
			p.holds.useful--
		}
	}
	e.step.moved = append(e.step.moved, c)
}

// holding is what a peer says that it has.
type holding struct {
	everything bool   // then all is not kept
	counted    bool   // in avail
	all        set    // otherwise
	useful     int    // free chunks in all
	next       uint32 // where its last run ended
}

func (h *holding) start(e *Engine) {
	h.counted = true
	h.next = e.picker.spread()
}

func (h *holding) has(c uint32) bool { return h.everything || h.all.has(c) }

func (h *holding) count(length int) int {
	if h.everything {
		return length
	}
	return h.all.n
}

// useful returns how many free chunks p has.
func (e *Engine) useful(p *peer) int {
	if p.holds.everything {
		return e.picker.free.n
	}
	return p.holds.useful
}

// gains notes that p has more chunks.
func (e *Engine) gains(p *peer, ranges []content.Range) {
	h := &p.holds
	if h.everything {
		return
	}
	e.stir(p)
	if h.all.n == 0 && covers(ranges, e.picker.length) {
		e.forgetNear(p)
		h.everything, h.counted = true, false
		e.partials = without(e.partials, p)
		return
	}
	h.all.grow(e.picker.length)
	for _, r := range ranges {
		first, end := clip(r, e.picker.length)
		for c := h.all.nextAbsent(first, end); c >= 0; c = h.all.nextAbsent(uint32(c)+1, end) {
			e.gain(p, uint32(c))
		}
	}
}

func (e *Engine) gain(p *peer, c uint32) {
	h := &p.holds
	e.arrived(p, c)
	h.all.add(c)
	if h.counted {
		e.rarer(c, 1)
	}
	if e.picker.free.has(c) {
		h.useful++
	}
}

// lose notes that p does not have c after all.
func (e *Engine) lose(p *peer, c uint32) {
	h := &p.holds
	if h.everything {
		h.everything = false // and stays uncounted: one chunk less among very many
		h.all.grow(e.picker.length)
		h.all.addRange(0, uint32(e.picker.length))
		h.useful = e.picker.free.n
		e.partials = append(e.partials, p)
	}
	if !h.all.remove(c) {
		return
	}
	if h.counted {
		e.rarer(c, -1)
	}
	if e.picker.free.has(c) {
		h.useful--
	}
}

// forgetHolding takes a peer that goes out of the counts.
func (e *Engine) forgetHolding(p *peer) {
	e.forgetNear(p)
	if !p.holds.counted {
		return
	}
	for c := p.holds.all.next(0); c >= 0; c = p.holds.all.next(uint32(c) + 1) {
		e.rarer(uint32(c), -1)
	}
}

// covers reports whether ranges, which need not be sorted, start with one that holds every chunk.
func covers(ranges []content.Range, length int) bool {
	return length > 0 && len(ranges) > 0 && ranges[0].First == 0 && uint64(ranges[0].Count) >= uint64(length)
}

// pick returns a free chunk that p has, and the set in which a run may go on. There must be one; the set is nil if p is not
// to be asked for it.
func (e *Engine) pick(p *peer) (c uint32, run *set) {
	if e.picker.ordered.n > 0 {
		if c := e.search(&e.picker.ordered, p, 0); c >= 0 {
			return uint32(c), &e.picker.ordered
		}
	}
	if !e.asks(p) {
		return 0, nil
	}
	for i := range e.picker.levels {
		s := &e.picker.levels[i]
		if s.n == 0 {
			continue
		}
		if n := p.holds.next; s.has(n) && p.holds.has(n) {
			return n, s
		}
		if c := e.searchSome(s, p); c >= 0 {
			return uint32(c), s
		}
	}
	if c := e.search(&e.picker.free, p, p.holds.next); c >= 0 {
		return uint32(c), &e.picker.free
	}
	return uint32(e.search(&e.picker.free, p, 0)), &e.picker.free
}

// search returns the first chunk of s from a place on that p has, or -1.
func (e *Engine) search(s *set, p *peer, from uint32) int {
	if p.holds.everything {
		return s.next(from)
	}
	return nextBoth(s, &p.holds.all, from)
}

// searchSome looks for a chunk of s that p has. If others are at work, it looks from a random place between the first and the
// last one on, so that runs which have met part again in the middle of what is left. It may overlook some in very large sets.
func (e *Engine) searchSome(s *set, p *peer) int {
	lo := uint32(s.next(0))
	from := lo
	if e.requests.busy > 1 || e.requests.busy == 1 && p.open.n == 0 {
		from += e.rng.Uint32N(uint32(s.last()) - lo + 1)
	}
	if p.holds.everything {
		if c := s.next(from); c >= 0 {
			return c
		}
		return int(lo)
	}
	c, stopped := nextBothWithin(s, &p.holds.all, from, searchPace)
	if c < 0 && int(stopped) >= e.picker.length {
		c, _ = nextBothWithin(s, &p.holds.all, lo, searchPace)
	}
	return c
}
