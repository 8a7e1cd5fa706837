package engine

import "time"

const (
	overlapUp   = 384 << 10              // bytes of a chunk still under way when the next is offered: an answer takes its time
	overlapDown = 128 << 10              // the same, when the next is asked for
	paceTime    = 50 * time.Millisecond  // least time over which a rate is measured
	paceChunks  = 2                      // least number of chunks, likewise
	paceSlack   = 1.5                    // times what a chunk takes at full speed, before it is taken to be held up elsewhere
	paceFirst   = 100 * time.Millisecond // the same, before any speed is known
	paceLast    = 10 * time.Second       // and the most
)

// pace lends a link to one chunk after the other: chunks that come one by one can be passed on one by one, while eight that
// share a link arrive at once, and late. A chunk has the link until it is all but through, or for the time that it would need
// at the highest speed seen. So a chunk that something else holds up, be it a slow peer, a long path or one that has died,
// keeps no other waiting for longer than that, and as many are under way as it takes to fill the link.
type pace struct {
	peak  float64 // bytes a second; 0: not known yet
	begun moment  // when the last chunk was begun

	since moment // from when bytes are counted
	bytes int
}

// begin notes that a chunk has the link from now on.
func (p *pace) begin(now moment) { p.begun = now }

// moved counts bytes that went over the link.
func (p *pace) moved(now moment, bytes, chunk int) {
	p.bytes += bytes
	took := now.since(p.since)
	if took < paceTime || p.bytes < paceChunks*chunk && p.peak > 0 {
		return
	}
	rate := float64(p.bytes) / took.Seconds()
	if rate < p.peak {
		rate = p.peak - (p.peak-rate)/32 // it may have been idle; but links do get slower
	}
	p.peak, p.since, p.bytes = rate, now, 0
}

// next returns when the next chunk may begin at the latest.
func (p *pace) next(chunk int) moment {
	if p.peak == 0 {
		return p.begun.plus(paceFirst)
	}
	return p.begun.plus(min(time.Duration(paceSlack*float64(timeFor(chunk, p.peak))), paceLast))
}
