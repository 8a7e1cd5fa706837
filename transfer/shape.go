package transfer

import (
	"time"

	"github.com/ipfs/go-cid"

	"github.com/shoal-p2p/shoal/content"
	"github.com/shoal-p2p/shoal/transfer/wire"
)

// shape is the tree of the root while it is being fetched: from one peer at a time, each going on where the last one stopped.
type shape struct {
	walk     *content.Walk
	nodes    []content.Block
	from     *link
	deadline time.Time // for the next node
	err      error     // why the tree cannot be used, whoever sends it
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
	if x.knowsShape() || x.shape.from != nil || x.shape.err != nil {
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
	x.shape.from = l
	x.shape.deadline = time.Now().Add(treeTimeout)
	l.say(wire.TreeAsk{Skip: uint32(x.shape.walk.Blocks())})
}

// shapeArrived takes inner nodes in walk order.
func (x *Session) shapeArrived(l *link, blocks [][]byte) {
	if x.shape.from != l {
		return // we have turned to another peer meanwhile
	}
	for _, b := range blocks {
		c, wanted := x.shape.walk.Next()
		if !wanted {
			x.drop(l, &PeerError{l.peer, "tree", errOutOfTurn})
			return
		}
		if !matches(c, b) {
			x.svc.ban(l.peer)
			x.drop(l, &PeerError{l.peer, "tree", errBadNode})
			return
		}
		if err := x.shape.walk.Add(b); err != nil {
			x.shapeFailed(err) // the bytes are what the CID says: no other peer can help
			return
		}
		x.shape.nodes = append(x.shape.nodes, content.Block{CID: c, Data: b})
	}
	x.shape.deadline = time.Now().Add(treeTimeout)
	if _, wanted := x.shape.walk.Next(); !wanted {
		x.shapeWhole()
	}
}

func matches(c cid.Cid, b []byte) bool {
	d, ok := content.DigestOf(c)
	if !ok {
		return false
	}
	_, err := content.Verify(d, b)
	return err == nil
}

func (x *Session) shapeWhole() {
	t, err := x.shape.walk.Tree()
	if err != nil {
		x.shapeFailed(err)
		return
	}
	x.shape.walk, x.shape.from, x.shape.deadline = nil, nil, time.Time{}
	x.learn(t)
}

func (x *Session) shapeFailed(err error) {
	x.shape.err, x.shape.from, x.shape.deadline = err, nil, time.Time{}
	x.shape.walk, x.shape.nodes = nil, nil
}

// shapeLost turns to another peer when the one that was giving the tree has gone.
func (x *Session) shapeLost(l *link) {
	if x.shape.from != l {
		return
	}
	x.shape.from, x.shape.deadline = nil, time.Time{}
	for _, other := range x.links {
		if other.greeted {
			x.shapeOffered(other)
			return
		}
	}
}

// shapeDue turns to another peer when the one that is giving the tree has stopped.
func (x *Session) shapeDue(now time.Time) {
	if l := x.shape.from; l != nil && !now.Before(x.shape.deadline) {
		x.drop(l, &PeerError{l.peer, "tree", errSilent})
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
		if size+len(b) > nodesFrame {
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
	return l.send(wire.NodesEnd{})
}
