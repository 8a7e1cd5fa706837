package engine

import "time"

// Floor on throughput: a peer that owes chunks and brings fewer bytes than this in such a time is slow.
const (
	floorTime   = 15 * time.Second
	floorBytes  = 16 << 10 * int(floorTime/time.Second)
	mostSilence = 3 * time.Second // of a peer that gives one chunk after the other, while others have what it was asked for
	mostPauses  = 4               // doublings of the wait before a slow peer is tried again

	leastSilence = 500 * time.Millisecond // the same on a fast line, where many chunks take no longer
	silentChunks = 8                      // which is what so many of them take
	silentPause  = time.Second            // before such a peer is tried again: what is silent for so long may be a busy machine
)

// late is whether a peer that owes chunks delivers them in time.
type late struct {
	slow  bool   // it did not, and has delivered nothing since
	times int    // how often in a row
	retry moment // when it may be asked again

	oldestAt moment // since when its oldest request is the oldest: it could have worked on it from then on
	heardAt  moment // when bytes came last
	floorAt  moment // since when floor is counted
	floor    int    // bytes

	heldUntil moment // until then it is this side that is slow; see Held
}

// begin is called when a peer that owed nothing is asked.
func (l *late) begin(now moment) {
	l.oldestAt, l.heardAt, l.floorAt, l.floor = now, now, now, 0
}

func (l *late) heard(now moment, bytes int) {
	l.heardAt = now
	l.floor += max(bytes, 0)
}

// delivered clears a peer's name.
func (l *late) delivered(now moment) {
	l.heardAt = now
	l.slow, l.times, l.retry = false, 0, 0
}

// due returns when the peer of l must be looked at.
func (e *Engine) due(l *late) moment {
	due := min(l.oldestAt.plus(e.cfg.Deadline), l.floorAt.plus(floorTime))
	if silent := l.heardAt.plus(e.allowance()); silent > e.now {
		due = min(due, silent)
	}
	return due
}

// allowance is how long a peer that gives one chunk after the other may say nothing while others have what it was asked for.
func (e *Engine) allowance() time.Duration {
	if e.downlink.peak == 0 {
		return mostSilence
	}
	chunk := timeFor(e.turnSize(), e.downlink.peak)
	return min(max(silentChunks*chunk, leastSilence)+2*e.trip, max(mostSilence, 2*chunk))
}

// expirePeer looks whether p is late, and wakes when it has to be looked at again.
func (e *Engine) expirePeer(p *peer) {
	l := &p.late
	if p.open.n == 0 {
		if l.slow && e.now < l.retry {
			e.wake(l.retry)
		}
		return
	}
	switch {
	case e.now >= l.oldestAt.plus(e.cfg.Deadline), e.now >= l.floorAt.plus(floorTime) && l.floor < floorBytes:
		e.tooLate(p, e.cfg.Deadline)
	case e.now >= l.heardAt.plus(e.allowance()) && e.now >= l.oldestAt.plus(e.allowance()) && p.offer.single && e.fasterThan(p, e.requests.pool[p.open.oldest].chunk):
		e.tooLate(p, silentPause) // it offered to send it at once
	case e.now >= l.floorAt.plus(floorTime):
		l.floorAt, l.floor = e.now, 0
	}
	if p.open.n > 0 {
		e.wake(e.due(l))
	}
}

// tooLate makes others do what p was to do. It keeps what nobody else can give, and gets another chance later.
func (e *Engine) tooLate(p *peer, pause time.Duration) {
	l := &p.late
	l.slow = true
	l.retry = e.now.plus(pause << min(l.times, mostPauses))
	l.times++
	p.flow.window = e.leastWindow()
	for id := p.open.oldest; id != 0; {
		r := e.requests.pool[id]
		if e.fasterThan(p, r.chunk) {
			e.revoke(id)
		}
		id = r.newer
	}
	if p.open.n > 0 {
		l.oldestAt, l.floorAt, l.floor = e.now, e.now, 0
	} else {
		e.wake(l.retry)
	}
}

// fasterThan reports whether a peer that is not slow has c, p aside.
func (e *Engine) fasterThan(p *peer, c uint32) bool {
	for _, x := range e.peers {
		if x != p && !x.late.slow && x.holds.has(c) {
			return true
		}
	}
	return false
}

// leastWindow is two chunks: while one travels, the next is asked for.
func (e *Engine) leastWindow() int { return min(2*e.largest, e.cfg.MaxWindow) }
