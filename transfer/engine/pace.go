package engine

import "time"

const (
	overlapUp   = 384 << 10              // bytes of a chunk still under way when the next is offered: an answer takes its time
	overlapAll  = 640 << 10              // the same of who lacks nothing
	overlapDown = 4                      // the part of a turn that is still to come when the next may be asked for
	leadUp      = time.Millisecond       // before a link is clear, when the next chunk begins to leave: it is read first
	leadDown    = 3 * time.Millisecond   // the same, when it is asked for; and a round trip earlier
	paceTime    = 50 * time.Millisecond  // least time over which a rate is measured
	paceChunks  = 2                      // least number of chunks, likewise
	paceSlack   = 1.5                    // times what a chunk takes at full speed, before it is taken to be held up elsewhere
	stuckAfter  = 500 * time.Millisecond // in which nothing has moved; on a slow link two chunks' time
	paceFirst   = 500 * time.Millisecond // the same, before any speed is known
	paceLast    = 10 * time.Second       // and the most
)

// pace lends a link to one chunk after the other: chunks that come one by one can be passed on one by one, while eight that
// share a link arrive at once, and late. A chunk has the link until it is all but through, or for the time that it would need
// at the highest speed seen. So a chunk that something else holds up, be it a slow peer, a long path or one that has died,
// keeps no other waiting for longer than that, and as many are under way as it takes to fill the link.
type pace struct {
	peak  float64 // bytes a second; 0: not known yet
	begun moment  // when the last chunk was begun

	sure  bool   // peak is not the first guess, which has in it how long the first bytes were waited for
	since moment // from when bytes are counted
	bytes int
	last  moment // when some went to or came from a far peer
}

// begin notes that a chunk has the link from now on.
func (p *pace) begin(now moment) {
	if p.begun == 0 {
		p.since = now
	}
	p.begun = now
}

// movedFor counts bytes that went to x or came from it. With a far peer the link may have rested before them, for as long as an
// answer travels; such a time is not measured, or the link would seem slow, be given less to do, and rest for longer.
func (p *pace) movedFor(x *peer, now moment, bytes, chunk int) {
	if x.trip == 0 {
		p.moved(now, bytes, paceChunks*chunk)
		return
	}
	gap := now.since(p.last)
	p.last = now
	if p.peak > 0 && gap > x.trip/2 && gap > 2*timeFor(bytes, p.peak) {
		p.since, p.bytes = now, 0
		return
	}
	p.moved(now, bytes, chunk/2)
}

// moved counts bytes that went over the link. Once a speed is known, it takes so many to measure it anew.
func (p *pace) moved(now moment, bytes, least int) {
	p.bytes += bytes
	took := now.since(p.since)
	if took < paceTime || p.bytes < least && p.sure {
		return
	}
	rate := float64(p.bytes) / took.Seconds()
	p.sure = p.peak > 0
	if rate < p.peak {
		rate = p.peak - (p.peak-rate)/32 // it may have been idle; but links do get slower
	}
	p.peak, p.since, p.bytes = rate, now, 0
}

// stuck reports whether so much time has gone by since something moved that a chunk cannot be said to have the link any more. If
// it went on to have it for its time, again and again, the link would rest, and seem slow, and rest for longer.
func (p *pace) stuck(now, moved moment, chunk int) bool {
	return p.peak > 0 && now.since(moved) > max(stuckAfter, 2*timeFor(chunk, p.peak))
}

// next returns when the next chunk may begin at the latest.
func (p *pace) next(chunk int) moment {
	if p.peak == 0 {
		return p.begun.plus(paceFirst)
	}
	return p.begun.plus(min(time.Duration(paceSlack*float64(timeFor(chunk, p.peak))), paceLast))
}
