package transfer

import (
	"time"

	"github.com/shoal-p2p/shoal/content"
	"github.com/shoal-p2p/shoal/transfer/engine"
	"github.com/shoal-p2p/shoal/transfer/wire"
)

// forget drops what the peer says it cannot give from what is expected of it.
func (l *link) forget(ranges []content.Range) error {
	if l.x.tree == nil || !l.valid(ranges) {
		return errOutOfTurn
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range ranges {
		for n := r.First; n < r.First+r.Count; n++ {
			if a := l.expects[n]; a != nil {
				delete(l.expects, n)
				if a.buf != nil {
					release(a.buf)
				}
			}
			delete(l.revoked, n)
		}
	}
	return nil
}

// receive reads the payload of one data frame into the chunks it belongs to, and passes on those that are complete.
func (l *link) receive(d wire.Data) error {
	body := l.body()
	defer l.midFrame.Store(false)
	var whole []*arrival
	for _, p := range d.Pieces {
		a, err := l.claim(p)
		if err != nil {
			return err
		}
		if a == nil {
			if err := body.skip(int(p.Length)); err != nil {
				return err
			}
			continue
		}
		if err := body.read(a.buf[p.Offset : p.Offset+p.Length]); err != nil {
			return err
		}
		if l.filled(a, int(p.Length)) {
			whole = append(whole, a)
		}
	}
	l.waste(body.total - body.useful)
	idle := l.idle()
	l.x.post(func() { l.acknowledge(body.useful, body.total, idle) })
	if len(whole) == 0 {
		return nil
	}
	select {
	case l.x.jobs <- arrived{l, whole}:
		return nil
	case <-l.x.ended:
		return errEnded
	}
}

// acknowledge tells the engine what came in, and the peer how much was read: at once, or when it is enough. It runs on the
// loop.
func (l *link) acknowledge(useful, read int, atOnce bool) {
	if l.x.links[l.id] != l {
		return
	}
	if useful > 0 {
		l.x.step(engine.Progress{Peer: l.id, Bytes: useful})
	}
	l.x.measureTrip(l, time.Now())
	l.unsaid += read
	often := time.Since(l.saidAt) < gotPause // on a fast link it need not hear of every frame
	if l.unsaid >= gotEvery && !often || l.unsaid >= gotMost || atOnce && l.unsaid > 0 {
		l.say(wire.Got{Bytes: uint32(l.unsaid)})
		l.unsaid, l.saidAt = 0, time.Now()
	}
}

// idle reports whether nothing more is to come.
func (l *link) idle() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.expects) == 0
}

// claim finds the chunk that a piece continues. Nil means a chunk that was called off: the piece is to be swallowed.
func (l *link) claim(p wire.Piece) (*arrival, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	a := l.expects[p.Chunk]
	if left, gone := l.revoked[p.Chunk]; gone && p.Length <= left && (a == nil || int(p.Offset) != a.got) {
		if left -= p.Length; left == 0 {
			delete(l.revoked, p.Chunk)
		} else {
			l.revoked[p.Chunk] = left
		}
		return nil, nil
	}
	if a == nil {
		return nil, errUnsolicited
	}
	if int(p.Offset) != a.got || int(p.Length) > a.size-a.got || (p.Length == 0 && a.size > 0) {
		return nil, errPieceOrder
	}
	if a.buf == nil {
		a.buf = buffer(a.size)
	}
	a.reading = true
	return a, nil
}

// filled notes n more bytes of a and reports whether it is complete and still wanted.
func (l *link) filled(a *arrival, n int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	a.got += n
	a.reading = false
	if a.off {
		l.callOff(a)
		return false
	}
	if a.got < a.size {
		return false
	}
	delete(l.expects, a.chunk)
	return true
}
