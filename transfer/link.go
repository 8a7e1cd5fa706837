package transfer

import (
	"errors"
	"fmt"
	"io"
	"slices"
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

	down, up atomic.Int64 // chunk bytes: verified, and sent

	mu      sync.Mutex          // guards what the loop expects and the reader receives
	expects map[uint32]*arrival // asked for and still to come
	revoked map[uint32]uint32   // asked for and called off: bytes that may come all the same
	spare   []*arrival          // arrivals to use again

	// The loop's.
	contact  *contact
	greeted  bool            // both sides have said hello
	joined   bool            // the engine knows it
	early    []content.Range // what it said it has, before the engine knew it
	treeAsks int
	bad      int
	owed     int  // chunks that the peer asked for and was neither given nor refused
	ebbing   bool // the peer will say nothing more, and waits for what it is owed
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
		m, err := l.in.Next()
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
		m = keep(m)
		if !l.x.post(func() { l.heard(m) }) {
			return errEnded
		}
	}
}

// keep copies what the reader will overwrite with the next message.
func keep(m wire.Message) wire.Message {
	switch m := m.(type) {
	case wire.Have:
		return wire.Have{Ranges: slices.Clone(m.Ranges)}
	case wire.Want:
		return wire.Want{Ranges: slices.Clone(m.Ranges)}
	case wire.Cancel:
		return wire.Cancel{Ranges: slices.Clone(m.Ranges)}
	case wire.Cannot:
		return wire.Cannot{Code: m.Code, Ranges: slices.Clone(m.Ranges)}
	case wire.Nodes:
		blocks := make([][]byte, len(m.Blocks))
		for i, b := range m.Blocks {
			blocks[i] = slices.Clone(b)
		}
		return wire.Nodes{Blocks: blocks}
	}
	return m
}

// heard takes one control message. It runs on the loop.
func (l *link) heard(m wire.Message) {
	x := l.x
	if x.links[l.id] != l {
		return
	}
	if err := l.take(m); err != nil {
		x.drop(l, &PeerError{l.peer, "read", err})
	}
}

func (l *link) take(m wire.Message) error {
	x := l.x
	switch m := m.(type) {
	case wire.Hello:
		if l.greeted || !m.Root.Equals(x.root) {
			return errOutOfTurn
		}
		l.greeted = true
		x.contactJoined(l)
		x.shapeOffered(l)
		x.join(l)
	case wire.TreeAsk:
		if l.treeAsks++; l.treeAsks > maxTreeAsks {
			return errTooManyAsks
		}
		if x.engine == nil {
			l.say(wire.Bye{Code: wire.ByeNotHere})
			return nil
		}
		l.out.shape(m.Skip)
	case wire.Nodes:
		x.shapeArrived(l, m.Blocks)
	case wire.NodesEnd:
		if x.shape.from == l {
			return errOutOfTurn // it ended before the tree was whole
		}
	case wire.Have:
		return l.has(m.Ranges)
	case wire.Want:
		l.owed += chunksIn(m.Ranges)
		return l.ranges(m.Ranges, engine.Asked{Peer: l.id, Ranges: m.Ranges})
	case wire.Cancel:
		if err := l.ranges(m.Ranges, engine.Withdrawn{Peer: l.id, Ranges: m.Ranges}); err != nil {
			return err
		}
		l.out.withdraw(m.Ranges)
		l.owed = max(0, l.owed-chunksIn(m.Ranges))
	case wire.Cannot:
		if err := l.forget(m.Ranges); err != nil {
			return err
		}
		return l.ranges(m.Ranges, engine.Refused{Peer: l.id, Ranges: m.Ranges})
	default:
		return errOutOfTurn
	}
	return nil
}

// has notes what the peer holds, or keeps it until the engine is there to hear it.
func (l *link) has(ranges []content.Range) error {
	if l.joined {
		return l.ranges(ranges, engine.Has{Peer: l.id, Ranges: ranges})
	}
	if len(l.early)+len(ranges) > wire.MaxRanges*4 {
		return errOutOfTurn
	}
	l.early = append(l.early, ranges...)
	return nil
}

func chunksIn(ranges []content.Range) int {
	n := 0
	for _, r := range ranges {
		n += int(r.Count)
	}
	return n
}

// ranges passes an event on if its chunk numbers exist.
func (l *link) ranges(r []content.Range, ev engine.Event) error {
	if !l.joined || !l.valid(r) {
		return errOutOfTurn
	}
	l.x.step(ev)
	return nil
}

func (l *link) valid(ranges []content.Range) bool {
	n := uint64(l.x.tree.NumChunks())
	for _, r := range ranges {
		if uint64(r.First)+uint64(r.Count) > n {
			return false
		}
	}
	return true
}

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
	l.str.SetReadDeadline(time.Now().Add(bodyTimeout))
	var whole []*arrival
	total := 0
	for _, p := range d.Pieces {
		a, err := l.claim(p)
		if err != nil {
			return err
		}
		if a == nil {
			if err := l.in.Discard(int(p.Length)); err != nil {
				return err
			}
			continue
		}
		if err := l.in.Payload(a.buf[p.Offset : p.Offset+p.Length]); err != nil {
			return err
		}
		total += int(p.Length)
		if l.filled(a, int(p.Length)) {
			whole = append(whole, a)
		}
	}
	if total > 0 {
		l.x.post(func() { l.x.step(engine.Progress{Peer: l.id, Bytes: total}) })
	}
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

// hangUp says goodbye after what is queued, and ends the stream for good when the peer has had its time to read it.
func (l *link) hangUp(code wire.Code) {
	l.out.end(code)
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
