package discovery

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"
	"golang.org/x/sync/errgroup"
)

// Query is what one search looks for, and what the user said about where it is.
type Query struct {
	Root   cid.Cid
	Named  []peer.AddrInfo
	Ticket *peer.AddrInfo // the peer that a ticket names
	Quiet  bool           // ask no source: strangers should not hear of this root
}

// Search looks for the peers of one root as long as it runs. All routes race: those that ask nobody yield at once and best first;
// what the sources say follows as it comes, a few guesses at a time, and the addresses that it claims take turns, so that a
// thousand made-up providers at one address do not hide the real one at another.
type Search struct {
	f     *Finder
	q     Query
	found chan Finding
	news  chan struct{} // holds a token when there may be something new to yield

	mu      sync.Mutex // guards the rest
	tried   map[string]*Tried
	queues  map[string]*queue  // guesses that wait, by route
	sure    []Finding          // providers that are connected: asking them costs no dial
	routes  map[peer.ID]string // by which each peer was found first
	refused map[peer.ID]bool   // peers without an address that could be meant
	open    map[peer.ID]bool   // guesses that are being tried
	lacking bool               // there are too few sources
	alone   bool               // there is none at all
	turned  chan struct{}      // closed and replaced when lacking changes
}

// Tried is what came of one route.
type Tried struct {
	Route   string
	Asking  bool  // a look-up is under way
	Found   int   // peers that this route was the first to lead to
	Refused int   // peers without an address that could be meant
	Err     error // why it cannot work just now
}

// routeOrder is that in which routes are told to a user.
var routeOrder = []string{
	RouteTicket, RouteNamed, RouteRemembered, RouteInbound, RouteMDNS, RouteExchange, RouteLANDHT, RouteDHT,
}

// Search prepares a search. Nothing happens before Run.
func (f *Finder) Search(q Query) *Search {
	s := &Search{
		f: f, q: q, found: make(chan Finding), news: make(chan struct{}, 1),
		tried: make(map[string]*Tried), queues: make(map[string]*queue), routes: make(map[peer.ID]string), refused: make(map[peer.ID]bool), open: make(map[peer.ID]bool),
		lacking: true, alone: true, turned: make(chan struct{}),
	}
	s.try(RouteInbound)
	if len(q.Named)+len(f.c.Named) > 0 {
		s.try(RouteNamed)
	}
	if q.Ticket != nil {
		s.try(RouteTicket)
	}
	if f.c.Memory != nil {
		s.try(RouteRemembered)
	}
	if f.c.Nearby != nil {
		s.try(RouteMDNS)
	}
	for _, src := range s.sources() {
		for _, route := range src.Routes() {
			s.try(route)
			s.queues[route] = newQueue(MaxProviders)
		}
	}
	return s
}

func (s *Search) sources() []Source {
	if s.q.Quiet {
		return nil
	}
	return s.f.c.Sources
}

func (s *Search) try(route string) { s.tried[route] = &Tried{Route: route} }

// Found yields the peers to ask, those that are best known first. A neighbour comes again when it is met again. The channel is
// closed when Run ends.
func (s *Search) Found() <-chan Finding { return s.found }

// Run searches until ctx ends.
func (s *Search) Run(ctx context.Context) error {
	defer close(s.found)
	g, ctx := errgroup.WithContext(ctx)
	for _, src := range s.sources() {
		g.Go(func() error { s.ask(ctx, src); return nil })
	}
	g.Go(func() error { s.deliver(ctx); return nil })
	return g.Wait()
}

// deliver hands findings to the reader, one at a time.
func (s *Search) deliver(ctx context.Context) {
	defer s.f.watch(s.news)()
	for _, info := range s.q.Named {
		s.f.Meet(Finding{info, RouteNamed})
	}
	if t := s.q.Ticket; t != nil {
		s.f.Meet(Finding{peer.AddrInfo{ID: t.ID, Addrs: fewPerHost(t.Addrs)}, RouteTicket})
	}
	remembered, ofRoot := s.remembered()
	for stamp := uint64(0); ctx.Err() == nil; {
		var ready []Finding
		ready, stamp = s.f.since(stamp)
		ready = s.serving(append(ready, remembered...))
		remembered = nil
		s.f.byMerit(ready, ofRoot)
		for _, x := range append(ready, s.takeSure()...) {
			s.send(ctx, x)
		}
		if x, ok := s.guess(time.Now()); ok {
			s.send(ctx, x)
			wait(ctx, nil, perGuess)
			continue
		}
		wait(ctx, s.news, 0)
	}
}

func (s *Search) send(ctx context.Context, x Finding) {
	s.count(x)
	if x.Guess() {
		s.f.tries(x)
	}
	select {
	case s.found <- x:
	case <-ctx.Done():
	}
}

// remembered returns whom to try because they delivered before, and which of them delivered this very root.
func (s *Search) remembered() (found []Finding, ofRoot map[peer.ID]bool) {
	if s.f.c.Memory == nil {
		return nil, nil
	}
	infos, ofRoot := s.f.c.Memory.candidates(s.q.Root, time.Now())
	for _, info := range infos {
		x := Finding{info, RouteRemembered}
		if !s.f.isNeighbour(info.ID) && s.f.c.Host.Note(x) {
			found = append(found, x)
		}
	}
	return found, ofRoot
}

// serving leaves out who is known not to move files, such as the other nodes of a DHT.
func (s *Search) serving(found []Finding) []Finding {
	return slices.DeleteFunc(found, func(x Finding) bool { return !s.f.c.Host.Serves(x.Info.ID) })
}

// count notes by which route a peer was found first. That of a DHT gives way to any other: it is the one that may not work the next time.
func (s *Search) count(x Finding) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.countLocked(x)
}

func (s *Search) countLocked(x Finding) {
	first, known := s.routes[x.Info.ID]
	switch {
	case known && FromDHT(first) && !FromDHT(x.Route):
		s.tried[first].Found--
	case known || len(s.routes) >= maxTried:
		return
	}
	s.routes[x.Info.ID] = x.Route
	if s.tried[x.Route] == nil {
		s.try(x.Route)
	}
	s.tried[x.Route].Found++
}

// ask looks a root up with one source, again and again as long as sources are lacking, and thoroughly when what was found before led
// to nobody. A source that cannot find anybody, such as a DHT of which no node is known yet, is asked as soon as it can.
func (s *Search) ask(ctx context.Context, src Source) {
	l := Lookup{Root: s.q.Root}
	for pause := askPause; ctx.Err() == nil; {
		if lacking, turned := s.lacks(); !lacking {
			wait(ctx, turned, 0)
			continue
		}
		if src.Trouble() != nil {
			s.asking(src, false)
			wait(ctx, nil, askSoon)
			continue
		}
		s.asking(src, true)
		s.askOnce(ctx, src, l)
		s.asking(src, false)
		wait(ctx, nil, pause)
		l.Thorough = s.isAlone()
		pause = min(2*pause, askPauseMost)
	}
}

func (s *Search) askOnce(ctx context.Context, src Source, l Lookup) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	providers := src.Providers(ctx, l)
	for {
		lacking, turned := s.lacks()
		if !lacking {
			return
		}
		select {
		case x, ok := <-providers:
			if !ok {
				return
			}
			s.heard(x)
		case <-turned:
		case <-ctx.Done():
			return
		}
	}
}

func (s *Search) asking(src Source, on bool) {
	err := src.Trouble()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, route := range src.Routes() {
		s.tried[route].Asking, s.tried[route].Err = on, err
	}
}

// heard takes in what a source says.
func (s *Search) heard(x Finding) {
	if x.Info.ID == "" || x.Info.ID == s.f.c.Host.ID() {
		return
	}
	connected := s.f.c.Host.Connected(x.Info.ID)
	x.Info.Addrs = meant(x, s.f.c.Host.Local)
	s.mu.Lock()
	defer s.mu.Unlock()
	_, known := s.routes[x.Info.ID]
	q := s.queues[x.Route]
	switch {
	case connected && known:
		return
	case connected:
		s.sure = append(s.sure, x)
	case q == nil || len(x.Info.Addrs) == 0:
		s.refuse(x)
		return
	default:
		q.offer(time.Now(), x.Info)
	}
	s.countLocked(x)
	s.poke()
}

// poke has deliver look again.
func (s *Search) poke() {
	select {
	case s.news <- struct{}{}:
	default:
	}
}

func (s *Search) takeSure() []Finding {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := s.sure
	s.sure = nil
	return out
}

// guess takes the next guess if it is time to try one. The DHT of the local network goes first: a dial there costs little.
func (s *Search) guess(now time.Time) (Finding, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, route := range []string{RouteLANDHT, RouteDHT} {
		q := s.queues[route]
		for q != nil && s.lacking && len(s.open) < maxOpen {
			info, ok := q.take(now)
			if !ok {
				break
			}
			if s.f.isNeighbour(info.ID) {
				continue // it was yielded already, and is known better
			}
			if x := (Finding{info, route}); s.f.c.Host.Note(x) {
				s.open[info.ID] = true
				return x, true
			}
			s.refuse(Finding{info, route})
		}
	}
	return Finding{}, false
}

// refuse counts a finding that leads nowhere. It needs s.mu.
func (s *Search) refuse(x Finding) {
	if t := s.tried[x.Route]; t != nil && !s.refused[x.Info.ID] && len(s.refused) < maxTried {
		s.refused[x.Info.ID] = true
		t.Refused++
	}
}

// Settle tells the search how the reader is getting on: how many sources it has, and which of the peers that it was given are
// still being tried. Without it a search stops to guess after a while.
func (s *Search) Settle(sources int, trying func(peer.ID) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for p := range s.open {
		if !trying(p) {
			delete(s.open, p)
		}
	}
	s.alone = sources == 0
	if lacking := sources < enoughSources; lacking != s.lacking {
		s.lacking = lacking
		close(s.turned)
		s.turned = make(chan struct{})
	}
	s.poke()
}

func (s *Search) lacks() (lacking bool, turned <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lacking, s.turned
}

func (s *Search) isAlone() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.alone
}

// Route says how a peer was found: first, or otherwise than by a DHT. Peers that this search did not yield come from other peers of the root.
func (s *Search) Route(p peer.ID) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if route := s.routes[p]; route != "" {
		return route
	}
	return RouteExchange
}

// Tried says what came of each route so far.
func (s *Search) Tried() []Tried {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []Tried
	for _, route := range routeOrder {
		if t := s.tried[route]; t != nil {
			out = append(out, *t)
			if route == RouteMDNS {
				out[len(out)-1].Err = s.f.c.Nearby.Trouble()
			}
		}
	}
	return out
}
