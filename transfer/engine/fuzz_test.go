package engine

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/shoal-p2p/shoal/content"
)

// fuzzSizes are few chunks of many sizes: an empty one, tiny ones, whole ones, and one of the largest kind.
func fuzzSizes() []uint32 {
	sizes := []uint32{0, 1, 255, 256, 257, 10_000, 10_000, 10_000, 2 << 20}
	for range 12 {
		sizes = append(sizes, 1<<20)
	}
	return append(sizes, 500_000, 70_000, 7)
}

// traceReader turns bytes into a trace.
type traceReader struct {
	data  []byte
	sizes int
}

func (r *traceReader) next() int {
	if len(r.data) == 0 {
		return 0
	}
	b := r.data[0]
	r.data = r.data[1:]
	return int(b)
}

func (r *traceReader) peer() Peer { return Peer(r.next() % 5) }

func (r *traceReader) chunk() uint32 { return uint32(r.next() % (r.sizes + 2)) } // some do not exist

func (r *traceReader) ranges() []content.Range {
	var out []content.Range
	for range r.next() % 4 {
		out = append(out, content.Range{First: r.chunk(), Count: uint32(r.next() % (r.sizes + 4))})
	}
	if len(out) == 2 && out[0].Count == 7 {
		out[1].Count = 1<<32 - 1
	}
	return out
}

// anyEvent reads an event that may make no sense at all.
func (r *traceReader) anyEvent() Event {
	switch r.next() % 20 {
	case 19:
		return Far{r.peer(), time.Duration(r.next()*r.next()) * time.Millisecond}
	case 15:
		return Seeks{r.peer(), r.ranges()}
	case 16:
		return Coming{r.peer(), r.ranges()}
	case 17:
		return Got{r.peer(), r.next() << 14}
	case 18:
		return Offered{r.peer(), r.ranges()}
	case 0:
		return Joined{r.peer()}
	case 1:
		return Left{r.peer()}
	case 2:
		return Has{r.peer(), []content.Range{{First: 0, Count: uint32(r.sizes)}}}
	case 3:
		return Has{r.peer(), r.ranges()}
	case 4:
		return Asked{r.peer(), r.ranges()}
	case 5:
		return Withdrawn{r.peer(), r.ranges()}
	case 6:
		return Refused{r.peer(), r.ranges()}
	case 7:
		return Progress{r.peer(), r.next() << 10}
	case 8:
		return Stored{r.peer(), []uint32{r.chunk(), r.chunk()}}
	case 9:
		return Bad{r.peer(), r.chunk()}
	case 10:
		return Failed{r.peer(), r.chunk()}
	case 11:
		return Gave{r.peer(), []uint32{r.chunk()}, r.next() << 12}
	case 12:
		return Local{r.ranges()}
	case 13, 14:
		return Interest{r.ranges(), r.next()%4 == 0}
	}
	return Tick{}
}

// answer reads what some peer does about something that it owes, or is owed.
func (r *traceReader) answer(w *watch) Event {
	p := r.peer()
	for c := range uint32(r.sizes) {
		if w.asks[p][c] && r.next()%3 > 0 {
			switch r.next() % 8 {
			case 0:
				return Bad{p, c}
			case 1:
				return Refused{p, []content.Range{{First: c, Count: 1}}}
			case 2:
				return Failed{p, c}
			}
			return Stored{p, []uint32{c}}
		}
		if w.gives[p][c] && r.next()%2 > 0 {
			return Gave{p, []uint32{c}, int(w.e.cfg.Sizes[c])}
		}
	}
	return Tick{}
}

// playTrace runs a trace to its end, and says what the engine did.
func playTrace(t testing.TB, data []byte) string {
	r := &traceReader{data: data}
	cfg := Config{Sizes: fuzzSizes(), Seed: uint64(r.next())}
	if r.next()%4 == 0 {
		cfg.Window, cfg.MaxInFlight, cfg.MaxGives, cfg.MaxGiving = 1<<20, 3<<20, 1<<20, 2<<20
	}
	cfg.TakeOnly = r.next()%16 == 0
	r.sizes = len(cfg.Sizes)
	w := newWatch(t, cfg)
	for len(r.data) > 0 {
		switch kind := r.next() % 8; {
		case kind < 4:
			w.step(r.answer(w))
		case kind == 4:
			w.pass(time.Duration(r.next()*r.next())*time.Millisecond, func([]Action) {})
		default:
			w.step(r.anyEvent())
		}
	}
	w.mustEnd()
	return fmt.Sprint(w.trace)
}

// mustEnd lets so much time go by that whoever does not deliver is found out: then either everything is here, or there is a
// reason why it is not. A slow peer that is tried once more just then has its time for that, too.
func (w *watch) mustEnd() {
	w.t.Helper()
	w.pass(3*time.Minute, func([]Action) {})
	for range int(2 * defaultDeadline / time.Second) {
		if s := w.e.Status(); s.Done || s.Stalled != Moving {
			return
		}
		w.pass(time.Second, func([]Action) {})
	}
	if s := w.e.Status(); !s.Done && s.Stalled == Moving {
		w.fatalf("neither done nor stalled: %+v", s)
	}
}

func FuzzTrace(f *testing.F) {
	for seed := range uint64(8) {
		rng := rand.New(rand.NewPCG(seed, 0))
		data := make([]byte, 600)
		for i := range data {
			data[i] = byte(rng.Uint32())
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 4000 {
			return
		}
		playTrace(t, data)
	})
}

func TestEqualTracesGiveEqualActions(t *testing.T) {
	for seed := range uint64(100) {
		rng := rand.New(rand.NewPCG(seed, 1))
		data := make([]byte, 1000)
		for i := range data {
			data[i] = byte(rng.Uint32())
		}
		if a, b := playTrace(t, data), playTrace(t, data); a != b {
			t.Fatalf("seed %d: two runs differ:\n%s\n\n%s", seed, a, b)
		}
	}
}
