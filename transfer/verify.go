package transfer

import (
	"github.com/shoal-p2p/shoal/content"
	"github.com/shoal-p2p/shoal/transfer/engine"
)

// work verifies chunks and hands them to the sink, until the session ends.
func (x *Session) work() {
	for {
		select {
		case j := <-x.jobs:
			x.settle(j)
		case <-x.ended:
			return
		}
	}
}

// settle hashes what arrived in one frame, stores what is good, and tells the loop.
func (x *Session) settle(j arrived) {
	var good, bad, lost []uint32
	var failed error
	bytes := 0
	for _, a := range j.chunks {
		c, err := content.Verify(x.tree.Digest(a.chunk), a.buf)
		if err != nil {
			bad = append(bad, a.chunk)
		} else if err := x.sink.Put(a.chunk, c); err != nil {
			failed, lost = err, append(lost, a.chunk)
		} else {
			good = append(good, a.chunk)
			bytes += a.size
			continue // retain lets go of it
		}
		release(a.buf)
		a.buf = nil
	}
	l := j.link
	x.svc.count(l.peer, int64(bytes), 0)
	x.post(func() {
		x.retain(j.chunks)
		x.settled(l, good, bad)
		for _, n := range lost {
			x.step(engine.Failed{Peer: l.id, Chunk: n})
		}
		if failed != nil {
			x.finish(failed)
		}
	})
}

// retain keeps stored chunks at hand that somebody lacks. It runs on the loop.
func (x *Session) retain(chunks []*arrival) {
	for _, a := range chunks {
		switch {
		case a.buf == nil:
		case x.engine.Sought(a.chunk):
			x.recent.keep(a.chunk, a.buf)
		default:
			release(a.buf)
		}
		a.buf = nil
	}
}

// settled runs on the loop.
func (x *Session) settled(l *link, good, bad []uint32) {
	bytes := l.fresh(good)
	x.stored += int64(bytes)
	for _, n := range good {
		x.have.Add(int(n))
	}
	if len(good) > 0 {
		x.step(engine.Stored{Peer: l.id, Chunks: good})
	}
	for _, n := range bad {
		l.bad++
		x.step(engine.Bad{Peer: l.id, Chunk: n})
	}
}
