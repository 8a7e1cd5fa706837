package engine

import (
	"math"
	"slices"
	"time"

	"github.com/shoal-p2p/shoal/content"
)

// peer is one member of the swarm.
type peer struct {
	id               Peer
	here             bool // it has joined and neither left nor been banned
	starved, stirred bool // it stands in the list of that name
	holds            holding
	open             line          // what it was asked for
	offer            offer         // what it would give next
	mute             bool          // it does not offer anything
	flow             flow          // how fast it delivers
	late             late          // whether it delivers
	owed             orders        // what it asked for
	takes            taking        // what it takes unasked
	flight           flight        // what is under way to it
	trip             time.Duration // there and back; 0 if it is near
	ping             time.Duration // the same, if it is near
	due              outgoing
	bad              int   // chunks with the wrong bytes
	total            int64 // bytes it delivered, verified
}

// outgoing is what the step under way has to say to a peer.
type outgoing struct {
	listed             bool
	asks, revoke, give []content.Range
}

func (e *Engine) joined(p Peer) {
	if e.byID[p] != nil {
		return
	}
	e.flushNews()
	x := &peer{id: p, here: true}
	x.flow.window = e.cfg.Window
	x.holds.start(e)
	e.byID[p] = x
	e.peers = append(e.peers, x)
	e.partials = append(e.partials, x)
	if e.have.n > 0 && !e.cfg.TakeOnly {
		e.act(Tell{p, runsOf(&e.have, uint32(len(e.cfg.Sizes)))})
		if len(e.peers) == 1 {
			e.offerEverything(x) // it saves a round trip if this one lacks something
		}
	}
	if sought := e.sought(); len(sought) > 0 {
		e.act(Seek{p, sought})
	}
}

// leave forgets a peer and lets others have what was asked of it.
func (e *Engine) leave(p *peer) {
	p.here = false
	delete(e.byID, p.id)
	e.peers = without(e.peers, p)
	e.partials = without(e.partials, p)
	e.reach()
	for p.open.n > 0 {
		e.giveUp(p.open.oldest)
	}
	e.forgetHolding(p)
	e.dropOrders(p)
	p.due.asks, p.due.revoke, p.due.give = nil, nil, nil
}

// speakTo returns the room for what is to be said to p.
func (e *Engine) speakTo(p *peer) *outgoing {
	if !p.due.listed {
		p.due.listed = true
		e.step.spoken = append(e.step.spoken, p)
	}
	return &p.due
}

// collect turns what has been noted for peers into actions: what is called off first, then what is asked, then what is given.
func (e *Engine) collect() {
	for _, p := range e.step.spoken {
		if len(p.due.revoke) > 0 {
			e.act(Revoke{p.id, p.due.revoke})
		}
	}
	for _, p := range e.step.spoken {
		if len(p.due.asks) > 0 {
			e.act(Ask{p.id, p.due.asks})
		}
	}
	for _, p := range e.step.spoken {
		if len(p.due.give) > 0 {
			e.act(Give{p.id, p.due.give})
		}
	}
}

// reset makes room for the next step's actions.
func (e *Engine) reset() {
	for _, p := range e.step.spoken {
		p.due.asks, p.due.revoke, p.due.give = p.due.asks[:0], p.due.revoke[:0], p.due.give[:0]
		p.due.listed = false
	}
	e.step.spoken = e.step.spoken[:0]
	e.step.ban = nil
	clear(e.step.acts)
	e.step.acts = e.step.acts[:0]
}

func (e *Engine) act(a Action) { e.step.acts = append(e.step.acts, a) }

// without returns list without p, in the same place.
func without(list []*peer, p *peer) []*peer {
	return slices.DeleteFunc(list, func(x *peer) bool { return x == p })
}

// extend adds a chunk to ranges, to the last one if it goes on there.
func extend(ranges []content.Range, c uint32) []content.Range {
	if k := len(ranges); k > 0 && ranges[k-1].First+ranges[k-1].Count == c {
		ranges[k-1].Count++
		return ranges
	}
	return append(ranges, content.Range{First: c, Count: 1})
}

// runsOf lists a set as ranges.
func runsOf(s *set, length uint32) []content.Range {
	var out []content.Range
	for c := s.next(0); c >= 0; {
		end := s.nextAbsent(uint32(c), length)
		if end < 0 {
			end = int(length)
		}
		out = append(out, content.Range{First: uint32(c), Count: uint32(end - c)})
		c = s.next(uint32(end))
	}
	return out
}

// clip returns the part of r that lies below length, as first and end.
func clip(r content.Range, length int) (first, end uint32) {
	end64 := min(uint64(r.First)+uint64(r.Count), uint64(length))
	return uint32(min(uint64(r.First), end64)), uint32(end64)
}

// moment is a time, as the duration since the engine's first step.
type moment time.Duration

const never = moment(math.MaxInt64)

func (m moment) plus(d time.Duration) moment  { return m + moment(d) }
func (m moment) since(n moment) time.Duration { return time.Duration(m - n) }
