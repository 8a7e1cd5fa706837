package transfer

import (
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/shoal-p2p/shoal/transfer/wire"
)

// Two peers need one stream about a root. When both dial at the same moment they get two, and decide as package wire says,
// each for itself and both alike, which one to go on with. It is decided before anything is under way on the other.

// linked returns a link on which the peer gives and takes; nil if there is none.
func (x *Session) linked(p peer.ID) *link {
	for _, l := range x.links {
		if l.peer == p && l.greeted && l.hello.Session != 0 {
			return l
		}
	}
	return nil
}

// crossed reports whether a stream that came in has to wait, because ours to the same peer is not answered yet and would be
// kept.
func (x *Session) crossed(l *link) bool {
	c := x.contacts[l.peer]
	if c == nil || c.state != Asking || l.hello.Session == 0 || x.exchange.parked[l.peer] != nil || x.svc.host.ID() > l.peer {
		return false
	}
	x.exchange.parked[l.peer] = l
	ours := c.link
	time.AfterFunc(helloTimeout, func() {
		x.post(func() {
			if x.exchange.parked[l.peer] == l {
				x.drop(ours, &PeerError{l.peer, "hello", errSilent})
				x.unpark(l.peer)
			}
		})
	})
	return true
}

// unpark answers a stream that waited, if there is one.
func (x *Session) unpark(p peer.ID) bool {
	l := x.exchange.parked[p]
	if l == nil {
		return false
	}
	delete(x.exchange.parked, p)
	x.welcome(l)
	return true
}

// unparkAll sets the streams that wait going, so that they can be ended.
func (x *Session) unparkAll() {
	for p, l := range x.exchange.parked {
		delete(x.exchange.parked, p)
		x.start(l)
	}
}

// settleDoubles ends the streams that the other side does not need besides l, on which it has just said hello.
func (x *Session) settleDoubles(l *link) {
	if l.hello.Session == 0 {
		return
	}
	if p := x.exchange.parked[l.peer]; p != nil && p != l {
		delete(x.exchange.parked, l.peer)
		if p.hello.Session == l.hello.Session {
			x.start(p)
			x.end(p, wire.ByeOK)
		} else {
			x.welcome(p)
		}
	}
	var doubles []*link
	for _, o := range x.links {
		if o != l && o.peer == l.peer && o.greeted && o.hello.Session == l.hello.Session {
			doubles = append(doubles, o)
		}
	}
	for _, o := range doubles {
		x.end(o, wire.ByeOK)
	}
}

// end drops a link that is of no more use, without blame.
func (x *Session) end(l *link, code wire.Code) {
	l.hangUp(code)
	x.drop(l, errDouble)
}

// adopt makes l the link of the peer's contact, if there is one: a peer that has called us need not be dialled.
func (x *Session) adopt(l *link) {
	c := x.contacts[l.peer]
	if c == nil || c.state == Banned || l.hello.Session == 0 && l.contact != c {
		return
	}
	l.contact = c
	c.state, c.tries, c.link, c.err, c.met = Joined, 0, l, nil, true
	c.addr = l.str.Conn().RemoteMultiaddr().String()
}
