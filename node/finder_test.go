package node

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/shoal-p2p/shoal/discovery"
	"github.com/shoal-p2p/shoal/transfer"
)

// toldBy is a DHT of the local network that says the same at all times.
type toldBy []discovery.Finding

func (s toldBy) Routes() []string { return []string{discovery.RouteLANDHT} }
func (s toldBy) Trouble() error   { return nil }

func (s toldBy) Providers(ctx context.Context, _ discovery.Lookup) <-chan discovery.Finding {
	out := make(chan discovery.Finding)
	go func() {
		defer close(out)
		for _, f := range s {
			select {
			case out <- f:
			case <-ctx.Done():
			}
		}
	}()
	return out
}

// searching gives a node a DHT, and a memory on a shelf of its own.
func searching(t testing.TB, s ...discovery.Source) func(*Node) {
	return func(n *Node) {
		memory, err := discovery.OpenMemory(n.store.Shelf())
		if err != nil {
			t.Fatal(err)
		}
		n.finder = discovery.NewFinder(discovery.FinderConfig{Host: n.host, Memory: memory, Sources: s})
	}
}

// reopened is a node on a home that another one has left.
func reopened(t *testing.T, home string, change func(*Node), do func(*running)) {
	t.Helper()
	n, err := Open(t.Context(), Config{Home: home, Network: Isolated, Listen: []string{"/ip4/127.0.0.1/tcp/0"}})
	if err != nil {
		t.Fatal(err)
	}
	change(n)
	ctx, cancel := context.WithCancel(t.Context())
	var wait sync.WaitGroup
	wait.Go(func() {
		if err := n.Run(ctx); err != nil {
			t.Errorf("run: %v", err)
		}
	})
	do(&running{n, t, t.TempDir()})
	cancel()
	wait.Wait()
	if err := n.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
}

// Who delivered once is asked again after a restart, with nothing but a CID, for what it gave and for what it has besides.
func TestWhoDeliveredIsRemembered(t *testing.T) {
	a := start(t, "a")
	first, data := a.file("first", 3<<20)
	second, more := a.file("second", 2<<20)
	third, _ := a.file("third", 1<<20)
	x, y, z := a.share(first), a.share(second), a.share(third)
	home := filepath.Join(t.TempDir(), "b")
	reopened(t, home, searching(t), func(b *running) {
		to := filepath.Join(b.dir, "copy")
		b.fetch(FetchRequest{Ref: x.Ticket, Dest: to})
		same(t, to, data)
	})
	reopened(t, home, searching(t), func(b *running) {
		to := filepath.Join(b.dir, "copy")
		heard := false
		_, err := b.Fetch(t.Context(), FetchRequest{Ref: y.CID, Dest: to}, func(e Event) {
			for _, r := range e.Routes {
				heard = heard || r.Route == discovery.RouteRemembered
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		same(t, to, more)
		if !heard {
			t.Error("nothing was said of who is remembered")
		}
		if r := b.finder.Route(a.host.ID()); r != discovery.RouteRemembered {
			t.Errorf("route %q, expected that the memory led to it", r)
		}
		b.distrust(a.host.ID())
	})
	reopened(t, home, searching(t), func(b *running) {
		_, err := b.Fetch(t.Context(), FetchRequest{Ref: z.CID, Dest: filepath.Join(b.dir, "copy"), Timeout: 1}, ignore)
		if !errors.Is(err, ErrNoPeer) {
			t.Errorf("%v, expected that who was banned is remembered no more", err)
		}
	})
}

// B77: a ticket leads to the right address of the wrong peer; whoever else has it is found all the same.
func TestTicketWithAnothersAddress(t *testing.T) {
	a, b := start(t, "a"), start(t, "b")
	path, data := a.file("f", 3<<20)
	s := a.share(path)
	r, err := ParseRef(s.CID)
	if err != nil {
		t.Fatal(err)
	}
	lie := discovery.Ticket{Root: r.root, Peer: newID(t), Addrs: a.host.addrs()}.Text()
	_, err = b.Fetch(t.Context(), FetchRequest{Ref: lie, Dest: filepath.Join(b.dir, "f"), Timeout: 8}, ignore)
	if !errors.Is(err, ErrNoPeer) || !strings.Contains(err.Error(), "the node that the ticket names (1 found, 1 unreachable") {
		t.Errorf("error %v, expected that the ticket's node could not be reached there", err)
	}
	to := filepath.Join(b.dir, "g")
	b.fetch(FetchRequest{Ref: lie, Dest: to, Peers: []string{a.addr()}})
	same(t, to, data)
}

// What was tried is told: which routes, what each found, and what became of it. A DHT's loopback is not believed.
func TestVerdictNamesTheRoutes(t *testing.T) {
	var lies toldBy
	for n := range 5 {
		lies = append(lies, discovery.Finding{
			Info: peer.AddrInfo{ID: stranger(n), Addrs: addrs(fmt.Sprintf("/ip4/127.0.0.1/tcp/%d", 5000+n))}, Route: discovery.RouteLANDHT,
		})
	}
	a := start(t, "a")
	b := startWith(t, "b", func(n *Node) {
		searching(t, lies)(n)
		n.config.Network = LAN // without its mDNS, which would find others here
		n.host.gater.inward = false
	})
	path, _ := a.file("f", 10)
	s := a.share(path)
	if err := a.Unshare(t.Context(), s.CID); err != nil {
		t.Fatal(err)
	}
	r, err := ParseRef(s.CID)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		with target
		kind error
		says []string
		done func(RouteStatus) bool
	}{
		{"only the DHT", target{root: r.root}, ErrNoPeer, []string{
			"only a DHT named anybody", "the DHT of this network (5 at addresses that cannot be meant)", "whoever is connected (nobody)",
		}, func(r RouteStatus) bool { return r.Refused == 5 }},
		{"somebody without it", target{root: r.root, peers: []peer.AddrInfo{{ID: a.host.ID(), Addrs: a.host.addrs()}}}, ErrNotFound, []string{
			"asked 1 peer, none has", "the peers that you named (1 found, 1 without it)", "the DHT of this network (5 at addresses",
		}, func(r RouteStatus) bool { return r.Without == 1 }},
	} {
		said := make(chan Event, 1)
		p := b.pursue(t.Context(), c.with, pursuitOptions{Leech: true, Patience: -1, Emit: oneAtATime(func(e Event) {
			select {
			case said <- e:
			default: // only the first counts
			}
		})})
		waitFor(t, c.name, func() bool { return slices.ContainsFunc(p.routes(), c.done) && refused(p.routes()) == 5 })
		p.mu.Lock()
		err := p.verdict(transfer.Status{}, 30*time.Second)
		p.mu.Unlock()
		p.stop()
		if !errors.Is(err, c.kind) {
			t.Errorf("%s: %v, expected %v", c.name, err, c.kind)
		}
		for _, part := range c.says {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%s: %v, expected to read %q", c.name, err, part)
			}
		}
		if first := <-said; first.Kind != "finding" || !strings.Contains(first.Message, "the DHT of this network") || len(first.Routes) == 0 {
			t.Errorf("%s: said first %+v, expected what is looked through", c.name, first)
		}
	}
}

func refused(routes []RouteStatus) (n int) {
	for _, r := range routes {
		n += r.Refused
	}
	return n
}

// T16: what a DHT says of a way through a relay is believed as far as the relay is on the internet, and the relay's address has the
// budget of all that is hearsay.
func TestRelaysOnHearsay(t *testing.T) {
	h := onPublic(bareHost(t))
	relay := "/p2p/" + bareHost(t).ID().String() + "/p2p-circuit"
	note := func(n int, route string, texts ...string) bool {
		return h.Note(discovery.Finding{Info: peer.AddrInfo{ID: stranger(n), Addrs: addrs(texts...)}, Route: route})
	}
	const good = "/ip4/9.9.9.9/tcp/4747"
	if note(1, discovery.RouteDHT, good+relay) {
		t.Error("a host without relays takes the address of one")
	}
	h.outside = newOutside(hostConfig{})
	for n, c := range []struct {
		route, addr string
		want        bool
	}{
		{discovery.RouteDHT, good + relay, true},
		{discovery.RouteDHT, "/ip4/9.9.9.9/udp/4747/quic-v1" + relay, true},
		{discovery.RouteLANDHT, good + relay, false},
		{discovery.RouteRemembered, good + relay, false},
		{discovery.RouteDHT, "/ip4/10.0.0.9/tcp/4747" + relay, false},
		{discovery.RouteDHT, "/ip4/127.0.0.1/tcp/4747" + relay, false},
		{discovery.RouteDHT, "/ip4/169.254.169.254/tcp/80" + relay, false},
		{discovery.RouteDHT, "/ip4/192.0.2.9/tcp/4747" + relay, false}, // on our link
		{discovery.RouteDHT, "/dns4/example.org/tcp/4747" + relay, false},
		{discovery.RouteDHT, good + "/p2p/" + h.ID().String() + "/p2p-circuit", false},
		{discovery.RouteDHT, good + "/p2p-circuit", false},
	} {
		if got := note(10+n, c.route, c.addr); got != c.want {
			t.Errorf("%s from %s: taken %v, want %v", c.addr, c.route, got, c.want)
		}
	}
	var many []string
	for n := range 10 {
		many = append(many, fmt.Sprintf("/ip4/8.8.4.%d/tcp/4747", n)+relay)
	}
	note(50, discovery.RouteDHT, append(many, "/ip4/8.8.8.8/tcp/4747")...)
	if got := h.Peerstore().Addrs(stranger(50)); len(got) != maxHeardRelays+1 {
		t.Errorf("%v were taken of one peer, want %d relays and what leads to itself", got, maxHeardRelays)
	}
	dials := 0
	for n := range 100 {
		at := good + relay
		note(100+n, discovery.RouteDHT, at)
		if h.gater.InterceptAddrDial(stranger(100+n), addrs(at)[0]) {
			dials++
		}
	}
	if dials != discovery.MaxHeardDials {
		t.Errorf("a relay was dialled %d times in a minute, want %d", dials, discovery.MaxHeardDials)
	}
	h.outside.config.NoRelay = true
	if note(300, discovery.RouteDHT, good+relay) {
		t.Error("taken with --no-relay")
	}
}

// onPublic is the host again with the rules of the network public, on a machine with the address 192.0.2.1. libp2p goes on with those
// that the host was made with.
func onPublic(h *netHost) *netHost {
	out := *h
	out.gater = newGater(Public)
	out.gater.links.read = func() []netip.Prefix { return prefixes("192.0.2.0/24") }
	return &out
}
