package transfer

import (
	"slices"
	"sync"

	"github.com/libp2p/go-libp2p/core/peer"
)

// slots bounds the memory of all uploads together: a chunk that is being sent has one. A peer may have a few at once, and
// one that becomes free goes to the peer that has fewest, so that nobody waits for long behind those who ask for much or do
// not read what they asked for.
type slots struct {
	mu     sync.Mutex // guards what follows
	free   int
	turns  uint64 // peers that came, and slots that were given
	queues map[peer.ID]*slotQueue
}

// slotQueue is one peer that has slots or waits for some.
type slotQueue struct {
	held    int
	last    uint64 // its last turn
	waiting []chan struct{}
}

func newSlots(n int) *slots { return &slots{free: n, queues: make(map[peer.ID]*slotQueue)} }

// take waits for a slot for p; errGone when one of the channels was closed first.
func (s *slots) take(p peer.ID, gone, over <-chan struct{}) error {
	ready := make(chan struct{})
	s.enter(p, ready)
	select {
	case <-ready:
		return nil
	case <-gone:
	case <-over:
	}
	s.leave(p, ready)
	return errGone
}

func (s *slots) enter(p peer.ID, ready chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := s.queues[p]
	if q == nil {
		s.turns++
		q = &slotQueue{last: s.turns}
		s.queues[p] = q
	}
	q.waiting = append(q.waiting, ready)
	s.share()
}

func (s *slots) leave(p peer.ID, ready chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-ready: // it came in the same moment
		s.giveBack(p)
		return
	default:
	}
	q := s.queues[p]
	q.waiting = slices.DeleteFunc(q.waiting, func(x chan struct{}) bool { return x == ready })
	s.tidy(p)
}

// put gives back a slot of p.
func (s *slots) put(p peer.ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.giveBack(p)
}

func (s *slots) giveBack(p peer.ID) {
	s.free++
	s.queues[p].held--
	s.tidy(p)
	s.share()
}

func (s *slots) tidy(p peer.ID) {
	if q := s.queues[p]; q.held == 0 && len(q.waiting) == 0 {
		delete(s.queues, p)
	}
}

// share hands out what is free. Callers hold mu.
func (s *slots) share() {
	for s.free > 0 {
		var first *slotQueue
		for _, q := range s.queues {
			if len(q.waiting) > 0 && q.held < peerSlots && (first == nil || q.before(first)) {
				first = q
			}
		}
		if first == nil {
			return
		}
		s.free--
		s.turns++
		first.held++
		first.last = s.turns
		close(first.waiting[0])
		first.waiting = slices.Delete(first.waiting, 0, 1)
	}
}

// before reports whether q is to have the next slot rather than r: the one that has fewer, or else has waited longer.
func (q *slotQueue) before(r *slotQueue) bool {
	if q.held != r.held {
		return q.held < r.held
	}
	return q.last < r.last
}
