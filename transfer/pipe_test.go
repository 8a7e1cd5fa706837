package transfer

import (
	"context"
	"errors"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/multiformats/go-multiaddr"
)

// half is one direction of a pipe: a bounded buffer with a deadline on each side. It stands for a stream of a real
// connection in tests with virtual time, where sockets cannot be used.
type half struct {
	mu            sync.Mutex
	changed       *sync.Cond
	buf           []byte
	limit         int
	closed, reset bool
	read, write   time.Time // deadlines
}

func newHalf(limit int) *half {
	h := &half{limit: limit}
	h.changed = sync.NewCond(&h.mu)
	return h
}

func passed(t time.Time) bool { return !t.IsZero() && !time.Now().Before(t) }

func (h *half) Read(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for len(h.buf) == 0 || passed(h.read) { // as on a socket, a deadline that has passed counts even if there is something
		switch {
		case h.reset:
			return 0, network.ErrReset
		case passed(h.read):
			return 0, os.ErrDeadlineExceeded
		case h.closed:
			return 0, io.EOF
		}
		h.changed.Wait()
	}
	n := copy(p, h.buf)
	h.buf = h.buf[n:]
	h.changed.Broadcast()
	return n, nil
}

func (h *half) Write(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	done := 0
	for done < len(p) {
		switch {
		case h.reset:
			return done, network.ErrReset
		case h.closed:
			return done, io.ErrClosedPipe
		case passed(h.write):
			return done, os.ErrDeadlineExceeded
		case len(h.buf) >= h.limit:
			h.changed.Wait()
			continue
		}
		n := min(len(p)-done, h.limit-len(h.buf))
		h.buf = append(h.buf, p[done:done+n]...)
		done += n
		h.changed.Broadcast()
	}
	return done, nil
}

func (h *half) set(f func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f()
	h.changed.Broadcast()
}

// deadline sets one and makes whoever waits look again when it has passed.
func (h *half) deadline(which *time.Time, t time.Time) {
	h.set(func() { *which = t })
	if !t.IsZero() {
		time.AfterFunc(time.Until(t), func() { h.set(func() {}) })
	}
}

// pipeStream is one end of a pipe that looks like a stream to remote.
type pipeStream struct {
	network.Stream // nil: what is not written here is not used
	in, out        *half
	conn           pipeConn
	rate           int           // bytes a second that Write lets through; zero: any
	lag            time.Duration // that each Write takes besides
	host           *pipeHost     // whose end it is; nil if nobody counts
}

func newPipe(a, b peer.ID, limit int) (atA, atB *pipeStream) {
	up, down := newHalf(limit), newHalf(limit)
	return &pipeStream{in: down, out: up, conn: pipeConn{local: a, remote: b, up: up}},
		&pipeStream{in: up, out: down, conn: pipeConn{local: b, remote: a, up: up}}
}

func (s *pipeStream) Close() error      { s.CloseRead(); return s.CloseWrite() }
func (s *pipeStream) CloseWrite() error { s.out.set(func() { s.out.closed = true }); return nil }

func (s *pipeStream) Read(p []byte) (int, error) {
	n, err := s.in.Read(p)
	if s.host != nil {
		s.host.taken.Add(int64(n))
	}
	return n, err
}

func (s *pipeStream) Write(p []byte) (int, error) {
	pause := s.lag
	if s.rate > 0 {
		pause += time.Duration(len(p)) * time.Second / time.Duration(s.rate)
	}
	if pause > 0 {
		time.Sleep(pause)
	}
	n, err := s.out.Write(p)
	if s.host != nil {
		s.host.sent.Add(int64(n))
	}
	return n, err
}

func (s *pipeStream) CloseRead() error {
	s.in.set(func() { s.in.closed, s.in.buf = true, nil })
	return nil
}

func (s *pipeStream) Reset() error {
	s.in.set(func() { s.in.reset = true })
	s.out.set(func() { s.out.reset = true })
	return nil
}

func (s *pipeStream) ResetWithError(network.StreamErrorCode) error { return s.Reset() }

func (s *pipeStream) SetDeadline(t time.Time) error {
	s.SetReadDeadline(t)
	return s.SetWriteDeadline(t)
}

func (s *pipeStream) SetReadDeadline(t time.Time) error { s.in.deadline(&s.in.read, t); return nil }

func (s *pipeStream) SetWriteDeadline(t time.Time) error { s.out.deadline(&s.out.write, t); return nil }
func (s *pipeStream) Conn() network.Conn                 { return s.conn }
func (s *pipeStream) Scope() network.StreamScope         { return &network.NullScope{} }
func (s *pipeStream) Protocol() protocol.ID              { return Protocol }

type pipeConn struct {
	network.Conn
	local, remote peer.ID
	up            *half // whose reset stands for the end of the connection
}

func (c pipeConn) IsClosed() bool {
	c.up.mu.Lock()
	defer c.up.mu.Unlock()
	return c.up.reset
}

func (c pipeConn) RemotePeer() peer.ID { return c.remote }
func (c pipeConn) LocalPeer() peer.ID  { return c.local }
func (c pipeConn) Stat() network.ConnStats {
	return network.ConnStats{}
}

func (c pipeConn) RemoteMultiaddr() multiaddr.Multiaddr {
	return multiaddr.StringCast("/ip4/127.0.0.1/tcp/1")
}

// pipeNet joins the hosts of one test.
type pipeNet struct {
	mu    sync.Mutex
	hosts map[peer.ID]*pipeHost
	limit int // bytes that one direction of a stream holds
	rate  int // see pipeStream
	lag   time.Duration
}

type pipeHost struct {
	net     *pipeNet
	id      peer.ID
	mu      sync.Mutex
	handler network.StreamHandler
	dialed  []*pipeStream
	calls   map[peer.ID]int // dials, successful or not

	sent, taken atomic.Int64 // bytes, on all its streams
}

var errNobody = errors.New("nobody there")

func newPipeNet() *pipeNet { return &pipeNet{hosts: make(map[peer.ID]*pipeHost), limit: 256 << 10} }

func (n *pipeNet) host(name string) *pipeHost {
	n.mu.Lock()
	defer n.mu.Unlock()
	h := &pipeHost{net: n, id: named(name), calls: make(map[peer.ID]int)}
	n.hosts[h.id] = h
	return h
}

// named is a peer ID that holds a name; of names of equal length the order is theirs.
func named(name string) peer.ID { return peer.ID("\x00" + string(rune(len(name))) + name) }

func (h *pipeHost) ID() peer.ID { return h.id }

func (h *pipeHost) SetStreamHandler(_ protocol.ID, f network.StreamHandler) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.handler = f
}

func (h *pipeHost) RemoveStreamHandler(protocol.ID) { h.SetStreamHandler(Protocol, nil) }

func (h *pipeHost) NewStream(_ context.Context, p peer.ID, _ ...protocol.ID) (network.Stream, error) {
	h.net.mu.Lock()
	other := h.net.hosts[p]
	limit, rate, lag := h.net.limit, h.net.rate, h.net.lag
	h.net.mu.Unlock()
	h.mu.Lock()
	h.calls[p]++
	h.mu.Unlock()
	time.Sleep(lag)
	if other == nil {
		return nil, errNobody
	}
	other.mu.Lock()
	handler := other.handler
	other.mu.Unlock()
	if handler == nil {
		return nil, errNobody
	}
	mine, theirs := newPipe(h.id, p, limit)
	mine.rate, mine.lag, theirs.rate, theirs.lag = rate, lag, rate, lag
	mine.host, theirs.host = h, other
	h.mu.Lock()
	h.dialed = append(h.dialed, mine)
	h.mu.Unlock()
	go handler(theirs)
	return mine, nil
}

// cut resets every stream that h has dialed, as when its cable is pulled.
func (h *pipeHost) cut() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, s := range h.dialed {
		s.Reset()
	}
	h.dialed = nil
}
