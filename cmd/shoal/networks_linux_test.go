package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// packets are those that left a machine, by what they can tell somebody.
type packets struct {
	mu     sync.Mutex         // guards what follows
	beyond map[netip.Addr]int // to addresses that are not of a local network
	mdns   int
	peers  int // to one other machine of the local network, by TCP or UDP
}

func (p *packets) look() (beyond, mdns, peers int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, n := range p.beyond {
		beyond += n
	}
	return beyond, p.mdns, p.peers
}

// capture counts what leaves this machine by eth0 until the test ends.
func (m machine) capture() *packets {
	m.t.Helper()
	p := &packets{beyond: make(map[netip.Addr]int)}
	opened, done := make(chan error), make(chan struct{})
	var fd int
	go func() {
		defer close(done)
		runtime.LockOSThread() // and never let go: the thread is of another namespace and ends with this goroutine
		fd = m.packetSocket(opened)
		buf := make([]byte, 128)
		for fd >= 0 {
			n, from, err := unix.Recvfrom(fd, buf, 0)
			if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR) {
				continue
			}
			if err != nil {
				return
			}
			if l, ok := from.(*unix.SockaddrLinklayer); ok && l.Pkttype == unix.PACKET_OUTGOING {
				p.count(buf[:n])
			}
		}
	}()
	if err := <-opened; err != nil {
		m.t.Fatalf("capture packets: %v", err)
	}
	m.t.Cleanup(func() {
		_ = unix.Shutdown(fd, unix.SHUT_RD) // says that it is not connected
		_ = unix.Close(fd)
		<-done
	})
	return p
}

func (m machine) packetSocket(opened chan<- error) int {
	ns, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", m.pid))
	if err != nil {
		opened <- err
		return -1
	}
	defer ns.Close()
	if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
		opened <- err
		return -1
	}
	const all = unix.ETH_P_ALL<<8 | unix.ETH_P_ALL>>8 // in network order
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, all)
	if err == nil {
		err = unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: 100_000})
	}
	opened <- err
	return fd
}

// count sorts an IP packet by where it goes.
func (p *packets) count(b []byte) {
	var to netip.Addr
	var proto byte
	var ports []byte
	switch {
	case len(b) >= 24 && b[0]>>4 == 4:
		to, proto = netip.AddrFrom4([4]byte(b[16:20])), b[9]
		if head := int(b[0]&15) * 4; len(b) >= head+4 {
			ports = b[head:]
		}
	case len(b) >= 44 && b[0]>>4 == 6:
		to, proto, ports = netip.AddrFrom16([16]byte(b[24:40])), b[6], b[40:]
	default:
		return // ARP
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case to.IsMulticast():
		if proto == unix.IPPROTO_UDP && len(ports) >= 4 && ports[2] == 5353>>8 && ports[3] == 5353&255 {
			p.mdns++
		}
		if !to.IsLinkLocalMulticast() {
			p.beyond[to]++
		}
	case to.IsPrivate() || to.IsLinkLocalUnicast():
		if proto == unix.IPPROTO_TCP || proto == unix.IPPROTO_UDP {
			p.peers++
		}
	default:
		p.beyond[to]++
	}
}

// outside gives a machine a way into the internet, on which there is nobody.
func (m machine) outside() {
	m.t.Helper()
	m.must("ip", "neigh", "add", "10.77.0.254", "lladdr", "02:00:00:00:00:01", "dev", "eth0")
	m.must("ip", "route", "add", "default", "via", "10.77.0.254")
}

// TestWhatANetworkTells compares what each network and each switch lets out with the packets that leave the machine.
func TestWhatANetworkTells(t *testing.T) {
	dir, shoal, wire := bridge(t)
	const stranger = "/ip4/203.0.113.7/tcp/4747/p2p/12D3KooWKnDdG3iXw9eTFijk3EWSunZcFi54Zka4wmtqtt6rPxc8"
	const some, none = true, false
	ben := newMachine(t)
	ben.plug(wire, "bridge", "ben", "10.77.0.99/24")
	ben.serve(shoal, filepath.Join(dir, "ben"))
	for i, c := range []struct {
		flags               []string
		beyond, mdns, peers bool
	}{
		{[]string{"--network", "isolated"}, none, none, none},
		{[]string{"--network", "lan"}, none, some, some},
		{[]string{"--network", "lan", "--no-mdns"}, none, none, none},
		{[]string{"--network", "lan", "--no-dht"}, none, some, some}, // get asks the neighbours
		{[]string{"--network", "lan", "--no-mdns", "--no-dht"}, none, none, none},
		{[]string{"--network", "public", "--no-mdns", "--no-upnp"}, none, none, none},
		{[]string{"--network", "public", "--no-mdns"}, some, none, none}, // the router is asked to forward a port
		{[]string{"--network", "public", "--no-mdns", "--no-upnp", "--bootstrap", stranger}, some, none, none},
	} {
		t.Run(strings.Join(c.flags, " "), func(t *testing.T) {
			m := newMachine(t)
			m.plug(wire, "bridge", fmt.Sprint("anna", i), fmt.Sprintf("10.77.0.%d/24", i+1))
			m.outside()
			left := m.capture()
			home := filepath.Join(dir, fmt.Sprint("anna", i))
			m.serve(shoal, home, c.flags...)
			m.must(shoal, "--home", home, "share", shoal)
			if m.command(shoal, "--home", home, "get", "bafkreifzjut3te7nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e",
				"-o", filepath.Join(home, "x"), "--timeout", "3s").Run() == nil {
				t.Error("got what nobody has")
			}
			var beyond, mdns, peers int
			for range 100 {
				beyond, mdns, peers = left.look()
				if beyond > 0 == c.beyond && mdns > 0 == c.mdns && peers > 0 == c.peers {
					return // what must not leave has had the time of a failing get to do so
				}
				time.Sleep(100 * time.Millisecond)
			}
			left.mu.Lock()
			defer left.mu.Unlock()
			t.Errorf("left: %d packets beyond the LAN, wanted %v; %d of mDNS, wanted %v; %d to neighbours, wanted %v; beyond: %v",
				beyond, c.beyond, mdns, c.mdns, peers, c.peers, left.beyond)
		})
	}
}

// TestFindThroughABootstrapper has nodes on a network without multicast find each other through one that both know.
func TestFindThroughABootstrapper(t *testing.T) {
	dir, shoal, wire := bridge(t)
	boot, anna, ben := newMachine(t), newMachine(t), newMachine(t)
	for i, m := range []machine{boot, anna, ben} {
		m.plug(wire, "bridge", fmt.Sprint("port", i), fmt.Sprintf("10.77.0.%d/24", i+1))
	}
	home := func(name string) string { return filepath.Join(dir, name) }
	boot.serve(shoal, home("boot"), "--no-mdns", "--bootstrapper", "--dht-prefix", "/club")
	id := identity(t, boot, shoal, home("boot"))
	i := slices.IndexFunc(id.Addrs, func(a string) bool { return strings.HasPrefix(a, "/ip4/10.77.0.1/tcp") })
	if i < 0 {
		t.Fatalf("the bootstrapper has the addresses %q", id.Addrs)
	}
	flags := []string{"--no-mdns", "--dht-prefix", "/club", "--bootstrap", id.Addrs[i]}
	anna.serve(shoal, home("anna"), flags...)
	ben.serve(shoal, home("ben"), flags...)
	type share struct {
		CID string `json:"cid"`
	}
	var private, shared share
	secret := filepath.Join(dir, "secret")
	if err := os.WriteFile(secret, []byte("for some"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(anna.must(shoal, "--home", home("anna"), "share", secret, "--private", "--json"), &private); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(anna.must(shoal, "--home", home("anna"), "share", shoal, "--json"), &shared); err != nil {
		t.Fatal(err)
	}
	annas := identity(t, anna, shoal, home("anna")).ID
	var out []byte
	for range 60 {
		var err error
		if out, err = ben.command(shoal, "--home", home("ben"), "find", shared.CID, "--json").Output(); err == nil {
			break
		}
		time.Sleep(500 * time.Millisecond) // until the announcement has arrived; nobody says when
	}
	var p struct {
		Peer  string   `json:"peer"`
		Route string   `json:"route"`
		Addrs []string `json:"addrs"`
	}
	if err := json.Unmarshal(out, &p); err != nil || p.Peer != annas || p.Route != "dht-lan" || len(p.Addrs) == 0 {
		t.Fatalf("find printed %q, want the provider %s by dht-lan", out, annas)
	}
	if out, err := ben.command(shoal, "--home", home("ben"), "find", private.CID, "--json").Output(); err == nil {
		t.Errorf("the private share was announced, before the other one: %s", out)
	}
	ben.must(shoal, "--home", home("ben"), "get", shared.CID, "-o", home("got"))
	ben.must("cmp", shoal, home("got"))
}

func identity(t *testing.T, m machine, shoal, home string) (id struct {
	ID    string   `json:"id"`
	Addrs []string `json:"addrs"`
},
) {
	t.Helper()
	if err := json.Unmarshal(m.must(shoal, "--home", home, "id", "--json"), &id); err != nil {
		t.Fatal(err)
	}
	return id
}
