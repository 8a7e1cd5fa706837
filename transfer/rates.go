package transfer

import (
	"errors"
	"io"
	"time"

	"github.com/libp2p/go-libp2p/core/network"

	"github.com/shoal-p2p/shoal/transfer/engine"
	"github.com/shoal-p2p/shoal/transfer/wire"
)

// Rates are how fast chunks and inner nodes may move, in bytes a second; zero is without limit. Messages of a few bytes are
// never held up by them.
type Rates struct {
	Up, Down         int64 // of the whole node, shared fairly among the peers that want some of it
	PeerUp, PeerDown int64 // with any one peer, over all its streams
}

// LeastRate is the lowest limit, in bytes a second. With less, a frame would take longer than the patience of either side.
const LeastRate = 4 << 10

const (
	frames     = 32      // of them a second, at the limit: so that over a second or two the rate is even
	burst      = 1. / 20 // seconds of the rate that may be caught up on when the node was late, or idle
	leastFrame = 1 << 10 // bytes; a frame of less is mostly header
)

// SetRates changes the limits, for streams that are open too. One below LeastRate counts as that.
func (s *Service) SetRates(r Rates) {
	s.upGate.set(atLeast(r.Up), atLeast(r.PeerUp))
	s.downGate.set(atLeast(r.Down), atLeast(r.PeerDown))
}

func atLeast(rate int64) int64 {
	if rate <= 0 {
		return 0
	}
	return max(rate, LeastRate)
}

// errGone: the link or its session ended while it waited for its turn.
var errGone = errors.New("the link ended while it waited for its turn")

// unlimited reports whether the limits are not for peers over this connection.
func (s *Service) unlimited(c network.Conn) bool { return s.exempt != nil && s.exempt(c) }

// sips is what is read from a stream: with a low rate little at a time, so that the pauses come between short reads.
func (s *Service) sips(str network.Stream) io.Reader {
	if s.unlimited(str.Conn()) {
		return str
	}
	return sips{str, s.downGate}
}

type sips struct {
	r io.Reader
	g *gate
}

func (s sips) Read(p []byte) (int, error) {
	if s.g.limited.Load() {
		p = p[:min(len(p), s.g.frame())]
	}
	return s.r.Read(p)
}

// frameSize is how many bytes the link may send at once. A low rate goes with small frames: nothing else can be sent while one
// is under way, and the peer waits only so long for the rest of it.
func (l *link) frameSize() int {
	if l.exempt {
		return pieceSize
	}
	return l.x.svc.upGate.frame()
}

// maySend returns when n bytes may be sent; errGone when the link or the session ended first.
func (l *link) maySend(n int) error {
	if l.exempt {
		return nil
	}
	_, err := l.x.svc.upGate.pass(l.peer, n, l.gone, l.x.ctx.Done())
	return err
}

// body is the payload of one data frame while it is read. Where the limits ask for it, reading pauses: the muxer's window
// fills up then, and the peer has to wait. It is not blamed for that: neither the frame's deadline nor the engine's runs in a
// pause, and it hears now and then that it is read.
type body struct {
	link          *link
	by            time.Time // deadline
	useful, total int       // bytes read and not acknowledged
}

// body begins to read one. midFrame is to be reset afterwards.
func (l *link) body() body {
	l.midFrame.Store(true)
	b := body{link: l, by: time.Now().Add(bodyTimeout)}
	l.str.SetReadDeadline(b.by)
	return b
}

// read fills p.
func (b *body) read(p []byte) error {
	return b.inTurns(len(p), func(from, to int) error {
		if err := b.link.in.Payload(p[from:to]); err != nil {
			return err
		}
		b.useful += to - from
		b.link.x.cameIn(to - from)
		return nil
	})
}

// skip passes over n bytes that nobody needs. They took as much of the line as others.
func (b *body) skip(n int) error {
	return b.inTurns(n, func(from, to int) error { return b.link.in.Discard(to - from) })
}

func (b *body) inTurns(n int, read func(from, to int) error) error {
	l := b.link
	g := l.x.svc.downGate
	if l.exempt || !g.limited.Load() {
		b.total += n
		return read(0, n)
	}
	for from := 0; from < n; {
		to := min(n, from+g.frame())
		held, err := g.pass(l.peer, to-from, l.gone, l.x.ctx.Done())
		if err != nil {
			return err
		}
		b.by = b.by.Add(held)
		l.str.SetReadDeadline(b.by)
		if err := read(from, to); err != nil {
			return err
		}
		b.total += to - from
		b.settle(held)
		from = to
	}
	return nil
}

// settle tells the engine, and now and then the peer, what was read after a pause. A chunk may take longer than a peer waits
// for a word.
func (b *body) settle(held time.Duration) {
	l, useful, total := b.link, b.useful, b.total
	b.useful, b.total = 0, 0
	l.x.post(func() {
		l.x.step(engine.Held{Peer: l.id, For: held})
		l.acknowledge(useful, total, time.Since(l.saidAt) >= gotWithin)
	})
}

// cameIn counts bytes as they come.
func (x *Session) cameIn(n int) {
	x.came.Add(int64(n))
	x.rate.add(time.Now(), n)
}

// received counts inner nodes, which come in frames that cannot be paused.
func (l *link) received(m wire.Nodes) {
	if l.exempt {
		return
	}
	n := 0
	for _, b := range m.Blocks {
		n += len(b)
	}
	l.x.svc.downGate.charge(l.peer, n)
}
