package node

import (
	"context"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/p2p/host/autorelay"
	basichost "github.com/libp2p/go-libp2p/p2p/host/basic"
	"github.com/libp2p/go-libp2p/p2p/host/eventbus"
	circuit "github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/client"
	"github.com/libp2p/go-libp2p/p2p/protocol/holepunch"
	"github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

var relayedData = circuit.StatLimitData

const (
	relaysWanted  = 2                // reservations that a node keeps: one relay may go away
	relayAgain    = 10 * time.Second // before the known relays are tried again
	punchTimeout  = 5 * time.Second  // of one attempt; there are three
	armWait       = 4 * time.Second  // for a public address of ours to be known: libp2p looks after 0.25, 0.75, 1.75 and 3.75 s
	maxPunched    = 256              // peers of whose hole punching we remember how it ended
	maxObservers  = 64               // whose word on our address counts, for each transport
	observedFresh = 30 * time.Minute // for how long it does
	maxPunchAddrs = 8                // addresses of one peer that are dialled to punch a hole
	maxPunchHosts = 2                // IP addresses among them: one of each family
	enoughWitness = 2                // observers that have to agree: one could say anything
)

// outside is what a host on the network public learns of how it looks from outside: through which NAT it speaks, which of
// its addresses others can reach, which ports the router has opened for it, and through which relays it can be found.
type outside struct {
	config    hostConfig
	news      event.Subscription
	relays    []peer.AddrInfo // that may be asked for a reservation, the user's first
	listening chan struct{}   // closed when the host does
	armed     chan struct{}   // closed when holes can be punched: a peer outside has said where it sees us

	mu      sync.Mutex // guards the rest
	armedAt time.Time
	mapper  basichost.NATManager
	circuit []multiaddr.Multiaddr
	seen    map[string][]sighting // by transport
	punched map[peer.ID]string    // why no hole was punched to a peer; empty if one was
	vain    map[peer.ID]time.Time // when a hole was last awaited in vain
	tried   map[peer.ID]time.Time // when content last went through a relay that passes too little for a chunk
}

// sighting is where one peer sees us.
type sighting struct {
	by netip.Addr
	at netip.AddrPort
	on time.Time
}

func newOutside(c hostConfig) *outside {
	return &outside{
		config: c, relays: c.Relays, listening: make(chan struct{}), armed: make(chan struct{}), seen: make(map[string][]sighting), punched: make(map[peer.ID]string),
		vain: make(map[peer.ID]time.Time), tried: make(map[peer.ID]time.Time),
	}
}

// options let a host find out how it can be reached, and be reached behind NATs. A relay is told to take itself as
// reachable, because it has to be; others know that they are when peers have proved it (see run), and until then keep
// a place at a relay.
func (o *outside) options(g *gater) []libp2p.Option {
	out := []libp2p.Option{libp2p.EnableAutoNATv2()}
	if !o.config.NoUPnP {
		out = append(out, libp2p.NATManager(func(n network.Network) basichost.NATManager {
			o.mu.Lock()
			defer o.mu.Unlock()
			o.mapper = basichost.NewNATManager(n)
			return o.mapper
		}))
	}
	if o.config.NoRelay {
		return append(out, libp2p.DisableRelay(), libp2p.ForceReachabilityPrivate())
	}
	out = append(out,
		libp2p.EnableRelay(),
		libp2p.EnableHolePunching(holepunch.WithAddrFilter(punchable{g}), holepunch.WithTracer(o), holepunch.DirectDialTimeout(punchTimeout)),
	)
	if s := o.config.RelayService; s != nil {
		return append(out, libp2p.EnableRelayService(s.options()...), libp2p.ForceReachabilityPublic())
	}
	return append(out, libp2p.ForceReachabilityPrivate(), libp2p.EnableAutoRelayWithPeerSource(o.candidates,
		autorelay.WithMinCandidates(1), autorelay.WithNumRelays(relaysWanted), autorelay.WithBootDelay(0),
		autorelay.WithBackoff(relayAgain), autorelay.WithMinInterval(relayAgain)))
}

// candidates are the peers that may be relays for us. None is named before we listen: a dial would leave from another port then,
// and what the relay sees of it would say nothing of ours.
func (o *outside) candidates(ctx context.Context, most int) <-chan peer.AddrInfo {
	out := make(chan peer.AddrInfo, most)
	go func() {
		defer close(out)
		select {
		case <-o.listening:
		case <-ctx.Done():
			return
		}
		for _, info := range o.relays[:min(most, len(o.relays))] {
			out <- info
		}
	}()
	return out
}

// subscribe begins to collect what peers say of us, before the first of them is met. run takes it in.
func (o *outside) subscribe(h host.Host) (err error) {
	o.news, err = h.EventBus().Subscribe([]any{
		new(event.EvtPeerIdentificationCompleted), new(event.EvtAutoRelayAddrsUpdated), new(event.EvtHostReachableAddrsChanged),
		new(event.EvtLocalProtocolsUpdated),
	}, eventbus.BufSize(256))
	return err
}

// run listens to what peers say of us until ctx ends.
func (o *outside) run(ctx context.Context, h host.Host) error {
	sub := o.news
	defer sub.Close()
	reachable, err := h.EventBus().Emitter(new(event.EvtLocalReachabilityChanged), eventbus.Stateful)
	if err != nil {
		return err
	}
	defer reachable.Close()
	o.arm(h.Mux().Protocols())
	for {
		select {
		case e := <-sub.Out():
			switch e := e.(type) {
			case event.EvtPeerIdentificationCompleted:
				o.sighted(h, e.Conn, e.ObservedAddr)
			case event.EvtAutoRelayAddrsUpdated:
				o.mu.Lock()
				o.circuit = e.RelayAddrs
				o.mu.Unlock()
			case event.EvtLocalProtocolsUpdated:
				o.arm(e.Added)
			case event.EvtHostReachableAddrsChanged:
				if o.config.RelayService == nil {
					_ = reachable.Emit(event.EvtLocalReachabilityChanged{Reachability: reachability(e)}) // fails at the end only
				}
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// arm notes from when on holes can be punched: libp2p begins to speak the protocol for it once it knows a public address.
func (o *outside) arm(protocols []protocol.ID) {
	if !slices.Contains(protocols, holepunch.Protocol) {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.armedAt.IsZero() {
		o.armedAt = time.Now()
		close(o.armed)
	}
}

// premature reports whether a relayed connection was opened before holes could be punched. The other side has tried in vain
// then, and tries again with the next connection only. It waits for that moment if it has to.
func (o *outside) premature(ctx context.Context, c network.Conn) bool {
	wait := time.NewTimer(armWait)
	defer wait.Stop()
	select {
	case <-o.armed:
	case <-wait.C:
		return false
	case <-ctx.Done():
		return false
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	return c.Stat().Opened.Before(o.armedAt)
}

// reachability turns what AutoNAT v2 found of each address into one word, which starts and ends the search for relays.
func reachability(e event.EvtHostReachableAddrsChanged) network.Reachability {
	if len(e.Reachable) > 0 {
		return network.ReachabilityPublic
	}
	return network.ReachabilityPrivate
}

// sighted notes where a peer sees the port at which we listen. Only connections that we dialled show what the NAT does with
// them, and only those that left from that port say something of it.
func (o *outside) sighted(h host.Host, c network.Conn, observed multiaddr.Multiaddr) {
	by, known := ipOf(c.RemoteMultiaddr())
	at, ok := ipOf(observed)
	if !known || !ok || c.Stat().Direction != network.DirOutbound || relayed(c.RemoteMultiaddr()) || relayed(observed) ||
		!at.Is4() || !manet.IsPublicAddr(observed) || !manet.IsPublicAddr(c.RemoteMultiaddr()) {
		return
	}
	port := portOf(c.LocalMultiaddr())
	if !slices.ContainsFunc(h.Network().ListenAddresses(), func(m multiaddr.Multiaddr) bool {
		return portOf(m) == port && isQUIC(m) == isQUIC(observed)
	}) {
		return
	}
	o.note(transport(c), sighting{by: by, at: netip.AddrPortFrom(at, uint16(portOf(observed))), on: time.Now()})
}

func (o *outside) note(transport string, s sighting) {
	o.mu.Lock()
	defer o.mu.Unlock()
	list := slices.DeleteFunc(o.seen[transport], func(old sighting) bool {
		return old.by == s.by || s.on.Sub(old.on) > observedFresh
	})
	if len(list) >= maxObservers {
		list = slices.Delete(list, 0, 1)
	}
	o.seen[transport] = append(list, s)
}

// Trace hears from the hole puncher how each attempt went. It implements holepunch.EventTracer.
func (o *outside) Trace(e *holepunch.Event) {
	why := ""
	switch x := e.Evt.(type) {
	case *holepunch.EndHolePunchEvt:
		if !x.Success {
			why = "no packet came through"
		}
	case *holepunch.ProtocolErrorEvt:
		why = x.Error
	default:
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if _, known := o.punched[e.Remote]; !known && len(o.punched) >= maxPunched {
		clear(o.punched) // only words of explanation
	}
	o.punched[e.Remote] = why
}

// punchable says where a hole may be punched to. Whoever asks for it chooses the addresses, and our packets go there: to public
// ones only, few of them, and each IP address three times a minute at most, as with all that peers tell us.
type punchable struct{ gater *gater }

// FilterLocal lets the peer know all our addresses.
func (p punchable) FilterLocal(_ peer.ID, own []multiaddr.Multiaddr) []multiaddr.Multiaddr {
	return own
}

// FilterRemote returns the addresses at which a peer may be dialled to punch a hole.
func (p punchable) FilterRemote(_ peer.ID, theirs []multiaddr.Multiaddr) []multiaddr.Multiaddr {
	allowed := make(map[netip.Addr]bool)
	var out []multiaddr.Multiaddr
	for _, m := range theirs {
		ip, ok := ipOf(m)
		if !ok || !direct(m) || !manet.IsPublicAddr(m) || len(out) == maxPunchAddrs {
			continue
		}
		may, asked := allowed[ip]
		if !asked {
			may = len(allowed) < maxPunchHosts && p.gater.hearsay.Spend(ip)
			allowed[ip] = may
		}
		if may {
			out = append(out, m)
		}
	}
	return out
}
