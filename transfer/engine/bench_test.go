package engine

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/shoal-p2p/shoal/content"
)

// BenchmarkStored is the life of one chunk of a download: one event that it is stored, and the request for another one.
func BenchmarkStored(b *testing.B) {
	for _, chunks := range []int{10_000, 1_000_000} {
		for _, c := range []struct {
			name            string
			full, partial   int
			size            uint32
			chunksAnEvent   int
			neighboursSpeak bool
		}{
			{"one source", 1, 0, 1 << 20, 1, false},
			{"four sources", 4, 0, 1 << 20, 1, false},
			{"small chunks", 1, 0, 10_000, 25, false},
			{"swarm of 32", 1, 31, 1 << 20, 1, false},
			{"swarm of 256", 1, 255, 1 << 20, 1, false},
		} {
			b.Run(fmt.Sprintf("%d chunks/%s", chunks, c.name), func(b *testing.B) {
				b.ReportAllocs()
				var d *benchDownload
				for n := 0; n < b.N; {
					b.StopTimer()
					d = newBenchDownload(chunks, c.size, c.full, c.partial)
					b.StartTimer()
					n += d.run(b.N-n, c.chunksAnEvent)
				}
			})
		}
	}
}

type benchDownload struct {
	e    *Engine
	now  time.Time
	open [][]uint32 // by peer, what it was asked for
	turn int
}

func newBenchDownload(chunks int, size uint32, full, partial int) *benchDownload {
	d := &benchDownload{e: New(Config{Sizes: slices.Repeat([]uint32{size}, chunks), TakeOnly: true}), now: zero}
	all := []content.Range{{First: 0, Count: uint32(chunks)}}
	d.step(Interest{Ranges: all})
	for p := range full + partial {
		d.open = append(d.open, nil)
		d.step(Joined{Peer(p)})
	}
	for p := range partial {
		// Each has another part, in pieces.
		var r []content.Range
		for c := p; c+8 < chunks; c += 8 * (p%5 + 2) {
			r = append(r, content.Range{First: uint32(c), Count: 8})
		}
		d.step(Has{Peer(full + p), r})
	}
	for p := range full {
		d.step(Has{Peer(p), all})
	}
	return d
}

func (d *benchDownload) step(ev Event) {
	d.now = d.now.Add(time.Millisecond)
	for _, a := range d.e.Step(d.now, ev) {
		switch a := a.(type) {
		case Ask:
			each(a.Ranges, func(c uint32) { d.open[a.Peer] = append(d.open[a.Peer], c) })
		case Revoke:
			each(a.Ranges, func(c uint32) {
				if i := slices.Index(d.open[a.Peer], c); i >= 0 {
					d.open[a.Peer] = slices.Delete(d.open[a.Peer], i, i+1)
				}
			})
		}
	}
}

// run stores chunks, in events of so many, from one peer after the other, until n events have been or nothing is left.
func (d *benchDownload) run(n, many int) int {
	stored := make([]uint32, 0, many)
	for i := range n {
		p := d.next()
		if p < 0 {
			return i
		}
		k := min(many, len(d.open[p]))
		stored = append(stored[:0], d.open[p][:k]...)
		d.open[p] = d.open[p][:copy(d.open[p], d.open[p][k:])]
		d.step(Stored{Peer(p), stored})
	}
	return n
}

func (d *benchDownload) next() int {
	for range d.open {
		d.turn = (d.turn + 1) % len(d.open)
		if len(d.open[d.turn]) > 0 {
			return d.turn
		}
	}
	return -1
}

// BenchmarkHas is a neighbour in a swarm that has one chunk more.
func BenchmarkHas(b *testing.B) {
	for _, chunks := range []int{10_000, 1_000_000} {
		b.Run(fmt.Sprintf("%d chunks", chunks), func(b *testing.B) {
			b.ReportAllocs()
			const peers = 32
			for n := 0; n < b.N; {
				b.StopTimer()
				d := newBenchDownload(chunks, 1<<20, 0, 0)
				for p := range peers {
					d.open = append(d.open, nil)
					d.step(Joined{Peer(p)})
				}
				b.StartTimer()
				for i := 0; i < chunks*peers && n < b.N; i++ {
					c := uint32(uint64(i/peers) * 7919 % uint64(chunks))
					d.step(Has{Peer(i % peers), []content.Range{{First: c, Count: 1}}})
					n++
				}
			}
		})
	}
}

// BenchmarkGive is one chunk asked for, given and sent, with 32 peers who take turns.
func BenchmarkGive(b *testing.B) {
	b.ReportAllocs()
	const chunks, peers = 1_000_000, 32
	e := New(Config{Sizes: slices.Repeat([]uint32{1 << 20}, chunks)})
	e.Step(zero, Local{[]content.Range{{First: 0, Count: chunks}}})
	given := make([][]uint32, peers)
	for p := range Peer(peers) {
		e.Step(zero, Joined{p})
	}
	do := func(as []Action) {
		for _, a := range as {
			if g, ok := a.(Give); ok {
				each(g.Ranges, func(c uint32) { given[g.Peer] = append(given[g.Peer], c) })
			}
		}
	}
	for i := 0; i < b.N; i++ {
		p := i % peers
		c := uint32(i) * 13 % chunks
		do(e.Step(zero, Asked{Peer(p), []content.Range{{First: c, Count: 1}}}))
		if len(given[p]) > 0 {
			sent := given[p][:1]
			do(e.Step(zero, Gave{Peer: Peer(p), Chunks: sent}))
			given[p] = append(given[p][:0], given[p][1:]...)
		}
	}
}
