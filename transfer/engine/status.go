package engine

import "time"

// Status is what an engine knows, at a glance.
type Status struct {
	Chunks, Bytes               int64 // wanted
	MissingChunks, MissingBytes int64 // of them, not stored
	InFlight                    int64 // bytes asked for and not settled
	Giving                      int64 // bytes in Give actions and not sent
	Wasted                      int64 // bytes of chunks that came in twice
	Done                        bool  // nothing that is wanted is missing
	Stalled                     Stall // why nothing comes in, when nothing does
	Peers                       []PeerStatus
}

// PeerStatus is one peer, as the engine sees it. Peers are in the order in which they joined.
type PeerStatus struct {
	Peer     Peer
	Has      int           // chunks it says it has
	Useful   int           // of them, wanted and not asked of anybody
	InFlight int           // bytes asked of it and not settled
	Window   int           // bytes that may be
	Rate     float64       // bytes a second while it was busy; 0: not known yet
	Delay    time.Duration // least time from asking to a stored chunk; 0: not known yet
	Stored   int64         // bytes it delivered, verified
	Bad      int           // chunks it delivered with the wrong bytes
	Slow     bool          // it let a deadline pass and has delivered nothing since
	Queued   int           // chunks it asked for that wait for their turn
	Giving   int           // bytes on their way to it
}

// Stall says why a download does not move.
type Stall uint8

// The reasons, in the order in which they are looked for.
const (
	Moving    Stall = iota // it does move, or has nothing to do
	DiskFails              // chunks arrive and cannot be written; it is tried again now and then
	NoPeers                // nobody has joined
	NoHolders              // nobody here has what is missing
	AllSlow                // those who have it do not deliver
)

func (s Stall) String() string {
	switch s {
	case Moving:
		return "moving"
	case DiskFails:
		return "what arrives cannot be written"
	case NoPeers:
		return "no peers"
	case NoHolders:
		return "no peer has what is missing"
	case AllSlow:
		return "the peers that have what is missing do not deliver"
	}
	return "unknown"
}

// Status returns a snapshot.
func (e *Engine) Status() Status {
	s := Status{
		Chunks: int64(e.goal.wanted.n), Bytes: e.goal.bytes,
		MissingChunks: int64(e.goal.missing), MissingBytes: e.goal.missingBytes,
		InFlight: int64(e.requests.inFlight), Giving: int64(e.turns.giving), Wasted: e.goal.duplicateBytes,
		Done: e.goal.missing == 0, Stalled: e.stalled(),
		Peers: make([]PeerStatus, 0, len(e.peers)),
	}
	for _, p := range e.peers {
		s.Peers = append(s.Peers, PeerStatus{
			Peer: p.id, Has: p.holds.count(len(e.cfg.Sizes)), Useful: e.useful(p),
			InFlight: p.open.cost, Window: p.flow.window, Rate: p.flow.rate, Delay: p.flow.delay,
			Stored: p.total, Bad: p.bad, Slow: p.late.slow, Queued: p.owed.waiting.n, Giving: p.owed.cost,
		})
	}
	return s
}

func (e *Engine) stalled() Stall {
	switch {
	case e.goal.missing == 0:
		return Moving
	case e.held():
		return DiskFails
	case len(e.peers) == 0:
		return NoPeers
	}
	stall := NoHolders
	for _, p := range e.peers {
		if p.open.n == 0 && e.useful(p) == 0 {
			continue
		}
		if !p.late.slow {
			return Moving
		}
		stall = AllSlow
	}
	return stall
}
