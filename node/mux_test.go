package node

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
)

func unread(h *netHost) int64 {
	l := h.mux.unread
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.total
}

func frame(kind byte, flags uint16, id, length uint32) []byte {
	b := []byte{0, kind}
	b = binary.BigEndian.AppendUint16(b, flags)
	b = binary.BigEndian.AppendUint32(b, id)
	b = binary.BigEndian.AppendUint32(b, length)
	if kind == yamuxData {
		b = append(b, make([]byte, length)...)
	}
	return b
}

func TestTapCountsFramesHoweverTheyArrive(t *testing.T) {
	var traffic []byte
	for _, f := range [][]byte{
		frame(yamuxData, 0, 1, 100),         // of a stream that nobody opened: thrown away
		frame(1, yamuxSYN, 1, 0),            // opened with a window update
		frame(yamuxData, 0, 1, 300),         //
		frame(yamuxData, yamuxSYN, 3, 50),   // opened with data
		frame(2, yamuxSYN, 0, 7),            // a ping has a length and no body
		frame(yamuxData, yamuxSYN, 2, 1000), // one of our own numbers: not theirs to open
		frame(3, 0, 0, 1),
		frame(1, 0, 3, 1<<20),
		frame(yamuxData, 0, 3, 0),
		frame(yamuxData, 0, 1, 17),
	} {
		traffic = append(traffic, f...)
	}
	for step := 1; step <= len(traffic); step++ {
		l := newLedger(1<<20, 1<<20, 0)
		x := &tap{held: l.open(), isServer: true}
		for rest := traffic; len(rest) > 0; {
			n := min(step, len(rest))
			x.scan(rest[:n])
			rest = rest[n:]
		}
		if x.held.streams[1] != 317 || x.held.streams[3] != 50 || len(x.held.streams) != 2 || l.total != 367 || x.held.held != 367 {
			t.Fatalf("in pieces of %d: streams %v, total %d", step, x.held.streams, l.total)
		}
	}
}

func FuzzTap(f *testing.F) {
	f.Add(frame(yamuxData, yamuxSYN, 1, 50), uint8(7))
	f.Add(append(frame(1, yamuxSYN, 3, 0), frame(yamuxData, 0, 3, 1000)...), uint8(1))
	f.Add(frame(yamuxData, yamuxSYN, 1, 0xffff)[:yamuxHeader], uint8(12))
	f.Fuzz(func(t *testing.T, traffic []byte, step uint8) {
		whole, pieces := newLedger(1, 1, 0), newLedger(1, 1, 0)
		a, b := &tap{held: whole.open(), isServer: true}, &tap{held: pieces.open(), isServer: true}
		a.scan(traffic)
		for rest := traffic; len(rest) > 0; {
			n := min(int(step)+1, len(rest))
			b.scan(rest[:n])
			rest = rest[n:]
		}
		if whole.total != pieces.total || whole.total < 0 || a.body != b.body || a.have != b.have {
			t.Errorf("in one piece %d bytes, %d to come; in pieces %d and %d", whole.total, a.body, pieces.total, b.body)
		}
		a.held.close()
		if whole.total != 0 {
			t.Errorf("%d bytes are left after the end", whole.total)
		}
	})
}

func TestLedger(t *testing.T) {
	const most, mostConn, fair = 100, 60, 10
	waits := func(t *testing.T, a *account, want bool) (release func()) {
		t.Helper()
		done := make(chan bool)
		go func() { done <- a.mayRead() }()
		synctest.Wait()
		select {
		case <-done:
			if want {
				t.Error("it may read, expected it to wait")
			}
			return func() {}
		default:
			if !want {
				t.Error("it waits, expected it to read")
			}
			return func() { <-done }
		}
	}
	synctest.Test(t, func(t *testing.T) {
		l := newLedger(most, mostConn, fair)
		a, b, c := l.open(), l.open(), l.open()
		for _, x := range []*account{a, b, c} {
			x.begin(1)
		}
		a.arrived(1, mostConn)
		waits(t, a, false)
		a.arrived(1, 1)
		over := waits(t, a, true) // beyond what one connection may hold
		b.arrived(1, 39)
		waits(t, b, false)
		a.read(1, 1)
		over()
		waits(t, a, false)
		b.arrived(1, 2)            // 101 in all
		full := waits(t, a, true)  // holds more than its fair share
		waits(t, c, false)         // holds nothing
		c.arrived(1, fair)         //
		waits(t, c, false)         // holds no more than its share
		c.arrived(1, 1)            //
		share := waits(t, c, true) //
		a.end(1)                   // the stream that held it was reset
		full()
		share()
		if l.total != 41+11 {
			t.Errorf("%d in all, expected %d", l.total, 41+11)
		}
		b.arrived(1, 20)
		closing := waits(t, b, true)
		b.close()
		closing()
		if b.mayRead() {
			t.Error("a closed connection may read")
		}
		b.arrived(1, 1000)
		b.begin(3)
		b.arrived(3, 1000)
		b.read(1, 5)
		c.read(1, 1000) // more than arrived
		c.close()
		a.close()
		if l.total != 0 || a.held != 0 || b.held != 0 || c.held != 0 {
			t.Errorf("after all were closed: %d, %d, %d, %d", l.total, a.held, b.held, c.held)
		}
	})
}

// muxPair is two ends of a connection without libp2p around them.
func muxPair(t *testing.T) (client, server *muxConn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	near, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	far, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	a, aErr := newMuxer().NewConn(near, false, nil)
	b, bErr := newMuxer().NewConn(far, true, nil)
	if err := errors.Join(aErr, bErr); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close(); b.Close() })
	return a.(*muxConn), b.(*muxConn)
}

func held(c *muxConn) int64 {
	c.held.ledger.mu.Lock()
	defer c.held.ledger.mu.Unlock()
	return c.held.held
}

func TestEndOfAStreamEmptiesTheBooks(t *testing.T) {
	const sent = 100_000
	ways := map[string]struct {
		end  func(s network.MuxedStream)
		left int64
	}{
		"Close":                    {func(s network.MuxedStream) { s.Close() }, 0},
		"Reset":                    {func(s network.MuxedStream) { s.Reset() }, 0},
		"ResetWithError":           {func(s network.MuxedStream) { s.ResetWithError(7) }, 0},
		"CloseRead and CloseWrite": {func(s network.MuxedStream) { s.CloseRead(); s.CloseWrite() }, 0},
		"CloseWrite and CloseRead": {func(s network.MuxedStream) { s.CloseWrite(); s.CloseRead() }, 0},
		"CloseRead":                {func(s network.MuxedStream) { s.CloseRead() }, sent}, // yamux keeps it, and more
		"CloseWrite":               {func(s network.MuxedStream) { s.CloseWrite() }, sent},
		"reading": {func(s network.MuxedStream) {
			io.ReadFull(s, make([]byte, sent-1))
		}, 1},
	}
	client, server := muxPair(t)
	for name, way := range ways {
		for _, opened := range []string{"by them", "by us"} { // the books of the client are looked at
			opener, accepter := client, server
			if opened == "by them" {
				opener, accepter = server, client
			}
			ours, err := opener.OpenStream(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			far, err := accepter.AcceptStream()
			if err != nil {
				t.Fatal(err)
			}
			if opened == "by them" {
				ours, far = far, ours
			}
			go far.Write(make([]byte, sent))
			waitFor(t, "the bytes", func() bool { return held(client) == sent })
			way.end(ours)
			if n := held(client); n != way.left {
				t.Errorf("stream opened %s, %s: %d bytes in the books, expected %d", opened, name, n, way.left)
			}
			ours.Reset()
			far.Reset()
			waitFor(t, "the books to be empty", func() bool { return held(client) == 0 })
		}
	}
}

// A peer that fills every stream that it may open gets no further than its share, and hurts nobody else.
func TestUnreadStreamsAreBounded(t *testing.T) {
	victim, attacker, honest := bareHost(t), bareHost(t), bareHost(t)
	link(t, attacker, victim)
	link(t, honest, victim)
	release := make(chan struct{})
	victim.SetStreamHandler("/deaf", func(s network.Stream) {
		<-release
		s.Reset()
	})
	victim.SetStreamHandler("/echo", func(s network.Stream) {
		defer s.Close()
		io.Copy(s, s)
	})
	ctx := withTimeout(t, time.Minute)
	var wg sync.WaitGroup
	for range 8 {
		s, err := attacker.NewStream(ctx, victim.ID(), "/deaf")
		if err != nil {
			t.Fatal(err)
		}
		wg.Go(func() {
			defer s.Reset()
			buf := make([]byte, 64<<10)
			for range streamWindow / len(buf) {
				if _, err := s.Write(buf); err != nil {
					return
				}
			}
		})
	}
	waitFor(t, "the attacker to be stopped", func() bool { return unread(victim) > maxConnUnread })
	time.Sleep(100 * time.Millisecond) // it would go on now, if it could
	if n := unread(victim); n > maxConnUnread+streamWindow/16 {
		t.Errorf("%d bytes are held, expected at most %d and one frame", n, maxConnUnread)
	}
	s, err := honest.NewStream(ctx, victim.ID(), "/echo")
	if err != nil {
		t.Fatal(err)
	}
	echoes(t, s)
	s.Close()
	close(release)
	wg.Wait()
	waitFor(t, "the books to be empty", func() bool { return unread(victim) == 0 })
	if s, err = attacker.NewStream(ctx, victim.ID(), "/echo"); err != nil {
		t.Fatalf("after its streams were reset, the connection is of no use: %v", err)
	}
	defer s.Close()
	echoes(t, s)
}

func TestClosingAStalledConnectionFreesIt(t *testing.T) {
	victim, attacker := bareHost(t), bareHost(t)
	link(t, attacker, victim)
	release := make(chan struct{})
	victim.SetStreamHandler("/deaf", func(s network.Stream) { <-release; s.Reset() })
	defer close(release)
	ctx := withTimeout(t, time.Minute)
	var wg sync.WaitGroup
	for range 4 {
		s, err := attacker.NewStream(ctx, victim.ID(), "/deaf")
		if err != nil {
			t.Fatal(err)
		}
		wg.Go(func() { s.Write(make([]byte, streamWindow)) })
	}
	waitFor(t, "the connection to stall", func() bool { return unread(victim) > maxConnUnread })
	start := time.Now()
	victim.Network().ClosePeer(attacker.ID())
	if took := time.Since(start); took > 3*time.Second {
		t.Errorf("closing took %s", took)
	}
	wg.Wait()
	if n := unread(victim); n != 0 {
		t.Errorf("%d bytes are still in the books", n)
	}
}

func TestMuxErrorsKeepTheirMeaning(t *testing.T) {
	a, b := bareHost(t), bareHost(t)
	link(t, a, b)
	b.SetStreamHandler("/reset", func(s network.Stream) {
		io.ReadFull(s, make([]byte, 1))
		s.ResetWithError(network.StreamGarbageCollected)
	})
	s, err := a.NewStream(withTimeout(t, time.Minute), b.ID(), "/reset")
	if err != nil {
		t.Fatal(err)
	}
	s.Write([]byte("x"))
	_, err = s.Read(make([]byte, 1))
	var code *network.StreamError
	if !errors.Is(err, network.ErrReset) || !errors.As(err, &code) || code.ErrorCode != network.StreamGarbageCollected || !code.Remote {
		t.Errorf("error %v (%T), expected a reset by the other side with its code", err, err)
	}
	s, err = a.NewStream(withTimeout(t, time.Minute), b.ID(), "/reset")
	if err != nil {
		t.Fatal(err)
	}
	s.SetReadDeadline(time.Now().Add(-time.Second))
	if _, err = s.Read(make([]byte, 1)); err == nil || !isTimeout(err) {
		t.Errorf("error %v, expected a timeout", err)
	}
	s.Reset()
}

func isTimeout(err error) bool {
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout()
}

// An idle connection says no more than that it is there: one ping in a while, from whoever comes first, and its answer.
func TestIdleConnectionsAreQuiet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		count := new(meter)
		a, aErr := newMuxer().NewConn(metered{near, count}, false, nil)
		time.Sleep(time.Second) // of the bubble: in life, too, one of the two is a little later
		b, bErr := newMuxer().NewConn(far, true, nil)
		if err := errors.Join(aErr, bErr); err != nil {
			t.Fatal(err)
		}
		defer func() { a.Close(); b.Close(); synctest.Wait() }()
		time.Sleep(time.Second) // each has measured the round trip once
		before := count.in.Load() + count.out.Load()
		time.Sleep(time.Hour)
		pings := (count.in.Load() + count.out.Load() - before) / (2 * yamuxHeader)
		if pings < 60 || pings > 125 {
			t.Errorf("%d pings went over a connection in an hour, want one in 30 s", pings)
		}
	})
}
