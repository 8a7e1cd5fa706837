package transfer

import (
	"errors"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/shoal-p2p/shoal/content"
	"github.com/shoal-p2p/shoal/transfer/wire"
)

// shape is the tree of the root while it is being fetched: from one peer at a time, each going on where the last one stopped.
type shape struct {
	walk     *content.Walk
	nodes    []content.Block
	bytes    map[cid.Cid][]byte // of nodes, while the tree is fetched
	from     *link
	since    time.Time       // when from was asked, or sent its last nodes
	deadline time.Time       // when to look whether another peer is better asked
	vain     map[peer.ID]int // how often a peer was asked, and too little came of it
	err      error           // why the tree cannot be used, whoever sends it
}

// learn makes the tree known. It runs on the loop, or before there is one.
func (x *Session) learn(t *content.Tree) {
	x.mu.Lock()
	x.tree = t
	x.mu.Unlock()
	close(x.shapeKnown)
}

func (x *Session) knowsShape() bool {
	select {
	case <-x.shapeKnown:
		return true
	default:
		return false
	}
}

// shapeOffered asks the peer of l for the tree if nobody is being asked. The first peer is asked before it has answered our
// hello, which saves a round trip when it has the root; when it has not, the next one is asked that said it has.
func (x *Session) shapeOffered(l *link) {
	if x.probe || l.treeless || x.knowsShape() || x.shape.from != nil || x.shape.err != nil {
		return
	}
	if x.shape.walk == nil {
		w, err := content.NewWalk(x.root, content.Budget{})
		if err != nil {
			x.shapeFailed(err)
			return
		}
		x.shape.walk = w
	}
	x.shape.from, x.shape.since = l, time.Now()
	x.shape.deadline = x.shape.since.Add(x.shape.patience(l.peer))
	if l.treeDue {
		return // it was asked before, and its answer goes on where it is
	}
	l.treeDue, l.treeAt = true, x.shape.walk.Blocks()
	l.say(wire.TreeAsk{Skip: uint32(l.treeAt)})
}

// shapeArrived takes inner nodes in walk order. Several peers may be answering, since nobody can be told to stop: what others
// gave before is passed over, and whoever has the next node gives it.
func (x *Session) shapeArrived(l *link, blocks [][]byte) {
	if !l.treeDue {
		if err := l.unaskedNodes(); err != nil {
			x.drop(l, &PeerError{l.peer, "tree", err})
		}
		return
	}
	l.treeAt += len(blocks)
	if x.shape.walk == nil { // the tree is known, or cannot be used
		if l.treeAt > len(x.shape.nodes) {
			x.drop(l, &PeerError{l.peer, "tree", errOutOfTurn})
		}
		return
	}
	known := min(x.shape.walk.Blocks()-l.treeAt+len(blocks), len(blocks))
	blocks = blocks[known:]
	if len(blocks) == 0 {
		return
	}
	for _, b := range blocks {
		c, wanted := x.shape.walk.Next()
		if !wanted {
			x.drop(l, &PeerError{l.peer, "tree", errOutOfTurn})
			return
		}
		err := x.shape.walk.Add(b)
		if errors.Is(err, content.ErrMismatch) {
			x.svc.ban(l.peer)
			x.drop(l, &PeerError{l.peer, "tree", errBadNode})
			return
		}
		if err != nil {
			x.shapeFailed(err) // the bytes are what the CID says: no other peer can help
			return
		}
		x.shapeKeep(c, b)
	}
	x.shape.from, x.shape.since = l, time.Now()
	x.shape.deadline = x.shape.since.Add(x.shape.patience(l.peer))
	if _, wanted := x.shape.walk.Next(); !wanted {
		x.shapeWhole(l)
	}
}

// shapeKeep keeps a node's bytes, once however often it occurs: naming it a thousand times costs its sender nothing.
func (x *Session) shapeKeep(c cid.Cid, b []byte) {
	if x.shape.bytes == nil {
		x.shape.bytes = make(map[cid.Cid][]byte)
	}
	if known, ok := x.shape.bytes[c]; ok {
		b = known
	} else {
		x.shape.bytes[c] = b
	}
	x.shape.nodes = append(x.shape.nodes, content.Block{CID: c, Data: b})
}

// shapeEnded notes that a peer has sent all nodes that it has of those that it was asked for. It may be fetching the tree like
// us.
func (x *Session) shapeEnded(l *link) error {
	if !l.treeDue {
		return l.unaskedNodes()
	}
	l.treeDue = false
	l.treeless = !x.knowsShape()
	x.shapeLost(l)
	return nil
}

// unaskedNodes passes over a few frames of a tree that the peer was not asked for: they cost little, and not for long.
func (l *link) unaskedNodes() error {
	if l.unasked++; l.unasked > maxUnasked {
		return errOutOfTurn
	}
	return nil
}

// shapeWhole notes that l gave the last node.
func (x *Session) shapeWhole(l *link) {
	t, err := x.shape.walk.Tree()
	if err != nil {
		x.shapeFailed(err)
		return
	}
	x.shape.walk, x.shape.from, x.shape.deadline, x.shape.bytes = nil, nil, time.Time{}, nil
	x.learn(t)
	if n := len(t.Inline); n > 0 {
		x.stored += int64(n)
		l.downRate.add(time.Now(), n)
		l.down.Add(int64(n))
		x.svc.count(l.peer, int64(n), 0)
	}
}

// gaveInline counts a root that is a bare chunk and went out with the tree: to people it is content like any other. It runs on the
// link's writer.
func (l *link) gaveInline(walk *content.Walk) {
	t, err := walk.Tree()
	if err != nil || len(t.Inline) == 0 {
		return
	}
	n := len(t.Inline)
	l.up.Add(int64(n))
	l.x.svc.count(l.peer, 0, int64(n))
	l.x.post(func() {
		l.x.given += int64(n)
		l.upRate.add(time.Now(), n)
	})
}

func (x *Session) shapeFailed(err error) {
	x.shape.err, x.shape.from, x.shape.deadline = err, nil, time.Time{}
	x.shape.walk, x.shape.nodes, x.shape.bytes = nil, nil, nil
}

// patience is how long a peer may send no node before another one is asked. It doubles for who was asked before: a line may
// be that slow.
func (s *shape) patience(p peer.ID) time.Duration {
	return min(treeHedge<<min(s.vain[p], 10), treeTimeout)
}

// shapeLost turns to another peer when the one that was giving the tree has gone.
func (x *Session) shapeLost(l *link) {
	if x.shape.from == l {
		x.shapeTurn(x.shapeOther(l))
	}
}

// shapeTurn asks other, if there is one, instead of whoever was asked before.
func (x *Session) shapeTurn(other *link) {
	if x.shape.vain == nil {
		x.shape.vain = make(map[peer.ID]int)
	}
	x.shape.vain[x.shape.from.peer]++
	x.shape.from, x.shape.deadline = nil, time.Time{}
	if other != nil {
		x.shapeOffered(other)
	}
}

// shapeOther returns the link, l aside, whose peer was asked in vain least often; nil if there is none.
func (x *Session) shapeOther(l *link) (best *link) {
	for _, other := range x.links {
		if other == l || !other.greeted || other.treeless {
			continue
		}
		if best == nil || x.shape.vain[other.peer] < x.shape.vain[best.peer] ||
			x.shape.vain[other.peer] == x.shape.vain[best.peer] && other.id < best.id {
			best = other
		}
	}
	return best
}

// shapeDue turns to another peer when the one that is giving the tree has stopped. It keeps the link: who has no tree may
// have chunks. Who has stopped for long is left only when there is nobody else.
func (x *Session) shapeDue(now time.Time) {
	l := x.shape.from
	if l == nil || now.Before(x.shape.deadline) {
		return
	}
	other := x.shapeOther(l)
	switch {
	case other != nil && x.shape.vain[other.peer] <= x.shape.vain[l.peer]:
		x.shapeTurn(other)
	case now.Sub(x.shape.since) >= treeTimeout:
		x.drop(l, &PeerError{l.peer, "tree", errSilent})
	default:
		x.shape.deadline = now.Add(treeHedge)
	}
}

// serveShape sends the inner nodes from number skip on, in walk order. It runs on the link's writer.
func (l *link) serveShape(skip uint32) error {
	x := l.x
	walk, err := content.NewWalk(x.root, content.Budget{})
	if err != nil {
		return err
	}
	var batch wire.Nodes
	size := 0
	flush := func() error {
		if len(batch.Blocks) == 0 {
			return nil
		}
		if err := l.maySend(size); err != nil {
			return err
		}
		err := l.send(batch)
		batch.Blocks, size = batch.Blocks[:0], 0
		return err
	}
	for n := uint32(0); ; n++ {
		c, more := walk.Next()
		if !more {
			break
		}
		b, err := x.svc.library.Node(c)
		if err != nil {
			return err
		}
		if err := walk.Add(b); err != nil {
			return err
		}
		if n < skip {
			continue
		}
		if size+len(b) > min(nodesFrame, l.frameSize()) {
			if err := flush(); err != nil {
				return err
			}
		}
		batch.Blocks = append(batch.Blocks, b)
		size += len(b)
	}
	if err := flush(); err != nil {
		return err
	}
	if skip == 0 {
		l.gaveInline(walk)
	}
	return l.send(wire.NodesEnd{})
}
