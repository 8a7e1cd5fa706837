package engine

import (
	"slices"
	"testing"
	"time"

	"github.com/shoal-p2p/shoal/content"
)

func ranges(first, count uint32) []content.Range {
	return []content.Range{{First: first, Count: count}}
}

// Among very many chunks the rarest are found, also when few others are worth a look.
func TestRarestOfManyChunks(t *testing.T) {
	const chunks = 200_000
	w := newWatch(t, Config{Sizes: slices.Repeat([]uint32{1 << 20}, chunks), TakeOnly: true})
	for p := range Peer(4) {
		w.step(Joined{p})
	}
	// Peers 1 to 3 have the even chunks, peer 0 has the odd ones of the first half and two chunks near the end.
	var even, odd []content.Range
	for c := uint32(0); c < chunks; c += 2 {
		even = append(even, content.Range{First: c, Count: 1})
		if c < chunks/2 {
			odd = append(odd, content.Range{First: c + 1, Count: 1})
		}
	}
	for p := range Peer(3) {
		w.step(Has{p + 1, even})
	}
	w.step(Has{0, append(odd, content.Range{First: chunks - 2, Count: 2})})
	for _, a := range w.step(Interest{Ranges: ranges(0, chunks)}) {
		a := a.(Ask)
		each(a.Ranges, func(c uint32) {
			if a.Peer == 0 && c%2 == 0 {
				t.Errorf("peer 0 was asked for chunk %d, which everybody has", c)
			}
		})
	}
	w.checkState()
}

// Peers that ask for more and more cost no more than a fixed amount.
func TestOrdersAreBounded(t *testing.T) {
	const chunks = 3 * mostOrders
	e := New(Config{Sizes: slices.Repeat([]uint32{1 << 20}, chunks)})
	e.Step(zero, Local{ranges(0, chunks)})
	e.Step(zero, Joined{1})
	declined := 0
	for c := uint32(0); c < chunks; c += 2 {
		for _, a := range e.Step(zero, Asked{1, ranges(c, 1)}) {
			if d, ok := a.(Decline); ok {
				declined += int(d.Ranges[0].Count)
			}
		}
	}
	queue := e.peers[0].owed.queue
	if len(queue) > mostOrders+16 || declined == 0 {
		t.Errorf("%d ranges wait, %d chunks declined", len(queue), declined)
	}
	if s := e.Status().Peers[0]; s.Queued+s.Giving>>20+declined != chunks/2 {
		t.Errorf("of %d chunks, %d wait, %d are given and %d declined", chunks/2, s.Queued, s.Giving>>20, declined)
	}
}

// To ask for everything and withdraw it again, over and over, costs neither time nor memory.
func TestAskingAndWithdrawingIsCheap(t *testing.T) {
	const chunks = 1_000_000
	e := New(Config{Sizes: make([]uint32, chunks)})
	e.Step(zero, Local{ranges(0, chunks)})
	e.Step(zero, Joined{1})
	began := time.Now()
	for range 300 {
		e.Step(zero, Asked{1, ranges(0, chunks)})
		e.Step(zero, Withdrawn{1, ranges(0, chunks-1)})
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("600 events took %v", took)
	}
	if n := len(e.peers[0].owed.queue); n > 1000 {
		t.Errorf("%d ranges wait", n)
	}
}

// To say over and over what one lacks and what is coming costs its hearer little, however long the ranges.
func TestSeekingAndComingIsCheap(t *testing.T) {
	const chunks = 1_000_000
	e := New(Config{Sizes: make([]uint32, chunks)})
	e.Step(zero, Local{ranges(0, chunks)})
	e.Step(zero, Joined{1})
	e.Step(zero, Joined{2})
	e.Step(zero, Seeks{2, ranges(0, chunks)})
	began := time.Now()
	for range 60 {
		e.Step(zero, Seeks{1, ranges(0, chunks)})
		e.Step(zero, Coming{1, ranges(0, chunks)})
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("120 events took %v", took)
	}
	if n := e.peers[0].takes.coming.n; n != mostComing {
		t.Errorf("%d chunks are remembered as coming, expected %d", n, mostComing)
	}
}

// One greedy peer after the other asks for everything and reads nothing; one who asks for a little gets it soon.
func TestGreedyPeersDoNotStopOthers(t *testing.T) {
	const chunks = 1000
	w := newWatch(t, Config{Sizes: slices.Repeat([]uint32{1 << 20}, chunks)})
	w.step(Local{ranges(0, chunks)})
	for p := range Peer(50) {
		w.step(Joined{p})
		w.step(Asked{p, ranges(0, chunks)})
	}
	w.pass(100*paceFirst, func([]Action) {}) // each has what it may have
	w.step(Joined{99})
	for c := range uint32(20) {
		given := 0
		note := func(acts []Action) {
			for _, a := range acts {
				if g, ok := a.(Give); ok && g.Peer == 99 {
					given++
				}
			}
		}
		note(w.step(Asked{99, ranges(c, 1)}))
		w.pass(2*paceFirst, note)
		if given != 1 {
			t.Fatalf("chunk %d was given %d times", c, given)
		}
		w.step(Gave{Peer: 99, Chunks: []uint32{c}})
	}
}

// Fifty greedy peers and a modest one share an uplink: while all of them read, the modest one waits for one turn of each.
func TestTurnsAreFair(t *testing.T) {
	const chunks = 1000
	w := newWatch(t, Config{Sizes: slices.Repeat([]uint32{1 << 20}, chunks)})
	w.step(Local{ranges(0, chunks)})
	type job struct {
		p Peer
		c uint32
	}
	var sending []job
	modest := 0
	step := func(ev Event) {
		for _, a := range w.step(ev) {
			if g, ok := a.(Give); ok {
				each(g.Ranges, func(c uint32) { sending = append(sending, job{g.Peer, c}) })
			}
		}
	}
	for p := range Peer(50) {
		step(Joined{p})
		step(Asked{p, ranges(0, chunks)})
	}
	step(Joined{99})
	step(Asked{99, ranges(0, 4)})
	next := uint32(4)
	const rounds = 51 * 40
	for range rounds {
		j := sending[0]
		sending = sending[1:]
		if j.p == 99 {
			modest++
			step(Asked{99, ranges(next, 1)})
			next++
		}
		step(Gave{Peer: j.p, Chunks: []uint32{j.c}})
	}
	if fair := rounds / 51; modest < fair/2 {
		t.Errorf("the modest peer got %d of %d chunks; its share is %d", modest, rounds, fair)
	}
}

// A clock that goes back does no harm.
func TestTimeDoesNotGoBack(t *testing.T) {
	w := newWatch(t, Config{Sizes: []uint32{1 << 20, 1 << 20}, TakeOnly: true})
	w.step(Joined{1})
	w.step(Has{1, ranges(0, 2)})
	w.step(Interest{Ranges: ranges(0, 2)})
	due := w.e.Deadline()
	w.e.Step(zero.Add(-time.Hour), Progress{1, 5})
	if !w.e.Deadline().Equal(due) {
		t.Errorf("the deadline moved from %v to %v", due, w.e.Deadline())
	}
	w.e.Step(zero.Add(time.Second), Stored{1, []uint32{0}})
	w.e.Step(zero.Add(-time.Second), Stored{1, []uint32{1}})
	if s := w.e.Status(); !s.Done || s.Peers[0].Delay != time.Second {
		t.Errorf("%+v", s)
	}
}

// No chunks, and chunks of no bytes.
func TestNothing(t *testing.T) {
	w := newWatch(t, Config{})
	w.step(Joined{1})
	w.step(Has{1, ranges(0, 9)})
	w.step(Asked{1, ranges(0, 9)})
	if acts := w.step(Interest{Ranges: ranges(0, 9)}); !slices.Contains(acts, Action(Finished{})) {
		t.Errorf("nothing is not finished: %v", acts)
	}
	w = newWatch(t, Config{Sizes: []uint32{0}, TakeOnly: true})
	w.step(Joined{1})
	w.step(Interest{Ranges: ranges(0, 1)})
	if acts := w.step(Has{1, ranges(0, 1)}); len(acts) != 1 {
		t.Fatalf("the empty chunk is not asked for: %v", acts)
	}
	w.step(Stored{1, []uint32{0}})
	if !w.e.Status().Done {
		t.Error("not done")
	}
}

func TestStallsHaveNames(t *testing.T) {
	seen := map[string]bool{}
	for s := Moving; s <= AllSlow; s++ {
		if seen[s.String()] || s.String() == "unknown" {
			t.Errorf("stall %d is called %q", s, s)
		}
		seen[s.String()] = true
	}
	if s := Stall(99).String(); s != "unknown" {
		t.Errorf("stall 99 is called %q", s)
	}
}

// A step of a download in its steady state allocates nothing but the actions themselves.
func TestStepsDoNotAllocate(t *testing.T) {
	d := newBenchDownload(100_000, 1<<20, 1, 0)
	d.run(1000, 1)
	stored := []uint32{0}
	var ev Event = Stored{0, stored}
	got := testing.AllocsPerRun(1000, func() {
		stored[0] = d.open[0][0]
		d.open[0] = d.open[0][:copy(d.open[0], d.open[0][1:])]
		d.step(ev)
	})
	if got > 1 {
		t.Errorf("%v allocations a step, want at most one: its action", got)
	}
}

// What a peer delivers while there is nothing to ask of it says how fast it is at least, and no more.
func TestIdleTimeIsNotHeldAgainstAPeer(t *testing.T) {
	f := flow{window: 8 << 20}
	now := moment(0)
	for range 10 {
		now = now.plus(100 * time.Millisecond)
		f.delivered(1<<20, 50*time.Millisecond)
		f.round(now, 2<<20, 16<<20)
	}
	rate, window := f.rate, f.window
	for range 10 {
		f.idled = true
		now = now.plus(10 * time.Second)
		f.delivered(1<<20, 50*time.Millisecond)
		f.round(now, 2<<20, 16<<20)
		if f.rate != rate || f.window != window {
			t.Fatalf("rate went from %.0f to %.0f, window from %d to %d", rate, f.rate, window, f.window)
		}
	}
	f.idled = true
	now = now.plus(100 * time.Millisecond)
	f.delivered(100<<20, 50*time.Millisecond)
	f.round(now, 2<<20, 16<<20)
	if f.rate <= rate || f.window <= window {
		t.Errorf("a faster round did not count: rate %.0f, window %d", f.rate, f.window)
	}
}
