package engine

import "time"

// Held: this side did not read from the peer for so long, because of a limit of its own. That time does not count when it is
// asked whether the peer is late, and nobody is asked to help out: it would come in no sooner from another.
type Held struct {
	Peer Peer
	For  time.Duration
}

func (Held) event() {}

// heldFor is how long after a Held another one is expected.
const heldFor = 5 * time.Second

// held stops the clock for the time that has passed.
func (l *late) held(now moment, d time.Duration) {
	d = max(d, 0)
	l.heldUntil = now.plus(heldFor)
	l.oldestAt = min(l.oldestAt.plus(d), now)
	l.heardAt = min(l.heardAt.plus(d), now)
	l.floorAt = min(l.floorAt.plus(d), now)
}
