package virtual

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/shoal-p2p/shoal/testnet"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// wired runs a test with two endpoints on an internet.
func wired(t *testing.T, from, to testnet.Link, test func(n *internet, a, b *endpoint)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		n := newInternet(1)
		ctx, cancel := context.WithCancel(t.Context())
		defer func() { cancel(); synctest.Wait() }()
		go n.run(ctx)
		a, err := n.listen(netip.MustParseAddrPort("10.0.0.1:1"), &place{link: from})
		if err != nil {
			t.Fatal(err)
		}
		b, err := n.listen(netip.MustParseAddrPort("10.0.0.2:1"), &place{link: to})
		if err != nil {
			t.Fatal(err)
		}
		test(n, a, b)
	})
}

// pass sends packets of a size and returns how many came within a minute, and when the last one did.
func pass(t *testing.T, from, to *endpoint, count, size int) (came int, last time.Duration) {
	t.Helper()
	began := time.Now()
	for range count {
		if _, err := from.WriteTo(make([]byte, size), to.LocalAddr()); err != nil {
			t.Fatal(err)
		}
	}
	if err := to.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 2048)
	for {
		k, addr, err := to.ReadFrom(buf)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return came, last
		}
		if err != nil || k != size || addr.String() != from.LocalAddr().String() {
			t.Fatalf("read %d bytes of %v from %v, %v", k, size, addr, err)
		}
		came, last = came+1, time.Since(began)
	}
}

func TestLinks(t *testing.T) {
	const size, packets = 1000 - headers, 50
	for _, c := range []struct {
		name     string
		from, to testnet.Link
		came     [2]int           // least and most
		last     [2]time.Duration // the same
	}{
		{"no limits", testnet.Link{}, testnet.Link{}, [2]int{50, 50}, [2]time.Duration{0, 0}},
		{"delays of both links", testnet.Link{Delay: 10 * time.Millisecond}, testnet.Link{Delay: 5 * time.Millisecond}, [2]int{50, 50}, [2]time.Duration{15 * time.Millisecond, 15 * time.Millisecond}},
		{"the uplink's rate", testnet.Link{Up: 1e6}, testnet.Link{}, [2]int{50, 50}, [2]time.Duration{50 * time.Millisecond, 50 * time.Millisecond}},
		{"the downlink's rate", testnet.Link{Up: 1e7}, testnet.Link{Down: 1e6}, [2]int{50, 50}, [2]time.Duration{50100 * time.Microsecond, 50100 * time.Microsecond}},
		{"not the other directions' rates", testnet.Link{Down: 1}, testnet.Link{Up: 1}, [2]int{50, 50}, [2]time.Duration{0, 0}},
		{"jitter", testnet.Link{Delay: 10 * time.Millisecond, Jitter: 5 * time.Millisecond}, testnet.Link{}, [2]int{50, 50}, [2]time.Duration{13 * time.Millisecond, 15 * time.Millisecond}},
		{"loss", testnet.Link{Loss: 0.3}, testnet.Link{Loss: 0.3}, [2]int{10, 40}, [2]time.Duration{0, 0}},
		{"all lost", testnet.Link{Loss: 1}, testnet.Link{}, [2]int{0, 0}, [2]time.Duration{0, 0}},
		{"an MTU that fits", testnet.Link{MTU: 1000}, testnet.Link{}, [2]int{50, 50}, [2]time.Duration{0, 0}},
		{"an MTU that does not", testnet.Link{}, testnet.Link{MTU: 999}, [2]int{0, 0}, [2]time.Duration{0, 0}},
	} {
		t.Run(c.name, func(t *testing.T) {
			wired(t, c.from, c.to, func(_ *internet, a, b *endpoint) {
				came, last := pass(t, a, b, packets, size)
				if came < c.came[0] || came > c.came[1] || last < c.last[0] || last > c.last[1]+coalescing {
					t.Errorf("%d of %d packets came, the last after %v; want %d to %d, and %v to %v",
						came, packets, last, c.came[0], c.came[1], c.last[0], c.last[1])
				}
			})
		})
	}
}

// TestFullQueueDrops sends more than a slow link may keep waiting.
func TestFullQueueDrops(t *testing.T) {
	wired(t, testnet.Link{Up: 100_000}, testnet.Link{}, func(n *internet, a, b *endpoint) {
		came, _ := pass(t, a, b, 200, 1000-headers)
		if most := queueBytes/1000 + 2; came < most-3 || came > most {
			t.Errorf("%d of 200 packets found room, want about %d", came, most)
		}
		if int(n.lost) != 200-came {
			t.Errorf("%d packets are counted as lost, want %d", n.lost, 200-came)
		}
	})
}

// TestEndpoints closes one under a reader, asks for an address that is taken, and lets packets go nowhere.
func TestEndpoints(t *testing.T) {
	wired(t, testnet.Link{}, testnet.Link{}, func(n *internet, a, b *endpoint) {
		if _, err := n.listen(a.at, a.host); !errors.Is(err, errTaken) {
			t.Errorf("a second endpoint at %v: %v, want %v", a.at, err, errTaken)
		}
		ended := make(chan error)
		for range 2 {
			go func() { _, _, err := b.ReadFrom(make([]byte, 1)); ended <- err }()
		}
		synctest.Wait()
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := <-ended; !errors.Is(err, net.ErrClosed) {
				t.Errorf("a reader of a closed endpoint got %v", err)
			}
		}
		if _, err := b.WriteTo(nil, a.addr); !errors.Is(err, net.ErrClosed) {
			t.Errorf("a writer got %v", err)
		}
		if _, err := a.WriteTo([]byte("x"), b.addr); err != nil || n.lost != 1 {
			t.Errorf("a packet to nobody: %v, %d lost; want no error, and 1", err, n.lost)
		}
		if _, err := n.listen(b.at, b.host); err != nil {
			t.Errorf("the address is not free again: %v", err)
		}
		n.lift(a.host, true)
		if a.WriteTo([]byte("x"), a.addr); n.lost != 2 {
			t.Error("a host that is gone sends")
		}
	})
}
