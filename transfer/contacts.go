package transfer

import (
	"context"
	"errors"
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
	peer  peer.ID
	state ContactState
	tries int
	next  time.Time // when to try again
	link  *link
	addr  string
	err   error

	down, up int64 // bytes over links that have ended
	bad      int
}

// Offer names a peer that may hold the root. Its addresses must be in the host's peerstore. An offer that was made before
// makes the session try again at once if it had given the peer up for a while.
func (x *Session) Offer(p peer.ID) {
	x.post(func() {
		c := x.contacts[p]
		if c == nil {
			if len(x.contacts) >= maxContacts || p == x.svc.host.ID() {
				return
			}
			x.contacts[p] = &contact{peer: p}
			return
		}
		if c.state == Unreachable {
			c.next = time.Time{}
		}
	})
}

// contactDue dials whoever may be dialled now.
func (x *Session) contactDue(now time.Time) {
	for _, c := range x.contacts {
		if x.dialing >= maxDialing {
			return
		}
		if c.due() && !c.next.After(now) {
			c.state = Dialing
			x.dialing++
			x.group.Go(func() error { x.dial(c.peer); return nil })
		}
	}
}

func (c *contact) due() bool {
	return c.state == Waiting || c.state == NotHere || c.state == Unreachable
}

func (x *Session) nextContact() (at time.Time) {
	if x.dialing >= maxDialing {
		return at
	}
	for _, c := range x.contacts {
		if c.due() && (at.IsZero() || c.next.Before(at)) {
			at = c.next
		}
	}
	return at
}

// dial opens a stream to p and asks about the root.
func (x *Session) dial(p peer.ID) {
	ctx, cancel := context.WithTimeout(x.ctx, dialTimeout)
	defer cancel()
	str, err := x.svc.host.NewStream(ctx, p, Protocol)
	if err == nil {
		err = str.Scope().SetService("shoal.transfer")
	}
	posted := x.post(func() {
		x.dialing--
		c := x.contacts[p]
		if err != nil {
			x.contactFailed(c, err)
			return
		}
		l := x.link(str, wire.NewReader(str))
		l.contact = c
		c.state, c.link, c.addr, c.err = Asking, l, str.Conn().RemoteMultiaddr().String(), nil
		l.say(wire.Hello{Root: x.root})
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
	pause := min(retryFirst<<min(c.tries, 10), retryMost)
	c.tries++
	c.next = time.Now().Add(pause)
}

// contactJoined notes that the peer of l has the root.
func (x *Session) contactJoined(l *link) {
	if c := l.contact; c != nil {
		c.state, c.tries = Joined, 0
	}
}

// contactLost decides what the end of a link means for its peer.
func (x *Session) contactLost(l *link, err error) {
	c := l.contact
	if c == nil || c.link != l {
		return
	}
	c.link = nil
	c.down, c.up, c.bad = c.down+l.down.Load(), c.up+l.up.Load(), c.bad+l.bad
	var bye *byeError
	switch {
	case errors.Is(err, errBadChunks), errors.Is(err, errBadNode), errors.Is(err, errUnsolicited), errors.Is(err, errPieceOrder):
		c.state, c.err = Banned, err
	case errors.As(err, &bye) && bye.code == wire.ByeNotHere:
		c.state, c.err = NotHere, nil
		c.next = time.Now().Add(askAgain)
	default:
		x.contactFailed(c, err)
	}
}
