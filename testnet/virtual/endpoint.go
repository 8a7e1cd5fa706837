package virtual

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"time"
)

var errTaken = errors.New("address already in use")

// endpoint is a UDP socket of the simulated internet, a [net.PacketConn].
type endpoint struct {
	net  *internet
	at   netip.AddrPort
	addr *net.UDPAddr
	host *place

	news chan struct{} // has one when there is something to read, or the deadline or the end has changed

	mu       sync.Mutex // guards what follows
	packets  []*packet
	waiting  int // bytes of them
	deadline time.Time
	closed   bool
}

func newEndpoint(n *internet, at netip.AddrPort, host *place) *endpoint {
	return &endpoint{net: n, at: at, addr: net.UDPAddrFromAddrPort(at), host: host, news: make(chan struct{}, 1)}
}

// receive takes a packet, unless nobody reads. It does not keep the caller waiting.
func (e *endpoint) receive(p *packet) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed || e.waiting+len(p.data) > bufferBytes {
		return false
	}
	e.packets, e.waiting = append(e.packets, p), e.waiting+len(p.data)
	e.tell()
	return true
}

func (e *endpoint) tell() {
	select {
	case e.news <- struct{}{}:
	default:
	}
}

// ReadFrom waits for a packet, the deadline or the end.
func (e *endpoint) ReadFrom(b []byte) (int, net.Addr, error) {
	for {
		p, deadline, err := e.next()
		if err != nil {
			return 0, nil, err
		}
		if p != nil {
			return copy(b, p.data), p.from.addr, nil
		}
		var late <-chan time.Time
		if !deadline.IsZero() {
			late = time.After(time.Until(deadline))
		}
		select {
		case <-e.news:
		case <-late:
		}
	}
}

// next returns a packet if one is there.
func (e *endpoint) next() (*packet, time.Time, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		e.tell() // others may wait
		return nil, e.deadline, net.ErrClosed
	}
	if !e.deadline.IsZero() && !time.Now().Before(e.deadline) {
		return nil, e.deadline, os.ErrDeadlineExceeded
	}
	if len(e.packets) == 0 {
		return nil, e.deadline, nil
	}
	p := e.packets[0]
	e.packets[0] = nil
	e.packets, e.waiting = e.packets[1:], e.waiting-len(p.data)
	return p, e.deadline, nil
}

// WriteTo sends a packet.
func (e *endpoint) WriteTo(b []byte, to net.Addr) (int, error) {
	e.mu.Lock()
	closed := e.closed
	e.mu.Unlock()
	if closed {
		return 0, net.ErrClosed
	}
	udp, ok := to.(*net.UDPAddr)
	if !ok {
		return 0, &net.OpError{Op: "write", Net: "udp", Addr: to, Err: errors.ErrUnsupported}
	}
	at := udp.AddrPort()
	e.net.send(e, netip.AddrPortFrom(at.Addr().Unmap(), at.Port()), slices.Clone(b))
	return len(b), nil
}

// Close ends the endpoint. What is on its way to it is lost.
func (e *endpoint) Close() error {
	e.mu.Lock()
	e.closed, e.packets = true, nil
	e.mu.Unlock()
	e.tell()
	e.net.unlisten(e)
	return nil
}

func (e *endpoint) LocalAddr() net.Addr { return e.addr }

// SetDeadline sets that of reading. Writing does not wait.
func (e *endpoint) SetDeadline(t time.Time) error { return e.SetReadDeadline(t) }

func (e *endpoint) SetReadDeadline(t time.Time) error {
	e.mu.Lock()
	e.deadline = t
	e.mu.Unlock()
	e.tell()
	return nil
}

func (e *endpoint) SetWriteDeadline(time.Time) error { return nil }

// SetReadBuffer and SetWriteBuffer are here because QUIC asks for them, and prints a warning where they fail.
func (e *endpoint) SetReadBuffer(int) error  { return nil }
func (e *endpoint) SetWriteBuffer(int) error { return nil }
