package discovery

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
)

// fakeHost keeps addresses, and dials without a network: whoever is in reach answers.
type fakeHost struct {
	hearsay *Hearsay

	mu        sync.Mutex // guards the rest
	addrs     map[peer.ID][]ma.Multiaddr
	connected map[peer.ID]bool
	others    map[peer.ID]bool // speak something else
	dials     map[netip.Addr][]time.Time
}

func newFakeHost() *fakeHost {
	return &fakeHost{
		hearsay: NewHearsay(time.Now), addrs: make(map[peer.ID][]ma.Multiaddr), connected: make(map[peer.ID]bool),
		others: make(map[peer.ID]bool), dials: make(map[netip.Addr][]time.Time),
	}
}

func (h *fakeHost) ID() peer.ID { return "self" }

func (h *fakeHost) Note(f Finding) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, a := range f.Info.Addrs {
		if f.Guess() {
			h.hearsay.Add(f.Info.ID, a, false)
		}
	}
	h.addrs[f.Info.ID] = append(h.addrs[f.Info.ID], f.Info.Addrs...)
	return true
}

func (h *fakeHost) Connect(_ context.Context, info peer.AddrInfo) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.connected[info.ID] = true
	return nil
}

func (h *fakeHost) Connected(p peer.ID) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.connected[p]
}

func (h *fakeHost) Serves(p peer.ID) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return !h.others[p]
}

func (h *fakeHost) Local(ip netip.Addr) bool { return ip.IsPrivate() }

// dial tries every address of a peer that the budget allows, and reports whether one of them is up.
func (h *fakeHost) dial(p peer.ID, up netip.Addr) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	reached := false
	for _, a := range h.addrs[p] {
		e, _ := parseEndpoint(a)
		if h.hearsay.MayDial(p, a, e.ip, true) {
			h.dials[e.ip] = append(h.dials[e.ip], time.Now())
			reached = reached || e.ip == up
		}
	}
	return reached
}

// source is a DHT that says what it is told to.
type source struct {
	say     func(ctx context.Context, out chan<- Finding) // returns when there is no more to say
	trouble error

	mu      sync.Mutex // guards the rest
	asked   []time.Time
	lookups []Lookup
}

func (s *source) Routes() []string { return []string{RouteLANDHT, RouteDHT} }
func (s *source) Trouble() error   { return s.trouble }

func (s *source) Providers(ctx context.Context, l Lookup) <-chan Finding {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked, s.lookups = append(s.asked, time.Now()), append(s.lookups, l)
	out := make(chan Finding)
	go func() {
		defer close(out)
		s.say(ctx, out)
	}()
	return out
}

func say(ctx context.Context, out chan<- Finding, all ...Finding) {
	for _, f := range all {
		select {
		case out <- f:
		case <-ctx.Done():
			return
		}
	}
}

// searching runs a search in a bubble until the test is over.
func searching(t *testing.T, c FinderConfig, q Query) *Search {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	f := NewFinder(c)
	s := f.Search(q)
	done := make(chan error, 2)
	go func() { done <- f.Run(ctx) }()
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		for range 2 {
			if err := <-done; err != nil {
				t.Errorf("run: %v", err)
			}
		}
	})
	return s
}

// yielded are the findings that are ready now.
func yielded(s *Search) (out []Finding) {
	for {
		synctest.Wait()
		select {
		case f := <-s.found:
			out = append(out, f)
		default:
			return out
		}
	}
}

func (s *Search) outcome(route string) Tried {
	all := s.Tried()
	if i := slices.IndexFunc(all, func(t Tried) bool { return t.Route == route }); i >= 0 {
		return all[i]
	}
	return Tried{}
}

func at(route string, n int, where ...string) Finding { return Finding{someone(n, where...), route} }

// T16, B72: among a thousand made-up providers, all said to be at a victim's address or at a few of them, the one real provider
// is found within 30 s, wherever in the crowd it stands, and no victim is dialled more than three times a minute.
func TestFakeProviders(t *testing.T) {
	real := at(RouteDHT, 5000, "/ip4/9.9.9.9/tcp/4747")
	up := netip.MustParseAddr("9.9.9.9")
	for victims, places := range map[int][]int{1: {0, 500, 1000}, 50: {0, 500, 1000}} {
		for _, place := range places {
			t.Run(fmt.Sprintf("%d victims, real one after %d", victims, place), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var all []Finding
					for n := range 1000 {
						all = append(all, at(RouteDHT, n, fmt.Sprintf("/ip4/8.8.%d.8/tcp/%d", n%victims, 2000+n)))
					}
					all = slices.Insert(all, place, real)
					host := newFakeHost()
					dht := &source{say: func(ctx context.Context, out chan<- Finding) { say(ctx, out, all...) }}
					s := searching(t, FinderConfig{Host: host, Sources: []Source{dht}}, Query{Root: root(t)})
					took := reach(t, s, host, up, real.Info.ID)
					if took > 30*time.Second {
						t.Errorf("the real provider was reached after %v", took)
					}
					t.Logf("reached after %v", took)
					for ip, times := range host.dials {
						for i, first := range times {
							if ip != up && i+MaxHeardDials < len(times) && times[i+MaxHeardDials].Sub(first) < time.Minute {
								t.Fatalf("%v was dialled more than %d times in a minute: %v", ip, MaxHeardDials, times)
							}
						}
					}
				})
			})
		}
	}
}

// reach dials what the search yields, as a transfer session does, until it has reached the peer: five seconds for one that does
// not answer, sixteen at a time.
func reach(t *testing.T, s *Search, host *fakeHost, up netip.Addr, want peer.ID) time.Duration {
	t.Helper()
	start := time.Now()
	var mu sync.Mutex
	trying := make(map[peer.ID]bool)
	var dialers sync.WaitGroup
	defer dialers.Wait()
	reached := make(chan struct{}, 1)
	slots := make(chan struct{}, 16)
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case f := <-s.Found():
			mu.Lock()
			trying[f.Info.ID] = true
			mu.Unlock()
			dialers.Go(func() {
				slots <- struct{}{}
				defer func() { <-slots }()
				if host.dial(f.Info.ID, up) && f.Info.ID == want {
					reached <- struct{}{}
				} else {
					time.Sleep(5 * time.Second)
				}
				mu.Lock()
				defer mu.Unlock()
				delete(trying, f.Info.ID)
			})
		case <-tick.C:
			mu.Lock()
			s.Settle(0, func(p peer.ID) bool { return trying[p] })
			mu.Unlock()
			if time.Since(start) > 10*time.Minute {
				t.Fatal("the real provider was never reached")
			}
		case <-reached:
			return time.Since(start)
		}
	}
}

// B72, T16: ten thousand providers take the room of those of one look-up, this node is none of them, and addresses that cannot be meant are no
// reason to dial.
func TestManyProvidersAreCapped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		host := newFakeHost()
		dht := &source{say: func(ctx context.Context, out chan<- Finding) {
			say(ctx, out, Finding{peer.AddrInfo{ID: "self", Addrs: addrs("/ip4/8.8.8.8/tcp/1")}, RouteDHT})
			for n := range 10_000 {
				say(ctx, out, at(RouteDHT, n, fmt.Sprintf("/ip4/8.%d.%d.8/tcp/4747", n/250, n%250)))
			}
		}}
		s := searching(t, FinderConfig{Host: host, Sources: []Source{dht}}, Query{Root: root(t)})
		first := yielded(s)
		time.Sleep(time.Second) // nobody takes more: what is waiting waits
		got := append(first, yielded(s)...)
		for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(perGuess) {
			got = append(got, yielded(s)...)
		}
		if len(got) != maxOpen {
			t.Errorf("%d guesses were handed out and none settled, expected %d", len(got), maxOpen)
		}
		if n := len(s.queues[RouteDHT].pending); n > MaxProviders {
			t.Errorf("%d wait, expected at most %d", n, MaxProviders)
		}
		if slices.ContainsFunc(got, func(f Finding) bool { return f.Info.ID == "self" }) {
			t.Error("this node was found as a provider")
		}
		if n := len(host.addrs); n > maxOpen {
			t.Errorf("addresses of %d peers were noted before their turn", n)
		}
		s.Settle(0, func(peer.ID) bool { return false })
		time.Sleep(perGuess)
		if more := yielded(s); len(more) == 0 {
			t.Error("nothing follows although all were settled")
		}
	})
}

// T16, B69, B78: the addresses that a DHT may lead to.
func TestAddressesFromADHT(t *testing.T) {
	relay := "/p2p/" + realID(t, 1).String() + "/p2p-circuit"
	for addr, want := range map[string][2]bool{ // from the LAN's DHT, from the one beyond
		"/ip4/9.9.9.9/tcp/4747":               {false, true},
		"/ip4/9.9.9.9/udp/4747/quic-v1":       {false, true},
		"/ip6/2606:4700::1/tcp/4747":          {false, true},
		"/ip4/10.1.2.3/tcp/4747":              {true, false},
		"/ip4/192.168.1.9/udp/4747/quic-v1":   {true, false},
		"/ip6/fd12::1/tcp/4747":               {true, false},
		"/ip4/127.0.0.1/tcp/4747":             {false, false},
		"/ip6/::1/tcp/4747":                   {false, false},
		"/ip4/169.254.3.4/tcp/4747":           {false, false},
		"/ip4/169.254.169.254/tcp/4747":       {false, false},
		"/ip6/fd00:ec2::254/tcp/4747":         {false, false},
		"/ip6/fe80::1/tcp/4747":               {false, false},
		"/ip4/0.0.0.0/tcp/4747":               {false, false},
		"/ip4/224.0.0.251/udp/5353/quic-v1":   {false, false},
		"/ip4/255.255.255.255/tcp/9":          {false, false},
		"/ip4/100.64.1.1/tcp/4747":            {false, false},
		"/ip4/192.0.2.1/tcp/4747":             {false, false},
		"/ip6/::ffff:10.0.0.1/tcp/4747":       {false, false},
		"/ip6/64:ff9b::a9fe:a9fe/tcp/80":      {false, false}, // the metadata service through NAT64
		"/ip6/2002:7f00:1::1/tcp/80":          {false, false},
		"/dns4/example.com/tcp/4747":          {false, false},
		"/ip4/9.9.9.9/tcp/0":                  {false, false},
		"/ip4/9.9.9.9/tcp/4747/p2p-circuit":   {false, false},
		"/ip4/9.9.9.9/udp/4747/webrtc-direct": {false, false},

		"/ip4/9.9.9.9/tcp/4747" + relay:                           {false, true},
		"/ip4/9.9.9.9/udp/4747/quic-v1" + relay:                   {false, true},
		"/ip4/10.1.2.3/tcp/4747" + relay:                          {false, false},
		"/ip4/127.0.0.1/tcp/4747" + relay:                         {false, false},
		"/ip4/169.254.169.254/tcp/4747" + relay:                   {false, false},
		"/ip6/2002:7f00:1::1/tcp/80" + relay:                      {false, false},
		"/dns4/example.com/tcp/4747" + relay:                      {false, false},
		"/ip4/9.9.9.9/tcp/4747" + "/p2p/" + realID(t, 2).String(): {false, false}, // beyond the relay again somebody else
		"/ip4/9.9.9.9/tcp/4747" + relay + relay:                   {false, false},
		"/ip4/9.9.9.9/udp/4747/webrtc-direct" + relay:             {false, false},
	} {
		for i, route := range []string{RouteLANDHT, RouteDHT} {
			got := meant(at(route, 1, addr), func(ip netip.Addr) bool { return ip.IsPrivate() })
			if (len(got) == 1) != want[i] {
				t.Errorf("%s from %s: %v, expected %v", addr, route, got, want[i])
			}
		}
	}
}

// What a source may do wrong costs nothing but what it does not find.
func TestBadSources(t *testing.T) {
	good := at(RouteDHT, 1, "/ip4/9.9.9.9/tcp/4747")
	for name, c := range map[string]struct {
		say  func(ctx context.Context, out chan<- Finding)
		want int // times asked within ten minutes, at most
	}{
		"ends at once": {func(context.Context, chan<- Finding) {}, 16},
		"never ends":   {func(ctx context.Context, _ chan<- Finding) { <-ctx.Done() }, 12},
		"says it forever": {func(ctx context.Context, out chan<- Finding) {
			for ctx.Err() == nil {
				say(ctx, out, good)
				wait(ctx, nil, time.Millisecond)
			}
		}, 12},
		"says nonsense": {func(ctx context.Context, out chan<- Finding) {
			say(ctx, out, Finding{}, Finding{Route: "made up", Info: someone(3, "/ip4/9.9.9.9/tcp/1")}, at(RouteDHT, 4))
		}, 16},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				bad, well := &source{say: c.say}, &source{say: func(ctx context.Context, out chan<- Finding) { say(ctx, out, good) }}
				s := searching(t, FinderConfig{Host: newFakeHost(), Sources: []Source{bad, well}}, Query{Root: root(t)})
				if got := yielded(s); len(got) != 1 || got[0].Info.ID != good.Info.ID {
					t.Errorf("yielded %v, expected what the other source said", got)
				}
				for range 600 {
					time.Sleep(time.Second)
					yielded(s)
				}
				bad.mu.Lock()
				defer bad.mu.Unlock()
				if len(bad.asked) > c.want || len(bad.asked) < 2 {
					t.Errorf("asked %d times in ten minutes, expected 2 to %d", len(bad.asked), c.want)
				}
			})
		})
	}
	synctest.Test(t, func(t *testing.T) {
		broken := errors.New("no node of it is known")
		s := searching(t, FinderConfig{Host: newFakeHost(), Sources: []Source{&source{
			say: func(context.Context, chan<- Finding) {}, trouble: broken,
		}}}, Query{Root: root(t)})
		yielded(s)
		if got := s.outcome(RouteDHT); !errors.Is(got.Err, broken) || got.Asking {
			t.Errorf("outcome %+v, expected the trouble of the source", got)
		}
	})
}

// What strangers should not hear of is asked of no source, and no such route is told.
func TestQuietSearchAsksNoSource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, quiet := range []bool{false, true} {
			dht := &source{say: func(ctx context.Context, _ chan<- Finding) { <-ctx.Done() }}
			s := searching(t, FinderConfig{Host: newFakeHost(), Sources: []Source{dht}}, Query{Root: root(t), Quiet: quiet})
			time.Sleep(time.Hour)
			yielded(s)
			dht.mu.Lock()
			if asked := len(dht.asked) > 0; asked == quiet {
				t.Errorf("quiet %v: the DHT was asked: %v", quiet, asked)
			}
			dht.mu.Unlock()
			if _, tried := s.tried[RouteDHT]; tried == quiet {
				t.Errorf("quiet %v: the route is among those tried: %v", quiet, tried)
			}
		}
	})
}

// A DHT is asked as long as sources are lacking, and again when they have left.
func TestSearchGoesOnWhileSourcesLack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dht := &source{say: func(ctx context.Context, _ chan<- Finding) { <-ctx.Done() }}
		s := searching(t, FinderConfig{Host: newFakeHost(), Sources: []Source{dht}}, Query{Root: root(t)})
		asked := func() int {
			dht.mu.Lock()
			defer dht.mu.Unlock()
			return len(dht.asked)
		}
		yielded(s)
		if n := asked(); n != 1 || !s.outcome(RouteDHT).Asking {
			t.Fatalf("asked %d times, expected once, and that it is told: %+v", n, s.outcome(RouteDHT))
		}
		none := func(peer.ID) bool { return false }
		s.Settle(enoughSources, none)
		time.Sleep(time.Hour)
		if n := asked(); n != 1 || s.outcome(RouteDHT).Asking {
			t.Errorf("asked %d times with enough sources, expected that it was left alone: %+v", n, s.outcome(RouteDHT))
		}
		s.Settle(enoughSources-1, none)
		synctest.Wait()
		if n := asked(); n != 2 {
			t.Errorf("asked %d times after a source had left, expected again", n)
		}
	})
}

// A DHT is asked thoroughly as soon as what it said first has led to nobody: who lists one made-up provider ends a short look-up.
func TestSearchAsksThoroughlyWhenAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dht := &source{say: func(ctx context.Context, out chan<- Finding) { say(ctx, out, at(RouteDHT, 1, "/ip4/9.9.9.9/tcp/4747")) }}
		s := searching(t, FinderConfig{Host: newFakeHost(), Sources: []Source{dht}}, Query{Root: root(t)})
		none := func(peer.ID) bool { return false }
		for i, sources := range []int{0, 1, 0, 0} {
			yielded(s)
			s.Settle(sources, none)
			for before := i + 1; ; time.Sleep(time.Second) {
				dht.mu.Lock()
				n := len(dht.lookups)
				dht.mu.Unlock()
				if n > before {
					break
				}
			}
		}
		for i, want := range []bool{false, true, false, true, true} {
			if dht.lookups[i].Thorough != want || !dht.lookups[i].Root.Equals(root(t)) {
				t.Errorf("look-up %d is %+v, want thorough: %v", i, dht.lookups[i], want)
			}
		}
	})
}

// Everybody who can be asked at once is yielded at once, the best first; who turns up later follows.
func TestSearchYieldsTheBestFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memory, err := OpenMemory(make(shelf))
		if err != nil {
			t.Fatal(err)
		}
		host, this, other := newFakeHost(), root(t), rootOf(t, "other")
		for n, given := range map[int]Delivery{
			1: {Root: this, Bytes: 1 << 10},
			2: {Root: this, Bytes: 1 << 20},
			3: {Root: other, Bytes: 1 << 30},
			5: {Root: other, Bytes: 1 << 20},
		} {
			given.Peer, given.Addrs = someone(n).ID, addrs(fmt.Sprintf("/ip4/10.0.0.%d/tcp/4747", n))
			if err := memory.delivered(given, time.Now()); err != nil {
				t.Fatal(err)
			}
		}
		near := make(nearby)
		f := NewFinder(FinderConfig{Host: host, Memory: memory, Nearby: near, Named: []peer.AddrInfo{someone(6, "/ip4/10.0.0.6/tcp/1")}})
		host.others[someone(7).ID] = true
		for _, n := range []int{4, 5, 7} { // neighbours: unknown, known for another root, not one of us
			f.Meet(at(RouteInbound, n))
		}
		holder := someone(8, "/ip4/10.0.0.8/tcp/1", "/ip4/10.0.0.8/tcp/2", "/ip4/10.0.0.8/tcp/3", "/ip4/10.0.0.8/tcp/4", "/ip4/10.0.0.9/tcp/1")
		s := f.Search(Query{Root: this, Ticket: &holder})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 2)
		go func() { done <- f.Run(ctx) }()
		go func() { done <- s.Run(ctx) }()
		var got []string
		for _, f := range yielded(s) {
			got = append(got, fmt.Sprint(f.Info.ID, f.Route))
		}
		var want []string
		for _, w := range []Finding{
			at(RouteNamed, 6), at(RouteTicket, 8), at(RouteRemembered, 2), at(RouteRemembered, 1), at(RouteInbound, 5), at(RouteInbound, 4),
			at(RouteRemembered, 3),
		} {
			want = append(want, fmt.Sprint(w.Info.ID, w.Route))
		}
		if !slices.Equal(got, want) {
			t.Errorf("yielded %v, expected %v", got, want)
		}
		if n := len(host.addrs[holder.ID]); n != perHost+1 {
			t.Errorf("%d addresses of the ticket were kept, expected %d at one IP address and the other one", n, perHost)
		}
		near <- at(RouteMDNS, 9, "/ip4/10.0.0.9/tcp/4747")
		if got := yielded(s); len(got) != 1 || got[0].Info.ID != someone(9).ID {
			t.Errorf("yielded %v, expected who has just turned up", got)
		}
		if r := s.Route(someone(2).ID); r != RouteRemembered {
			t.Errorf("route %q, expected the memory", r)
		}
		if r := s.Route(someone(99).ID); r != RouteExchange {
			t.Errorf("route %q of somebody whom the search does not know, expected pex", r)
		}
		cancel()
		for range 2 {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
	})
}

// nearby is mDNS by hand.
type nearby chan Finding

func (n nearby) Found() <-chan Finding { return n }
func (n nearby) Trouble() error        { return nil }

// B71: who connects is no news of where it is, and a neighbour that is gone is forgotten, but for those that the user named.
func TestFinderForgets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		host := newFakeHost()
		f := NewFinder(FinderConfig{Host: host, Named: []peer.AddrInfo{someone(1, "/ip4/10.0.0.1/tcp/1")}})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- f.Run(ctx) }()
		f.Meet(at(RouteMDNS, 2, "/ip4/10.0.0.2/tcp/1"))
		f.Meet(at(RouteInbound, 2))
		f.Meet(at(RouteInbound, 3))
		f.Meet(Finding{peer.AddrInfo{ID: "self"}, RouteInbound})
		routes := func() (out []string) {
			for n := range 5 {
				out = append(out, f.Route(someone(n).ID))
			}
			return out
		}
		for _, step := range []struct {
			after time.Duration
			want  []string
		}{
			{0, []string{"", RouteNamed, RouteMDNS, RouteInbound, ""}},
			{keepEvery + time.Second, []string{"", RouteNamed, RouteMDNS, "", ""}},
			{forgetAfter + keepEvery, []string{"", RouteNamed, "", "", ""}},
		} {
			time.Sleep(step.after)
			synctest.Wait()
			if got := routes(); !slices.Equal(got, step.want) {
				t.Errorf("after %v: %q, expected %q", step.after, got, step.want)
			}
		}
		if !host.Connected(someone(1).ID) {
			t.Error("the peer that the user named was not dialled")
		}
		for n := range 2 * maxNeighbours {
			f.Meet(at(RouteInbound, n))
		}
		if n := len(f.Neighbours()); n != maxNeighbours {
			t.Errorf("%d neighbours, expected %d", n, maxNeighbours)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// Whoever happens to come first, no order of the crowd hides a peer from the search: each gets its turn.
func TestNoGuessIsLostWhileThereIsRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var all []Finding
		for n := range maxPending {
			all = append(all, at(RouteLANDHT, n, fmt.Sprintf("/ip4/10.0.0.%d/tcp/4747", n+1)))
		}
		rand.Shuffle(len(all), func(i, k int) { all[i], all[k] = all[k], all[i] })
		dht := &source{say: func(ctx context.Context, out chan<- Finding) { say(ctx, out, all...) }}
		s := searching(t, FinderConfig{Host: newFakeHost(), Sources: []Source{dht}}, Query{Root: root(t)})
		got := make(map[peer.ID]bool)
		for range 4 * maxPending {
			for _, f := range yielded(s) {
				got[f.Info.ID] = true
			}
			s.Settle(0, func(peer.ID) bool { return false })
			time.Sleep(perGuess)
		}
		if len(got) != maxPending {
			t.Errorf("%d of %d providers were yielded", len(got), maxPending)
		}
	})
}

// Whoever a DHT names and somebody else, too, was not found by the DHT alone, whichever was quicker.
func TestADHTGivesWayToOtherRoutes(t *testing.T) {
	for _, order := range [][]string{{RouteDHT, RouteNamed}, {RouteNamed, RouteDHT}} {
		s := &Search{routes: make(map[peer.ID]string), tried: make(map[string]*Tried)}
		for _, route := range order {
			s.count(Finding{peer.AddrInfo{ID: "x"}, route})
		}
		if got := s.Route("x"); got != RouteNamed {
			t.Errorf("found by %v: said to be found by %s, want %s", order, got, RouteNamed)
		}
		if s.tried[RouteNamed].Found != 1 || s.tried[RouteDHT] != nil && s.tried[RouteDHT].Found != 0 {
			t.Errorf("found by %v: counted %+v", order, s.tried)
		}
	}
}
