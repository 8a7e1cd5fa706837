package transfer

import (
	"math/rand/v2"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"

	"github.com/shoal-p2p/shoal/transfer/wire"
)

// Introducer knows how peers are reached, and whom this node may dial because another peer said so. Its methods are called
// from the loops of sessions, so they must not wait for a peer or a disk.
type Introducer interface {
	// Reached returns the addresses at which others can reach the peer at the other end of c, the best first and without
	// /p2p; none when that is not known (yet).
	Reached(c network.Conn) []multiaddr.Multiaddr
	// Usable reports whether an address of a third peer means anything to the peer at the other end of c.
	Usable(a multiaddr.Multiaddr, c network.Conn) bool
	// Meet takes what the peer at the other end of c says of others, and returns those who may be dialled now, at addresses
	// that the host knows from then on. It need not trust any of it.
	Meet(c network.Conn, found []peer.AddrInfo) []peer.ID
}

// exchange is a session's part in making the peers of its root known to each other.
type exchange struct {
	number  uint64            // of this session, on all of its streams; zero for one that takes only
	due     time.Time         // when somebody may have to be told; zero: when something changes
	lessons map[peer.ID]int   // peers that each teller has named to us
	parked  map[peer.ID]*link // streams that wait until ours to the same peer is answered
	dialing int               // contacts that were learnt from other peers
	vain    int               // of them that were not reached at the first try, since somebody was found who has the root
	former  map[peer.ID]guest // who took part and has left, but is connected still: most have everything by now
	over    bool              // everything that was wanted is here
}

func newExchange(leech bool) exchange {
	e := exchange{lessons: make(map[peer.ID]int), parked: make(map[peer.ID]*link), former: make(map[peer.ID]guest)}
	for e.number == 0 && !leech {
		e.number = rand.Uint64()
	}
	return e
}

// standing is what the exchange knows about the peer of one link.
type standing struct {
	hello   wire.Hello
	since   time.Time // when both sides had said hello
	held    int       // chunks that it said it has
	told    map[peer.ID]struct{}
	pace    time.Time // when it may be told something, but for a burst
	heardOf int       // the reader's: peers that it has named to us
}

// arrive notes that both sides have said hello on l.
func (x *Session) arrive(l *link) {
	l.since = time.Now()
	x.tellBy(l.since.Add(tellPause))
}

// noted draws from a message of the peer what the exchange needs to know. What comes before the link has joined is heard
// again then.
func (l *link) noted(m wire.Message) {
	if h, ok := m.(wire.Have); ok && l.joined {
		l.held += chunksIn(h.Ranges)
	}
}

// keepPeers copies what the reader will overwrite with the next message.
func keepPeers(m wire.Peers) wire.Peers {
	out := wire.Peers{Peers: make([]wire.Peer, len(m.Peers))}
	for i, p := range m.Peers {
		out.Peers[i].ID = slices.Clone(p.ID)
		for _, a := range p.Addrs {
			out.Peers[i].Addrs = append(out.Peers[i].Addrs, slices.Clone(a))
		}
	}
	return out
}

// tellable reports whether others may hear of the peer: it answers them, and does not mind.
func (l *link) tellable() bool { return l.greeted && l.hello.Session != 0 && !l.hello.Unlisted }

// curious reports whether the peer has a use for others.
func (l *link) curious() bool {
	t := l.x.tree
	return l.greeted && !l.hello.Unlisted && len(l.told) < wire.MaxIntroduced && (t == nil || l.held < t.NumChunks())
}

// tellBy makes the loop look by then who has to be told of whom.
func (x *Session) tellBy(at time.Time) {
	if x.svc.introducer == nil {
		return
	}
	if x.exchange.due.IsZero() || at.Before(x.exchange.due) {
		x.exchange.due = at
	}
}

// tellDue tells everybody of those that they have not been told of, if it is time.
func (x *Session) tellDue(now time.Time) {
	if x.exchange.due.IsZero() || now.Before(x.exchange.due) {
		return
	}
	x.exchange.due = time.Time{}
	r := round{x: x, now: now, about: x.guests(), reach: make(map[network.Conn][]multiaddr.Multiaddr)}
	for _, l := range x.links {
		if l.curious() {
			r.tell(l)
		}
	}
}

// guest is a peer of whom others may be told.
type guest struct {
	peer  peer.ID
	conn  network.Conn
	since time.Time // when it came
}

// guests are those who take part, and those who did so before and are connected still. They come in any order.
func (x *Session) guests() []guest {
	var all []guest
	seen := make(map[peer.ID]bool)
	for _, l := range x.links {
		if l.tellable() && !seen[l.peer] {
			seen[l.peer] = true
			all = append(all, guest{l.peer, l.str.Conn(), l.since})
		}
	}
	for p, g := range x.exchange.former {
		if g.conn.IsClosed() {
			delete(x.exchange.former, p)
		} else if !seen[p] {
			all = append(all, g)
		}
	}
	rand.Shuffle(len(all), func(i, k int) { all[i], all[k] = all[k], all[i] })
	return all
}

// remember notes that the peer of l took part, now that l ends.
func (x *Session) remember(l *link, err error) {
	if l.tellable() && len(x.exchange.former) < maxFormer && !blamed(err) {
		x.exchange.former[l.peer] = guest{l.peer, l.str.Conn(), l.since}
	}
}

// round is one look at all peers: who could be told of, and where each is reached.
type round struct {
	x     *Session
	now   time.Time
	about []guest
	reach map[network.Conn][]multiaddr.Multiaddr
}

// tell names to one peer as many others as it has a use for, beginning anywhere, so that in a large crowd all are named
// about as often.
func (r *round) tell(to *link) {
	var news []guest
	known := 0
	start := rand.IntN(len(r.about) + 1)
	for i := range r.about {
		g := r.about[(start+i)%len(r.about)]
		if _, old := to.told[g.peer]; old {
			known++
		} else if g.peer != to.peer {
			news = append(news, g)
		}
	}
	room := min(wire.MaxPeers-known, wire.MaxIntroduced-len(to.told))
	if len(news) == 0 || room <= 0 {
		return
	}
	if at := to.pace.Add(-(tellBurst - 1) * tellEvery); at.After(r.now) {
		r.x.tellBy(at)
		return
	}
	m := r.message(to, news, room)
	if len(m.Peers) == 0 {
		return
	}
	if to.pace.Before(r.now) {
		to.pace = r.now
	}
	to.pace = to.pace.Add(tellEvery)
	to.say(m)
}

// message names up to room of the news. Of some it is not known yet how they are reached: they are tried again for a while.
func (r *round) message(to *link, news []guest, room int) wire.Peers {
	var m wire.Peers
	for _, g := range news {
		if len(m.Peers) == room {
			break
		}
		p := r.introduction(g, to)
		if len(p.Addrs) == 0 {
			if r.now.Sub(g.since) < tellTries {
				r.x.tellBy(r.now.Add(tellAgain))
			}
			continue
		}
		if to.told == nil {
			to.told = make(map[peer.ID]struct{})
		}
		to.told[g.peer] = struct{}{}
		m.Peers = append(m.Peers, p)
	}
	return m
}

// introduction is a guest with those of its addresses that the peer of to can use.
func (r *round) introduction(g guest, to *link) wire.Peer {
	addrs, known := r.reach[g.conn]
	if !known {
		addrs = r.x.svc.introducer.Reached(g.conn)
		r.reach[g.conn] = addrs
	}
	p := wire.Peer{ID: []byte(g.peer)}
	for _, a := range addrs {
		b := a.Bytes()
		if len(p.Addrs) < wire.MaxPeerAddrs && len(b) > 0 && len(b) <= wire.MaxAddr && r.x.svc.introducer.Usable(a, to.str.Conn()) {
			p.Addrs = append(p.Addrs, b)
		}
	}
	return p
}

// tooMany counts the peers that are named on the stream. The reader calls it, so that a flood ends there.
func (l *link) tooMany(m wire.Message) bool {
	if p, ok := m.(wire.Peers); ok {
		l.heardOf += len(p.Peers)
	}
	return l.heardOf > wire.MaxIntroduced
}

// introduced takes what the peer says of others.
func (x *Session) introduced(l *link, m wire.Peers) {
	if x.svc.introducer == nil || !x.seeksPeers() {
		return
	}
	found := x.strangers(l, m.Peers)
	if len(found) == 0 {
		return
	}
	x.exchange.lessons[l.peer] += len(found)
	for _, p := range x.svc.introducer.Meet(l.str.Conn(), found) {
		x.learnOf(p)
	}
}

// seeksPeers reports whether this is a download that is not through.
func (x *Session) seeksPeers() bool { return x.idle == 0 && !x.exchange.over }

// strangers returns those that we could not reach until now, as far as this teller has not named enough already.
func (x *Session) strangers(teller *link, named []wire.Peer) []peer.AddrInfo {
	room := min(maxLessons-x.exchange.lessons[teller.peer], maxLearnt-x.learnt()+x.forgettable())
	if _, known := x.exchange.lessons[teller.peer]; !known && len(x.exchange.lessons) >= maxContacts {
		return nil
	}
	var found []peer.AddrInfo
	for _, p := range named {
		if len(found) >= room {
			break
		}
		id, err := peer.IDFromBytes(p.ID)
		if err != nil || id == x.svc.host.ID() || id == teller.peer || !x.strange(id) {
			continue
		}
		info := peer.AddrInfo{ID: id}
		for _, b := range p.Addrs {
			if a, err := multiaddr.NewMultiaddrBytes(b); err == nil {
				info.Addrs = append(info.Addrs, a)
			}
		}
		if len(info.Addrs) > 0 {
			found = append(found, info)
		}
	}
	return found
}

// strange reports whether more about p is of any use.
func (x *Session) strange(p peer.ID) bool {
	c := x.contacts[p]
	return x.linked(p) == nil && (c == nil || c.state == Unreachable && !c.learnt)
}

// learnt counts the contacts that were learnt from other peers and have not shown to be good for anything.
func (x *Session) learnt() int {
	n := 0
	for _, c := range x.contacts {
		if c.learnt && c.state != Joined {
			n++
		}
	}
	return n
}

// learnOf makes a contact of a peer that another one named. Of two that are told of each other at the same time the one with
// the larger ID waits a little, so that they need not both dial.
func (x *Session) learnOf(p peer.ID) {
	now := time.Now()
	if c := x.contacts[p]; c != nil {
		c.next = now
		return
	}
	if (len(x.contacts) >= maxContacts || x.learnt() >= maxLearnt) && !x.forgetWorst() {
		return
	}
	c := &contact{peer: p, learnt: true, next: now}
	if x.svc.host.ID() > p {
		c.next = now.Add(letOtherDial)
	}
	x.addContact(c)
}

// callable reports whether c may be dialled when its time has come. One that a peer named is dialled only as long as more
// peers are of use, and never takes the place of those that were found otherwise.
func (x *Session) callable(c *contact) bool {
	switch {
	case !c.due():
		return false
	case !c.learnt:
		return x.dialing < maxDialing
	case c.met:
		return x.exchange.dialing < mostDialLearnt
	}
	return x.wanted() && x.exchange.dialing < x.haste()
}

// wanted reports whether peers that others name are of use.
func (x *Session) wanted() bool { return x.seeksPeers() && len(x.links) < enoughPeers }

// haste is how many dials on somebody's word may be under way. Where one in a thousand of those who are named is real, a few at a
// time would take all day; so there are more the more were in vain, until somebody is found.
func (x *Session) haste() int {
	return min(maxDialingLearnt+hasteLearnt*x.exchange.vain, mostDialLearnt)
}

// giveWay ends dials on somebody's word that have taken long, if others wait for their turn. They come again after those.
func (x *Session) giveWay(now time.Time) {
	if !x.crowded(now) {
		return
	}
	for _, c := range x.contacts {
		if c.hasty() && now.Sub(c.since) >= dialLearnt {
			c.quit()
		}
	}
}

// nextWay is when giveWay is to be called; zero if nobody waits.
func (x *Session) nextWay() (at time.Time) {
	if !x.crowded(time.Now()) {
		return at
	}
	for _, c := range x.contacts {
		if end := c.since.Add(dialLearnt); c.hasty() && (at.IsZero() || end.Before(at)) {
			at = end
		}
	}
	return at
}

// hasty reports whether c is being dialled for the first time, on somebody's word.
func (c *contact) hasty() bool { return c.state == Dialing && c.learnt && !c.met && c.tries == 0 }

// crowded reports whether somebody whom others named waits for a dial to end.
func (x *Session) crowded(now time.Time) bool {
	if x.exchange.dialing < x.haste() || !x.wanted() {
		return false
	}
	for _, c := range x.contacts {
		if c.due() && c.learnt && !c.met && c.tries == 0 && !c.next.After(now) {
			return true
		}
	}
	return false
}

// forgetTiresome drops a contact that only another peer named and that has used up its chances.
func (x *Session) forgetTiresome(c *contact) {
	if c.learnt && !c.met && c.tries >= maxLearntTries {
		delete(x.contacts, c.peer)
	}
}
