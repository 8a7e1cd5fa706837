package transfer

import (
	"time"

	"github.com/shoal-p2p/shoal/transfer/engine"
)

// tripAgain is how often it is looked how long a round trip takes that was long: the first ones may have met a full queue.
const tripAgain = time.Second

// trip is how far the peer of a link is, as far as its connection knows.
type trip struct {
	took  time.Duration // 0: not known
	lapse time.Time     // when to look again
}

// measureTrip tells the engine how long a round trip to the peer of l takes.
func (x *Session) measureTrip(l *link, now time.Time) {
	if x.svc.trip == nil || now.Before(l.trip.lapse) {
		return
	}
	l.trip.lapse = now.Add(tripAgain)
	if took := x.svc.trip(l.str.Conn()); took != l.trip.took {
		l.trip.took = took
		x.step(engine.Far{Peer: l.id, Trip: took})
	}
}
