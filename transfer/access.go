package transfer

import (
	"crypto/rand"
	"crypto/subtle"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	manet "github.com/multiformats/go-multiaddr/net"

	"github.com/shoal-p2p/shoal/content"
	"github.com/shoal-p2p/shoal/transfer/wire"
)

// Doors know who may have what. Their methods are called from many goroutines at once and must not wait for a disk.
type Doors interface {
	// Access returns who may have a root.
	Access(root cid.Cid) content.Access
	// Private returns the private root that has this alias.
	Private(alias cid.Cid) (root cid.Cid, ok bool)
}

// openDoors let everybody have everything.
type openDoors struct{}

func (openDoors) Access(cid.Cid) content.Access       { return content.Access{} }
func (openDoors) Private(cid.Cid) (c cid.Cid, _ bool) { return c, false }

// doorkeeper looks at hellos before anything is done for them.
type doorkeeper struct {
	Doors
	self    peer.ID
	now     func() time.Time
	guesses guesses
	own     content.Secret // of which nobody has heard
}

func newDoorkeeper(d Doors, self peer.ID) *doorkeeper {
	if d == nil {
		d = openDoors{}
	}
	own, err := content.NewSecret(rand.Reader)
	if err != nil {
		panic(err) // crypto/rand does not fail
	}
	return &doorkeeper{Doors: d, self: self, now: time.Now, guesses: newGuesses(), own: own}
}

// admit returns the root that a hello is about, and the secret that both sides hold, if the root is private. For somebody who
// may not have it, that is a root of which nothing can be here: from then on the same is done, and answered, as for every CID
// that is not here. For the same reason a proof is always compared with one, if only of a secret that nobody has.
func (d *doorkeeper) admit(h wire.Hello, c network.Conn) (cid.Cid, content.Secret) {
	p := c.RemotePeer()
	nowhere := d.own.Alias(h.Root)
	if h.Proof == (wire.Proof{}) {
		if a := d.Access(h.Root); !a.Secret.IsZero() || !d.listed(a, p) {
			return nowhere, content.Secret{}
		}
		return h.Root, content.Secret{}
	}
	root, private := d.Private(h.Root)
	a := d.Access(root)
	if private = private && !a.Secret.IsZero(); !private {
		root, a = h.Root, content.Access{Secret: d.own}
	}
	proved := proves(h, a.Secret, root, [2]peer.ID{p, d.self})
	ip := origin(c)
	if listed := d.listed(a, p); d.guesses.tired(p, ip, d.now()) || !proved || !listed || !private {
		d.guesses.count(p, ip, d.now())
		return nowhere, content.Secret{}
	}
	return root, a.Secret
}

// proves reports whether a hello, from the first peer to the second, shows that its sender holds the secret.
func proves(h wire.Hello, secret content.Secret, root cid.Cid, way [2]peer.ID) bool {
	want := secret.Proof(root, string(way[0]), string(way[1]))
	return subtle.ConstantTimeCompare(h.Proof[:], want[:]) == 1
}

// listed reports whether a peer is among those who may have a root, and may still.
func (d *doorkeeper) listed(a content.Access, p peer.ID) bool {
	if a.Open() {
		return true
	}
	return (a.Until.IsZero() || d.now().Before(a.Until)) && (!a.Limited || slices.Contains(a.Peers, string(p)))
}

// may reports whether a peer with which a root was exchanged under a secret may go on. That the time of a ticket ran out does
// not end what had begun.
func (d *doorkeeper) may(root cid.Cid, p peer.ID, secret content.Secret) bool {
	a := d.Access(root)
	return secret.Equal(a.Secret) && (!a.Limited || slices.Contains(a.Peers, string(p)))
}

// Revoke makes it felt at once that who may have a root has changed, or that it is no longer shared: whoever is being served
// and may not have it gets no more. Who may comes again by himself.
func (s *Service) Revoke(root cid.Cid) {
	s.mu.Lock()
	var all []*Session
	for _, list := range s.sessions {
		all = append(all, list...)
	}
	ctx := s.ctx
	s.mu.Unlock()
	for _, x := range all {
		switch serves := x.idle > 0; {
		case x.leech:
		case serves && x.root.Equals(root):
			x.post(x.dismiss)
		case serves: // it may be a part of the root
			if _, err := s.library.Tree(ctx, x.root); err != nil {
				x.post(x.dismiss)
			}
		case x.root.Equals(root):
			x.post(x.review)
		}
	}
}

// dismiss ends a session that only serves.
func (x *Session) dismiss() {
	x.closeLinks(wire.ByeNotHere)
	x.cancel()
}

// review ends the links to those who may not have the root any more.
func (x *Session) review() {
	for _, l := range x.links {
		if !x.svc.doors.may(x.root, l.peer, l.secret) {
			x.turnAway(l)
		}
	}
}

// turnAway leaves a peer as somebody does who does not have the root.
func (x *Session) turnAway(l *link) {
	l.hangUp(wire.ByeNotHere)
	x.drop(l, &byeError{wire.ByeNotHere})
}

// hello is what is said first on l.
func (x *Session) hello(l *link) wire.Hello {
	h := wire.Hello{Root: x.root, Session: x.exchange.number, Unlisted: x.svc.introducer == nil}
	if !l.secret.IsZero() {
		h.Root = l.secret.Alias(x.root)
		h.Proof = l.secret.Proof(x.root, string(x.svc.host.ID()), string(l.peer))
	}
	return h
}

// about reports whether a hello that answers ours is about the same root.
func (l *link) about(h wire.Hello) bool {
	if l.secret.IsZero() {
		return h.Root.Equals(l.x.root)
	}
	return h.Root.Equals(l.secret.Alias(l.x.root))
}

// holds reports whether a hello that answers ours proves what it has to.
func (l *link) holds(h wire.Hello) bool {
	return l.secret.IsZero() || proves(h, l.secret, l.x.root, [2]peer.ID{l.peer, l.x.svc.host.ID()})
}

// key is the secret to show to those whom the session calls.
func (x *Session) key() content.Secret {
	if !x.secret.IsZero() {
		return x.secret
	}
	return x.svc.doors.Access(x.root).Secret
}

// guesses counts proofs that were of no use, by peer and by address: a new peer ID costs nothing. Both have a burst and then
// so many a second, which leaves room for those who ask everybody they find.
type guesses struct {
	mu    sync.Mutex // guards the rest
	peers map[peer.ID]trail
	addrs map[netip.Addr]trail
}

// trail is a count that goes down with time.
type trail struct {
	n  float64
	at time.Time
}

func newGuesses() guesses {
	return guesses{peers: make(map[peer.ID]trail), addrs: make(map[netip.Addr]trail)}
}

// tired reports whether what a peer would prove is not looked at just now.
func (g *guesses) tired(p peer.ID, ip netip.Addr, now time.Time) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.peers[p].left(now, peerGuesses) > guessBurst-1 || g.addrs[ip].left(now, addrGuesses) > addrGuessBurst-1
}

// count notes one more. Whoever is on this machine is told apart by identity alone.
func (g *guesses) count(p peer.ID, ip netip.Addr, now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	pour(g.peers, p, now, peerGuesses, guessBurst)
	if ip.IsValid() && !ip.IsLoopback() {
		pour(g.addrs, ip, now, addrGuesses, addrGuessBurst)
	}
}

// left is what is in the trail now, of which so much flows out in a second.
func (b trail) left(now time.Time, rate float64) float64 {
	return max(0, b.n-now.Sub(b.at).Seconds()*rate)
}

// pour adds one to a trail. Of too many, those that were not used for longest go.
func pour[K comparable](trails map[K]trail, k K, now time.Time, rate, most float64) {
	old, known := trails[k]
	if !known && len(trails) >= maxGuessers {
		var oldest K
		at := now
		for o, b := range trails {
			if !b.at.After(at) {
				oldest, at = o, b.at
			}
		}
		delete(trails, oldest)
	}
	trails[k] = trail{min(old.left(now, rate)+1, most), now}
}

// origin is the address that a connection comes from; of IPv6 the LAN, whose machines have as many as they like.
func origin(c network.Conn) netip.Addr {
	ip, err := manet.ToIP(c.RemoteMultiaddr())
	if err != nil {
		return netip.Addr{}
	}
	a, _ := netip.AddrFromSlice(ip)
	if a = a.Unmap(); a.Is6() && !a.IsLoopback() {
		return netip.PrefixFrom(a.WithZone(""), 64).Masked().Addr()
	}
	return a
}
