package discovery

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/discovery/mdns"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	"github.com/libp2p/zeroconf/v2"
	"github.com/miekg/dns"
	"github.com/vishvananda/netlink"
	"golang.org/x/net/ipv4"
)

const inside = "SHOAL_TEST_NETWORK" // set in the process that has a network of its own

// ownNetwork runs the calling test in a process of its own with a network of its own, so that no packet gets onto a real
// interface. It returns false in the outer process, whose part is then over. The network has loopback and a veth pair, one
// end of which is lan0.
func ownNetwork(t *testing.T) bool {
	t.Helper()
	if os.Getenv(inside) != "" {
		layCables(t)
		return true
	}
	cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v", "-test.timeout=2m")
	cmd.Env = append(os.Environ(), inside+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	runtime.LockOSThread() // Pdeathsig is about this thread
	defer runtime.UnlockOSThread()
	if err := cmd.Start(); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("a network namespace is needed: %v", err)
		}
		t.Skipf("a network namespace is needed: %v", err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v\n%s", err, out.String())
	} else if testing.Verbose() {
		t.Log(out.String())
	}
	return false
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func layCables(t *testing.T) {
	t.Helper()
	ifaces, err := net.Interfaces()
	must(t, err)
	for _, i := range ifaces {
		if i.Flags&net.FlagUp != 0 {
			t.Fatalf("%s is up: this is not a network of the test's own", i.Name)
		}
	}
	lo, err := netlink.LinkByName("lo")
	must(t, err)
	must(t, netlink.LinkSetUp(lo))
	must(t, netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "lan0"}, PeerName: "lan1"}))
	other, err := netlink.LinkByName("lan1")
	must(t, err)
	must(t, netlink.LinkSetUp(other))
}

// plugIn brings lan0 up with these addresses.
func plugIn(t *testing.T, addrs ...string) {
	t.Helper()
	link, err := netlink.LinkByName("lan0")
	must(t, err)
	for _, s := range addrs {
		a, err := netlink.ParseAddr(s)
		must(t, err)
		must(t, netlink.AddrAdd(link, a))
	}
	must(t, netlink.LinkSetUp(link))
}

func unplug(t *testing.T) {
	t.Helper()
	link, err := netlink.LinkByName("lan0")
	must(t, err)
	must(t, netlink.LinkSetDown(link))
}

func newHost(t *testing.T, listen string) host.Host {
	t.Helper()
	h, err := libp2p.New(libp2p.ListenAddrStrings(listen), libp2p.Transport(tcp.NewTCPTransport), libp2p.DisableRelay(),
		libp2p.DisableMetrics(), libp2p.DisableIdentifyAddressDiscovery())
	must(t, err)
	t.Cleanup(func() { h.Close() })
	return h
}

// run runs mDNS for h until the test ends, or stop is called, and checks that it ends at once then.
func run(t *testing.T, h host.Host) (m *MDNS, stop func()) {
	t.Helper()
	m = NewMDNS(h, Config{})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- m.Run(ctx) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		select {
		case err := <-ended:
			if err != nil {
				t.Errorf("Run: %v", err)
			}
		case <-time.After(5 * time.Second):
			t.Error("Run does not end with its context")
		}
	}
	t.Cleanup(stop)
	return m, stop
}

// meets waits until m finds h, for at most d, and returns at which addresses.
func meets(t *testing.T, m *MDNS, h host.Host, d time.Duration) peer.AddrInfo {
	t.Helper()
	timeout := time.After(d)
	others := 0
	for {
		select {
		case f, ok := <-m.Found():
			if !ok {
				t.Fatal("Found is closed")
			}
			if f.Route != RouteMDNS {
				t.Errorf("the route is %q", f.Route)
			}
			if f.Info.ID == h.ID() {
				return f.Info
			}
			others++
		case <-timeout:
			t.Fatalf("not found within %v, but %d others; trouble: %v", d, others, m.Trouble())
		}
	}
}

func TestMDNSFindsANeighbour(t *testing.T) {
	if !ownNetwork(t) {
		return
	}
	plugIn(t, "10.77.0.1/24", "10.77.0.2/24")
	a, b := newHost(t, "/ip4/10.77.0.1/tcp/0"), newHost(t, "/ip4/10.77.0.2/tcp/0")
	ma, _ := run(t, a)
	mb, stopB := run(t, b)
	info := meets(t, ma, b, 30*time.Second)
	meets(t, mb, a, 30*time.Second)
	if !slices.Equal(texts(info.Addrs), texts(b.Addrs())) {
		t.Errorf("found at %q, want %q", texts(info.Addrs), texts(b.Addrs()))
	}
	if err := a.Connect(t.Context(), info); err != nil {
		t.Errorf("connect: %v", err)
	}
	if ma.Trouble() != nil {
		t.Errorf("trouble although all is well: %v", ma.Trouble())
	}
	select {
	case f := <-ma.Found():
		t.Errorf("found again: %v", f)
	case <-time.After(time.Second):
	}
	stopB()
	if _, ok := <-mb.Found(); ok {
		t.Error("Found stays open when Run has ended")
	}
	c := newHost(t, "/ip4/10.77.0.2/tcp/0")
	run(t, c) // a latecomer says that it is here, without being asked
	meets(t, ma, c, 3*time.Second)
}

// Kubo and every other libp2p node announce by the same rules.
func TestMDNSSpeaksWithZeroconf(t *testing.T) {
	if !ownNetwork(t) {
		return
	}
	plugIn(t, "10.77.0.1/24")
	h := newHost(t, "/ip4/0.0.0.0/tcp/4001")
	run(t, h)
	entries := make(chan *zeroconf.ServiceEntry)
	ctx, cancel := context.WithCancel(t.Context())
	go zeroconf.Browse(ctx, DefaultService, "local", entries)
	select {
	case e := <-entries:
		want := "dnsaddr=/ip4/10.77.0.1/tcp/4001/p2p/" + h.ID().String()
		if len(e.Text) != 1 || e.Text[0] != want {
			t.Errorf("announces %q, want %q", e.Text, want)
		}
		if strings.Contains(e.Instance, h.ID().String()) {
			t.Errorf("the instance name %q says who this is", e.Instance)
		}
	case <-time.After(5 * time.Second):
		t.Error("announces nothing")
	}
	cancel()
	for range entries {
	}
}

// libp2p's own discovery finds us, and we find it.
func TestMDNSMeetsOtherLibp2pNodes(t *testing.T) {
	if !ownNetwork(t) {
		return
	}
	plugIn(t, "10.77.0.1/24", "10.77.0.2/24")
	ours, theirs := newHost(t, "/ip4/10.77.0.1/tcp/0"), newHost(t, "/ip4/10.77.0.2/tcp/0")
	m, _ := run(t, ours)
	found := make(heardOf, 16)
	service := mdns.NewMdnsService(theirs, "", found)
	must(t, service.Start())
	defer service.Close()
	meets(t, m, theirs, 30*time.Second)
	late := time.After(10 * time.Second)
	for {
		select {
		case info := <-found:
			if info.ID == ours.ID() {
				if err := theirs.Connect(t.Context(), info); err != nil {
					t.Errorf("connect to %v: %v", info, err)
				}
				return
			}
		case <-late:
			t.Fatal("it does not find us")
		}
	}
}

// heardOf takes what go-libp2p's mDNS finds.
type heardOf chan peer.AddrInfo

func (h heardOf) HandlePeerFound(info peer.AddrInfo) {
	select {
	case h <- info:
	default:
	}
}

// A question for answers to the asker alone is answered by everybody, also by the asker's own responder, and nobody else hears of it.
func TestMDNSAsksQuietly(t *testing.T) {
	if !ownNetwork(t) {
		return
	}
	plugIn(t, "10.77.0.1/24", "10.77.0.2/24")
	a, _ := run(t, newHost(t, "/ip4/10.77.0.1/tcp/0"))
	b, _ := run(t, newHost(t, "/ip4/10.77.0.2/tcp/0"))
	loud := func() int64 { return a.tally.echoes.Load() + b.tally.echoes.Load() }
	for said := int64(0); said == 0 || said != loud(); time.Sleep(4 * time.Second) { // until both have announced themselves
		said = loud()
	}
	said := loud()
	self, others, err := a.Ask(t.Context())
	if !self || others != 1 || err != nil {
		t.Errorf("answered by itself: %v, by %d others, %v; want both nodes", self, others, err)
	}
	if now := loud(); now != said {
		t.Errorf("everybody heard %d answers", now-said)
	}
	if r := a.Report(); r.Heard == 0 || r.Echoes == 0 || len(r.Interfaces) != 1 || r.Interfaces[0] != "lan0" {
		t.Errorf("reports %+v", r)
	}
	if received, sent := a.Traffic(); received < 200 || sent < 200 {
		t.Errorf("counts %d bytes received and %d sent", received, sent)
	}
}

// A laptop that is carried from desk to desk.
func TestMDNSFollowsInterfaces(t *testing.T) {
	if !ownNetwork(t) {
		return
	}
	a, b := newHost(t, "/ip4/0.0.0.0/tcp/4001"), newHost(t, "/ip4/0.0.0.0/tcp/4002")
	ma, _ := run(t, a)
	run(t, b)
	if err := waitFor(func() bool { return ma.Trouble() != nil }); err != nil {
		t.Error("no trouble without an interface")
	}
	plugIn(t, "10.77.0.1/24")
	if info := meets(t, ma, b, time.Minute); !slices.Contains(texts(info.Addrs), "/ip4/10.77.0.1/tcp/4002") {
		t.Errorf("found at %q", texts(info.Addrs))
	}
	if err := ma.Trouble(); err != nil {
		t.Errorf("trouble although all is well: %v", err)
	}
	unplug(t)
	if err := waitFor(func() bool { return ma.Trouble() != nil }); err != nil {
		t.Error("no trouble when the interface has gone")
	}
	plugIn(t, "10.78.0.1/24")
	if info := meets(t, ma, b, time.Minute); !slices.Contains(texts(info.Addrs), "/ip4/10.78.0.1/tcp/4002") {
		t.Errorf("found at %q", texts(info.Addrs))
	}
}

// Another program that keeps one family's port to itself must not stop the other family, nor the end of Run.
func TestMDNSWithOneFamilyOnly(t *testing.T) {
	if !ownNetwork(t) {
		return
	}
	greedy, err := net.ListenPacket("udp6", "[::]:5353")
	must(t, err)
	defer greedy.Close()
	plugIn(t, "10.77.0.1/24", "10.77.0.2/24")
	a, b := newHost(t, "/ip4/10.77.0.1/tcp/0"), newHost(t, "/ip4/10.77.0.2/tcp/0")
	ma, stop := run(t, a)
	run(t, b)
	meets(t, ma, b, 30*time.Second)
	if err := ma.Trouble(); err != nil {
		t.Errorf("trouble although one family is enough: %v", err)
	}
	stop()
}

func TestMDNSWithoutAPort(t *testing.T) {
	if !ownNetwork(t) {
		return
	}
	for _, network := range []string{"udp4", "udp6"} {
		greedy, err := net.ListenPacket(network, ":5353")
		must(t, err)
		defer greedy.Close()
	}
	plugIn(t, "10.77.0.1/24")
	m, stop := run(t, newHost(t, "/ip4/0.0.0.0/tcp/0"))
	if err := waitFor(func() bool { return m.Trouble() != nil }); err != nil {
		t.Error("no trouble although nobody can be heard")
	}
	stop()
}

// T13, B70: fifty thousand invented peers, each for 136 years. They cost a bounded number of goroutines and of findings, nobody
// remembers them, and a real peer that comes in the middle of it is found among them.
func TestMDNSFlood(t *testing.T) {
	if !ownNetwork(t) {
		return
	}
	plugIn(t, "10.77.0.1/24", "10.77.0.2/24", "10.77.0.66/24")
	a, b := newHost(t, "/ip4/10.77.0.1/tcp/0"), newHost(t, "/ip4/10.77.0.2/tcp/0")
	ma, _ := run(t, a)
	send := sender(t)
	if err := waitFor(func() bool { return ma.tally.echoes.Load() > 0 }); err != nil {
		t.Fatal("a does not hear itself")
	}
	before, most := runtime.NumGoroutine(), 0
	heapBefore := heap()

	const names = 50_000
	start := time.Now()
	found := make(chan time.Duration, 1)
	findings := make(chan int, 1)
	go func() {
		n := 0
		defer func() { findings <- n }()
		for f := range ma.Found() {
			n++
			if f.Info.ID == b.ID() {
				found <- time.Since(start)
				return
			}
		}
	}()
	began := time.Now()
	for n := 0; n < names; n += perPacket {
		send(invent(n))
		most = max(most, runtime.NumGoroutine())
		if n == names/2/perPacket*perPacket {
			start = time.Now()
			run(t, b)
		}
		time.Sleep(perPacket * 100 * time.Microsecond)
	}
	t.Logf("%d names in %v, %d goroutines before and at most %d meanwhile", names, time.Since(began), before, most)
	select {
	case d := <-found:
		count := <-findings
		t.Logf("found after %v as number %d", d, count)
		if starved := time.Since(began) > 4*names*100*time.Microsecond; d > 5*time.Second && !starved {
			t.Errorf("found after %v", d)
		}
		if limit := int(time.Since(began)/perFinding) + 10; count > limit {
			t.Errorf("%d findings came, want at most %d", count, limit)
		}
	case <-time.After(30 * time.Second):
		t.Error("the real peer is not found")
	}
	if most > before+200 { // b's host and mDNS are among them
		t.Errorf("%d goroutines, %d before", most, before)
	}
	if grown := heap() - heapBefore; grown > 16<<20 {
		t.Errorf("%d MiB are kept of the flood", grown>>20)
	}
	ma.mu.Lock()
	defer ma.mu.Unlock()
	if len(ma.queue.pending) > maxPending || len(ma.queue.seen) > maxSeen {
		t.Errorf("%d wait and %d are remembered", len(ma.queue.pending), len(ma.queue.seen))
	}
}

// One packet can give each of a thousand names the same thousand addresses, a hundred times its own size in memory. What
// zeroconf remembers of it must be small.
func TestMDNSRemembersNoAddresses(t *testing.T) {
	if !ownNetwork(t) {
		return
	}
	plugIn(t, "10.77.0.1/24", "10.77.0.2/24", "10.77.0.66/24")
	a, b := newHost(t, "/ip4/10.77.0.1/tcp/0"), newHost(t, "/ip4/10.77.0.2/tcp/0")
	m, _ := run(t, a)
	send := sender(t)
	time.Sleep(500 * time.Millisecond)
	before := heap()
	const names, addresses = 1000, 1000
	for packet := range 3 {
		msg := new(dns.Msg)
		msg.Response, msg.Compress = true, true
		for i := range names {
			msg.Answer = append(msg.Answer, &dns.SRV{Hdr: head(fmt.Sprintf("p%dn%d._p2p._udp.local.", packet, i), dns.TypeSRV), Target: "x.local."})
		}
		for i := range addresses {
			msg.Extra = append(msg.Extra, &dns.A{Hdr: head("x.local.", dns.TypeA), A: net.IPv4(10, 77, byte(i>>8), byte(i))})
		}
		send(msg)
		time.Sleep(100 * time.Millisecond)
	}
	run(t, b)
	meets(t, m, b, 10*time.Second)               // so the packets before it are through
	deadline := time.Now().Add(20 * time.Second) // on a busy machine the last packet is still being taken apart
	for grown := heap() - before; grown > 16<<20; grown = heap() - before {
		if time.Now().After(deadline) {
			t.Fatalf("%d MiB are kept of three packets", grown>>20)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// sender returns a function that multicasts from 10.77.0.66.
func sender(t *testing.T) func(*dns.Msg) {
	t.Helper()
	conn, err := net.ListenPacket("udp4", "10.77.0.66:0")
	must(t, err)
	t.Cleanup(func() { conn.Close() })
	lan, err := net.InterfaceByName("lan0")
	must(t, err)
	must(t, ipv4.NewPacketConn(conn).SetMulticastInterface(lan))
	to := &net.UDPAddr{IP: net.IPv4(224, 0, 0, 251), Port: 5353}
	return func(msg *dns.Msg) {
		b, err := msg.Pack()
		must(t, err)
		if _, err := conn.WriteTo(b, to); err != nil && !errors.Is(err, syscall.ENOBUFS) {
			t.Fatal(err)
		}
	}
}
