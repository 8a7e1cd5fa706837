package node

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/x/rate"
	"golang.org/x/sync/errgroup"

	"github.com/shoal-p2p/shoal/content"
	"github.com/shoal-p2p/shoal/discovery"
	"github.com/shoal-p2p/shoal/store"
)

// What neighbours may ask of each other, and how long that may take.
const (
	aboutTimeout = 4 * time.Second         // for one neighbour: a dial, a question and an answer
	aboutFresh   = time.Second             // an answer is put together at most this often, however many ask
	aboutAtOnce  = 16                      // neighbours that are asked at a time
	maxAsked     = 512                     // neighbours that are asked at all
	settling     = 2500 * time.Millisecond // after the start: by then neighbours have answered mDNS
	aboutRate    = 2                       // answers a second to one address, after a burst of aboutBurst
	aboutBurst   = 20
)

// card is what this node says of itself, ready to be sent.
type card struct {
	mu    sync.Mutex // guards the rest
	text  []byte
	until time.Time
}

// beIntroduced answers neighbours that ask who this is, until ctx ends.
func (n *Node) beIntroduced(ctx context.Context) {
	perAddr := rate.Limit{RPS: aboutRate, Burst: aboutBurst}
	limiter := &rate.Limiter{
		NetworkPrefixLimits: []rate.PrefixLimit{{Prefix: prefixes("127.0.0.0/8")[0]}, {Prefix: prefixes("::1/128")[0]}},
		SubnetRateLimiter: rate.SubnetLimiter{
			IPv4SubnetLimits: []rate.SubnetLimit{{PrefixLength: 32, Limit: perAddr}},
			IPv6SubnetLimits: []rate.SubnetLimit{{PrefixLength: 64, Limit: perAddr}},
			GracePeriod:      time.Minute,
		},
	}
	n.host.SetStreamHandler(discovery.AboutProtocol, limiter.Limit(n.tellAbout))
	defer n.host.RemoveStreamHandler(discovery.AboutProtocol)
	<-ctx.Done()
}

// tellAbout answers one neighbour. What a node is called and what it lists is for the local network, and for those whom its
// user named; who came from elsewhere hears nothing.
func (n *Node) tellAbout(s network.Stream) {
	ip, ok := ipOf(s.Conn().RemoteMultiaddr())
	if !n.host.gater.onLAN(s.Conn()) && (!ok || relayed(s.Conn().RemoteMultiaddr()) || !n.host.gater.namedHost(s.Conn().RemotePeer(), ip)) {
		_ = s.ResetWithError(network.StreamProtocolNegotiationFailed) // as if it were not spoken here
		return
	}
	if err := s.Scope().SetService("shoal.about"); err != nil {
		_ = s.ResetWithError(network.StreamResourceLimitExceeded)
		return
	}
	_ = s.SetDeadline(time.Now().Add(aboutTimeout))
	if _, err := s.Write(n.about()); err != nil {
		_ = s.Reset()
		return
	}
	_ = s.Close()
}

func (n *Node) about() []byte {
	n.card.mu.Lock()
	defer n.card.mu.Unlock()
	now := time.Now()
	if now.Before(n.card.until) {
		return n.card.text
	}
	a := discovery.About{Name: n.config.Name, Clock: now}
	for _, s := range n.store.Listed() {
		if listable(s) {
			a.Listed = append(a.Listed, discovery.Listed{Root: s.Root, Name: s.Name, Bytes: s.Bytes, Files: s.Files})
		}
	}
	n.card.text, n.card.until = a.Append(nil), now.Add(aboutFresh)
	return n.card.text
}

// listable reports whether a share may be shown to whoever asks: not one that only some may have.
func listable(s store.Share) bool { return s.Listed && s.Access.Open() }

// Nearby asks the neighbours who they are and what they list. A node that has just started listens for a while first.
func (n *Node) Nearby(ctx context.Context, emit func(Event)) ([]Neighbour, error) {
	if n.mdns == nil {
		emit(Event{Kind: "note", Message: "this node does not look for neighbours (" + n.deaf() + "): those that are connected are asked"})
	}
	if err := n.listenFirst(ctx, emit); err != nil {
		return nil, err
	}
	asked := n.askNeighbours(ctx)
	if ctx.Err() != nil {
		return nil, fmt.Errorf("%w: the request was cancelled", ErrStopped)
	}
	out := make([]Neighbour, 0, len(asked))
	for _, a := range asked {
		out = append(out, a.Neighbour)
	}
	slices.SortFunc(out, func(a, b Neighbour) int {
		return cmp.Or(cmp.Compare(btoi(a.Error != ""), btoi(b.Error != "")), cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID))
	})
	return out, nil
}

// listenFirst waits until mDNS has had the time to hear of those who are here.
func (n *Node) listenFirst(ctx context.Context, emit func(Event)) error {
	left := settling - time.Since(n.started)
	if n.mdns == nil || left <= 0 {
		return nil
	}
	emit(Event{Kind: "finding", Message: fmt.Sprintf("listening for neighbours for %.1f s", left.Seconds())})
	select {
	case <-time.After(left):
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%w: the request was cancelled", ErrStopped)
	}
}

// deaf is why a node has no mDNS.
func (n *Node) deaf() string {
	if n.config.Network == Isolated {
		return "its network is isolated"
	}
	return "mDNS is switched off"
}

// asked is a neighbour with what only this package needs.
type asked struct {
	Neighbour
	offset  time.Duration // of its clock, ahead of ours; means something only if clocked
	clocked bool
}

// askNeighbours asks everybody who is known and on the local network.
func (n *Node) askNeighbours(ctx context.Context) []asked {
	ids := n.known()
	for _, p := range n.host.Network().Peers() {
		if !slices.Contains(ids, p) {
			ids = append(ids, p)
		}
	}
	ids = ids[:min(len(ids), maxAsked)]
	var mu sync.Mutex
	var out []asked
	var group errgroup.Group
	group.SetLimit(aboutAtOnce)
	for _, id := range ids {
		group.Go(func() error {
			if a, near := n.ask(ctx, id); near {
				mu.Lock()
				defer mu.Unlock()
				out = append(out, a)
			}
			return nil
		})
	}
	_ = group.Wait() // what went wrong stands with each neighbour
	return out
}

// known returns everybody whom a search could ask.
func (n *Node) known() (ids []peerID) {
	for _, f := range n.finder.Neighbours() {
		ids = append(ids, f.Info.ID)
	}
	return ids
}

// ask asks one peer. It returns false for peers beyond the local network.
func (n *Node) ask(ctx context.Context, p peerID) (a asked, near bool) {
	ctx, cancel := context.WithTimeout(ctx, aboutTimeout)
	defer cancel()
	a = asked{Neighbour: Neighbour{ID: p.String(), Route: n.finder.Route(p)}}
	if err := n.host.Connect(ctx, n.host.Peerstore().PeerInfo(p)); err != nil {
		a.Error = "cannot be reached: " + brief(err)
		return a, n.finder.Route(p) == discovery.RouteMDNS
	}
	conns := n.host.Network().ConnsToPeer(p)
	here := slices.IndexFunc(conns, func(c network.Conn) bool { return n.host.gater.onLAN(c) })
	if here < 0 {
		return a, false
	}
	a.Addr = conns[here].RemoteMultiaddr().String()
	said, took, err := n.hearAbout(ctx, p)
	if v, unknown := n.host.Peerstore().Get(p, "AgentVersion"); unknown == nil {
		if agent, ok := v.(string); ok {
			a.Agent = content.Printable(agent)
		}
	}
	if err != nil {
		a.Error = "does not say who it is"
		n.config.Log.Debug("neighbour", "peer", p, "err", err)
		return a, true
	}
	a.Name, a.More = said.Name, said.More
	a.offset, a.clocked = time.Until(said.Clock)+took/2, true
	for _, l := range said.Listed {
		a.Listed = append(a.Listed, Listed{CID: l.Root.String(), Name: l.Name, Bytes: l.Bytes, Files: l.Files})
	}
	return a, true
}

// hearAbout asks over an open connection, and says how long the answer took.
func (n *Node) hearAbout(ctx context.Context, p peerID) (discovery.About, time.Duration, error) {
	start := time.Now()
	s, err := n.host.NewStream(network.WithNoDial(ctx, "asking a neighbour"), p, discovery.AboutProtocol)
	if err != nil {
		return discovery.About{}, 0, err
	}
	defer s.Reset() // all has been read, or nothing more is wanted
	_ = s.SetDeadline(start.Add(aboutTimeout))
	if err := s.CloseWrite(); err != nil {
		return discovery.About{}, 0, err
	}
	a, err := discovery.ReadAbout(s)
	return a, time.Since(start), err
}
