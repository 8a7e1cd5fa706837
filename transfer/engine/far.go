package engine

import "time"

// Far: a round trip to the peer takes so long, as far as the caller knows. It may be said again when that changes; a peer of whom
// it was never said is near.
type Far struct {
	Peer Peer
	Trip time.Duration
}

func (Far) event() {}

// To a near peer the next chunk is arranged when the one under way is all but through. Over a long way the link would then rest
// while an offer, its answer and the first bytes travel, and the news of how far it has come is as late. So with a far peer it is
// arranged a round trip earlier, as many chunks ahead as the link carries meanwhile, and how much of them has left is reckoned from
// the highest speed seen.
const (
	nearby   = 30 * time.Millisecond  // a shorter round trip is lost in what a chunk overlaps with the next
	farthest = 400 * time.Millisecond // a longer one is not believed: what is under way and not read grows with it
)

// far notes how long a round trip to p takes.
func (e *Engine) far(p *peer, trip time.Duration) {
	p.trip, p.ping = min(trip, farthest), 0
	if trip < nearby {
		p.trip, p.ping = 0, trip
	}
	e.reach()
}

// reach finds out how far the farthest peer is.
func (e *Engine) reach() {
	e.trip = 0
	for _, p := range e.peers {
		e.trip = max(e.trip, p.trip)
	}
}

// carried is how many bytes a link of that speed carries in a round trip to p.
func (l *pace) carried(p *peer) int { return int(l.peak * p.trip.Seconds()) }

// leaveTime is how long what was given still needs to leave.
func (u *uplink) leaveTime(now moment) time.Duration { return max(u.through.since(now), 0) }

// reckon notes that so many bytes more leave from now on, after what is leaving already.
func (u *uplink) reckon(now moment, bytes int) {
	if u.peak > 0 {
		u.through = max(u.through, now).plus(timeFor(bytes, u.peak))
	}
}

// leaves reports whether what is under way to p, who is far, is as much as the link should have sent: then all of it but a part is
// on the way, and not in the way of the next chunk.
func (e *Engine) leaves(p *peer) bool {
	u := &e.uplink
	if p.trip == 0 || u.peak == 0 || p.flight.under() > overlapUp+e.turnSize()+u.carried(p) {
		return false
	}
	left := u.leaveTime(e.now) - timeFor(overlapUp, u.peak)
	if left > 0 {
		e.wake(e.now.plus(left))
	}
	return left <= 0
}

// reckons reports whether it is reckoned when the uplink will have room: while somebody is far, and more than one lacks something.
func (e *Engine) reckons() bool {
	return e.trip > 0 && e.uplink.peak > 0 && !e.cfg.Shared && !e.uplink.alone
}

// slack is for how long the uplink has had room for another chunk, besides what it was given and asked for; what is left of
// that is negative.
func (e *Engine) slack() time.Duration {
	u := &e.uplink
	return timeFor(overlapUp, u.peak) - u.leaveTime(e.now) - time.Duration(len(e.turns.line))*timeFor(e.turnSize(), u.peak)
}

// places returns how many offers may stand with peers that can take them at once, so that the uplink has enough to do when they
// have answered; 0 when it has that already.
func (e *Engine) places() int {
	if !e.reckons() {
		if len(e.turns.line) > 0 || !e.uplinkFree() {
			return 0
		}
		return 1
	}
	room := e.slack() + e.trip
	if room < 0 {
		if due := e.now.plus(-room); due <= e.uplink.through { // otherwise it is for the line to get shorter
			e.wake(due)
		}
		return 0
	}
	return 1 + int(room/timeFor(e.turnSize(), e.uplink.peak))
}

// retractEarly takes back offers that are answered before the uplink has room.
func (e *Engine) retractEarly() {
	if !e.reckons() || !e.offers.stand {
		return
	}
	slack := e.slack()
	for _, p := range e.peers {
		if slack+p.trip < 0 {
			e.retract(p, true)
		}
	}
}

// inTime reports whether the uplink will have room for a chunk when p has answered an offer, besides those that others are offered
// who will have answered by then. Who is near is not offered anything earlier because others are far: it would have to wait.
func (e *Engine) inTime(p *peer) bool {
	if !e.reckons() {
		return true
	}
	room := e.slack() + p.trip
	if due := e.now.plus(-room); room < 0 && due <= e.uplink.through {
		e.wake(due)
	}
	for _, x := range e.peers {
		t := &x.takes
		if len(t.offered) > 0 && !t.shy && x.load() <= e.soon(x) && t.at.plus(x.trip) <= e.now.plus(p.trip) {
			room -= timeFor(e.turnSize(), e.uplink.peak)
		}
	}
	return room >= 0
}

// soon is how many chunks may be on their way to p for it to take another at once: by the time that comes, they are there.
func (e *Engine) soon(p *peer) int {
	if p.trip == 0 || e.uplink.peak == 0 {
		return 0
	}
	return int(p.trip / timeFor(e.turnSize(), e.uplink.peak))
}

// thirsty reports whether what is still to come will have come, but for half a chunk, when p, who is far, could send more.
func (e *Engine) thirsty(p *peer) bool {
	left := 0
	for _, x := range e.peers {
		left += x.open.left()
	}
	return left <= e.turnSize()/2+e.downlink.carried(p)
}
