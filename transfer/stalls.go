package transfer

import (
	"context"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// stalls watches the uploads that hold a slot, and ends those of peers that do not read while others wait for one. Without it
// a few strangers that ask for everything and read nothing would keep all slots until the write timeout, and could come back
// at once; so who was ended gets no slot for a while.
type stalls struct {
	mu      sync.Mutex // guards what follows
	since   map[*link]time.Time
	waiting map[*link]context.CancelFunc // uploads without a slot
	barred  map[peer.ID]time.Time        // until when
}

func newStalls() stalls {
	return stalls{
		since: make(map[*link]time.Time), waiting: make(map[*link]context.CancelFunc), barred: make(map[peer.ID]time.Time),
	}
}

// wait runs take, which waits for a slot for l.
func (s *stalls) wait(ctx context.Context, l *link, take func(context.Context) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s.mu.Lock()
	barred := time.Now().Before(s.barred[l.peer])
	if !barred {
		s.waiting[l] = cancel
	}
	s.mu.Unlock()
	if barred {
		return &PeerError{l.peer, "write", errNotReading}
	}
	err := take(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.waiting, l)
	if err != nil {
		return &PeerError{l.peer, "write", errNotReading}
	}
	s.since[l] = time.Time{}
	return nil
}

// moves notes since when l has been writing; the zero time: it is not, and what it waits for is not its peer's fault.
func (s *stalls) moves(l *link, since time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, holds := s.since[l]; holds {
		s.since[l] = since
	}
}

// done is called when l gives its slot back.
func (s *stalls) done(l *link) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.since, l)
}

// run looks for stalls until ctx ends.
func (s *stalls) run(ctx context.Context) {
	t := time.NewTicker(time.Second)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			s.end(time.Now())
		case <-ctx.Done():
			return
		}
	}
}

// end ends the uploads of peers that have been stuck for long, if others wait for a slot, or there are so many that others may
// wait in the engine for bytes that it gave away.
func (s *stalls) end(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var stuck []*link
	for l, since := range s.since {
		if !since.IsZero() && now.Sub(since) >= stallTime {
			stuck = append(stuck, l)
		}
	}
	if len(s.waiting) == 0 && len(stuck) < stallCrowd {
		return
	}
	for _, l := range stuck {
		if len(s.barred) >= maxBarred {
			clear(s.barred) // identities are free: better to forget than to grow
		}
		s.barred[l.peer] = now.Add(stallBar)
		l.str.SetWriteDeadline(now)
	}
	for l, cancel := range s.waiting {
		if now.Before(s.barred[l.peer]) {
			cancel()
		}
	}
}
