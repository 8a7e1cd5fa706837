package transfer

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/shoal-p2p/shoal/transfer/wire"
)

// ContactState is how far a session has come with a peer that it was offered.
type ContactState uint8

// The states, in the order in which they usually follow.
const (
	Waiting ContactState = iota // to be dialled, now or after a pause
	Dialing
	Asking  // connected; has not said whether it has the root
	Joined  // has the root, in whole or in part
	NotHere // said that it does not have the root
	Unreachable
	Banned
)

func (s ContactState) String() string {
	return [...]string{"waiting", "dialing", "asking", "joined", "not here", "unreachable", "banned"}[s]
}

// contact is one peer that may hold the root.
type contact struct {
	peer   peer.ID
	state  ContactState
	tries  int
	next   time.Time // when to try again
	order  int       // of those that are due, the first is dialled first
	link   *link
	since  time.Time          // when the dial that is under way began
	quit   context.CancelFunc // ends that dial
	learnt bool               // only somebody's word speaks for it: another peer's of the root, or a DHT's
	met    bool               // it has joined before
	addr   string
	err    error

	down, up int64 // bytes over links that have ended
	wasted   int64
	bad      int
}

// Offer names a peer that may hold the root. Its addresses must be in the host's peerstore. An offer that was made before
// makes the session try again at once if it had given the peer up for a while.
func (x *Session) Offer(p peer.ID) {
	x.post(func() {
		c := x.contacts[p]
		if c == nil {
			if p == x.svc.host.ID() || len(x.contacts) >= maxContacts && !x.forgetWorst() {
				return
			}
			x.addContact(&contact{peer: p})
			if l := x.linked(p); l != nil {
				x.adopt(l)
			}
			return
		}
		c.learnt = false
		if c.state == Unreachable {
			c.next = time.Time{}
		}
	})
}

// Suggest names a peer for which only somebody's word speaks. It is tried like one that another peer named: a few at a time, a few
// times, and only as long as more peers are of use.
func (x *Session) Suggest(p peer.ID) {
	x.post(func() {
		if x.contacts[p] != nil || p == x.svc.host.ID() || x.learnt() >= maxLearnt && !x.forgetWorst() {
			return
		}
		if len(x.contacts) >= maxContacts && !x.forgetWorst() {
			return
		}
		x.addContact(&contact{peer: p, learnt: true})
		if l := x.linked(p); l != nil {
			x.adopt(l)
		}
	})
}

// forgettable counts the contacts that forgetWorst may drop.
func (x *Session) forgettable() (n int) {
	for _, c := range x.contacts {
		if c.forgettable() {
			n++
		}
	}
	return n
}

func (c *contact) forgettable() bool {
	return c.learnt && !c.met && (c.state == Unreachable || c.state == NotHere)
}

// forgetWorst drops a contact for which only somebody's word spoke and that was not found there, the one with the most tries.
func (x *Session) forgetWorst() bool {
	var worst *contact
	for _, c := range x.contacts {
		if c.forgettable() && (worst == nil || c.tries > worst.tries) {
			worst = c
		}
	}
	if worst == nil {
		return false
	}
	delete(x.contacts, worst.peer)
	return true
}

func (x *Session) addContact(c *contact) {
	x.offered++
	c.order = x.offered
	x.contacts[c.peer] = c
}

// contactDue dials whoever may be dialled now, those first that were tried least and offered first.
func (x *Session) contactDue(now time.Time) {
	var due []*contact
	for _, c := range x.contacts {
		if c.due() && !c.next.After(now) {
			due = append(due, c)
		}
	}
	slices.SortFunc(due, func(a, b *contact) int { return cmp.Or(cmp.Compare(a.tries, b.tries), cmp.Compare(a.order, b.order)) })
	for _, c := range due {
		if !x.callable(c) {
			continue
		}
		var ctx context.Context
		ctx, c.quit = context.WithTimeout(x.ctx, dialTimeout)
		c.state, c.since = Dialing, now
		learnt := c.learnt
		if learnt {
			x.exchange.dialing++
		} else {
			x.dialing++
		}
		x.group.Go(func() error { x.dial(ctx, c.peer, learnt); return nil })
	}
	x.giveWay(now)
}

func (c *contact) due() bool {
	return c.state == Waiting || c.state == NotHere || c.state == Unreachable
}

func (x *Session) nextContact() (at time.Time) {
	for _, c := range x.contacts {
		if x.callable(c) && (at.IsZero() || c.next.Before(at)) {
			at = c.next
		}
	}
	if end := x.nextWay(); !end.IsZero() && (at.IsZero() || end.Before(at)) {
		at = end
	}
	return at
}

// dial opens a stream to p, of whom we may have learnt from another peer, and asks about the root.
func (x *Session) dial(ctx context.Context, p peer.ID, learnt bool) {
	str, err := x.svc.host.NewStream(ctx, p, Protocol)
	if err == nil {
		err = str.Scope().SetService("shoal.transfer")
	}
	posted := x.post(func() {
		if learnt {
			x.exchange.dialing--
		} else {
			x.dialing--
		}
		c := x.contacts[p]
		c.quit()
		if c.link != nil { // it called us meanwhile, and nothing is said on this stream yet
			if err == nil {
				str.Reset()
			}
			return
		}
		if err != nil {
			x.contactFailed(c, err)
			return
		}
		l := x.link(str, wire.NewReader(x.svc.sips(str)))
		l.contact, l.secret = c, x.key()
		c.state, c.link, c.addr, c.err = Asking, l, str.Conn().RemoteMultiaddr().String(), nil
		l.say(x.hello(l))
		x.shapeOffered(l)
		x.start(l)
	})
	if !posted && str != nil {
		str.Reset()
	}
}

// contactFailed plans the next attempt.
func (x *Session) contactFailed(c *contact, err error) {
	c.state, c.err = Unreachable, err
	first := retryFirst
	if c.learnt && !c.met {
		first = retryLearnt
		if c.tries == 0 {
			x.exchange.vain++
		}
	}
	pause := min(first<<min(c.tries, 10), retryMost)
	c.tries++
	c.next = time.Now().Add(pause)
	x.forgetTiresome(c)
}

// contactJoined notes that the peer of l has the root: both sides have said hello on it.
func (x *Session) contactJoined(l *link) {
	x.exchange.vain = 0
	x.arrive(l)
	x.adopt(l)
	x.settleDoubles(l)
}

// blamed reports whether a link ended by what an honest peer does not do.
func blamed(err error) bool {
	breaches := []error{errBadChunks, errBadNode, errUnsolicited, errPieceOrder, errTooManyPeers}
	return slices.ContainsFunc(breaches, func(breach error) bool { return errors.Is(err, breach) })
}

// contactLost decides what the end of a link means for its peer.
func (x *Session) contactLost(l *link, err error) {
	c := l.contact
	if c == nil {
		return
	}
	c.down, c.up, c.bad = c.down+l.down.Load(), c.up+l.up.Load(), c.bad+l.bad
	c.wasted += l.wasted.Load()
	if c.link != l {
		return
	}
	c.link = nil
	var bye *byeError
	switch {
	case blamed(err):
		c.state, c.err = Banned, err
	case x.unpark(l.peer):
	case x.linked(l.peer) != nil:
		x.adopt(x.linked(l.peer))
	case errors.As(err, &bye) && bye.code == wire.ByeNotHere:
		c.state, c.err = NotHere, nil
		c.next = time.Now().Add(askAgain)
		c.tries++
		x.forgetTiresome(c)
	default:
		x.contactFailed(c, err)
	}
}
