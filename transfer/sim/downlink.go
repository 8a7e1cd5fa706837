package sim

import "github.com/shoal-p2p/shoal/transfer/engine"

// frameArrived lets a frame queue for the downlink. Its first byte came one airtime of the sender before its last, and the
// downlink could work on it from then on.
func (n *net) frameArrived(id uint32) {
	f := &n.frames.all[id]
	l := f.link ^ 1 // the receiver's end
	if n.links[l].dead {
		n.drop(id)
		return
	}
	h := n.links[l].from
	x := &n.hosts[h]
	if x.Role == Deaf {
		return // the sender's window stays full
	}
	first := n.now - n.airtime(f.bytes, n.hosts[n.links[l].to].Up)
	x.downWork = max(x.downWork, first) + n.airtime(f.bytes, x.Down)
	if x.downWork <= n.now && x.reading == 0 {
		n.frameRead(id)
		return
	}
	x.reading++
	n.links[l].readAt = max(x.downWork, n.now)
	n.queue.add(n.links[l].readAt, read, 0, id, 0)
}

// frameRead is when a receiver has a frame.
func (n *net) frameRead(id uint32) {
	l := n.frames.all[id].link ^ 1
	h := n.links[l].from
	if n.links[l].dead {
		n.drop(id)
		return
	}
	bytes := n.frames.all[id].bytes
	n.tally.received += int64(bytes)
	n.hosts[h].received += int64(bytes)
	n.queue.add(n.now+n.links[l].delay, acked, l^1, uint32(bytes), 0)
	if wanted := n.wanted(l, n.frames.all[id].parts); wanted > 0 {
		n.step(h, engine.Progress{Peer: engine.Peer(l), Bytes: wanted})
	}
	n.stored = n.stored[:0]
	lies := n.hosts[n.links[l].to].Role == Liar
	for i := 0; i < len(n.frames.all[id].parts); i++ {
		p := n.frames.all[id].parts[i]
		if !p.whole || !has(n.row(l), p.chunk) {
			continue
		}
		unset(n.row(l), p.chunk)
		n.links[l].partial = 0
		if lies {
			n.tally.bad += int64(p.sent)
			n.hosts[h].useless += int64(p.sent)
			n.step(h, engine.Bad{Peer: engine.Peer(l), Chunk: p.chunk})
		} else {
			n.links[l].fed += int64(p.sent)
			n.obtained(h, p.chunk)
			n.stored = append(n.stored, p.chunk)
		}
	}
	n.frames.free(id)
	if len(n.stored) > 0 {
		n.step(h, engine.Stored{Peer: engine.Peer(l), Chunks: n.stored})
		n.trouble()
	}
}

// wanted returns how many bytes of a frame belong to chunks that are asked for.
func (n *net) wanted(l int32, parts []part) int {
	bytes := 0
	for _, p := range parts {
		if !has(n.row(l), p.chunk) {
			continue
		}
		bytes += int(p.bytes)
		n.links[l].begin(p)
	}
	return bytes
}

// begin counts what came of a chunk. Chunks come one after the other, so what is left of another one was cut off.
func (x *link) begin(p part) {
	if x.incoming != p.chunk || p.sent == p.bytes {
		x.incoming, x.partial = p.chunk, 0
	}
	x.partial += int64(p.bytes)
}

// trouble kills the sources as soon as the others could do without them.
func (n *net) trouble() {
	if !n.sc.KillSources || n.covered < len(n.sizes) {
		return
	}
	for h := range n.hosts {
		if n.hosts[h].owns() && n.hosts[h].Role == Source {
			n.leave(int32(h))
		}
	}
}
