package transfer

import (
	"slices"

	"github.com/shoal-p2p/shoal/content"
	"github.com/shoal-p2p/shoal/transfer/engine"
	"github.com/shoal-p2p/shoal/transfer/wire"
)

// keep copies what the reader will overwrite with the next message.
func keep(m wire.Message) wire.Message {
	switch m := m.(type) {
	case wire.Have:
		return wire.Have{Ranges: slices.Clone(m.Ranges)}
	case wire.Want:
		return wire.Want{Ranges: slices.Clone(m.Ranges)}
	case wire.Cancel:
		return wire.Cancel{Ranges: slices.Clone(m.Ranges)}
	case wire.Cannot:
		return wire.Cannot{Code: m.Code, Ranges: slices.Clone(m.Ranges)}
	case wire.Seek:
		return wire.Seek{Ranges: slices.Clone(m.Ranges)}
	case wire.Coming:
		return wire.Coming{Ranges: slices.Clone(m.Ranges)}
	case wire.Offer:
		return wire.Offer{Ranges: slices.Clone(m.Ranges)}
	case wire.Peers:
		return keepPeers(m)
	case wire.Nodes:
		blocks := make([][]byte, len(m.Blocks))
		for i, b := range m.Blocks {
			blocks[i] = slices.Clone(b)
		}
		return wire.Nodes{Blocks: blocks}
	}
	return m
}

// heard takes one control message. It runs on the loop.
func (l *link) heard(m wire.Message) {
	x := l.x
	if x.links[l.id] != l {
		return
	}
	l.noted(m)
	if err := l.take(m); err != nil {
		x.drop(l, &PeerError{l.peer, "read", err})
	}
}

func (l *link) take(m wire.Message) error {
	x := l.x
	if ranges, yes := about(m); yes && !l.joined {
		return l.keepEarly(m, len(ranges))
	}
	switch m := m.(type) {
	case wire.Hello:
		if l.greeted || !l.about(m) {
			return errOutOfTurn
		}
		if !l.holds(m) {
			x.turnAway(l)
			return nil
		}
		l.greeted, l.hello = true, m
		x.contactJoined(l)
		x.shapeOffered(l)
		x.join(l)
	case wire.TreeAsk:
		if l.treeAsks++; l.treeAsks > maxTreeAsks {
			return errTooManyAsks
		}
		if x.engine == nil { // the tree is on its way to us as well
			l.say(wire.NodesEnd{})
			return nil
		}
		l.out.shape(m.Skip)
	case wire.Peers:
		x.introduced(l, m)
	case wire.Nodes:
		l.received(m)
		x.shapeArrived(l, m.Blocks)
	case wire.NodesEnd:
		return x.shapeEnded(l)
	case wire.Have:
		return l.ranges(m.Ranges, engine.Has{Peer: l.id, Ranges: m.Ranges})
	case wire.Want:
		l.owed += chunksIn(m.Ranges)
		return l.ranges(m.Ranges, engine.Asked{Peer: l.id, Ranges: m.Ranges})
	case wire.Cancel:
		if err := l.ranges(m.Ranges, engine.Withdrawn{Peer: l.id, Ranges: m.Ranges}); err != nil {
			return err
		}
		if unsent := l.out.withdraw(m.Ranges); len(unsent) > 0 {
			x.step(engine.Gave{Peer: l.id, Chunks: unsent})
		}
		l.owed = max(0, l.owed-chunksIn(m.Ranges))
	case wire.Seek:
		return l.ranges(m.Ranges, engine.Seeks{Peer: l.id, Ranges: m.Ranges})
	case wire.Coming:
		return l.ranges(m.Ranges, engine.Coming{Peer: l.id, Ranges: m.Ranges})
	case wire.Offer:
		return l.ranges(m.Ranges, engine.Offered{Peer: l.id, Ranges: m.Ranges})
	case wire.Got:
		x.step(engine.Got{Peer: l.id, Bytes: int(m.Bytes)})
	case wire.Cannot:
		if err := l.forget(m.Ranges); err != nil {
			return err
		}
		return l.ranges(m.Ranges, engine.Refused{Peer: l.id, Ranges: m.Ranges})
	default:
		return errOutOfTurn
	}
	return nil
}

// about returns the ranges of chunks that a message speaks of; no for one that does not speak of chunks. What it says can only
// be understood by who knows the tree.
func about(m wire.Message) (ranges []content.Range, yes bool) {
	switch m := m.(type) {
	case wire.Have:
		return m.Ranges, true
	case wire.Want:
		return m.Ranges, true
	case wire.Cancel:
		return m.Ranges, true
	case wire.Cannot:
		return m.Ranges, true
	case wire.Seek:
		return m.Ranges, true
	case wire.Coming:
		return m.Ranges, true
	case wire.Offer:
		return m.Ranges, true
	case wire.Got:
		return nil, true
	}
	return nil, false
}

// keepEarly keeps a message until the engine is there to hear it. A peer that speaks of chunks knows the tree.
func (l *link) keepEarly(m wire.Message, ranges int) error {
	if l.waiting += 1 + ranges; l.waiting > maxEarly {
		return errOutOfTurn
	}
	l.early = append(l.early, m)
	if l.treeless {
		l.treeless = false
		l.x.shapeOffered(l)
	}
	return nil
}

func chunksIn(ranges []content.Range) int {
	n := 0
	for _, r := range ranges {
		n += int(r.Count)
	}
	return n
}

// ranges passes an event on if its chunk numbers exist.
func (l *link) ranges(r []content.Range, ev engine.Event) error {
	if !l.joined || !l.valid(r) {
		return errOutOfTurn
	}
	l.x.step(ev)
	return nil
}

func (l *link) valid(ranges []content.Range) bool {
	n := uint64(l.x.tree.NumChunks())
	for _, r := range ranges {
		if uint64(r.First)+uint64(r.Count) > n {
			return false
		}
	}
	return true
}
