package engine

import (
	"math/rand/v2"
	"time"

	"github.com/shoal-p2p/shoal/content"
)

// Engine is the state of one root's swarm. It must be made by [New], and used by one goroutine at a time.
type Engine struct {
	cfg     Config
	largest int // cost of the largest chunk
	rng     *rand.Rand

	started bool
	start   time.Time // of the first step
	now     moment
	timer   moment // not later than the first thing that falls due; news have a time of their own

	byID     map[Peer]*peer
	peers    []*peer       // in the order in which they joined
	partials []*peer       // those of them that do not have everything
	trip     time.Duration // to the farthest of them and back
	starved  []*peer       // those that wait for room below MaxInFlight

	have     set
	goal     goal
	picker   picker
	requests requests
	seeking  seeking
	disk     disk
	news     news
	offers   offers
	turns    turns
	uplink   uplink
	downlink pace

	step step
}

// step is what belongs to the step under way.
type step struct {
	acts   []Action
	spoken []*peer  // with something to say to them
	roomy  []*peer  // who may have room for more
	moved  []uint32 // chunks that became free, or were and are not
	freed  bool     // chunks became free, so everybody's room is looked at
	ban    *Ban
}

// New makes an engine that wants nothing, has nothing and knows nobody.
func New(cfg Config) *Engine {
	e := &Engine{cfg: cfg.withDefaults(), byID: make(map[Peer]*peer), timer: never}
	n := len(e.cfg.Sizes)
	for _, size := range e.cfg.Sizes {
		e.largest = max(e.largest, cost(size))
	}
	e.rng = rand.New(rand.NewPCG(e.cfg.Seed, 0x5110a1))
	e.have.grow(n)
	e.goal.wanted.grow(n)
	e.picker.init(n, e.cfg.Seed)
	e.offers.init(n, uint32(e.cfg.Seed*0x9e3779b97f4a7c15>>40)%uint32(max(n, 1)))
	e.requests.init(n)
	return e
}

// Step takes one event at its time and returns what is to be done about it. The slice and all in it are valid until the next
// Step.
func (e *Engine) Step(now time.Time, ev Event) []Action {
	e.reset()
	e.clock(now)
	e.take(ev)
	if e.now >= e.timer {
		e.expire()
	}
	e.settle()
	return e.step.acts
}

// clock sets the time, which never goes back.
func (e *Engine) clock(now time.Time) {
	if !e.started {
		e.started, e.start = true, now
	}
	e.now = max(e.now, moment(now.Sub(e.start)))
}

// Deadline returns when a [Tick] is due; the zero time if none is.
func (e *Engine) Deadline() time.Time {
	due := e.timer
	if len(e.news.chunks) > 0 {
		due = min(due, e.news.due)
	}
	if due == never {
		return time.Time{}
	}
	return e.start.Add(time.Duration(due))
}

// wake makes sure that a tick comes at m, or sooner.
func (e *Engine) wake(m moment) { e.timer = min(e.timer, m) }

func (e *Engine) take(ev Event) {
	switch ev := ev.(type) {
	case Joined:
		e.joined(ev.Peer)
	case Local:
		e.local(ev.Ranges)
	case Interest:
		e.interest(ev)
	case Stored:
		e.stored(e.byID[ev.Peer], ev.Chunks)
	case Failed:
		e.failed(e.byID[ev.Peer], ev.Chunk)
	case Tick:
	default:
		e.takeFrom(ev)
	}
}

// takeFrom takes events that only count when they come from a peer that is here.
func (e *Engine) takeFrom(ev Event) {
	switch ev := ev.(type) {
	case Progress:
		if p := e.byID[ev.Peer]; p != nil {
			p.late.heard(e.now, ev.Bytes)
			p.open.arrived += max(ev.Bytes, 0)
			e.downlink.movedFor(p, e.now, ev.Bytes, e.turnSize())
			e.seeking.heardAt = e.now
			e.stir(p)
		}
	case Seeks:
		if p := e.byID[ev.Peer]; p != nil {
			e.seeks(p, ev.Ranges)
		}
	case Coming:
		if p := e.byID[ev.Peer]; p != nil {
			e.coming(p, ev.Ranges)
			e.swarmMoves()
		}
	case Offered:
		if p := e.byID[ev.Peer]; p != nil {
			e.offered(p, ev.Ranges)
		}
	case Got:
		if p := e.byID[ev.Peer]; p != nil {
			e.got(p, ev.Bytes)
		}
	case Far:
		if p := e.byID[ev.Peer]; p != nil {
			e.far(p, ev.Trip)
		}
	case Held:
		if p := e.byID[ev.Peer]; p != nil {
			p.late.held(e.now, ev.For)
		}
	case Has:
		if p := e.byID[ev.Peer]; p != nil {
			e.gains(p, ev.Ranges)
		}
	case Left:
		if p := e.byID[ev.Peer]; p != nil {
			e.leave(p)
		}
	case Asked:
		if p := e.byID[ev.Peer]; p != nil {
			e.asked(p, ev.Ranges)
		}
	case Withdrawn:
		if p := e.byID[ev.Peer]; p != nil {
			e.withdrawn(p, ev.Ranges)
		}
	case Gave:
		if p := e.byID[ev.Peer]; p != nil {
			e.gave(p, ev)
		}
	case Refused:
		if p := e.byID[ev.Peer]; p != nil {
			e.refused(p, ev.Ranges)
		}
	case Bad:
		if p := e.byID[ev.Peer]; p != nil && int(ev.Chunk) < len(e.cfg.Sizes) {
			e.blame(p, ev.Chunk)
		}
	}
}

// settle draws the conclusions that are the same after every event.
func (e *Engine) settle() {
	e.fillRoomy()
	e.tellMoves()
	e.tellNews()
	e.upload()
	e.collect()
	if e.goal.awaited && e.goal.missing == 0 {
		e.goal.awaited = false
		e.act(Finished{})
	}
	if e.step.ban != nil {
		e.act(*e.step.ban) // last, because a caller may want to report Left at once
	}
}

// expire does what has fallen due, and finds out what falls due next.
func (e *Engine) expire() {
	e.timer = never
	for i := 0; i < len(e.peers); i++ {
		e.expirePeer(e.peers[i])
	}
	e.expireSeeking()
	if e.disk.fails > 0 && e.now < e.disk.until {
		e.wake(e.disk.until)
	}
	e.step.freed = true
}

// goal is what the user wants.
type goal struct {
	awaited        bool // an interest was heard, and its end is not told
	wanted         set
	bytes          int64 // wanted
	missing        int   // wanted chunks that are not here
	missingBytes   int64
	duplicateBytes int64 // that came although they were here
}

func (e *Engine) interest(ev Interest) {
	e.goal.awaited = true
	if ev.InOrder {
		e.picker.early.grow(len(e.cfg.Sizes))
		e.picker.ordered.grow(len(e.cfg.Sizes))
	}
	for _, r := range ev.Ranges {
		first, end := clip(r, len(e.cfg.Sizes))
		for c := first; c < end; c++ {
			e.want(c, ev.InOrder)
		}
	}
	for _, p := range e.partials {
		p.holds.useful = inBoth(&e.picker.free, &p.holds.all)
	}
	e.step.freed = true
	e.seekAll()
}

// want notes one chunk. Who has it of those that are free is counted later.
func (e *Engine) want(c uint32, inOrder bool) {
	if inOrder && e.picker.early.add(c) && e.picker.free.has(c) {
		e.picker.hasten(c)
	}
	size := int64(e.cfg.Sizes[c])
	if e.cfg.TakeOnly && e.goal.wanted.has(c) && e.have.remove(c) {
		e.goal.wanted.remove(c) // it was taken and let go: a reader has come to it again
		e.goal.bytes -= size
	}
	if !e.goal.wanted.add(c) {
		return
	}
	e.goal.bytes += size
	if e.have.has(c) {
		return
	}
	e.goal.missing++
	e.goal.missingBytes += size
	e.picker.offer(c, cost(e.cfg.Sizes[c]))
}

// obtain notes that a chunk is here; it reports whether that is new.
func (e *Engine) obtain(c uint32) bool {
	if !e.have.add(c) {
		return false
	}
	e.offer(c)
	if e.goal.wanted.has(c) {
		e.goal.missing--
		e.goal.missingBytes -= int64(e.cfg.Sizes[c])
		if e.picker.free.has(c) {
			e.occupy(c)
		}
	}
	e.report(c)
	return true
}

func (e *Engine) local(ranges []content.Range) {
	for _, r := range ranges {
		first, end := clip(r, len(e.cfg.Sizes))
		for c := first; c < end; c++ {
			if e.obtain(c) {
				e.callOff(c)
			}
		}
	}
}
