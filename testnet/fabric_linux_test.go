package testnet

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// newTestFabric makes a fabric with sites named a, b, c… on one network.
func newTestFabric(t *testing.T, links ...Link) *fabric {
	t.Helper()
	if os.Getuid() != 0 {
		lacking(t, "network namespaces need root")
	}
	f, err := newFabric()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.close(); err != nil {
			t.Error(err)
		}
	})
	for i, l := range links {
		mustPut(t, f, place{Name: string(rune('a' + i)), Networks: []string{"lan"}, Link: l})
	}
	return f
}

// lacking skips a test, or in CI, where nothing may be lacking, fails it.
func lacking(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal("in CI this test must run, but " + what)
	}
	t.Skip(what)
}

func mustPut(t *testing.T, f *fabric, p place) *site {
	t.Helper()
	s, err := f.put(p)
	if err != nil {
		t.Fatalf("put %s: %v", p.Name, err)
	}
	return s
}

// addrOf is the address of a site's first port.
func addrOf(t *testing.T, s *site) string {
	t.Helper()
	var addr string
	check(t, s.ports[0].edge.in(func() error {
		i, err := net.InterfaceByName(s.ports[0].far)
		if err != nil {
			return err
		}
		addrs, err := i.Addrs()
		if err != nil {
			return err
		}
		addr, _, _ = strings.Cut(addrs[0].String(), "/")
		return nil
	}))
	return addr
}

func listenUDP(t *testing.T, s *site, port int) *net.UDPConn {
	t.Helper()
	var c *net.UDPConn
	check(t, s.node.in(func() (err error) {
		c, err = net.ListenUDP("udp4", &net.UDPAddr{Port: port})
		return err
	}))
	t.Cleanup(func() { _ = c.Close() })
	check(t, c.SetReadBuffer(8<<20))
	return c
}

const echoAt = 4000

// echoFrom has a site send every packet back until the test ends, and returns its address.
func echoFrom(t *testing.T, s *site) *net.UDPAddr {
	t.Helper()
	c := listenUDP(t, s, echoAt)
	done := make(chan struct{})
	t.Cleanup(func() { _ = c.Close(); <-done })
	go func() {
		defer close(done)
		b := make([]byte, mostMTU)
		for {
			n, from, err := c.ReadFromUDP(b)
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err == nil {
				_, _ = c.WriteToUDP(b[:n], from) // who asked asks again
			}
		}
	}()
	return &net.UDPAddr{IP: net.ParseIP(addrOf(t, s)), Port: echoAt}
}

const patience = 2 * time.Second

// ping returns how long a packet of some bytes takes there and back, or -1 if it does not come within the time.
func ping(t *testing.T, c *net.UDPConn, to *net.UDPAddr, bytes int, within time.Duration) time.Duration {
	t.Helper()
	b := make([]byte, bytes)
	begun := time.Now()
	copy(b, fmt.Sprint(begun.UnixNano()))
	if _, err := c.WriteToUDP(b, to); err != nil {
		return -1
	}
	check(t, c.SetReadDeadline(begun.Add(within)))
	got := make([]byte, mostMTU)
	for {
		n, err := c.Read(got)
		if err != nil {
			return -1
		}
		if string(got[:n]) == string(b) {
			return time.Since(begun)
		}
	}
}

// warm lets two sites learn each other's hardware address.
func warm(t *testing.T, c *net.UDPConn, to *net.UDPAddr) {
	t.Helper()
	if ping(t, c, to, 32, patience) < 0 {
		t.Fatalf("no way to %s", to)
	}
}

func TestLinkTakesItsTime(t *testing.T) {
	for name, c := range map[string]struct {
		a, b Link
		rtt  time.Duration
	}{
		"none":    {},
		"one end": {a: Link{Delay: 20 * time.Millisecond}, rtt: 40 * time.Millisecond},
		"both":    {a: Link{Delay: 20 * time.Millisecond}, b: Link{Delay: 5 * time.Millisecond}, rtt: 50 * time.Millisecond},
		"jitter":  {a: Link{Delay: 20 * time.Millisecond, Jitter: 2 * time.Millisecond}, rtt: 40 * time.Millisecond},
		"short":   {a: Link{Delay: 2 * time.Millisecond}, rtt: 4 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			f := newTestFabric(t, c.a, c.b)
			to, from := echoFrom(t, f.site("b")), listenUDP(t, f.site("a"), 0)
			warm(t, from, to)
			var rtts []time.Duration
			for range 50 {
				rtt := ping(t, from, to, 64, patience)
				if rtt < 0 {
					t.Fatal("a packet was lost")
				}
				rtts = append(rtts, rtt)
			}
			slices.Sort(rtts)
			least, quarter := rtts[0], rtts[len(rtts)/4] // a busy machine makes the others late
			t.Logf("%v to %v, and a quarter within %v", least, rtts[len(rtts)-1], quarter)
			if least < c.rtt-2*c.a.Jitter {
				t.Errorf("a packet took %v, want %v at least", least, c.rtt-2*c.a.Jitter)
			}
			if least > c.rtt+5*time.Millisecond {
				t.Errorf("every packet took %v at least, want %v", least, c.rtt)
			}
			if spread := quarter - least; c.a.Jitter > 0 && spread < c.a.Jitter/4 {
				t.Errorf("all packets took the same, but for %v", spread)
			}
		})
	}
}

func TestLinkLosesItsShare(t *testing.T) {
	f := newTestFabric(t, Link{Loss: 0.1}, Link{})
	to, from := echoFrom(t, f.site("b")), listenUDP(t, f.site("a"), 0)
	const packets = 5000
	for round, loss := range []float64{0.1, 0.3, 0} {
		check(t, f.shape("a", Link{Loss: loss}))
		came := 0
		check(t, from.SetReadDeadline(time.Now().Add(20*time.Second)))
		b := make([]byte, 64)
		for i := range packets {
			if _, err := from.WriteToUDP([]byte(fmt.Sprintf("%d %d", round, i)), to); err != nil {
				t.Fatal(err)
			}
			if i%50 == 49 { // no queue shall overflow
				came += drain(t, from, b, round, 30*time.Millisecond)
			}
		}
		came += drain(t, from, b, round, 300*time.Millisecond)
		want := (1 - loss) * (1 - loss) * packets // there and back
		t.Logf("at a loss of %v each way %d of %d came back, %.0f expected", loss, came, packets, want)
		if slack := 0.03 * packets; float64(came) < want-slack || float64(came) > want+slack { // over four standard deviations
			t.Errorf("%d of %d packets came back, want %.0f", came, packets, want)
		}
	}
}

// drain counts what comes until nothing does for some time.
func drain(t *testing.T, c *net.UDPConn, b []byte, round int, quiet time.Duration) (came int) {
	t.Helper()
	for {
		check(t, c.SetReadDeadline(time.Now().Add(quiet)))
		n, err := c.Read(b)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return came
		}
		check(t, err)
		if strings.HasPrefix(string(b[:n]), fmt.Sprint(round, " ")) {
			came++
		}
	}
}

func TestLinkIsAsNarrowAsAsked(t *testing.T) {
	for name, delay := range map[string]time.Duration{"straight": 0, "over a line": 5 * time.Millisecond} {
		t.Run(name, func(t *testing.T) {
			f := newTestFabric(t, Link{Up: 5e6, Down: 10e6, Delay: delay}, Link{})
			a, b := f.site("a"), f.site("b")
			up, down := a.ports[0], a.ports[0]
			t.Run("up", func(t *testing.T) {
				stream(t, a, b)
				runsAt(t, up.edge, up.far, 5e6)
				check(t, f.shape("a", Link{Up: 2e6, Down: 10e6, Delay: delay}))
				runsAt(t, up.edge, up.far, 2e6)
			})
			t.Run("down", func(t *testing.T) {
				stream(t, b, a)
				runsAt(t, f.middle, down.near(), 10e6)
			})
			check(t, f.shape("a", Link{Delay: delay}))
			for device, s := range map[string]*space{up.far: up.edge, down.near(): f.middle} {
				if _, shaped := sent(t, s, device); shaped {
					t.Errorf("%s is shaped still", device)
				}
			}
		})
	}
}

// stream sends as much as goes through a TCP connection until the test ends.
func stream(t *testing.T, from, to *site) {
	t.Helper()
	var l net.Listener
	check(t, to.node.in(func() (err error) { l, err = net.Listen("tcp4", ":0"); return err }))
	defer l.Close()
	var out net.Conn
	at := net.JoinHostPort(addrOf(t, to), strconv.Itoa(l.Addr().(*net.TCPAddr).Port))
	check(t, from.node.in(func() (err error) { out, err = net.DialTimeout("tcp4", at, patience); return err }))
	in, err := l.Accept()
	check(t, err)
	var ends errgroup.Group
	ends.Go(func() error { _, err := io.Copy(io.Discard, in); return err })
	ends.Go(func() error {
		b := make([]byte, 64<<10)
		for {
			if _, err := out.Write(b); err != nil {
				return err
			}
		}
	})
	t.Cleanup(func() {
		_, _ = out.Close(), in.Close()
		_ = ends.Wait() // closed
	})
}

// runsAt waits for half a second in which a device sent at a rate, in bytes a second and within 5 %. What the link does wrong it
// does all the time; a machine that has other things to do does it now and then.
func runsAt(t *testing.T, s *space, device string, want float64) {
	t.Helper()
	var seen []string
	for range 16 {
		before, _ := sent(t, s, device)
		begun := time.Now()
		time.Sleep(500 * time.Millisecond) // what is measured is the rate over this time
		after, _ := sent(t, s, device)
		got := float64(after-before) / time.Since(begun).Seconds()
		seen = append(seen, fmt.Sprintf("%.2f", got/1e6))
		if got > 0.95*want && got < 1.05*want {
			t.Logf("%s of %.1f MB/s", seen, want/1e6)
			return
		}
	}
	t.Errorf("%s MB/s came through, want %.2f ± 5 %%", seen, want/1e6)
}

// sent is how many bytes have left a shaped device, counted as on a wire.
func sent(t *testing.T, s *space, device string) (bytes uint64, shaped bool) {
	t.Helper()
	l, err := s.device(device)
	check(t, err)
	all, err := s.links.QdiscList(l)
	check(t, err)
	for _, q := range all {
		if q.Type() == "tbf" {
			return q.Attrs().Statistics.Basic.Bytes, true
		}
	}
	return 0, false
}

func TestLongPacketsDoNotPass(t *testing.T) {
	const headers = 28 // bytes of IPv4 and UDP
	const slack = 5    // bytes: a bridge has room for a VLAN's header of four
	f := newTestFabric(t, Link{MTU: 1300}, Link{})
	toA, toB := echoFrom(t, f.site("a")), echoFrom(t, f.site("b"))
	fromA, fromB := listenUDP(t, f.site("a"), 0), listenUDP(t, f.site("b"), 0)
	for _, c := range []*net.UDPConn{fromA, fromB} {
		raw, err := c.SyscallConn()
		check(t, err)
		check(t, raw.Control(func(fd uintptr) { // no fragments
			check(t, unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_PROBE))
		}))
	}
	warm(t, fromA, toB)
	if ping(t, fromA, toB, 1300-headers, patience) < 0 {
		t.Error("a packet as long as the MTU does not leave")
	}
	if _, err := fromA.WriteToUDP(make([]byte, 1301-headers), toB); !errors.Is(err, unix.EMSGSIZE) {
		t.Errorf("a packet longer than the MTU leaves: %v", err)
	}
	if ping(t, fromB, toA, 1300-headers, patience) < 0 {
		t.Error("a packet as long as the MTU does not come in")
	}
	if ping(t, fromB, toA, 1300+slack-headers, 200*time.Millisecond) >= 0 {
		t.Error("a packet longer than the MTU comes in")
	}
}

func TestSidesDoNotHearEachOther(t *testing.T) {
	for name, l := range map[string]Link{"straight": {}, "over a line": {Delay: time.Millisecond}} {
		t.Run(name, func(t *testing.T) {
			f := newTestFabric(t, l, Link{}, l, Link{})
			names := []string{"a", "b", "c", "d"}
			from, to := map[string]*net.UDPConn{}, map[string]*net.UDPAddr{}
			for _, n := range names {
				from[n], to[n] = listenUDP(t, f.site(n), 0), echoFrom(t, f.site(n))
			}
			sees := func() (pairs string) {
				for i, x := range names {
					for _, y := range names[i+1:] {
						if ping(t, from[x], to[y], 64, 150*time.Millisecond) >= 0 {
							pairs += x + y + " "
						}
					}
				}
				return strings.TrimSpace(pairs)
			}
			for _, c := range []struct {
				sides [][]string
				want  string
			}{
				{nil, "ab ac ad bc bd cd"},
				{[][]string{{"a", "b"}, {"c", "d"}}, "ab cd"},
				{[][]string{{"a", "c"}}, "ac bd"},
				{[][]string{{"a"}, {"b"}}, "cd"},
				{[][]string{{"a", "b", "c", "d"}}, "ab ac ad bc bd cd"},
				{nil, "ab ac ad bc bd cd"},
			} {
				check(t, f.cut(c.sides))
				if got := sees(); got != c.want {
					t.Errorf("cut into %v, %q see each other, want %q", c.sides, got, c.want)
				}
			}
		})
	}
}

// TestNeighboursAreKnownForGood keeps sites out of the table of ARP, which all namespaces of a machine share and soon fill.
func TestNeighboursAreKnownForGood(t *testing.T) {
	f := newTestFabric(t, Link{}, Link{}, Link{})
	for _, s := range f.sites {
		l, err := s.node.device(s.ports[0].far)
		check(t, err)
		all, err := s.node.links.NeighList(l.Attrs().Index, netlink.FAMILY_V4)
		check(t, err)
		known := 0
		for _, n := range all {
			if n.State == netlink.NUD_PERMANENT {
				known++
			}
		}
		if known != len(f.sites)-1 {
			t.Errorf("%s knows %d neighbours, want %d", s.Name, known, len(f.sites)-1)
		}
	}
	warm(t, listenUDP(t, f.site("a"), 0), echoFrom(t, f.site("c")))
}
