package engine

import "time"

const (
	roundTime   = 100 * time.Millisecond // least time over which a rate is measured
	windowSlack = 250 * time.Millisecond // of the peer's rate, above two delays: what its queue may hold for us
)

// flow is how fast a peer delivers, and how much it may be asked for because of that.
//
// A round is a time in which it was busy for us. When it ends, the window moves towards what the peer delivers in two delays
// and a bit: more than the path holds, so that a path that is not full yet shows it and the window grows to its limit, and
// yet no more than a fraction of a second of its time, because what waits in its queue cannot be asked elsewhere meanwhile.
type flow struct {
	window int           // bytes
	rate   float64       // bytes a second; 0: not known yet
	delay  time.Duration // least time from asking to a stored chunk; 0: not known yet

	busy  bool   // a round is under way; one ends when nothing is left to ask for
	since moment // when it began
	bytes int    // in it
	idled bool   // in it, there was room in the window and nothing to ask for
}

// delivered counts a chunk that took so long.
func (f *flow) delivered(cost int, took time.Duration) {
	took = max(took, time.Microsecond)
	if f.delay == 0 || took < f.delay {
		f.delay = took
	}
	if f.rate == 0 {
		f.rate = float64(cost) / took.Seconds()
	}
	f.bytes += cost
}

// round ends the round if it is long enough, after some chunks were delivered. The first delivery after a pause begins one:
// what came with it took a time that is not the peer's.
func (f *flow) round(now moment, least, most int) {
	if !f.busy {
		f.busy, f.since, f.bytes, f.idled = true, now, 0, false
		return
	}
	took := now.since(f.since)
	if took < max(f.delay, roundTime) || f.bytes == 0 {
		return
	}
	rate := float64(f.bytes) / took.Seconds()
	if !f.idled || rate > f.rate {
		f.rate = (f.rate + rate) / 2
		f.adapt(least, most)
	}
	f.since, f.bytes, f.idled = now, 0, false
}

// adapt moves the window: at most twice, or three quarters, of what it was.
func (f *flow) adapt(least, most int) {
	goal := f.rate * (2*f.delay + windowSlack).Seconds()
	goal = min(goal, 2*float64(f.window))
	goal = max(goal, 0.75*float64(f.window))
	f.window = max(min(int(goal), most), least)
}
