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
// It does not go through go-libp2p's p2p/discovery/mdns, which hears nobody where one of IPv4 and IPv6 cannot be listened on, never
// returns from its Close then, and starts a goroutine for every peer that it hears of. The answers to others are those of zeroconf,
// the library below that package. The questions are our own: zeroconf's remembers every name that it has heard for as long as
// its sender says, in a map without limit, and asks so often that fifty nodes on a link send each other 100 KB a second.
type MDNS struct {
	self     peer.ID
	listens  func() []ma.Multiaddr
	service  string
	instance string // says nothing about who this is, and is new each time
	found    chan Finding
	tally    traffic
	asked    [2]chan struct{} // of IPv4 and IPv6: holds a token when somebody has asked everybody, in either

	mu      sync.Mutex // guards the rest
	queue   *queue
	wake    chan struct{} // holds a token when the queue has become longer
	place   *place
	moved   chan struct{} // closed when place is replaced
	trouble struct{ place, announce, ip4, ip6 error }
}

// NewMDNS prepares the announcing and finding of h. Nothing happens before Run.
func NewMDNS(h host.Host, c Config) *MDNS {
	if c.Service == "" {
		c.Service = DefaultService
	}
	return &MDNS{
		self:     h.ID(),
		listens:  h.Network().ListenAddresses,
		service:  c.Service,
		instance: strings.ToLower(rand.Text()),
		found:    make(chan Finding),
		asked:    [2]chan struct{}{make(chan struct{}, 1), make(chan struct{}, 1)},
		queue:    newQueue(maxPending),
		wake:     make(chan struct{}, 1),
		moved:    make(chan struct{}),
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
	for _, six := range []bool{false, true} {
		g.Go(func() error { m.browse(ctx, six); return nil })
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
	for pause := pauseMin; ctx.Err() == nil; {
		p, moved := m.here()
		texts, ips := p.announcement(m.self)
		if len(texts) == 0 || len(p.ifaces) == 0 {
			wait(ctx, moved, 0)
			continue
		}
		server, err := zeroconf.RegisterProxy(m.instance, m.service, "local", mdnsPort, m.instance, ips, texts, p.ifaces)
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
