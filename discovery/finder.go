package discovery

import (
	"cmp"
	"context"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"golang.org/x/sync/errgroup"
)

// Host is what a Finder needs of a libp2p host: it keeps addresses, and decides which of them may be dialled.
type Host interface {
	ID() peer.ID
	// Note takes the addresses of a finding, under the rules for its route. It reports whether there is a way to the peer.
	Note(f Finding) bool
	// Connect dials a peer that the user named.
	Connect(ctx context.Context, info peer.AddrInfo) error
	Connected(p peer.ID) bool
	// Serves is false for a peer that is known not to speak the protocol that files are moved by.
	Serves(p peer.ID) bool
	// Local reports whether ip is on the local network.
	Local(ip netip.Addr) bool
}

// FinderConfig is what a Finder looks through. Host must be set.
type FinderConfig struct {
	Host   Host
	Named  []peer.AddrInfo // peers that the user named for all searches: they are kept connected
	Nearby Nearby          // nil: no mDNS
	// Introduce is told of every node that mDNS finds, for those who have a use for it besides; nil ignores them. It must not wait.
	Introduce func(ctx context.Context, info peer.AddrInfo)
	Memory    *Memory  // nil: nobody is remembered
	Sources   []Source // asked for each root
}

// Finder looks for the peers of roots on every route at once. It knows the peers that any search can ask, its neighbours: those
// that mDNS found, that the user or a ticket named, and that are connected to us. A [Search] adds what is known of one root.
type Finder struct {
	c FinderConfig

	mu       sync.Mutex // guards the rest
	known    map[peer.ID]neighbour
	guessed  map[peer.ID]string // routes of peers that are no neighbours and that searches have tried
	stamp    uint64             // of the last meeting
	watchers map[chan<- struct{}]struct{}
}

type neighbour struct {
	route string
	seen  time.Time
	stamp uint64
}

// NewFinder returns a Finder that knows the named peers. Others turn up while it runs.
func NewFinder(c FinderConfig) *Finder {
	f := &Finder{
		c: c, known: make(map[peer.ID]neighbour), guessed: make(map[peer.ID]string), watchers: make(map[chan<- struct{}]struct{}),
	}
	for _, info := range c.Named {
		f.Meet(Finding{info, RouteNamed})
	}
	return f
}

// Meet makes a neighbour of a peer and tells every search. It may be called from any goroutine.
func (f *Finder) Meet(found Finding) {
	if found.Info.ID == f.c.Host.ID() {
		return
	}
	if len(found.Info.Addrs) > 0 {
		f.c.Host.Note(found)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	old, known := f.known[found.Info.ID]
	if !known && len(f.known) >= maxNeighbours {
		return
	}
	if known && old.route == RouteNamed || found.Route == RouteInbound && known {
		found.Route = old.route
	}
	f.stamp++
	f.known[found.Info.ID] = neighbour{route: found.Route, seen: time.Now(), stamp: f.stamp}
	for w := range f.watchers {
		select {
		case w <- struct{}{}:
		default:
		}
	}
}

// watch gives a channel, which has room for one, a token whenever there may be somebody new, until stop is called.
func (f *Finder) watch(c chan<- struct{}) (stop func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.watchers[c] = struct{}{}
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.watchers, c)
	}
}

// since returns the neighbours that were met after a stamp, and the stamp of the last of them.
func (f *Finder) since(stamp uint64) ([]Finding, uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []Finding
	if f.stamp > stamp {
		for id, n := range f.known {
			if n.stamp > stamp {
				out = append(out, Finding{peer.AddrInfo{ID: id}, n.route})
			}
		}
	}
	return out, f.stamp
}

// Route says how a peer was found; empty for one that no search knows of.
func (f *Finder) Route(p peer.ID) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if n, known := f.known[p]; known {
		return n.route
	}
	return f.guessed[p]
}

func (f *Finder) isNeighbour(p peer.ID) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	_, known := f.known[p]
	return known
}

// tries notes that a search tries a guess.
func (f *Finder) tries(x Finding) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.guessed) >= maxTried {
		clear(f.guessed) // it is for the user's eyes only
	}
	f.guessed[x.Info.ID] = x.Route
}

// Neighbours returns everybody whom a search can ask now, in no order.
func (f *Finder) Neighbours() []Finding {
	all, _ := f.since(0)
	return all
}

// Run takes in what mDNS finds, keeps the named peers connected and forgets those that were not heard of for long, until ctx
// ends.
func (f *Finder) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	if f.c.Nearby != nil {
		g.Go(func() error { f.meetNearby(ctx); return nil })
	}
	g.Go(func() error { f.keep(ctx); return nil })
	return g.Wait()
}

func (f *Finder) meetNearby(ctx context.Context) {
	for {
		select {
		case found, ok := <-f.c.Nearby.Found():
			if !ok {
				return
			}
			f.Meet(found)
			if f.c.Introduce != nil {
				f.c.Introduce(ctx, found.Info)
			}
		case <-ctx.Done():
			return
		}
	}
}

func (f *Finder) keep(ctx context.Context) {
	ticker := time.NewTicker(keepEvery)
	defer ticker.Stop()
	for {
		for _, info := range f.c.Named {
			if !f.c.Host.Connected(info.ID) {
				dial, cancel := context.WithTimeout(ctx, keepEvery/2)
				_ = f.c.Host.Connect(dial, info) // a search that needs the peer tells why it cannot be reached
				cancel()
			}
		}
		select {
		case <-ticker.C:
			f.forget(time.Now())
		case <-ctx.Done():
			return
		}
	}
}

func (f *Finder) forget(now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for id, n := range f.known {
		if n.route != RouteNamed && (n.route == RouteInbound || now.Sub(n.seen) > forgetAfter) && !f.c.Host.Connected(id) {
			delete(f.known, id)
		}
	}
}

// Delivered notes that p gave verified bytes of a root, and where it was reached, so that it is tried early next time.
func (f *Finder) Delivered(d Delivery) error {
	if f.c.Memory == nil {
		return nil
	}
	return f.c.Memory.delivered(d, time.Now())
}

// Distrust forgets what a peer delivered: it has sent bytes that are not what they should be.
func (f *Finder) Distrust(p peer.ID) error {
	if f.c.Memory == nil {
		return nil
	}
	return f.c.Memory.forget(p)
}

// score is how much a peer has delivered.
func (f *Finder) score(p peer.ID) int64 {
	if f.c.Memory == nil {
		return 0
	}
	return f.c.Memory.score(p)
}

// byMerit orders findings: whom the user or a ticket named, who gave this very root before, then neighbours, and last who gave
// something else; in each class those first that delivered most.
func (f *Finder) byMerit(found []Finding, ofRoot map[peer.ID]bool) {
	class := func(x Finding) int {
		switch {
		case x.Route == RouteNamed, x.Route == RouteTicket:
			return 0
		case ofRoot[x.Info.ID]:
			return 1
		case x.Route == RouteRemembered:
			return 3
		}
		return 2
	}
	slices.SortStableFunc(found, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(class(a), class(b)), cmp.Compare(f.score(b.Info.ID), f.score(a.Info.ID)), cmp.Compare(a.Info.ID, b.Info.ID))
	})
}
