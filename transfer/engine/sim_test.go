package engine

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/shoal-p2p/shoal/content"
	"pgregory.net/rapid"
)

// sim plays several engines against each other in virtual time, over links of limited speed. A host's uplink sends frames of
// at most simFrame bytes in turns to those that it owes data; what comes in queues for the downlink of the receiver. Messages
// without data take a delay and no bandwidth.
type sim struct {
	t      testing.TB
	now    time.Duration
	agenda agenda
	queue  time.Duration // that messages may wait behind data
	order  int
	hosts  []*simHost
	sizes  []uint32
	check  bool // every step of every engine is watched
}

const (
	simFrame = 16 << 10
	mbit     = 1e6 / 8 // bytes a second
)

// simHost is one node. Its number is what others know it by.
type simHost struct {
	s        *sim
	id       Peer
	w        *watch
	up, down float64 // bytes a second
	delay    time.Duration
	lies     bool            // every chunk that it sends is wrong
	stalls   bool            // it says that it has everything and sends nothing
	has      map[uint32]bool // stored here
	begun    map[Peer]int    // bytes read from it since the last credit
	gone     bool
	rng      *rand.Rand
	last     map[Peer]time.Duration // when the last message to a peer arrives

	links    []Peer
	sending  []*upload // in turns
	upBusy   bool
	downFree time.Duration
	open     map[Peer]map[uint32]int // bytes still to come of what was asked
	ticking  time.Duration           // when a tick is due; 0: none
	done     time.Duration
	sent     int64
	received int64
	wasted   int64
	banned   []Peer
}

// upload is one chunk on its way to one peer.
type upload struct {
	to        Peer
	chunk     uint32
	left      int
	busy, off bool
}

type errand struct {
	at    time.Duration
	order int
	f     func()
}

type agenda []errand

func (a agenda) Len() int { return len(a) }
func (a agenda) Less(i, j int) bool {
	return a[i].at < a[j].at || a[i].at == a[j].at && a[i].order < a[j].order
}
func (a agenda) Swap(i, j int) { a[i], a[j] = a[j], a[i] }
func (a *agenda) Push(x any)   { *a = append(*a, x.(errand)) }
func (a *agenda) Pop() any {
	x := (*a)[len(*a)-1]
	*a = (*a)[:len(*a)-1]
	return x
}

func (s *sim) at(t time.Duration, f func()) {
	s.order++
	heap.Push(&s.agenda, errand{t, s.order, f})
}

// run plays until nothing happens any more, or for so long.
func (s *sim) run(limit time.Duration) {
	for len(s.agenda) > 0 && s.agenda[0].at <= limit {
		e := heap.Pop(&s.agenda).(errand)
		s.now = e.at
		e.f()
	}
}

func newSim(t testing.TB, chunks int, size uint32) *sim {
	return &sim{t: t, sizes: slices.Repeat([]uint32{size}, chunks)}
}

// host adds a node with links of so many bytes a second.
func (s *sim) host(up, down float64, delay time.Duration) *simHost {
	h := &simHost{
		s: s, id: Peer(len(s.hosts) + 1), up: up, down: down, delay: delay,
		open: map[Peer]map[uint32]int{}, has: map[uint32]bool{}, last: map[Peer]time.Duration{}, rng: rand.New(rand.NewPCG(uint64(len(s.hosts)), 7)), begun: map[Peer]int{},
	}
	h.w = newWatch(s.t, Config{Sizes: s.sizes, Seed: uint64(h.id)})
	s.hosts = append(s.hosts, h)
	return h
}

func (s *sim) all() []content.Range { return []content.Range{{First: 0, Count: uint32(len(s.sizes))}} }

func (s *sim) bytes() (n float64) {
	for _, size := range s.sizes {
		n += float64(size)
	}
	return n
}

func (s *sim) source(up float64, delay time.Duration) *simHost {
	h := s.host(up, 1000*mbit, delay)
	h.step(Local{s.all()})
	return h
}

// wants makes h fetch everything.
func (h *simHost) wants() { h.step(Interest{Ranges: h.s.all()}) }

// connect joins two nodes.
func (s *sim) connect(a, b *simHost) {
	a.links, b.links = append(a.links, b.id), append(b.links, a.id)
	a.open[b.id], b.open[a.id] = map[uint32]int{}, map[uint32]int{}
	a.step(Joined{b.id})
	b.step(Joined{a.id})
}

// leave takes a node out of the net.
func (h *simHost) leave() {
	h.gone = true
	h.sending = nil
	for _, p := range h.links {
		o := h.s.hosts[p-1]
		delete(o.open, h.id)
		o.sending = slices.DeleteFunc(o.sending, func(u *upload) bool { return u.to == h.id })
		o.step(Left{h.id})
	}
}

func (h *simHost) step(ev Event) {
	if h.gone {
		return
	}
	h.w.now = zero.Add(h.s.now)
	var acts []Action
	if h.s.check {
		acts = h.w.step(ev)
	} else {
		acts = h.w.e.Step(h.w.now, ev)
	}
	for _, a := range acts {
		h.act(a)
	}
	h.schedule()
}

// schedule makes sure of a tick at the engine's deadline.
func (h *simHost) schedule() {
	due := h.w.e.Deadline()
	if due.IsZero() {
		return
	}
	at := due.Sub(zero)
	if h.ticking != 0 && h.ticking <= at {
		return
	}
	h.ticking = at
	h.s.at(at, func() {
		if h.ticking == at {
			h.ticking = 0
			h.step(Tick{})
		}
	})
}

func (h *simHost) act(a Action) {
	switch a := a.(type) {
	case Ask:
		each(a.Ranges, func(c uint32) { h.open[a.Peer][c] = int(h.s.sizes[c]) })
		h.tell(a.Peer, Asked{h.id, slices.Clone(a.Ranges)})
	case Revoke:
		each(a.Ranges, func(c uint32) { delete(h.open[a.Peer], c) })
		ranges := slices.Clone(a.Ranges)
		h.later(a.Peer, func(o *simHost) {
			o.step(Withdrawn{h.id, ranges})
			var cut []*upload
			o.sending = slices.DeleteFunc(o.sending, func(u *upload) bool {
				off := u.to == h.id && within(ranges, u.chunk) && !u.busy
				if off {
					cut = append(cut, u)
				} else if u.to == h.id && within(ranges, u.chunk) {
					u.off = true
				}
				return off
			})
			for _, u := range cut {
				o.step(Gave{h.id, []uint32{u.chunk}, int(o.s.sizes[u.chunk]) - u.left})
			}
		})
	case Give:
		if h.stalls {
			return
		}
		each(a.Ranges, func(c uint32) {
			h.sending = append(h.sending, &upload{to: a.Peer, chunk: c, left: int(h.s.sizes[c])})
		})
		h.upload()
	case Seek:
		h.tell(a.Peer, Seeks{h.id, slices.Clone(a.Ranges)})
	case Announce:
		h.tell(a.Peer, Coming{h.id, slices.Clone(a.Ranges)})
	case Offer:
		h.tell(a.Peer, Offered{h.id, slices.Clone(a.Ranges)})
	case Tell:
		h.tell(a.Peer, Has{h.id, slices.Clone(a.Ranges)})
	case Decline:
		h.tell(a.Peer, Refused{h.id, slices.Clone(a.Ranges)})
	case Ban:
		h.banned = append(h.banned, a.Peer)
		o := h.s.hosts[a.Peer-1]
		delete(h.open, a.Peer)
		h.s.at(h.s.now, func() { o.step(Left{h.id}) })
	case Finished:
		h.done = h.s.now
	}
}

func each(ranges []content.Range, f func(c uint32)) {
	for _, r := range ranges {
		for c := r.First; c < r.First+r.Count; c++ {
			f(c)
		}
	}
}

// later does something at another host, one delay from now.
func (h *simHost) later(to Peer, f func(o *simHost)) {
	o := h.s.hosts[to-1]
	at := h.s.now + h.delay + o.delay
	if h.upBusy {
		at += time.Duration(h.rng.Int64N(int64(h.s.queue) + 1))
	}
	at = max(at, h.last[to])
	h.last[to] = at
	h.s.at(at, func() { f(o) })
}

func (h *simHost) tell(to Peer, ev Event) { h.later(to, func(o *simHost) { o.step(ev) }) }

// upload sends the next frame when the uplink is free: the links take turns, and each finishes one chunk before the next.
func (h *simHost) upload() {
	if h.upBusy || len(h.sending) == 0 || h.gone {
		return
	}
	u := h.sending[0]
	n := min(u.left, simFrame)
	h.upBusy, u.busy = true, true
	h.s.at(h.s.now+seconds(float64(n)/h.up), func() {
		h.upBusy, u.busy = false, false
		u.left -= n
		h.sent += int64(n)
		last := u.left == 0
		h.later(u.to, func(o *simHost) { o.arrive(h, u.chunk, n, last) })
		last = last || u.off
		if i := slices.Index(h.sending, u); i >= 0 {
			if last {
				h.rotate(i, last)
			}
		}
		if last {
			h.step(Gave{u.to, []uint32{u.chunk}, int(h.s.sizes[u.chunk]) - u.left})
		}
		h.upload()
	})
}

// rotate puts the uploads of a peer that has had its turn behind those of the others.
func (h *simHost) rotate(i int, last bool) {
	u := h.sending[i]
	var its, others []*upload
	for _, x := range h.sending {
		switch {
		case x == u && last:
		case x.to == u.to:
			its = append(its, x)
		default:
			others = append(others, x)
		}
	}
	h.sending = append(others, its...)
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// arrive lets a frame through the downlink.
func (h *simHost) arrive(from *simHost, c uint32, n int, last bool) {
	h.downFree = max(h.downFree, h.s.now) + seconds(float64(n)/h.down)
	h.s.at(h.downFree, func() {
		h.received += int64(n)
		if h.begun[from.id] += n; h.begun[from.id] >= 64<<10 || last {
			h.tell(from.id, Got{h.id, h.begun[from.id]})
			h.begun[from.id] = 0
		}
		if _, open := h.open[from.id][c]; !open {
			h.wasted += int64(n)
			return
		}
		h.step(Progress{from.id, n})
		if !last {
			return
		}
		delete(h.open[from.id], c)
		if from.lies {
			h.step(Bad{from.id, c})
		} else {
			h.has[c] = true
			h.step(Stored{from.id, []uint32{c}})
		}
	})
}

// finished returns when h had everything, as a multiple of bound.
func (h *simHost) finished(bound float64) float64 {
	h.s.t.Helper()
	if s := h.w.e.Status(); h.done == 0 || !s.Done {
		h.s.t.Fatalf("host %d is not done: %+v", h.id, s)
	}
	return h.done.Seconds() / bound
}

func TestSimOneSource(t *testing.T) {
	for _, c := range []struct {
		name  string
		link  float64
		delay time.Duration // one way
		want  float64       // of the bound
	}{
		{"100 Mbit/s, LAN", 100 * mbit, 250 * time.Microsecond, 1.01},
		{"100 Mbit/s, 100 ms round trip", 100 * mbit, 50 * time.Millisecond, 1.03},
		{"1 Gbit/s, 100 ms round trip", 1000 * mbit, 50 * time.Millisecond, 1.18},
		{"1 Mbit/s, 600 ms round trip", mbit, 300 * time.Millisecond, 1.01},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSim(t, 256, 1<<20)
			s.check = true
			a := s.source(c.link, 0)
			b := s.host(c.link, c.link, c.delay)
			b.wants()
			s.connect(a, b)
			s.run(3 * time.Hour)
			got := b.finished(s.bytes() / c.link)
			t.Logf("%.3f of the bound; window %d", got, b.w.e.peers[0].flow.window)
			if got > c.want {
				t.Errorf("took %.3f of the bound, want at most %.3f", got, c.want)
			}
			if b.wasted > 0 {
				t.Errorf("%d bytes came twice", b.wasted)
			}
		})
	}
}

// Eleven thousand small files need no more time than one large one.
func TestSimSmallChunks(t *testing.T) {
	s := newSim(t, 11_000, 10_000)
	a := s.source(1000*mbit, 0)
	b := s.host(1000*mbit, 1000*mbit, 5*time.Millisecond)
	b.wants()
	s.connect(a, b)
	s.run(time.Hour)
	got := b.finished(s.bytes() / (1000 * mbit))
	t.Logf("%.3f of the bound", got)
	if got > 1.05 {
		t.Errorf("took %.3f of the bound", got)
	}
}

func TestSimFourSources(t *testing.T) {
	for _, c := range []struct {
		name   string
		bend   func(sources []*simHost)
		chunks int
		good   int
		want   float64
	}{
		{"all good", func([]*simHost) {}, 256, 4, 1.05},
		{"all good, little to fetch", func([]*simHost) {}, 16, 4, 1.15},
		{"one lies, one stalls", func(s []*simHost) { s[0].lies, s[1].stalls = true, true }, 256, 2, 1.10},
		{"the first three stall", func(s []*simHost) { s[0].stalls, s[1].stalls, s[2].stalls = true, true, true }, 256, 1, 1.10},
		{"the first three stall and owe all", func(s []*simHost) { s[0].stalls, s[1].stalls, s[2].stalls = true, true, true }, 12, 1, 1.2},
		{"three lie", func(s []*simHost) { s[0].lies, s[1].lies, s[3].lies = true, true, true }, 256, 1, 1.10},
		{"one at a tenth of the speed", func(s []*simHost) { s[2].up /= 10 }, 256, 3, 1.05},
		{"the last one at a tenth of the speed, little to fetch", func(s []*simHost) { s[3].up /= 10 }, 16, 3, 1.4},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSim(t, c.chunks, 1<<20)
			s.check = true
			b := s.host(1000*mbit, 1000*mbit, 250*time.Microsecond)
			b.wants()
			var sources []*simHost
			for range 4 {
				sources = append(sources, s.source(50*mbit, 0))
			}
			c.bend(sources)
			for _, a := range sources {
				s.connect(b, a)
			}
			s.run(time.Hour)
			got := b.finished(s.bytes() / (50 * mbit * float64(c.good)))
			t.Logf("%.3f of the bound, %.1f %% came twice", got, 100*float64(b.wasted)/s.bytes())
			if got > c.want {
				t.Errorf("took %.3f of the bound, want at most %.3f", got, c.want)
			}
			for _, p := range b.banned {
				if !s.hosts[p-1].lies {
					t.Errorf("honest host %d was banned", p)
				}
			}
			for _, a := range sources {
				if a.lies && !slices.Contains(b.banned, a.id) {
					t.Errorf("liar %d was not banned", a.id)
				}
			}
		})
	}
}

// Receivers of one source serve each other.
func TestSimSwarm(t *testing.T) {
	s := newSim(t, 64, 1<<20)
	s.check = true
	a := s.source(100*mbit, 250*time.Microsecond)
	var last float64
	for range 8 {
		s.host(100*mbit, 100*mbit, 250*time.Microsecond).wants()
	}
	for i, x := range s.hosts {
		for _, y := range s.hosts[i+1:] {
			s.connect(x, y)
		}
	}
	s.run(time.Hour)
	wasted := 0.0
	for _, h := range s.hosts[1:] {
		last = max(last, h.finished(s.bytes()/(100*mbit)))
		wasted += float64(h.wasted) / s.bytes() / 8
	}
	t.Logf("last receiver after %.2f of the bound; the source sent %.2f of the file; %.1f %% came twice",
		last, float64(a.sent)/s.bytes(), 100*wasted)
	if last > 3 {
		t.Errorf("last receiver after %.2f of the bound", last)
	}
}

// Whatever else goes wrong, one honest source is enough.
func TestSimAnyTrouble(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		s := newSim(t, rapid.IntRange(1, 40).Draw(rt, "chunks"), uint32(rapid.SampledFrom([]int{0, 100, 10_000, 1 << 20}).Draw(rt, "size")))
		s.check = true
		n := rapid.IntRange(1, 5).Draw(rt, "others")
		good := s.source(20*mbit, time.Millisecond)
		for i := range n {
			var h *simHost
			kind := rapid.SampledFrom([]string{"source", "liar", "stalled", "receiver"}).Draw(rt, "kind")
			up := mbit * float64(rapid.IntRange(1, 200).Draw(rt, "up"))
			if kind == "receiver" {
				h = s.host(up, 100*mbit, time.Millisecond)
				h.wants()
			} else {
				h = s.source(up, time.Millisecond)
				h.lies, h.stalls = kind == "liar", kind == "stalled"
			}
			if rapid.Bool().Draw(rt, "leaves") {
				s.at(time.Duration(rapid.IntRange(1, 20_000).Draw(rt, "when"))*time.Millisecond, h.leave)
			}
			_ = i
		}
		b := s.host(100*mbit, 100*mbit, time.Millisecond)
		b.wants()
		for i, x := range s.hosts {
			for _, y := range s.hosts[i+1:] {
				s.connect(x, y)
			}
		}
		s.run(time.Hour)
		if b.done == 0 {
			rt.Fatalf("not done: %+v", b.w.e.Status())
		}
		if slices.Contains(b.banned, good.id) {
			rt.Fatal("the honest source was banned")
		}
		for _, p := range b.banned {
			if !s.hosts[p-1].lies {
				rt.Fatal(fmt.Sprintf("host %d was banned", p))
			}
		}
	})
}
