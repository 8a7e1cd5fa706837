package node

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	libp2pyamux "github.com/libp2p/go-libp2p/p2p/muxer/yamux"
	"github.com/libp2p/go-yamux/v5"
)

// muxer is libp2p's yamux with large windows that nobody can abuse.
//
// A window is what the other side may send before we have read it, so that one stream moves at most a window in a round
// trip. libp2p starts at 256 KiB and doubles up to 16 MiB. Measured on one stream over a pipe of 1 Gbit/s with TLS, 256 MiB,
// in Mbit/s:
//
//	window               RTT 1 ms   20 ms   50 ms   100 ms
//	256 KiB, growing         728     652     473      328
//	1 MiB, growing           870     682     486      335
//	4 MiB, growing           849     762     555      379
//	4 MiB, fixed             902     802     458      265
//	8 MiB, fixed             874     845     673      446
//	16 MiB, fixed            873     856     834      673
//
// On loopback all of them carry the same (1.1 to 1.2 GB/s), though a flood that fills 16 MiB costs a tenth more CPU time
// than one that fills 4, because the bytes leave the cache: how much is under way is for the transfer protocol to say, not
// for this window.
//
// A growing window stays behind a fixed one of the size that it reaches: go-yamux v5.1.0 forgets, each time it doubles, to
// tell the sender of the bytes that were read since the last update, and ends with the sender stopping every 8 MiB until
// the next update arrives. So the window is 16 MiB from the start.
//
// The price is that a peer may fill 16 MiB of every stream that we do not read, and the resource manager counts 256 KiB of
// them. So the unread bytes are counted here, as they arrive and as they are read. A connection that holds too many is
// not read any further until some are: yamux has no window for a connection, this makes one. Its sender then feels TCP's
// back-pressure, and if it goes on, yamux's keepalive ends the connection.
type muxer struct {
	config [2]*yamux.Config // of who dialled, and of who was dialled
	unread *ledger
	line   *wireRate
}

// What keeps a connection open is most of what an idle node sends, so there is no more of it than it takes. libp2p measures the round trip
// every 30 s so that windows can grow, and ours do not; and it lets both sides ping after 30 s without news, at the same moment. Here one
// of the two waits longer, and hears from the other one before.
const (
	rttEvery  = 24 * time.Hour
	pingAfter = 30 * time.Second // who was dialled; who dialled waits for half as long again
)

func newMuxer() *muxer {
	c := *libp2pyamux.DefaultTransport.Config() // the original belongs to every host of the process
	c.InitialStreamWindowSize = streamWindow
	c.MaxStreamWindowSize = streamWindow
	c.MeasureRTTInterval, c.KeepAliveInterval = rttEvery, pingAfter
	dialled := c
	c.KeepAliveInterval += pingAfter / 2
	return &muxer{config: [2]*yamux.Config{&c, &dialled}, unread: newLedger(maxUnread, maxConnUnread, fairUnread), line: &wireRate{}}
}

// NewConn starts yamux on a connection that TLS or Noise has secured.
func (m *muxer) NewConn(c net.Conn, isServer bool, scope network.PeerScope) (network.MuxedConn, error) {
	var span func() (yamux.MemoryManager, error)
	if scope != nil {
		span = func() (yamux.MemoryManager, error) { return scope.BeginSpan() }
	}
	held := m.unread.open()
	start, config := yamux.Client, m.config[0]
	if isServer {
		start, config = yamux.Server, m.config[1]
	}
	unsent := newBacklog(c, m.line)
	s, err := start(&tap{Conn: c, held: held, unsent: unsent, isServer: isServer}, config, span)
	if err != nil {
		held.close()
		return nil, err
	}
	return &muxConn{session: s, held: held, unsent: unsent}, nil
}

// tap sees the frames that yamux reads and enters their bytes in the books.
type tap struct {
	net.Conn
	held     *account
	unsent   *backlog
	isServer bool

	head [yamuxHeader]byte
	have int    // bytes of head
	body uint32 // bytes of the current frame that are still to come
}

const (
	yamuxHeader = 12 // version, type, flags (2), stream (4), length (4)
	yamuxData   = 0  // the only type that has a body
	yamuxSYN    = 1
	yamuxMost   = 64<<10 - yamuxHeader // bytes in one frame: more would make a second, tiny one
)

func (t *tap) Read(p []byte) (int, error) {
	if !t.held.mayRead() {
		return 0, net.ErrClosed
	}
	n, err := t.Conn.Read(p)
	t.scan(p[:n])
	return n, err
}

func (t *tap) Write(p []byte) (int, error) {
	n, err := t.Conn.Write(p)
	t.unsent.done(n)
	return n, err
}

func (t *tap) scan(b []byte) {
	for len(b) > 0 {
		if t.body > 0 {
			n := min(uint32(len(b)), t.body)
			t.body -= n
			b = b[n:]
			continue
		}
		n := copy(t.head[t.have:], b)
		t.have += n
		b = b[n:]
		if t.have == yamuxHeader {
			t.have = 0
			t.frame()
		}
	}
}

func (t *tap) frame() {
	id := binary.BigEndian.Uint32(t.head[4:])
	if theirs := (id%2 == 1) == t.isServer; theirs && binary.BigEndian.Uint16(t.head[2:])&yamuxSYN != 0 {
		t.held.begin(id)
	}
	if t.head[1] == yamuxData {
		t.body = binary.BigEndian.Uint32(t.head[8:])
		t.held.arrived(id, int64(t.body))
	}
}

func (t *tap) Close() error {
	t.held.close()
	t.unsent.close()
	return t.Conn.Close()
}

// ledger counts the bytes that arrived and were not read, of all connections of a host.
type ledger struct {
	most     int64 // bytes of all connections, beyond which those that hold more than fair must wait
	mostConn int64 // bytes of one connection
	fair     int64

	mu      sync.Mutex
	less    *sync.Cond // total or an account shrank, or an account closed
	waiting int
	total   int64
}

// account is one connection's page of the ledger. The ledger's lock guards it.
type account struct {
	ledger  *ledger
	streams map[uint32]int64
	held    int64
	closed  bool
}

func newLedger(most, mostConn, fair int64) *ledger {
	l := &ledger{most: most, mostConn: mostConn, fair: fair}
	l.less = sync.NewCond(&l.mu)
	return l
}

func (l *ledger) open() *account { return &account{ledger: l, streams: make(map[uint32]int64)} }

// mayRead waits until the connection may take more bytes from the network. It returns false when the connection is closed.
func (a *account) mayRead() bool {
	l := a.ledger
	l.mu.Lock()
	defer l.mu.Unlock()
	for !a.closed && (a.held > l.mostConn || l.total > l.most && a.held > l.fair) {
		l.waiting++
		l.less.Wait()
		l.waiting--
	}
	return !a.closed
}

// begin makes a stream known. Bytes of others are not counted, because yamux throws them away.
func (a *account) begin(id uint32) {
	a.ledger.mu.Lock()
	defer a.ledger.mu.Unlock()
	if _, known := a.streams[id]; !known && !a.closed {
		a.streams[id] = 0
	}
}

func (a *account) arrived(id uint32, n int64) {
	a.ledger.mu.Lock()
	defer a.ledger.mu.Unlock()
	if _, known := a.streams[id]; known {
		a.streams[id] += n
		a.add(n)
	}
}

func (a *account) read(id uint32, n int64) {
	a.ledger.mu.Lock()
	defer a.ledger.mu.Unlock()
	if have, known := a.streams[id]; known {
		n = min(n, have) // what came before begin was not counted
		a.streams[id] -= n
		a.add(-n)
	}
}

// end forgets a stream, with what it still holds.
func (a *account) end(id uint32) {
	a.ledger.mu.Lock()
	defer a.ledger.mu.Unlock()
	a.add(-a.streams[id])
	delete(a.streams, id)
}

func (a *account) close() {
	a.ledger.mu.Lock()
	defer a.ledger.mu.Unlock()
	a.closed = true
	a.add(-a.held)
	clear(a.streams)
	a.ledger.less.Broadcast()
}

// add needs the lock.
func (a *account) add(n int64) {
	a.held += n
	a.ledger.total += n
	if n < 0 && a.ledger.waiting > 0 {
		a.ledger.less.Broadcast()
	}
}

// muxConn is a yamux session as libp2p wants it.
type muxConn struct {
	session *yamux.Session
	held    *account
	unsent  *backlog
}

func (c *muxConn) stream(s *yamux.Stream) *muxStream {
	return &muxStream{Stream: s, held: c.held, unsent: c.unsent, gone: make(chan struct{})}
}

func (c *muxConn) As(target any) bool {
	switch t := target.(type) {
	case **yamux.Session:
		*t = c.session
	case **muxConn:
		*t = c
	default:
		return false
	}
	return true
}

func (c *muxConn) OpenStream(ctx context.Context) (network.MuxedStream, error) {
	s, err := c.session.OpenStream(ctx)
	if err != nil {
		return nil, muxError(err)
	}
	c.held.begin(s.StreamID())
	return c.stream(s), nil
}

func (c *muxConn) AcceptStream() (network.MuxedStream, error) {
	s, err := c.session.AcceptStream()
	if err != nil {
		return nil, muxError(err)
	}
	return c.stream(s), nil
}

func (c *muxConn) Close() error { return c.session.Close() }

func (c *muxConn) CloseWithError(code network.ConnErrorCode) error {
	return c.session.CloseWithError(uint32(code))
}

func (c *muxConn) IsClosed() bool { return c.session.IsClosed() }

// muxStream is a yamux stream as libp2p wants it. Close and Reset are the end of it in both directions; what arrives later
// is thrown away by yamux. After CloseRead alone yamux goes on to store what arrives, so that it goes on to count.
type muxStream struct {
	*yamux.Stream
	held   *account
	unsent *backlog
	gone   chan struct{} // closed with the stream

	mu                   sync.Mutex
	readDone, writeEnded bool
	over                 bool
	deadline             time.Time // for writing
}

func (s *muxStream) Read(b []byte) (int, error) {
	n, err := s.Stream.Read(b)
	if n > 0 {
		s.held.read(s.StreamID(), int64(n))
	}
	return n, muxError(err)
}

func (s *muxStream) Write(b []byte) (int, error) {
	s.mu.Lock()
	deadline := s.deadline
	s.mu.Unlock()
	written := 0
	for {
		s.unsent.room(deadline, s.gone)
		part := b[written:min(written+yamuxMost, len(b))]
		s.unsent.add(len(part)) // at once: it may be sent before Write returns
		n, err := s.Stream.Write(part)
		if n < len(part) {
			s.unsent.done(len(part) - n)
		}
		if written += n; err != nil || written == len(b) {
			return written, muxError(err)
		}
	}
}

func (s *muxStream) SetDeadline(t time.Time) error {
	return errors.Join(s.SetReadDeadline(t), s.SetWriteDeadline(t))
}

func (s *muxStream) SetWriteDeadline(t time.Time) error {
	s.mu.Lock()
	s.deadline = t
	s.mu.Unlock()
	return s.Stream.SetWriteDeadline(t)
}

// end lets go of whoever waits to write.
func (s *muxStream) end() {
	s.held.end(s.StreamID())
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.over {
		s.over = true
		close(s.gone)
	}
}

func (s *muxStream) Close() error {
	defer s.end()
	return s.Stream.Close()
}

func (s *muxStream) Reset() error {
	defer s.end()
	return s.Stream.Reset()
}

func (s *muxStream) ResetWithError(code network.StreamErrorCode) error {
	defer s.end()
	return s.Stream.ResetWithError(uint32(code))
}

func (s *muxStream) CloseRead() error {
	defer s.halfClosed(&s.readDone)
	return s.Stream.CloseRead()
}

func (s *muxStream) CloseWrite() error {
	defer s.halfClosed(&s.writeEnded)
	return s.Stream.CloseWrite()
}

func (s *muxStream) halfClosed(half *bool) {
	s.mu.Lock()
	*half = true
	both := s.readDone && s.writeEnded
	s.mu.Unlock()
	if both {
		s.held.end(s.StreamID())
	}
}

// muxError gives yamux's errors the types that libp2p's users look for.
func muxError(err error) error {
	var stream *yamux.StreamError
	var conn *yamux.GoAwayError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &stream):
		return &network.StreamError{Remote: stream.Remote, ErrorCode: network.StreamErrorCode(stream.ErrorCode), TransportError: err}
	case errors.As(err, &conn):
		return &network.ConnError{Remote: conn.Remote, ErrorCode: network.ConnErrorCode(conn.ErrorCode), TransportError: err}
	case errors.Is(err, yamux.ErrStreamReset):
		return fmt.Errorf("%w: %w", network.ErrReset, err)
	}
	return err
}
