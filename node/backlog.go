package node

import (
	"sync"
	"time"
)

// backlog keeps short what waits in this process to be sent on one connection. yamux takes up to 64 frames of 64 KiB and sends
// them in order; on a slow link that is a third of a second, for which a request of ten bytes that comes behind them waits. So
// writers wait instead: they are let in as long as what waits is sent within backlogTime.
type backlog struct {
	mu      sync.Mutex // guards the rest
	waiting int        // bytes
	closed  bool
	less    chan struct{} // closed when there is less

	limit func(bytes int) // sets what the kernel may take ahead; nil where that is not known
	tight bool            // it is set to little

	rate  float64   // bytes a second while there was something to send; 0: not known
	since time.Time // when the measurement began
	sent  int       // bytes in it
}

const (
	backlogTime  = 5 * time.Millisecond
	backlogLeast = 64 << 10              // bytes: the largest frame of yamux
	rateTime     = 20 * time.Millisecond // least time over which the rate is measured

	// On a slow link the kernel too should take little ahead. On a fast one that costs a fifth of the speed, for nothing.
	slowLink, fastLink     = 50e6, 100e6 // bytes a second
	littleAhead, muchAhead = 32 << 10, 4 << 20
)

// newBacklog makes one for the connection over c.
func newBacklog(c any) *backlog {
	b := &backlog{less: make(chan struct{})}
	if l, ok := c.(interface{ limitUnsent(bytes int) }); ok {
		b.limit = l.limitUnsent
	}
	return b
}

// adjust has the kernel take much ahead or little, by the rate. Callers hold mu.
func (b *backlog) adjust() {
	switch {
	case b.limit == nil:
	case !b.tight && b.rate < slowLink:
		b.tight = true
		b.limit(littleAhead)
	case b.tight && b.rate > fastLink:
		b.tight = false
		b.limit(muchAhead)
	}
}

// room waits until more may be written, the deadline has passed or the connection or the stream is gone.
func (b *backlog) room(deadline time.Time, gone <-chan struct{}) {
	var late <-chan time.Time
	for {
		b.mu.Lock()
		less := b.less
		room := b.closed || b.waiting == 0 || b.waiting < max(backlogLeast, int(b.rate*backlogTime.Seconds()))
		b.mu.Unlock()
		if room {
			return
		}
		if late == nil && !deadline.IsZero() {
			t := time.NewTimer(time.Until(deadline))
			defer t.Stop()
			late = t.C
		}
		select {
		case <-less:
		case <-late:
			return // yamux says so, too
		case <-gone:
			return
		}
	}
}

func (b *backlog) add(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.waiting == 0 {
		b.since, b.sent = time.Now(), 0
	}
	b.waiting += n
}

// done counts bytes that the socket has taken.
func (b *backlog) done(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.sent += n
	if took := time.Since(b.since); took >= rateTime {
		b.rate = float64(b.sent) / took.Seconds()
		b.since, b.sent = time.Now(), 0
		b.adjust()
	}
	b.waiting = max(b.waiting-n, 0) // n counts the heads of frames too
	close(b.less)
	b.less = make(chan struct{})
}

func (b *backlog) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.closed {
		b.closed = true
		close(b.less)
		b.less = make(chan struct{})
	}
}
