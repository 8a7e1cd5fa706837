package engine

import (
	"math"
	"time"
)

const (
	helpPause   = 100 * time.Millisecond // between two looks at whether idle peers can help; longer when it has lasted long
	longHelp    = time.Second            // the longest
	mostCopies  = 4                      // peers that one chunk is asked of
	hopeless    = 8                      // times as late as the helper: such a copy is as good as none
	mostHelped  = 8                      // peers looked at for one helper
	mostLooks   = 64                     // requests looked at for each of them
	shortSilent = 500 * time.Millisecond // silence of a peer that means nothing yet
	unknownPace = 200 * time.Millisecond // what a chunk is taken to need from a peer that has delivered none
)

// help lets p, which has nothing left of its own to do, repeat what is expected latest from another peer, if it would be
// done in less than half that time. While chunks are free, only peers that have fallen silent are helped out: nobody waits
// for the others yet.
func (e *Engine) help(p *peer) {
	if !e.mayHelp(p) {
		return
	}
	e.lookAgain()
	room := min(p.flow.window-p.open.cost, e.cfg.MaxInFlight-e.requests.inFlight)
	last, lastTime := -1, time.Duration(math.MaxInt64)
	for range mostHelped {
		last, lastTime = e.latest(p, last, lastTime)
		if last < 0 || room <= 0 {
			return
		}
		room -= e.takeOver(p, e.peers[last], room)
	}
}

// lookAgain wakes when the idle peers may have become able to help. Who has been silent for long need not be looked at often.
func (e *Engine) lookAgain() {
	pause := longHelp
	for _, q := range e.peers {
		if q.open.n > 0 {
			pause = min(pause, e.silence(q)/4)
		}
	}
	e.wake(e.now.plus(max(pause, helpPause)))
}

func (e *Engine) mayHelp(p *peer) bool {
	idle := p.open.n == 0 || p.flow.rate > 0 && p.open.cost <= p.flow.window/4
	others := e.requests.open - p.open.n
	return p.here && idle && others > 0 && !p.late.slow && !e.held() && e.useful(p) == 0 && e.goal.missing > 0
}

// latest returns the place of the peer, p aside, that will be done last; after one that was looked at, the next in that order.
// It returns -1 when there is none.
func (e *Engine) latest(p *peer, after int, afterTime time.Duration) (place int, when time.Duration) {
	place = -1
	for i, q := range e.peers {
		if q == p || q.open.n == 0 {
			continue
		}
		t := e.expected(q, q.open.cost)
		if t > afterTime || t == afterTime && i <= after {
			continue
		}
		if place < 0 || t > when {
			place, when = i, t
		}
	}
	return place, when
}

// silence returns how long p has owed chunks without a byte from it, when that is long for it; otherwise 0.
func (e *Engine) silence(p *peer) time.Duration {
	silent := max(e.now.since(p.late.heardAt)-2*p.trip, 0)
	if e.pace(p) > 0 && silent < max(shortSilent, 4*p.flow.delay, e.turnTime()) {
		return 0
	}
	return silent
}

// turnTime is what a chunk takes that shares the downlink with one other, as far as that is known.
func (e *Engine) turnTime() time.Duration {
	if e.downlink.peak == 0 {
		return 0
	}
	return 2 * timeFor(e.turnSize(), e.downlink.peak)
}

// expected returns in what time p will have delivered the first so many bytes of what it owes. Who has been silent for long
// is expected to remain so for twice as long.
func (e *Engine) expected(p *peer, bytes int) time.Duration {
	t := 2 * e.silence(p)
	if pace := e.pace(p); pace > 0 {
		t = max(t, timeFor(bytes, pace))
	}
	return t
}

// timeFor returns how long so many bytes take; an hour is as good as forever.
func timeFor(bytes int, pace float64) time.Duration {
	return time.Duration(min(float64(bytes)/pace, 3600) * float64(time.Second))
}

// pace returns how fast p delivers, in bytes a second; before its first chunk is whole, by what has come of it. 0 is unknown.
func (e *Engine) pace(p *peer) float64 {
	if p.flow.rate > 0 || p.late.floor == 0 {
		return p.flow.rate
	}
	return float64(p.late.floor) / max(e.now.since(p.late.floorAt), time.Millisecond).Seconds()
}

// takeOver asks p for chunks that q owes, the newest first, as long as it gains by that. It returns their cost.
func (e *Engine) takeOver(p, q *peer, room int) (spent int) {
	if e.now < q.late.heldUntil || e.picker.free.n > 0 && e.silence(q) == 0 {
		return 0
	}
	ahead := q.open.cost
	looks := mostLooks
	for id := q.open.newest; id != 0 && looks > 0; looks-- {
		r := e.requests.pool[id]
		one := cost(e.cfg.Sizes[r.chunk])
		mine := max(unknownPace, e.turnTime()) + 2*p.trip
		if p.flow.rate > 0 {
			mine = p.flow.delay + timeFor(p.open.cost+one, p.flow.rate)
		} else if p.open.n > 0 {
			return spent
		}
		if e.expected(q, ahead) < 2*mine {
			return spent
		}
		if one <= room-spent && e.mayCopy(p, r.chunk, mine) {
			e.request(p, r.chunk)
			spent += one
		}
		ahead -= one
		id = r.older
	}
	return spent
}

// mayCopy reports whether p may be asked for c too: it has it, and none of those who were asked is about to deliver it.
func (e *Engine) mayCopy(p *peer, c uint32, mine time.Duration) bool {
	if !p.holds.has(c) {
		return false
	}
	copies := 0
	for id := e.requests.first[c]; id != 0; id = e.requests.pool[id].also {
		q := e.requests.pool[id].peer
		t := e.expected(q, q.open.cost)
		if q == p || t < 2*mine {
			return false
		}
		if p.flow.rate == 0 || t < hopeless*mine { // four who stall must not keep out a fifth who is known to deliver
			copies++
		}
		if copies >= mostCopies {
			return false
		}
	}
	return true
}
