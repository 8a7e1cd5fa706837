package node

import (
	"bytes"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/sec"
	libp2ptls "github.com/libp2p/go-libp2p/p2p/security/tls"
)

// countingConn counts the writes that reach the socket.
type countingConn struct {
	net.Conn
	mu     sync.Mutex
	writes int
}

func (c *countingConn) Write(p []byte) (int, error) {
	c.mu.Lock()
	c.writes++
	c.mu.Unlock()
	return c.Conn.Write(p)
}

// securePair is a TLS connection over loopback, and the sockets below it.
func securePair(t *testing.T) (client, server sec.SecureConn, socket *countingConn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	raw, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	socket = &countingConn{Conn: raw}
	far, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	transport := func() (*tlsTransport, peer.ID) {
		key := newKey(t, 1)
		id, _ := peer.IDFromPrivateKey(key)
		x, err := newTLS(libp2ptls.ID, key, nil)
		if err != nil {
			t.Fatal(err)
		}
		return x, id
	}
	ours, ourID := transport()
	theirs, theirID := transport()
	ctx := withTimeout(t, time.Minute)
	accepted := make(chan error, 1)
	go func() {
		server, err = theirs.SecureInbound(ctx, far, ourID)
		accepted <- err
	}()
	client, dialErr := ours.SecureOutbound(ctx, socket, theirID)
	if err := errors.Join(dialErr, <-accepted); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close(); server.Close() })
	return client, server, socket
}

func TestTLSSendsAWriteAtOnce(t *testing.T) {
	client, server, socket := securePair(t)
	go io.Copy(io.Discard, server)
	for _, n := range []int{1, 100, maxRecord, maxRecord + 1, 64 << 10, 1 << 20} {
		socket.mu.Lock()
		before := socket.writes
		socket.mu.Unlock()
		if wrote, err := client.Write(make([]byte, n)); wrote != n || err != nil {
			t.Fatalf("write %d bytes: %d, %v", n, wrote, err)
		}
		socket.mu.Lock()
		got := socket.writes - before
		socket.mu.Unlock()
		if n > maxRecord && got != 1 {
			t.Errorf("a write of %d bytes made %d writes to the socket, expected one", n, got)
		}
	}
}

func TestTLSCarriesWhatIsSent(t *testing.T) {
	client, server, _ := securePair(t)
	go func() {
		io.Copy(server, server)
		server.Close()
	}()
	echoes(t, client)
}

func TestTLSClosesAStuckWrite(t *testing.T) {
	client, _, _ := securePair(t)
	failed := make(chan error, 1)
	go func() {
		for {
			if _, err := client.Write(make([]byte, 64<<10)); err != nil {
				failed <- err
				return
			}
		}
	}()
	time.Sleep(200 * time.Millisecond) // until the socket's buffers are full; nobody reads
	start := time.Now()
	client.Close()
	select {
	case err := <-failed:
		if err == nil {
			t.Error("the write reports success")
		}
	case <-time.After(4 * time.Second):
		t.Fatal("the write is still stuck")
	}
	if took := time.Since(start); took > 3*time.Second {
		t.Errorf("closing took %s", took)
	}
}

func TestTLSDelivers(t *testing.T) {
	client, server, _ := securePair(t)
	want := pattern(1, 5<<20)
	go func() {
		client.Write(want[:64<<10])
		client.Write(want[64<<10:])
		client.Close()
	}()
	got, err := io.ReadAll(server)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("read %d bytes of %d, equal %v: %v", len(got), len(want), bytes.Equal(got, want), err)
	}
}
