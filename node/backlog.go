package node

import (
	"slices"
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

	line  *wireRate // that all connections share
	wire  wire      // nil: the kernel says nothing and takes no orders
	tight bool      // it may take little
	paced float64   // bytes a second that it was told; 0: as it likes

	rate  float64       // bytes a second that the socket takes while there is something to send; 0: not known
	since time.Time     // when the socket was last given something, or the last was taken
	busy  time.Duration // of this measurement, in which large frames waited for the socket
	sent  int           // bytes in it

	asked  time.Time // when the kernel was asked how far sending has come
	begun  progress  // where the stretch began that is being measured
	mark   progress  // where what counts of it began; begun, until it did
	marked float64   // the pace then
}

// wire is what the kernel knows of a connection, and what it can be told.
type wire interface {
	// limitSending says how many bytes the kernel may take ahead, and how many it may send a second; 0: as it likes.
	limitSending(unsent int, pace float64)
	// sending returns how far sending has come, and false where the kernel does not say.
	sending() (progress, bool)
}

// progress is how far sending has come on a connection.
type progress struct {
	at    time.Time
	busy  time.Duration // in which something was under way
	acked uint64        // bytes that the other side has, since the connection stands
	trip  time.Duration // the shortest round trip
}

const (
	backlogTime  = 5 * time.Millisecond
	backlogLeast = 64 << 10              // bytes: the largest frame of yamux
	rateTime     = 20 * time.Millisecond // of waiting for the socket, over which the rate is measured
	rateFrame    = 16 << 10              // bytes, from which on a frame says something of it: for a message it is all overhead

	// On a slow link the kernel too should take little ahead. On a fast one that costs a fifth of the speed, for nothing.
	slowLink, fastLink     = 50e6, 100e6 // bytes a second
	littleAhead, muchAhead = 32 << 10, 4 << 20

	// What the kernel sends faster than the line stands in the machine's own queue then, in the way of the messages of all
	// connections: with eight receivers at 100 Mbit/s each, 24 ms of them in the worst tenth. So the kernel keeps to what most
	// measurements did not exceed, and now and then to more, to see whether more arrives.
	paceKept  = 16   // measurements that count
	paceRank  = 14   // of the kept ones, from below, or the same share of fewer
	probeOver = 1.25 // times the pace, while more is tried
	probeWon  = 1.12 // times the pace: measurements differ by a little less although the line is the same
	probeWait = 8    // measurements between two trials
	paceLeast = 1e6  // bytes a second; a queue behind less than that is short, or hopeless
	paceStep  = 1.02 // by how much that must change before the kernel is told

	// A connection is measured once what may have gathered in an idle line's favour is through: a shaper's burst. Over a long way
	// it takes longer to see what comes of a pace, and the way is longer than any queue.
	burstBytes, stretchBytes = 64 << 10, 384 << 10
	nearby                   = 20 * time.Millisecond // of a round trip
	busyShare                = 0.95                  // of a measurement, in which there has to be something under way
	askEvery                 = time.Millisecond      // at most: on a fast line frames go out every tenth of that, and asking is not free
)

// wireRate is how fast the line is that all connections of this host send on, as far as it is known.
type wireRate struct {
	mu    sync.Mutex
	last  []float64 // bytes a second; at most paceKept, the oldest first
	since int       // measurements since more was tried
	probe bool      // more is tried
}

// seen notes that a connection had something under way all the time, and that so many bytes a second arrived while it was paced
// like that.
func (l *wireRate) seen(rate, paced float64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	known := l.known()
	switch {
	case rate > probeWon*known: // and perhaps there is still more
		l.last, l.probe, l.since = append(l.last[:0], rate), true, 0
		return
	case paced > probeWon*known:
		l.probe, l.since = false, 0
	default:
		l.since++
		l.probe = l.probe || l.since >= probeWait
	}
	if len(l.last) == paceKept {
		l.last = slices.Delete(l.last, 0, 1)
	}
	l.last = append(l.last, rate)
}

// known is what most measurements did not exceed; 0: there is none. Callers hold mu.
func (l *wireRate) known() float64 {
	if len(l.last) == 0 {
		return 0
	}
	return slices.Sorted(slices.Values(l.last))[(len(l.last)*paceRank-1)/paceKept]
}

// pace is how fast one connection may send; 0: as it likes.
func (l *wireRate) pace() float64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.known()
	if p == 0 || p >= slowLink {
		return 0
	}
	if l.probe {
		p *= probeOver
	}
	return max(p, paceLeast)
}

// busySince reports whether something was under way nearly all the time.
func (p progress) busySince(before progress) bool {
	return (p.busy - before.busy).Seconds() >= busyShare*p.at.Sub(before.at).Seconds()
}

// newBacklog makes one for the connection over c.
func newBacklog(c any, l *wireRate) *backlog {
	b := &backlog{line: l, less: make(chan struct{})}
	b.wire, _ = c.(wire)
	return b
}

// adjust has the kernel take much ahead or little, by the rate, and keep to the line's. Callers hold mu.
func (b *backlog) adjust() {
	pace := b.line.pace()
	rate := b.rate
	if rate == 0 {
		rate = pace // of others, which is the best guess
	}
	tight := rate > 0 && (rate < slowLink || b.tight && rate <= fastLink)
	same := pace == b.paced || pace < b.paced*paceStep && b.paced < pace*paceStep
	if b.wire == nil || tight == b.tight && same {
		return
	}
	b.tight, b.paced = tight, pace
	if tight {
		b.wire.limitSending(littleAhead, pace)
	} else {
		b.wire.limitSending(muchAhead, pace)
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
		b.since = time.Now()
		b.adjust()
	}
	b.waiting += n
}

// done counts bytes that the socket has taken.
func (b *backlog) done(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	if n >= rateFrame {
		b.sent += n
		b.busy += now.Sub(b.since)
	}
	b.since = now
	b.measure(now)
	if b.busy >= rateTime {
		b.rate = float64(b.sent) / b.busy.Seconds()
		b.busy, b.sent = 0, 0
		b.adjust()
	}
	b.waiting = max(b.waiting-n, 0) // n counts the heads of frames too
	close(b.less)
	b.less = make(chan struct{})
}

// measure looks how fast what is sent arrives. Callers hold mu.
func (b *backlog) measure(now time.Time) {
	if b.wire == nil || b.rate > fastLink || now.Sub(b.asked) < askEvery {
		return
	}
	b.asked = now
	p, ok := b.wire.sending()
	if !ok {
		return
	}
	if !p.busySince(b.mark) || p.trip > nearby {
		b.begun, b.mark = p, p
	}
	if b.mark == b.begun && p.acked-b.mark.acked >= burstBytes {
		b.adjust()
		b.mark, b.marked = p, b.paced
	}
	if took := p.at.Sub(b.mark.at); b.mark != b.begun && p.acked-b.mark.acked >= stretchBytes {
		b.line.seen(float64(p.acked-b.mark.acked)/took.Seconds(), min(b.marked, b.paced))
		b.adjust()
		b.mark, b.marked = p, b.paced
	}
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
