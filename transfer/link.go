package transfer

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/shoal-p2p/shoal/content"
	"github.com/shoal-p2p/shoal/transfer/engine"
	"github.com/shoal-p2p/shoal/transfer/wire"
)

// link is one stream to one peer. Its reader and its writer run on their own; everything else about it belongs to the loop,
// but for what mu guards.
type link struct {
	x    *Session
	id   engine.Peer
	peer peer.ID
	str  network.Stream
	in   *wire.Reader
	out  outbox

	down, up atomic.Int64 // chunk bytes: verified and new here, and sent
	tally
	left   atomic.Bool // the loop has dropped it: what the peer still says does not matter
	broken atomic.Bool // because of something that the peer did, or did not do
	parted atomic.Bool // the reader or the writer has ended

	midFrame atomic.Bool // the reader is at a payload, which has a deadline of its own

	exempt bool          // from the limits on rates
	gone   chan struct{} // closed when the loop has dropped the link: who waits for a turn need not any more

	mu      sync.Mutex          // guards what the loop expects and the reader receives
	expects map[uint32]*arrival // asked for and still to come
	revoked map[uint32]uint32   // asked for and called off: bytes that may come all the same
	spare   []*arrival          // arrivals to use again

	// The loop's.
	secret   content.Secret // that both sides hold, of a private root
	contact  *contact
	greeted  bool           // both sides have said hello
	joined   bool           // the engine knows it
	early    []wire.Message // what it said before the engine knew it
	waiting  int            // ranges in them
	treeless bool           // it has no more of the tree than we
	treeAsks int
	bad      int
	owed     int // chunks that the peer asked for and was neither given nor refused
	standing     // in the exchange of peers
	trip     trip
	ebbing   bool      // the peer will say nothing more, and waits for what it is owed
	unsaid   int       // bytes of chunks that were read and not acknowledged
	saidAt   time.Time // when some were
	treeDue  bool      // it was asked for the tree and has not sent all of it
	treeAt   int       // number of the next inner node that it sends
	unasked  int       // frames of a tree that it was not asked for
}

// arrival is one chunk that is coming in.
type arrival struct {
	chunk   uint32
	size    int // bytes
	got     int // of them
	buf     []byte
	reading bool // the reader is filling buf
	off     bool // called off meanwhile
}

// arrived is what a reader gives to a worker: chunks that are complete, not verified yet.
type arrived struct {
	link   *link
	chunks []*arrival
}

func newLink(x *Session, id engine.Peer, str network.Stream, in *wire.Reader) *link {
	return &link{
		x: x, id: id, peer: str.Conn().RemotePeer(), str: str, in: in,
		out:     newOutbox(),
		exempt:  x.svc.unlimited(str.Conn()),
		gone:    make(chan struct{}),
		expects: make(map[uint32]*arrival),
		revoked: make(map[uint32]uint32),
	}
}

// tag is this link's own mark on the connection.
func (l *link) tag() string { return fmt.Sprintf("transfer %p", l) }

// ask requests chunks; from now on their data is welcome.
func (l *link) ask(ranges []content.Range) {
	l.mu.Lock()
	for _, r := range ranges {
		for n := r.First; n < r.First+r.Count; n++ {
			a := l.arrival()
			a.chunk, a.size = n, l.x.tree.ChunkLen(n)
			l.expects[n] = a
		}
	}
	l.mu.Unlock()
	l.say(wire.Want{Ranges: ranges})
}

// arrival returns an empty one. Callers hold mu.
func (l *link) arrival() *arrival {
	if n := len(l.spare); n > 0 {
		a := l.spare[n-1]
		l.spare = l.spare[:n-1]
		*a = arrival{}
		return a
	}
	return new(arrival)
}

// revoke calls chunks off. What is under way already is swallowed when it comes.
func (l *link) revoke(ranges []content.Range) {
	l.mu.Lock()
	for _, r := range ranges {
		for n := r.First; n < r.First+r.Count; n++ {
			a := l.expects[n]
			switch {
			case a == nil:
			case a.reading:
				a.off = true // the reader is filling it, and lets go of it afterwards
			default:
				l.callOff(a)
			}
		}
	}
	l.mu.Unlock()
	l.say(wire.Cancel{Ranges: ranges})
}

// callOff stops expecting a. Callers hold mu.
func (l *link) callOff(a *arrival) {
	if l.expects[a.chunk] == a {
		delete(l.expects, a.chunk)
	}
	l.waste(a.got)
	if left := a.size - a.got; left > 0 {
		l.revoked[a.chunk] = uint32(left)
	}
	if a.buf != nil {
		release(a.buf)
		a.buf = nil
	}
}

// say queues a control message. A peer that lets too many pile up is not reading, and loses the link.
func (l *link) say(m wire.Message) {
	if err := l.out.control(m); err != nil {
		go l.x.post(func() { l.x.drop(l, &PeerError{l.peer, "write", err}) })
	}
}

// give queues chunks to be read and sent.
func (l *link) give(ranges []content.Range) { l.out.give(ranges) }

// read runs until the stream ends or the peer breaks the protocol.
func (l *link) read() error {
	for {
		l.str.SetReadDeadline(time.Now().Add(idleTimeout))
		if l.left.Load() { // looked at here too: the writer's shorter deadline may just have been overwritten
			return errEnded
		}
		m, err := l.in.Next()
		if l.left.Load() {
			return errEnded
		}
		if err != nil {
			if errors.Is(err, io.EOF) {
				return io.EOF
			}
			return &PeerError{l.peer, "read", err}
		}
		if d, ok := m.(wire.Data); ok {
			if err := l.receive(d); err != nil {
				return &PeerError{l.peer, "receive", err}
			}
			continue
		}
		if bye, ok := m.(wire.Bye); ok {
			return &byeError{bye.Code}
		}
		if l.tooMany(m) {
			return &PeerError{l.peer, "read", errTooManyPeers}
		}
		m = keep(m)
		if _, large := m.(wire.Nodes); large {
			if !l.heardOut(m) {
				return errEnded
			}
			continue
		}
		if !l.x.post(func() { l.heard(m) }) {
			return errEnded
		}
	}
}

// stillTaking keeps the reader waiting for the next message of a peer that has just taken some data: while a chunk takes
// minutes, it has nothing to say.
func (l *link) stillTaking() {
	if !l.midFrame.Load() {
		l.str.SetReadDeadline(time.Now().Add(idleTimeout))
	}
}

// heardOut waits until the loop has taken a message: of those that may have megabytes, one at a time is enough in memory.
func (l *link) heardOut(m wire.Message) bool {
	done := make(chan struct{})
	if !l.x.post(func() { l.heard(m); close(done) }) {
		return false
	}
	select {
	case <-done:
		return true
	case <-l.x.ended:
		return false
	}
}

// hangUp says goodbye after what is queued, and ends the stream for good when the peer has had its time to read it.
func (l *link) hangUp(code wire.Code) {
	l.left.Store(true)
	l.out.end(code)
	l.str.SetWriteDeadline(time.Now().Add(byeTimeout)) // for what is being written just now
}

// shun lets a peer that is being left read the goodbye, and passes over what it sends meanwhile. The deadline holds for all
// of it.
func (l *link) shun() {
	l.str.SetReadDeadline(time.Now().Add(resetGrace))
	io.Copy(io.Discard, l.str) // its error is the end that is waited for
}

// part is called when the reader ends and when the writer does. The second time nobody uses the stream any more, and it is
// given back: CloseRead and CloseWrite alone would leave it on the books of the connection for ever. Who broke the protocol is
// told that nothing more is taken.
func (l *link) part() {
	if !l.parted.Swap(true) {
		return
	}
	if l.broken.Load() {
		l.str.Reset()
		return
	}
	l.str.Close()
}

// close frees what the link holds, once its reader has ended.
func (l *link) close() {
	l.str.CloseRead()
	l.mu.Lock()
	defer l.mu.Unlock()
	for n, a := range l.expects {
		if a.buf != nil {
			release(a.buf)
		}
		delete(l.expects, n)
	}
}
