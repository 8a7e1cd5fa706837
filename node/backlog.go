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

	line  *wireRate                      // that all connections share
	limit func(unsent int, pace float64) // tells the kernel what it may take ahead, in bytes, and how fast it may send
	tight bool                           // it may take little
	paced float64                        // bytes a second that it was told; 0: as it likes

	rate  float64   // bytes a second while there was something to send; 0: not known
	since time.Time // when the measurement began
	sent  int       // bytes in it

	stretch     time.Time // since which there has been something to send all the time
	stretchSent int       // bytes in it
}

const (
	backlogTime  = 5 * time.Millisecond
	backlogLeast = 64 << 10              // bytes: the largest frame of yamux
	rateTime     = 20 * time.Millisecond // least time over which the rate is measured

	// On a slow link the kernel too should take little ahead. On a fast one that costs a fifth of the speed, for nothing.
	slowLink, fastLink     = 50e6, 100e6 // bytes a second
	littleAhead, muchAhead = 32 << 10, 4 << 20

	// What the kernel has taken it sends faster than the line, when that was idle, and what then stands in the machine's own
	// queue is in the way of the messages of all connections: with eight receivers at 100 Mbit/s each, 24 ms of them in the worst
	// tenth, and 12 ms when the kernel keeps to this multiple of the fastest that was seen.
	paceOver  = 1.1
	paceLeast = 1e6             // bytes a second; a queue behind less than that is short, or hopeless
	paceStep  = 1.05            // by how much that must change before the kernel is told
	paceAfter = time.Second     // since it last rose: a connection that is only getting into its stride must not be held
	peakTime  = 5 * time.Second // for which the fastest is remembered, and again as long at most

	// What is seen of the line is measured over at least this much: a message that waits for its turn says nothing.
	stretchTime, stretchBytes = 50 * time.Millisecond, 256 << 10
)

// wireRate is how fast the line is that all connections of this host send on, as far as it is known.
type wireRate struct {
	mu          sync.Mutex
	peak, older float64 // the fastest rate since turn, and in the time before, in bytes a second
	turn        time.Time
	rose        time.Time // when a rate was last seen that was more than ever
}

// seen notes that a connection had something to send all the time, and sent so many bytes a second.
func (l *wireRate) seen(rate float64, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now.Sub(l.turn) > peakTime {
		l.older, l.peak, l.turn = l.peak, 0, now
	}
	if rate > paceStep*max(l.peak, l.older) {
		l.rose = now
	}
	l.peak = max(l.peak, rate)
}

// pace is how fast one connection may send; 0: as it likes.
func (l *wireRate) pace(now time.Time) float64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	if p := max(l.peak, l.older); p > 0 && p < slowLink && now.Sub(l.rose) >= paceAfter {
		return max(paceOver*p, paceLeast)
	}
	return 0
}

// newBacklog makes one for the connection over c.
func newBacklog(c any, l *wireRate) *backlog {
	b := &backlog{line: l, less: make(chan struct{})}
	if c, ok := c.(interface {
		limitSending(unsent int, pace float64)
	}); ok {
		b.limit = c.limitSending
	}
	return b
}

// adjust has the kernel take much ahead or little, by the rate, and keep to the line's. Callers hold mu.
func (b *backlog) adjust() {
	pace := b.line.pace(time.Now())
	rate := b.rate
	if rate == 0 {
		rate = pace // of others, which is the best guess
	}
	tight := rate > 0 && (rate < slowLink || b.tight && rate <= fastLink)
	same := pace == b.paced || pace < b.paced*paceStep && b.paced < pace*paceStep
	if b.limit == nil || tight == b.tight && same {
		return
	}
	b.tight, b.paced = tight, pace
	if tight {
		b.limit(littleAhead, pace)
	} else {
		b.limit(muchAhead, pace)
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
		b.stretch, b.stretchSent = b.since, 0
		b.adjust()
	}
	b.waiting += n
}

// done counts bytes that the socket has taken.
func (b *backlog) done(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.sent += n
	b.stretchSent += n
	if took := time.Since(b.stretch); took >= stretchTime && b.stretchSent >= stretchBytes {
		b.line.seen(float64(b.stretchSent)/took.Seconds(), time.Now())
		b.stretch, b.stretchSent = time.Now(), 0
	}
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
