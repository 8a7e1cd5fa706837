package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/shoal-p2p/shoal/node"
	"github.com/shoal-p2p/shoal/testnet"
)

// internet is a laboratory with the built program in it.
type internet struct {
	*testnet.Lab
	t     *testing.T
	shoal string
	dir   string
	homes int
}

func newInternet(t *testing.T) *internet {
	t.Helper()
	if testing.Short() {
		t.Skip("starts processes and network namespaces")
	}
	if err := testnet.Lack(); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("in CI this test must run, but %v", err)
		}
		t.Skip(err)
	}
	dir := t.TempDir()
	shoal := filepath.Join(dir, "shoal")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", shoal, ".").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	lab, err := testnet.NewLab()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(lab.Close)
	return &internet{Lab: lab, t: t, shoal: shoal, dir: dir}
}

// host is a machine with a home on it.
type host struct {
	*testnet.Machine
	in   *internet
	home string
}

func (i *internet) host(m *testnet.Machine, err error) host {
	i.t.Helper()
	if err != nil {
		i.t.Fatal(err)
	}
	i.homes++
	return host{m, i, filepath.Join(i.dir, "home"+string(rune('0'+i.homes)))}
}

// behind adds a machine behind a router of its own.
func (i *internet) behind(kind testnet.NAT) (host, *testnet.Router) {
	i.t.Helper()
	r, err := i.Router(kind)
	if err != nil {
		i.t.Fatal(err)
	}
	return i.host(r.Inside()), r
}

// serve runs a node until the test ends.
func (h host) serve(t *testing.T, args ...string) {
	t.Helper()
	cmd := h.Command(h.in.shoal, append([]string{"--home", h.home, "serve", "--network", "public"}, args...)...)
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil {
			t.Errorf("serve: %v\n%s", err, &log)
		}
	})
	h.await(t, "an answer", func(node.Status) bool { return true })
}

// await waits until the node's status is as it should be.
func (h host) await(t *testing.T, what string, ok func(node.Status) bool) node.Status {
	t.Helper()
	var out []byte
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(100 * time.Millisecond) { // another process
		var s node.Status
		out, _ = h.Command(h.in.shoal, "--home", h.home, "status", "--json").Output() // says so if there is no node yet
		if json.Unmarshal(out, &s) == nil && s.ID != "" && ok(s) {
			return s
		}
	}
	t.Fatalf("waited in vain for %s; the last status is\n%s", what, out)
	return node.Status{}
}

// relays are two public nodes that relay, as --relay-peer wants them.
func (i *internet) relays(t *testing.T, args ...string) (relays []host, flags []string) {
	t.Helper()
	for range 2 {
		h := i.host(i.Public())
		h.serve(t, append([]string{"--relay"}, args...)...)
		relays = append(relays, h)
		s := h.await(t, "a public address", func(s node.Status) bool { return len(s.Addrs) > 0 })
		for _, a := range s.Addrs {
			if strings.Contains(a, h.Addr.String()) {
				flags = append(flags, "--relay-peer", a)
			}
		}
	}
	return relays, flags
}

// relayed waits until the node can be reached through a relay and knows its NAT.
func (h host) relayed(t *testing.T, kind node.NAT) {
	t.Helper()
	h.await(t, "places at relays, and the NAT "+string(kind), func(s node.Status) bool {
		return s.Reach != nil && len(s.Reach.Relays) > 0 && s.Reach.UDP == kind
	})
}

// share makes a file and a ticket for it.
func (h host) share(t *testing.T, bytes int) (file, ticket string) {
	t.Helper()
	data := make([]byte, bytes)
	_, _ = rand.NewChaCha8(sha256.Sum256([]byte(h.home))).Read(data) // never fails
	file = h.home + ".data"
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := h.Output(h.in.shoal, "--home", h.home, "share", file, "--json")
	if err != nil {
		t.Fatal(err)
	}
	var shared node.Shared
	if err := json.Unmarshal([]byte(lastLine(string(out))), &shared); err != nil {
		t.Fatalf("share printed %q: %v", out, err)
	}
	return file, shared.Ticket
}

// get fetches a ticket by a command of its own, and returns its events, of which the last says how it ended.
func (h host) get(t *testing.T, ticket string, args ...string) (path string, events []node.Event, stderr string) {
	t.Helper()
	path = h.home + ".got"
	cmd := h.Command(h.in.shoal, append([]string{"--home", h.home, "get", ticket, "-o", path, "--json"}, args...)...)
	var log bytes.Buffer
	cmd.Stderr = &log
	out, _ := cmd.Output() // the last event says more than the exit code
	for line := range strings.Lines(string(out)) {
		var e node.Event
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("get printed %q: %v", line, err)
		}
		events = append(events, e)
	}
	return path, events, string(out) + log.String()
}

// getDirectly fetches a file that must come from one peer without a relay: so many bytes at most may come to those meanwhile.
func (h host) getDirectly(t *testing.T, ref, file string, relays []host, most int64, flags ...string) {
	t.Helper()
	before := received(t, relays)
	got, events, log := h.get(t, ref, append([]string{"--network", "public"}, flags...)...)
	done := events[len(events)-1]
	if done.Kind != "done" || len(done.Sources) != 1 || done.Sources[0].Relayed {
		t.Fatalf("the file should come directly, and %+v is how it ended\n%s", done, log)
	}
	sameFile(t, file, got)
	carried := received(t, relays) - before
	if carried > most {
		t.Errorf("%d bytes came to the relays, which should only have introduced the two", carried)
	}
	t.Logf("%s in %.1f s from %s; %d bytes came to the relays", size(done.Bytes), done.Seconds, done.Sources[0].Addr, carried)
}

func sameFile(t *testing.T, a, b string) {
	t.Helper()
	if out, err := exec.Command("cmp", a, b).CombinedOutput(); err != nil {
		t.Errorf("what came is not what was shared: %v\n%s", err, out)
	}
}

// TestHolePunching is two people behind NATs, as homes have them, with a ticket and no open port on either side.
func TestHolePunching(t *testing.T) {
	const bytes = 8 << 20
	in := newInternet(t)
	relays, flags := in.relays(t)
	for name, blocked := range map[string]string{"": "", "without UDP": "udp", "without TCP": "tcp"} {
		t.Run("cone to cone "+name, func(t *testing.T) {
			in := &internet{Lab: in.Lab, t: t, shoal: in.shoal, dir: t.TempDir()}
			anna, near := in.behind(testnet.PortRestricted)
			ben, far := in.behind(testnet.PortRestricted)
			for _, r := range []*testnet.Router{near, far} {
				if blocked == "" {
					continue
				}
				if err := r.Block(blocked); err != nil {
					t.Fatal(err)
				}
			}
			anna.serve(t, flags...)
			anna.await(t, "a place at a relay", func(s node.Status) bool { return s.Reach != nil && len(s.Reach.Relays) > 0 })
			file, ticket := anna.share(t, bytes)
			ben.getDirectly(t, ticket, file, relays, bytes/16, flags...)
		})
	}
}

// TestFoundBehindANAT is somebody behind a NAT who shares, and somebody behind another one who has the CID and nothing else: the DHT
// leads to a relay, and the relay's introduction to a direct connection.
func TestFoundBehindANAT(t *testing.T) {
	const bytes = 4 << 20
	in := newInternet(t)
	relays, flags := in.relays(t, "--bootstrapper", "--dht-prefix", "/lab")
	for i, f := range flags {
		if f == "--relay-peer" {
			flags[i] = "--bootstrap"
		}
	}
	flags = append(flags, "--dht-prefix", "/lab")
	anna, _ := in.behind(testnet.Cone)
	ben, _ := in.behind(testnet.Cone)
	anna.serve(t, flags...)
	file, ticket := anna.share(t, bytes) // before it has a place at a relay, as people do
	ref, err := node.ParseRef(ticket)
	if err != nil {
		t.Fatal(err)
	}
	anna.relayed(t, node.NATCone)
	ben.getDirectly(t, ref.CID, file, relays, bytes/8, flags...) // from whom the DHT named, for nothing else leads there
}

func received(t *testing.T, hosts []host) (sum int64) {
	t.Helper()
	for _, h := range hosts {
		n, err := h.Received()
		if err != nil {
			t.Fatal(err)
		}
		sum += n
	}
	return sum
}

// TestSymmetricNATs is two people behind the NATs of carriers, into which no hole can be punched.
func TestSymmetricNATs(t *testing.T) {
	const bytes = 8 << 20
	in := newInternet(t)
	relays, flags := in.relays(t)
	anna, _ := in.behind(testnet.Symmetric)
	ben, _ := in.behind(testnet.Symmetric)
	anna.serve(t, flags...)
	anna.relayed(t, node.NATSymmetric)
	_, ticket := anna.share(t, bytes)
	_, events, log := ben.get(t, ticket, append([]string{"--network", "public"}, flags...)...)
	for _, want := range []string{"no_direct_way", "symmetric", "relay"} {
		if !strings.Contains(log[strings.LastIndex(log, `{"error"`):], want) {
			t.Errorf("%q is missing in what is said:\n%s", want, log)
		}
	}
	if came := received(t, relays); came > bytes/4 {
		t.Errorf("%d bytes came to the relays, which do not want to carry files", came)
	}
	if done := events[len(events)-1]; done.Kind == "done" {
		t.Errorf("it came all the same: %+v", done)
	}
}

// TestRelayCutoffResumes has a relay that carries files, but ends each connection before this one is through.
func TestRelayCutoffResumes(t *testing.T) {
	const bytes = 8 << 20
	in := newInternet(t)
	relays, flags := in.relays(t, "--relay-data", "3M")
	anna, _ := in.behind(testnet.Symmetric)
	ben, _ := in.behind(testnet.Symmetric)
	anna.serve(t, flags...)
	anna.relayed(t, node.NATSymmetric)
	file, ticket := anna.share(t, bytes)
	got, events, log := ben.get(t, ticket, append([]string{"--network", "public"}, flags...)...)
	done := events[len(events)-1]
	if done.Kind != "done" || len(done.Sources) != 1 || !done.Sources[0].Relayed {
		t.Fatalf("the file should come through the relay, and %+v is how it ended\n%s", done, log)
	}
	sameFile(t, file, got)
	if !strings.Contains(log, "relayed, limited") {
		t.Errorf("the user does not hear that it is relayed:\n%s", log)
	}
	if came := received(t, relays); came < bytes || came > 2*bytes {
		t.Errorf("%d bytes came to the relays for a file of %d", came, bytes)
	}
	t.Logf("%s in %.1f s, %d bytes came to the relays", size(done.Bytes), done.Seconds, received(t, relays))
}

// TestMappedPort is somebody whose router forwards a port when asked to: who has the ticket comes in through it, even from behind
// a symmetric NAT, and no relay is needed.
func TestMappedPort(t *testing.T) {
	in := newInternet(t)
	if err := testnet.LackUPnP(); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("in CI this test must run, but %v", err)
		}
		t.Skip(err)
	}
	anna, router := in.behind(testnet.PortRestricted)
	ben, _ := in.behind(testnet.Symmetric)
	gateway, err := router.ServeUPnP()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = gateway.Process.Kill(); _ = gateway.Wait() })
	anna.serve(t)
	outside := router.Addr.String()
	anna.await(t, "ports at the router", func(s node.Status) bool {
		return s.Reach != nil && len(s.Reach.Mapped) == 2 && strings.Contains(strings.Join(s.Addrs, " "), outside)
	})
	file, ticket := anna.share(t, 3<<20)
	got, events, log := ben.get(t, ticket, "--network", "public", "--no-relay", "--no-upnp")
	done := events[len(events)-1]
	if done.Kind != "done" || len(done.Sources) != 1 || !strings.Contains(done.Sources[0].Addr, outside) {
		t.Fatalf("the file should come through the router at %s, and %+v is how it ended\n%s", outside, done, log)
	}
	sameFile(t, file, got)
}

// TestMTUBlackhole has a narrow link between two who believe in 1500 bytes. Through 1200 QUIC does not fit at all; where the
// routers drop what is too long without a word, TCP does not learn of it.
func TestMTUBlackhole(t *testing.T) {
	in := newInternet(t)
	for _, c := range []struct {
		name   string
		mtu    int
		silent bool
		way    string
	}{
		{"too narrow for QUIC", 1200, false, "/tcp/"},
		{"silent", 1350, true, "/quic-v1"}, // last: the core stays silent
	} {
		t.Run(c.name, func(t *testing.T) {
			in := &internet{Lab: in.Lab, t: t, shoal: in.shoal, dir: t.TempDir()}
			anna, ben := in.host(in.Public()), in.host(in.Public())
			if err := anna.SetMTU(c.mtu, c.silent); err != nil {
				t.Fatal(err)
			}
			anna.serve(t)
			file, ticket := anna.share(t, 8<<20)
			got, events, log := ben.get(t, ticket, "--network", "public")
			done := events[len(events)-1]
			if done.Kind != "done" || len(done.Sources) != 1 || !strings.Contains(done.Sources[0].Addr, c.way) {
				t.Fatalf("the file should come by %s, and %+v is how it ended\n%s", c.way, done, log)
			}
			sameFile(t, file, got)
			if done.Seconds > 15 {
				t.Errorf("it took %.1f s to get around the narrow link", done.Seconds)
			}
		})
	}
}

// TestPublicAddress is a machine that needs no help. It finds that out, and is found through relays no longer.
func TestPublicAddress(t *testing.T) {
	in := newInternet(t)
	_, flags := in.relays(t)
	anna := in.host(in.Public())
	anna.serve(t, flags...)
	s := anna.await(t, "proof that it can be reached, and no relay", func(s node.Status) bool {
		return s.Reach != nil && len(s.Reach.Open) > 0 && len(s.Reach.Relays) == 0
	})
	if s.Reach.UDP != node.NATNone || strings.Contains(strings.Join(s.Addrs, " "), "p2p-circuit") {
		t.Errorf("it has a public address, but thinks %+v of it and tells others %q", s.Reach, s.Addrs)
	}
}
