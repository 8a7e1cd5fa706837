package discovery

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/zeroconf/v2"
	ma "github.com/multiformats/go-multiaddr"
	"golang.org/x/sync/errgroup"
)

// DefaultService is the name under which libp2p nodes of all kinds find each other, Kubo among them.
const DefaultService = "_p2p._udp"

// Config is how MDNS differs from the usual. Its zero value is the usual.
type Config struct {
	Service string // DNS-SD service type; empty: DefaultService
}

// MDNS announces a host on the local network and finds others there, as libp2p's discovery specification says.
//
// It drives zeroconf itself and not through go-libp2p's p2p/discovery/mdns, for three reasons. Where one of IPv4 and IPv6
// cannot be listened on (another program holds the port, or the kernel has no IPv6), that package hears nobody in either,
// and its Close never returns. It starts a goroutine for every peer that it hears of. And zeroconf remembers every name
// that it has heard for as long as its sender says, in a map without limit, which that package hides: it passes on only
// what holds a peer. Here every name is seen, so that they can be counted, and the map is thrown away in time.
type MDNS struct {
	self    peer.ID
	listens func() []ma.Multiaddr
	service string
	found   chan Finding

	mu      sync.Mutex // guards the rest
	queue   *queue
	wake    chan struct{} // holds a token when the queue has become longer
	place   *place
	moved   chan struct{} // closed when place is replaced
	rounds  int           // of browsing that have ended
	trouble struct{ place, announce, ip4, ip6 error }
}

// NewMDNS prepares the announcing and finding of h. Nothing happens before Run.
func NewMDNS(h host.Host, c Config) *MDNS {
	if c.Service == "" {
		c.Service = DefaultService
	}
	return &MDNS{
		self:    h.ID(),
		listens: h.Network().ListenAddresses,
		service: c.Service,
		found:   make(chan Finding),
		queue:   newQueue(),
		wake:    make(chan struct{}, 1),
		moved:   make(chan struct{}),
	}
}

// Found yields peers as they turn up, at most ten a second. A peer comes again when it has new addresses, and after a while.
// Who reads slowly misses some. The channel is closed when Run ends.
func (m *MDNS) Found() <-chan Finding { return m.found }

// Trouble says why mDNS does not work just now, in words for the user, or nil.
func (m *MDNS) Trouble() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	t := m.trouble
	switch {
	case t.place != nil:
		return t.place
	case t.announce != nil:
		return t.announce
	case t.ip4 != nil && t.ip6 != nil: // one of them will do
		return t.ip4
	}
	return nil
}

// trying notes how a part of the work is going.
func (m *MDNS) trying(what string, at *error, err error) {
	if err != nil {
		err = fmt.Errorf("%s: %w", what, err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	*at = err
}

// Run announces and finds until ctx ends, which is no error. It copes with interfaces that come and go, and with none. It
// may be called once.
func (m *MDNS) Run(ctx context.Context) error {
	defer close(m.found)
	m.lookAround()
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { m.watch(ctx); return nil })
	g.Go(func() error { m.deliver(ctx); return nil })
	g.Go(func() error { m.announce(ctx); return nil })
	for _, family := range []zeroconf.IPType{zeroconf.IPv4, zeroconf.IPv6} {
		g.Go(func() error { m.browse(ctx, family); return nil })
	}
	return g.Wait()
}

// watch notices when this machine's interfaces change. There is no portable way to be told.
func (m *MDNS) watch(ctx context.Context) {
	tick := time.NewTicker(lookAgain)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			m.lookAround()
		case <-ctx.Done():
			return
		}
	}
}

func (m *MDNS) lookAround() {
	p, err := look(m.listens())
	if err != nil {
		p = &place{print: err.Error()}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.place != nil && m.place.print == p.print {
		return
	}
	m.place = p
	close(m.moved)
	m.moved = make(chan struct{})
	m.trouble.place = err
	switch {
	case err != nil:
	case len(p.ifaces) == 0:
		m.trouble.place = errors.New("no network interface with a private address that carries multicast")
	case len(p.listen) == 0:
		m.trouble.place = errors.New("this node listens on no address of the local network")
	}
}

// here returns where this node stands, and a channel that is closed when that changes.
func (m *MDNS) here() (*place, <-chan struct{}) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.place, m.moved
}

// announce answers those who look for peers, and says hello and goodbye.
func (m *MDNS) announce(ctx context.Context) {
	name := strings.ToLower(rand.Text()) // says nothing about who this is, and is new each time
	for pause := pauseMin; ctx.Err() == nil; {
		p, moved := m.here()
		texts, ips := p.announcement(m.self)
		if len(texts) == 0 || len(p.ifaces) == 0 {
			wait(ctx, moved, 0)
			continue
		}
		server, err := zeroconf.RegisterProxy(name, m.service, "local", mdnsPort, name, ips, texts, p.ifaces)
		m.trying("announce on the local network", &m.trouble.announce, err)
		if err != nil {
			wait(ctx, moved, pause)
			pause = min(2*pause, pauseMax)
			continue
		}
		pause = pauseMin
		wait(ctx, moved, 0)
		server.Shutdown()
	}
}

// mdnsPort stands in the SRV record, which libp2p nodes do not use.
const mdnsPort = 4001

// wait returns when something changes, when ctx ends, or after d if that is not 0.
func wait(ctx context.Context, change <-chan struct{}, d time.Duration) {
	var after <-chan time.Time
	if d > 0 {
		t := time.NewTimer(d)
		defer t.Stop()
		after = t.C
	}
	select {
	case <-ctx.Done():
	case <-change:
	case <-after:
	}
}

// browse looks for peers in one family of addresses: apart, because zeroconf gives up on both if one fails. It is the
// watchdog too: each round of it has its own cache of names in zeroconf, and ends when that is full.
func (m *MDNS) browse(ctx context.Context, family zeroconf.IPType) {
	trouble := &m.trouble.ip4
	if family == zeroconf.IPv6 {
		trouble = &m.trouble.ip6
	}
	for pause := pauseMin; ctx.Err() == nil; {
		p, moved := m.here()
		if len(p.ifaces) == 0 {
			wait(ctx, moved, 0)
			continue
		}
		names, err := m.round(ctx, family, p, moved)
		m.trying("listen to the local network", trouble, err)
		if err == nil && names < maxNames {
			pause = pauseMin
			continue
		}
		wait(ctx, nil, pause) // a flood costs something only while we listen to it
		pause = min(2*pause, pauseMax)
	}
}

// round asks everybody for their peers and listens until there is a reason to start anew. It returns how many names came.
func (m *MDNS) round(ctx context.Context, family zeroconf.IPType, p *place, moved <-chan struct{}) (names int, err error) {
	ctx, cancel := context.WithTimeout(ctx, refresh)
	defer cancel()
	defer func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.rounds++
	}()
	entries := make(chan *zeroconf.ServiceEntry) // without a buffer, so that what zeroconf has remembered has been counted
	ended := make(chan error, 1)
	go func() {
		ended <- zeroconf.Browse(ctx, m.service, "local", entries,
			zeroconf.SelectIPTraffic(family), zeroconf.SelectIfaces(p.ifaces))
	}()
	for {
		select {
		case err := <-ended: // which it says also when it could not begin, and then it does not close entries
			return names, err
		case <-moved:
			cancel()
			moved = nil
		case e := <-entries:
			if e == nil {
				entries = nil // closed: the end is near
				continue
			}
			if names++; names == maxNames {
				cancel()
			}
			if names <= maxNames { // more may come out of the last packet
				m.hear(p, e.Text)
			}
			// zeroconf keeps e, but looks at nothing in it from now on but its expiry. One packet can hang a thousand addresses
			// on each of a thousand names.
			e.Text, e.AddrIPv4, e.AddrIPv6 = nil, nil, nil
		}
	}
}

// hear takes in an announcement. It never blocks.
func (m *MDNS) hear(p *place, texts []string) {
	info, ok := p.hear(m.self, texts)
	if !ok {
		return
	}
	m.mu.Lock()
	m.queue.offer(time.Now(), info)
	m.mu.Unlock()
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// deliver hands findings to the reader, one at a time.
func (m *MDNS) deliver(ctx context.Context) {
	for ctx.Err() == nil {
		m.mu.Lock()
		info, ok := m.queue.take(time.Now())
		m.mu.Unlock()
		if !ok {
			wait(ctx, m.wake, 0)
			continue
		}
		select {
		case m.found <- Finding{info, RouteMDNS}:
			wait(ctx, nil, perFinding)
		case <-ctx.Done():
		}
	}
}
