package sim

import (
	"slices"

	"github.com/shoal-p2p/shoal/content"
	"github.com/shoal-p2p/shoal/transfer/engine"
)

// Everything here turns one engine's actions into another one's events. A new pair of them takes a kind, a case in act and a
// case in deliver.

// The messages that name ranges of chunks.
const (
	msgHas kind = message + iota
	msgAsked
	msgWithdrawn
	msgRefused
	msgSeeks
	msgComing
	msgOffered

	manyRanges kind = 1 << (kindBits - 1) // the entry names a parcel, not its only range
	waited     kind = 1 << (kindBits - 2) // for the data before it
)

// act carries out what the engine of h decided.
func (n *net) act(h int32, a engine.Action) {
	switch a := a.(type) {
	case engine.Tell:
		n.tell(int32(a.Peer), msgHas, a.Ranges)
	case engine.Ask:
		row := n.row(int32(a.Peer))
		each(a.Ranges, func(c uint32) { set(row, c) })
		n.tell(int32(a.Peer), msgAsked, a.Ranges)
	case engine.Revoke:
		row := n.row(int32(a.Peer))
		each(a.Ranges, func(c uint32) { unset(row, c) })
		if x := &n.links[a.Peer]; within(a.Ranges, x.incoming) {
			x.partial = 0
		}
		n.tell(int32(a.Peer), msgWithdrawn, a.Ranges)
	case engine.Decline:
		n.tell(int32(a.Peer), msgRefused, a.Ranges)
	case engine.Seek:
		n.tell(int32(a.Peer), msgSeeks, a.Ranges)
	case engine.Announce:
		n.tell(int32(a.Peer), msgComing, a.Ranges)
	case engine.Offer:
		n.tell(int32(a.Peer), msgOffered, a.Ranges)
	case engine.Give:
		n.upload(int32(a.Peer), a.Ranges)
	case engine.Ban:
		n.banned(h, int32(a.Peer))
	case engine.Finished:
		n.finished(h)
	}
}

// deliver hands a message to the engine that it is for.
func (n *net) deliver(e *entry) {
	l := e.link ^ 1 // the receiver's end
	k := e.kind()
	if n.sc.InBand && k&waited == 0 && n.links[l].readAt > n.now {
		n.queue.add(n.links[l].readAt, k|waited, e.link, e.a, e.b)
		return
	}
	k &^= waited
	var ranges []content.Range
	if k&manyRanges != 0 {
		ranges = n.parcels.open(e.a)
	} else if e.b > 0 {
		n.one[0] = content.Range{First: e.a, Count: e.b}
		ranges = n.one[:]
	}
	if !n.links[l].dead {
		h, peer := n.links[l].from, engine.Peer(l)
		n.tally.messages++
		switch k &^ manyRanges {
		case msgHas:
			n.step(h, engine.Has{Peer: peer, Ranges: ranges})
		case msgAsked:
			n.step(h, engine.Asked{Peer: peer, Ranges: ranges})
		case msgWithdrawn:
			n.step(h, engine.Withdrawn{Peer: peer, Ranges: ranges})
			n.cut(l, ranges)
		case msgRefused:
			row := n.row(l)
			each(ranges, func(c uint32) { unset(row, c) })
			n.step(h, engine.Refused{Peer: peer, Ranges: ranges})
		case msgSeeks:
			n.step(h, engine.Seeks{Peer: peer, Ranges: ranges})
		case msgComing:
			n.step(h, engine.Coming{Peer: peer, Ranges: ranges})
		case msgOffered:
			n.step(h, engine.Offered{Peer: peer, Ranges: ranges})
		}
	}
	if k&manyRanges != 0 {
		n.parcels.done(e.a)
	}
}

// gaveEvent is the end of a chunk that was given, of which so many bytes were sent.
func (n *net) gaveEvent(p engine.Peer, c uint32, bytes int) engine.Event {
	return engine.Gave{Peer: p, Chunks: []uint32{c}, Bytes: bytes}
}

// credited tells the engine of the owner of l that the peer has read some bytes.
func (n *net) credited(l int32, bytes int) {
	n.step(n.links[l].from, engine.Got{Peer: engine.Peer(l), Bytes: bytes})
}

// tell sends a message along a link.
func (n *net) tell(l int32, k kind, ranges []content.Range) {
	x := &n.links[l]
	if x.dead {
		return
	}
	m := note{kind: k}
	switch len(ranges) {
	case 0:
	case 1:
		m.a, m.b = ranges[0].First, ranges[0].Count
	default:
		m.kind, m.a = k|manyRanges, n.parcels.pack(ranges)
	}
	if id := n.ahead(l); id != 0 && n.sc.InBand {
		n.frames.all[id].after = append(n.frames.all[id].after, m)
	} else {
		n.queue.add(n.now+x.delay, m.kind, l, m.a, m.b)
	}
}

// ahead returns the last frame that is written to a link and has not left, or 0.
func (n *net) ahead(l int32) uint32 {
	x := &n.links[l]
	if k := len(x.out); k > 0 {
		return x.out[k-1]
	}
	if id := n.hosts[x.from].sending; id != 0 && n.frames.all[id].link == l {
		return id
	}
	return 0
}

// banned closes the connection to a peer that the engine will have nothing more to do with.
func (n *net) banned(h, l int32) {
	x := &n.hosts[h]
	if n.hosts[n.links[l].to].Role != Liar {
		x.wronged++
	}
	n.hangUp(l)
	x.links = slices.DeleteFunc(x.links, func(k int32) bool { return k == l })
}

// parcels are the ranges of messages that have several. A step that says the same to many peers makes one.
type parcels struct {
	all   []parcel
	spare []uint32
	last  uint32 // made in this step, plus one
}

type parcel struct {
	ranges []content.Range
	users  int
}

func (p *parcels) pack(ranges []content.Range) uint32 {
	if p.last > 0 && slices.Equal(p.all[p.last-1].ranges, ranges) {
		p.all[p.last-1].users++
		return p.last - 1
	}
	id := uint32(len(p.all))
	if k := len(p.spare); k > 0 {
		id = p.spare[k-1]
		p.spare = p.spare[:k-1]
	} else {
		p.all = append(p.all, parcel{})
	}
	p.all[id].ranges = append(p.all[id].ranges[:0], ranges...)
	p.all[id].users = 1
	p.last = id + 1
	return id
}

func (p *parcels) open(id uint32) []content.Range { return p.all[id].ranges }

func (p *parcels) done(id uint32) {
	if p.all[id].users--; p.all[id].users == 0 {
		p.spare = append(p.spare, id)
		p.last = 0
	}
}
