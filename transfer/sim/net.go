package sim

import (
	"time"

	"github.com/shoal-p2p/shoal/content"
	"github.com/shoal-p2p/shoal/transfer/engine"
)

// net is one swarm under way.
type net struct {
	sc    *Scenario
	sizes []uint32
	total int64 // bytes of all chunks
	words int   // of a bitmap of all chunks
	slice int64 // nanoseconds of each slice of time in tally.busy

	now     int64 // nanoseconds
	queue   queue
	hosts   []host
	links   []link
	open    []uint64 // of each link, one bitmap: the chunks asked for and not settled
	frames  frames
	parcels parcels

	side []int   // of each host, in a partition; nil: there is none
	held []entry // what cannot cross one, in the order in which it would have come

	copies  []int32 // by chunk: receivers here that have it
	covered int     // chunks that at least one of them has
	waiting int     // honest receivers that are not done

	one    [1]content.Range // for messages of one range
	stored []uint32         // of one frame
	tally  tally
}

// tally is what is counted on the way.
type tally struct {
	steps    int64
	messages int64
	entries  int64
	sent     int64             // bytes that left an uplink
	received int64             // bytes through a downlink
	dropped  int64             // bytes that left and met a closed connection
	stored   int64             // bytes that were new, and right
	bad      int64             // bytes of wrong chunks
	lost     int64             // bytes of chunks that were cut off by a departure
	busy     [busySlices]int64 // bytes that left an uplink in each slice of time
	timed    int64             // steps that were measured
	took     time.Duration
}

var epoch = time.Unix(1_000_000_000, 0) // what the engines' time counts from

// timeEvery is how many steps there are for one that is measured: reading a clock costs as much as a short step.
const timeEvery = 61

// run plays until every honest receiver is done, or nothing happens any more, or the limit is reached.
func (n *net) run(limit time.Duration) {
	for len(n.queue.heap) > 0 && n.waiting > 0 {
		e := n.queue.next()
		if e.at > int64(limit) {
			return
		}
		n.now = e.at
		n.tally.entries++
		if n.side != nil && n.severed(&e) {
			n.held = append(n.held, e)
			continue
		}
		if n.tally.entries%stopEvery == 0 && n.sc.Watch.Stop != nil && n.sc.Watch.Stop() {
			return
		}
		n.happen(&e)
	}
}

func (n *net) happen(e *entry) {
	switch e.kind() {
	case tick:
		n.tick(int32(e.a))
	case join:
		n.join(int32(e.a))
	case leave:
		n.leave(int32(e.a))
	case sent:
		n.frameSent(e.a)
	case arrived:
		n.frameArrived(e.a)
	case read:
		n.hosts[n.links[n.frames.all[e.a].link].to].reading--
		n.frameRead(e.a)
	case acked:
		n.acked(e.link, int(e.a))
	case change:
		n.change(&n.sc.Changes[e.a])
	case look:
		n.look()
	case closed:
		n.closed(e.link)
	default:
		n.deliver(e)
	}
}

// step hands an event to the engine of a host, and carries out what comes back.
func (n *net) step(h int32, ev engine.Event) {
	x := &n.hosts[h]
	if !x.here {
		return
	}
	n.tally.steps++
	now := epoch.Add(time.Duration(n.now))
	var acts []engine.Action
	if n.sc.Stopwatch != nil && n.tally.steps%timeEvery == 0 {
		began := n.sc.Stopwatch()
		acts = x.engine.Step(now, ev)
		n.tally.took += n.sc.Stopwatch() - began
		n.tally.timed++
	} else {
		acts = x.engine.Step(now, ev)
	}
	n.parcels.last = 0
	for _, a := range acts {
		n.act(h, a)
	}
	n.schedule(h)
}

// schedule makes sure of a tick at the engine's deadline. One tick waits for each host; when it comes too early it is put off.
func (n *net) schedule(h int32) {
	x := &n.hosts[h]
	due := x.engine.Deadline()
	if due.IsZero() {
		return
	}
	at := max(int64(due.Sub(epoch)), n.now)
	if x.ticking != 0 && x.ticking <= at {
		return
	}
	x.ticking = at
	n.queue.add(at, tick, 0, uint32(h), 0)
}

func (n *net) tick(h int32) {
	x := &n.hosts[h]
	if !x.here || x.ticking != n.now {
		return
	}
	x.ticking = 0
	if due := x.engine.Deadline(); !due.IsZero() && int64(due.Sub(epoch)) <= n.now {
		n.step(h, engine.Tick{})
	} else {
		n.schedule(h)
	}
}

// bitmap operations on rows of n.words words.

func (n *net) row(l int32) []uint64 { return n.open[int(l)*n.words : (int(l)+1)*n.words] }

func has(row []uint64, c uint32) bool { return row[c/64]&(1<<(c%64)) != 0 }
func set(row []uint64, c uint32)      { row[c/64] |= 1 << (c % 64) }
func unset(row []uint64, c uint32)    { row[c/64] &^= 1 << (c % 64) }

func each(ranges []content.Range, f func(c uint32)) {
	for _, r := range ranges {
		for c := r.First; c < r.First+r.Count; c++ {
			f(c)
		}
	}
}

func within(ranges []content.Range, c uint32) bool {
	for _, r := range ranges {
		if c >= r.First && c-r.First < r.Count {
			return true
		}
	}
	return false
}

// runs lists a bitmap as ranges.
func runs(row []uint64, chunks int) (out []content.Range) {
	for c := uint32(0); int(c) < chunks; c++ {
		if !has(row, c) {
			continue
		}
		if k := len(out); k > 0 && out[k-1].First+out[k-1].Count == c {
			out[k-1].Count++
		} else {
			out = append(out, content.Range{First: c, Count: 1})
		}
	}
	return out
}
