package sim

import (
	"github.com/shoal-p2p/shoal/content"
	"github.com/shoal-p2p/shoal/transfer/engine"
)

// link is one end of a connection: what its owner sends, and what its owner has asked for. The other end has the number ^1,
// and the engines know the ends by their numbers.
type link struct {
	from, to int32
	delay    int64 // one way
	window   int   // bytes that may be sent and not read
	unread   int
	queue    []upload
	head     int      // of queue
	out      []uint32 // frames that are written and wait for the uplink
	written  int      // bytes of out, and of the frame on the uplink
	incoming uint32   // the chunk that comes in
	partial  int64    // bytes of it
	fed      int64    // bytes of whole and right chunks that came in
	readAt   int64    // when what has arrived will have been read
	ready    bool     // in the owner's line
	dead     bool
}

// upload is a chunk that is to be sent.
type upload struct {
	chunk      uint32
	sent, left int32 // bytes
}

// frame is what leaves an uplink at one go.
type frame struct {
	link  int32 // the sender's
	bytes int
	parts []part
	after []note
	used  bool
	left  bool // the uplink
}

// note is a message that waits for the frame before it.
type note struct {
	kind kind
	a, b uint32
}

// part is what a frame holds of one chunk.
type part struct {
	chunk uint32
	bytes int32
	sent  int32 // with all parts before it
	whole bool  // the chunk is all there with it
	ends  bool  // nothing more of it follows
}

// frames are kept and used again. Frame 0 is none.
type frames struct {
	all   []frame
	spare []uint32
}

func (f *frames) take(l int32) uint32 {
	if len(f.all) == 0 {
		f.all = append(f.all, frame{})
	}
	if k := len(f.spare); k > 0 {
		id := f.spare[k-1]
		f.spare = f.spare[:k-1]
		f.all[id] = frame{link: l, parts: f.all[id].parts[:0], after: f.all[id].after[:0], used: true}
		return id
	}
	f.all = append(f.all, frame{link: l, used: true})
	return uint32(len(f.all) - 1)
}

func (f *frames) free(id uint32) {
	f.all[id].used = false
	f.spare = append(f.spare, id)
}

// upload queues chunks for a peer.
func (n *net) upload(l int32, ranges []content.Range) {
	x := &n.links[l]
	if x.dead || !n.hosts[x.from].gives() {
		return
	}
	for _, r := range ranges {
		for c := r.First; c < r.First+r.Count; c++ {
			x.queue = append(x.queue, upload{chunk: c, left: int32(n.sizes[c])})
		}
	}
	n.write(l)
	n.lineUp(l)
}

// write lets the send buffer of a link take what it can. Without one, a frame is written when it has left.
func (n *net) write(l int32) {
	for {
		x := &n.links[l]
		if x.dead || x.head == len(x.queue) || x.written+n.sc.Frame > n.sc.SendBuffer {
			return
		}
		id := n.fill(l)
		x.out = append(x.out, id)
		x.written += n.frames.all[id].bytes
		n.wrote(id)
	}
}

// lineUp puts a link that has something to send, and may, at the end of its owner's line.
func (n *net) lineUp(l int32) {
	x := &n.links[l]
	if x.ready || x.dead || x.idle() || !n.roomy(x) {
		return
	}
	x.ready = true
	h := &n.hosts[x.from]
	h.ready = append(h.ready, l)
	if h.sending == 0 {
		n.send(x.from)
	}
}

// idle reports whether there is nothing to send.
func (x *link) idle() bool { return x.head == len(x.queue) && len(x.out) == 0 }

// roomy reports whether the receiver can take another frame.
func (n *net) roomy(x *link) bool { return x.unread == 0 || x.unread+n.sc.Frame <= x.window }

// send puts the next frame on an idle uplink.
func (n *net) send(h int32) {
	x := &n.hosts[h]
	for len(x.ready) > 0 {
		l := x.ready[0]
		x.ready = x.ready[:copy(x.ready, x.ready[1:])]
		n.links[l].ready = false
		if n.links[l].dead || n.links[l].idle() {
			continue
		}
		x.sending = n.nextFrame(l)
		f := &n.frames.all[x.sending]
		n.links[l].unread += f.bytes
		n.queue.add(n.now+n.airtime(f.bytes, x.Up), sent, 0, x.sending, 0)
		return
	}
}

// nextFrame takes the first frame out of the send buffer, or makes one if there is no buffer.
func (n *net) nextFrame(l int32) uint32 {
	x := &n.links[l]
	if len(x.out) == 0 {
		return n.fill(l)
	}
	id := x.out[0]
	x.out = x.out[:copy(x.out, x.out[1:])]
	return id
}

// airtime is how long so many bytes take, with all headers.
func (n *net) airtime(bytes int, rate float64) int64 {
	return int64(float64(bytes) * n.sc.Overhead / rate * 1e9)
}

// fill makes a frame of what comes next on a link: a piece of one chunk, or several small ones.
func (n *net) fill(l int32) uint32 {
	id := n.frames.take(l)
	f, x := &n.frames.all[id], &n.links[l]
	for x.head < len(x.queue) {
		u := &x.queue[x.head]
		if f.bytes > 0 && f.bytes+int(u.left) > n.sc.Frame {
			break
		}
		take := min(u.left, int32(n.sc.Frame))
		u.sent, u.left = u.sent+take, u.left-take
		f.bytes += int(take)
		f.parts = append(f.parts, part{u.chunk, take, u.sent, u.left == 0, u.left == 0})
		if u.left > 0 {
			break
		}
		x.head++
	}
	if x.head == len(x.queue) {
		x.queue, x.head = x.queue[:0], 0
	}
	return id
}

// frameSent is when the last byte of a frame has left.
func (n *net) frameSent(id uint32) {
	f := &n.frames.all[id]
	l := f.link
	x := &n.links[l]
	h := x.from
	f.left = true
	n.tally.sent += int64(f.bytes)
	n.hosts[h].sent += int64(f.bytes)
	if slice := n.now / n.slice; slice < busySlices {
		n.tally.busy[slice] += int64(f.bytes)
	}
	if n.hosts[h].sending == id {
		n.hosts[h].sending = 0
	}
	if x.dead {
		n.drop(id)
	} else {
		n.queue.add(n.now+x.delay, arrived, 0, id, 0)
		for _, m := range f.after {
			n.queue.add(n.now+x.delay, m.kind, l, m.a, m.b)
		}
		f.after = f.after[:0]
		n.lineUp(l)
		if n.sc.SendBuffer > 0 {
			x.written -= f.bytes
			n.write(l)
		} else {
			n.wrote(id)
		}
	}
	if n.hosts[h].sending == 0 && n.hosts[h].here {
		n.send(h)
	}
}

// wrote tells the engine which chunks end with a frame.
func (n *net) wrote(id uint32) {
	l := n.frames.all[id].link
	for i := 0; i < len(n.frames.all[id].parts); i++ {
		if p := n.frames.all[id].parts[i]; p.ends {
			n.gave(l, p.chunk, int(p.sent))
		}
	}
}

// cut stops chunks that the peer does not want any more.
func (n *net) cut(l int32, ranges []content.Range) {
	x := &n.links[l]
	if busy := n.hosts[x.from].sending; n.sc.SendBuffer == 0 && busy != 0 && n.frames.all[busy].link == l {
		parts := n.frames.all[busy].parts
		for i := range parts {
			if within(ranges, parts[i].chunk) {
				parts[i].ends = true // it is given when this frame is
				n.unqueue(x, parts[i].chunk)
			}
		}
	}
	for i := x.head; i < len(x.queue); {
		u := x.queue[i]
		if !within(ranges, u.chunk) {
			i++
			continue
		}
		n.unqueue(x, u.chunk)
		n.gave(l, u.chunk, int(u.sent))
		i = x.head // the step may have queued more
	}
}

func (n *net) unqueue(x *link, c uint32) {
	for i := x.head; i < len(x.queue); i++ {
		if x.queue[i].chunk == c {
			x.queue = append(x.queue[:i], x.queue[i+1:]...)
			return
		}
	}
}

// drop is the end of a frame that nobody reads, whether it has left or not.
func (n *net) drop(id uint32) {
	f := &n.frames.all[id]
	if f.left {
		n.tally.dropped += int64(f.bytes)
	}
	for _, m := range f.after {
		if m.kind&manyRanges != 0 {
			n.parcels.done(m.a)
		}
	}
	n.frames.free(id)
}

// acked is when the sender learns that the peer has read some bytes.
func (n *net) acked(l int32, bytes int) {
	x := &n.links[l]
	if x.dead {
		return
	}
	x.unread -= bytes
	n.lineUp(l)
	n.credited(l, bytes)
}

// gave tells the engine that a chunk has left, or as much of it as will.
func (n *net) gave(l int32, c uint32, bytes int) {
	n.step(n.links[l].from, n.gaveEvent(engine.Peer(l), c, bytes))
}
