package sim

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/shoal-p2p/shoal/content"
)

// Entries come by time, and those of one time as they were added.
func TestQueue(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	var q queue
	var want, got []entry
	for range 20 {
		for range rng.IntN(300) {
			q.add(int64(rng.IntN(50)), tick, 0, 0, 0)
		}
		want = append(want[:0], q.heap...)
		slices.SortFunc(want, func(a, b entry) int {
			if a.before(&b) {
				return -1
			}
			return 1
		})
		got = got[:0]
		for len(q.heap) > 0 {
			got = append(got, q.next())
		}
		if !slices.Equal(got, want) {
			t.Fatal("entries come out of order")
		}
	}
}

// play runs a scenario and looks at what must hold after each.
func play(t *testing.T, sc Scenario) Result {
	t.Helper()
	r := Run(sc)
	t.Logf("%-60s p50 %.3f, p99 %.3f, last %.3f; %.2f %% came twice; sources sent %.2f; %d steps",
		sc.Name, r.P50, r.P99, r.Last, 100*r.Duplicates, r.SourceSent, r.Steps)
	if r.Unfinished > 0 {
		t.Errorf("%d of %d receivers never had everything", r.Unfinished, r.Receivers)
	}
	if r.WronglyBanned > 0 {
		t.Errorf("honest hosts banned %d honest hosts", r.WronglyBanned)
	}
	if lost := r.Sent - r.Received - r.Dropped - r.UnderWay; lost != 0 {
		t.Errorf("%d bytes were sent and neither read, dropped nor under way", lost)
	}
	return r
}

// Every honest receiver gets everything, whatever goes wrong, and nothing is lost on the way.
func TestStandard(t *testing.T) {
	for _, sc := range Standard(12, 7) {
		t.Run(strings.ReplaceAll(sc.Name, " ", "_"), func(t *testing.T) {
			if sc.Size < 100_000 {
				sc.Chunks = 1600
			}
			r := play(t, sc)
			if r.Last > 8 {
				t.Errorf("the last receiver was done after %.1f of the bound", r.Last)
			}
			if wants := int64(r.Receivers) * int64(sc.Chunks) * int64(sc.Size); r.Delivered < wants {
				t.Errorf("%d bytes were delivered, and the receivers want %d", r.Delivered, wants)
			}
			if r.Duplicates < 0 {
				t.Errorf("%.4f of the bytes came twice", r.Duplicates)
			}
		})
	}
}

// The same holds when messages wait for data and sockets take some of it early.
func TestInOneStream(t *testing.T) {
	for _, sc := range Standard(8, 5) {
		if sc.Size < 100_000 {
			sc.Chunks = 800
		}
		sc.InBand, sc.SendBuffer = true, 512<<10
		if r := play(t, sc); r.Last > 10 {
			t.Errorf("%s: the last receiver was done after %.1f of the bound", sc.Name, r.Last)
		}
	}
}

// Equal scenarios give equal results, and another seed another one.
func TestDeterminism(t *testing.T) {
	for _, sc := range Standard(10, 3) {
		if sc.Name != "a quarter leave and come back" && sc.Name != "an eighth lie" {
			continue
		}
		sc.Neighbours = 5
		first, second := Run(sc), Run(sc)
		if first != second {
			t.Errorf("%s: two runs differ:\n%+v\n%+v", sc.Name, first, second)
		}
		sc.Seed++
		if third := Run(sc); third.Steps == first.Steps && third.Took == first.Took {
			t.Errorf("%s: another seed changes nothing", sc.Name)
		}
	}
}

// pair is a source and receivers that know only it.
func pair(source Host, receivers ...Host) Scenario {
	source.Role = Source
	return Scenario{Chunks: 64, Neighbours: 1, SourceNeighbours: len(receivers), Hosts: append([]Host{source}, receivers...)}
}

// finish plays a star around the first host, and returns when each of the others was done, in seconds.
func finish(t *testing.T, sc Scenario) []float64 {
	t.Helper()
	sc = sc.withDefaults()
	n := build(&sc)
	for i := range n.hosts {
		n.hosts[i].neighbours = []int32{0}
		if i == 0 {
			n.hosts[i].neighbours = nil
			for k := 1; k < len(n.hosts); k++ {
				n.hosts[i].neighbours = append(n.hosts[i].neighbours, int32(k))
			}
		}
	}
	n.run(time.Hour)
	var seconds []float64
	for i := range n.hosts[1:] {
		seconds = append(seconds, time.Duration(n.hosts[i+1].done).Seconds())
	}
	return seconds
}

func near(got, want, tolerance float64) bool {
	return got >= want*(1-tolerance/10) && got <= want*(1+tolerance)
}

const file = 64 << 20

// One link is filled, and no more than that.
func TestOneLink(t *testing.T) {
	for _, c := range []struct {
		name     string
		up, down float64
		delay    time.Duration
		size     int
		want     float64 // seconds
	}{
		{"equal", 100 * Mbit, 100 * Mbit, 0, 1 << 20, file / (100 * Mbit)},
		{"slow uplink", 20 * Mbit, 100 * Mbit, 0, 1 << 20, file / (20 * Mbit)},
		{"slow downlink", 100 * Mbit, 20 * Mbit, 0, 1 << 20, file / (20 * Mbit)},
		{"far away", 100 * Mbit, 100 * Mbit, 25 * time.Millisecond, 1 << 20, file/(100*Mbit) + 0.15},
		{"small chunks", 100 * Mbit, 100 * Mbit, time.Millisecond, 10_000, file / (100 * Mbit)},
	} {
		t.Run(c.name, func(t *testing.T) {
			sc := pair(Host{Up: c.up, Down: c.up, Delay: c.delay}, Host{Up: c.down, Down: c.down, Delay: c.delay})
			sc.Size, sc.Chunks = c.size, file/c.size
			if got := finish(t, sc)[0]; !near(got, c.want, 0.06) {
				t.Errorf("took %.3f s, want about %.3f", got, c.want)
			}
		})
	}
}

// The uplinks of a swarm of two are the source's and the receiver's: one is busy all the time, and the other never.
func TestBusy(t *testing.T) {
	r := play(t, Scenario{Chunks: 100, Hosts: make([]Host, 2), Overhead: 1.1}.with(func(i int, h *Host) {
		if i == 0 {
			h.Role = Source
		}
	}))
	for i, share := range r.Busy[:SlicesOfBound] {
		if share < 0.4 || share > 0.6 {
			t.Errorf("the uplinks were busy to %.2f in slice %d, want a half", share, i)
		}
	}
	if share := r.Busy[SlicesOfBound+1]; share != 0 {
		t.Errorf("the uplinks were busy to %.2f after the end", share)
	}
}

// Headers take their part of the links.
func TestOverhead(t *testing.T) {
	sc := pair(Host{}, Host{})
	sc.Overhead = 1.25
	if got, want := finish(t, sc)[0], 1.25*file/(100*Mbit); !near(got, want, 0.03) {
		t.Errorf("took %.3f s, want about %.3f", got, want)
	}
}

// Two senders share a downlink, and neither fills it alone.
func TestSharedDownlink(t *testing.T) {
	sc := Scenario{Chunks: 64, Hosts: []Host{{Role: Source, Up: 80 * Mbit}, {Role: Source, Up: 80 * Mbit}, {Down: 100 * Mbit}}}
	r := play(t, sc)
	if got, want := r.Last*r.Bound.Seconds(), file/(100*Mbit); !near(got, want, 0.05) {
		t.Errorf("took %.3f s, want about %.3f", got, want)
	}
	sc.Hosts[2].Down = 1000 * Mbit
	r = play(t, sc)
	if got, want := r.Last*r.Bound.Seconds(), file/(160*Mbit); !near(got, want, 0.08) {
		t.Errorf("took %.3f s with a fast downlink, want about %.3f", got, want)
	}
}

// A receiver that reads slowly holds up its own connection and no other. The engine has no say here.
func TestBackPressure(t *testing.T) {
	sc := Scenario{Chunks: 64, Hosts: []Host{
		{Role: FreeRider, Down: 10 * Mbit}, {Role: FreeRider, Down: 1000 * Mbit}, {Role: Source, Up: 100 * Mbit},
	}}.withDefaults()
	n := started(&sc)
	var ends [2]int32 // of the source, towards the slow and the fast one
	for l, x := range n.links {
		if x.from == 2 {
			ends[x.to] = int32(l)
			n.upload(int32(l), []content.Range{{First: 0, Count: 64}})
		}
	}
	var fast int64
	n.drain(func() {
		if x := &n.links[ends[1]]; fast == 0 && x.head == len(x.queue) && x.unread == 0 {
			fast = n.now
		}
	})
	if got, want := time.Duration(fast).Seconds(), file/(90*Mbit); !near(got, want, 0.03) {
		t.Errorf("the fast receiver took %.2f s, want about %.2f", got, want)
	}
	if got, want := time.Duration(n.now).Seconds(), file/(10*Mbit); !near(got, want, 0.03) {
		t.Errorf("the slow receiver took %.2f s, want about %.2f", got, want)
	}
}

// trial is two hosts that know each other, before anything happens. The end of the source, which comes last, has number 0.
func trial(chunks int) *net {
	sc := Scenario{Chunks: chunks, Hosts: []Host{{Role: FreeRider}, {Role: Source}}}.withDefaults()
	return started(&sc)
}

// started is a net in which all hosts are joined and nothing else has happened, or will.
func started(sc *Scenario) *net {
	n := build(sc)
	for len(n.queue.heap) > 0 && n.queue.heap[0].at == 0 {
		e := n.queue.next()
		n.happen(&e)
	}
	n.queue.heap = n.queue.heap[:0]
	return n
}

const source = 0

// drain plays until nothing happens in the next second, but for ticks.
func (n *net) drain(look func()) {
	for len(n.queue.heap) > 0 && n.queue.heap[0].at < n.now+int64(time.Second) {
		e := n.queue.next()
		if e.kind() != tick {
			n.now = e.at
			n.happen(&e)
			look()
		}
	}
}

// A sender that is ahead of a slow reader waits, and goes on when it has read.
func TestWindow(t *testing.T) {
	n := trial(16)
	n.hosts[0].Down = 10 * Mbit
	n.upload(source, []content.Range{{First: 0, Count: 16}})
	most, before := 0, n.tally.steps
	n.drain(func() { most = max(most, n.links[source].unread) })
	if window := n.links[source].window; most > window || most <= window-defaultFrame {
		t.Errorf("%d bytes were not read at a time, want what fits into %d", most, window)
	}
	if got, want := n.tally.steps-before, int64(16+4*16); got != want {
		t.Errorf("the sender's engine took %d steps, want %d: one for each chunk written and one for each frame read", got, want)
	}
	if n.links[source].unread != 0 || n.tally.received != 16*defaultSize {
		t.Errorf("%d bytes are not read at the end, and %d are; want all %d", n.links[source].unread, n.tally.received, 16*defaultSize)
	}
}

// A send buffer takes frames ahead of the uplink: they count as written, and stay when their chunk is called off.
func TestSendBuffer(t *testing.T) {
	n := trial(8)
	n.sc.SendBuffer = 3 * defaultFrame
	n.upload(source, []content.Range{{First: 0, Count: 8}})
	if w := n.links[source].written; w != 3*defaultFrame {
		t.Errorf("%d bytes are written, want %d", w, 3*defaultFrame)
	}
	before := n.tally.steps
	n.cut(source, []content.Range{{First: 0, Count: 7}})
	n.drain(func() {})
	if got, want := n.tally.steps-before, int64(8+7); got != want {
		t.Errorf("the sender's engine took %d steps, want %d: one for each chunk and one for each frame read", got, want)
	}
	if want := int64(3*defaultFrame + defaultSize); n.tally.sent != want {
		t.Errorf("%d bytes were sent, want %d: what was written of the first chunk, and all of the last", n.tally.sent, want)
	}
	if n.links[source].written != 0 {
		t.Errorf("%d bytes are still to leave at the end", n.links[source].written)
	}
}

// A message overtakes data, unless both go in one stream.
func TestInBand(t *testing.T) {
	for _, inBand := range []bool{false, true} {
		n := trial(1)
		n.sc.InBand = inBand
		n.hosts[0].Down = 10 * Mbit
		n.upload(source, []content.Range{{First: 0, Count: 1}})
		before := n.tally.messages
		n.tell(source, msgHas, nil)
		var got int64
		n.drain(func() {
			if got == 0 && n.tally.messages > before {
				got = n.now
			}
		})
		want := n.links[source].delay
		if inBand {
			want += n.airtime(defaultFrame, 10*Mbit)
		}
		if got != want {
			t.Errorf("in band: %v; the message came after %v, want %v", inBand, time.Duration(got), time.Duration(want))
		}
	}
}

// Everything that engines say to each other gets there.
func TestMessages(t *testing.T) {
	sc := Swarm(8).and(Host{Role: Boaster}, Host{Role: Staller}).withDefaults()
	sc.Hosts[0].Joins = 2 * time.Minute // so that those who offer nothing are asked
	n := build(&sc)
	kinds := map[kind]int{}
	for len(n.queue.heap) > 0 && n.waiting > 0 {
		e := n.queue.next()
		n.now = e.at
		kinds[e.kind()&^manyRanges]++
		n.happen(&e)
	}
	for k, name := range map[kind]string{
		msgHas: "has", msgAsked: "asked", msgWithdrawn: "withdrawn", msgRefused: "refused", msgSeeks: "seeks",
		msgComing: "coming", msgOffered: "offered",
	} {
		if kinds[k] == 0 {
			t.Errorf("nobody ever said %s", name)
		}
	}
}

// What nobody asked for is read and not kept.
func TestUnasked(t *testing.T) {
	n := trial(2)
	set(n.row(source^1), 1)
	n.upload(source, []content.Range{{First: 0, Count: 2}})
	n.drain(func() {})
	if n.tally.received != 2*defaultSize || n.tally.stored != defaultSize || has(n.hosts[0].has, 0) {
		t.Errorf("%d bytes were read and %d kept, want %d and %d", n.tally.received, n.tally.stored, 2*defaultSize, defaultSize)
	}
}

// A chunk that is called off stops after the frame under way, and those behind it are not begun.
func TestCut(t *testing.T) {
	n := trial(3)
	n.upload(source, []content.Range{{First: 0, Count: 3}})
	n.cut(source, []content.Range{{First: 0, Count: 2}})
	if p := n.frames.all[n.hosts[1].sending].parts[0]; !p.ends || p.whole {
		t.Error("the frame under way does not end its chunk")
	}
	n.drain(func() {})
	if want := int64(defaultFrame + defaultSize); n.tally.sent != want {
		t.Errorf("%d bytes were sent, want %d: one frame of the first chunk and all of the third", n.tally.sent, want)
	}
}

// Who goes is missed one delay later, and what was on its way is dropped.
func TestLeave(t *testing.T) {
	n := trial(1)
	set(n.hosts[0].has, 0)
	n.copied(0, 1)
	n.sc.SendBuffer = 2 * defaultFrame
	n.upload(source, []content.Range{{First: 0, Count: 1}})
	n.leave(0)
	if n.links[source].dead || !n.links[source^1].dead {
		t.Error("want the end of who left closed, and the other one open until it hears of it")
	}
	if n.covered != 0 {
		t.Error("what has left is still counted")
	}
	n.drain(func() {})
	if !n.links[source].dead {
		t.Error("the other end never closed")
	}
	for _, f := range n.frames.all {
		if f.used {
			t.Error("a frame is left over")
		}
	}
	if n.tally.received != 0 || n.tally.dropped != n.tally.sent || n.tally.sent != defaultFrame {
		t.Errorf("sent %d, received %d, dropped %d; want one frame sent and dropped", n.tally.sent, n.tally.received, n.tally.dropped)
	}
}

// Neighbours are mutual, not too many, and everybody can be reached.
func TestGraph(t *testing.T) {
	sc := Swarm(300)
	sc.Neighbours, sc.SourceNeighbours = 6, 20
	adjacent := graph(&sc, rand.New(rand.NewPCG(1, 1)))
	few := 0
	for a, row := range adjacent {
		most := 6
		if a == 0 {
			most = 20
		}
		if len(row) > most {
			t.Errorf("host %d has %d neighbours, want %d at most", a, len(row), most)
		}
		if len(row) < most {
			few++
		}
		for _, b := range row {
			if !slices.Contains(adjacent[b], int32(a)) {
				t.Errorf("host %d has neighbour %d, and not the other way round", a, b)
			}
		}
	}
	if few > 5 {
		t.Errorf("%d hosts have fewer neighbours than they may", few)
	}
	reached := map[int32]bool{0: true}
	for next := []int32{0}; len(next) > 0; next = next[1:] {
		for _, b := range adjacent[next[0]] {
			if !reached[b] {
				reached[b] = true
				next = append(next, b)
			}
		}
	}
	if len(reached) != len(adjacent) {
		t.Errorf("%d of %d hosts can be reached", len(reached), len(adjacent))
	}
}

func TestBound(t *testing.T) {
	seconds := func(sc Scenario) float64 { return sc.Bound().Seconds() }
	even := Swarm(8)
	if got, want := seconds(even), file/(100*Mbit); !near(got, want, 0.001) {
		t.Errorf("equal links: %.3f s, want %.3f", got, want)
	}
	if got, want := seconds(even.with(home)), 8*file/((100+8*10)*Mbit); !near(got, want, 0.001) {
		t.Errorf("slow uplinks: %.3f s, want %.3f", got, want)
	}
	narrow := even.with(func(i int, h *Host) {
		if i == 3 {
			h.Down = 5 * Mbit
		}
	})
	if got, want := seconds(narrow), file/(5*Mbit); !near(got, want, 0.001) {
		t.Errorf("one slow downlink: %.3f s, want %.3f", got, want)
	}
}

func TestPercentile(t *testing.T) {
	values := []float64{1, 2, 3, 4}
	for share, want := range map[float64]float64{0.5: 2, 0.51: 3, 0.99: 4, 1: 4, 0: 1} {
		if got := percentile(values, share); got != want {
			t.Errorf("percentile %v of %v is %v, want %v", share, values, got, want)
		}
	}
}

func BenchmarkSwarm(b *testing.B) {
	var steps int64
	for b.Loop() {
		steps += Run(Swarm(64)).Steps
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(steps), "ns/step")
}
