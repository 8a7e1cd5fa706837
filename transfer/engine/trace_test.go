package engine

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/shoal-p2p/shoal/content"
)

// watch drives an engine and holds it to its contract after every step: what it says to peers is judged from outside, by what
// was said before, and what it keeps is counted anew.
type watch struct {
	t     testing.TB
	e     *Engine
	now   time.Time
	asks  map[Peer]map[uint32]bool // asked and not settled
	gives map[Peer]map[uint32]bool // given and not sent
	has   map[Peer]map[uint32]bool // what each peer has said
	owes  map[Peer]map[uint32]bool // what each peer has asked of us
	seeks map[Peer]map[uint32]bool // what each peer takes unasked
	cut   map[Peer]map[uint32]int  // given, and withdrawn before they were settled
	asked map[Peer]bool            // in this step
	trace []string
	done  bool
}

// zero is when traces begin.
var zero = time.Unix(1_000_000_000, 0)

func newWatch(t testing.TB, cfg Config) *watch {
	return &watch{
		t: t, e: New(cfg), now: zero,
		asks: map[Peer]map[uint32]bool{}, asked: map[Peer]bool{}, gives: map[Peer]map[uint32]bool{},
		has: map[Peer]map[uint32]bool{}, owes: map[Peer]map[uint32]bool{}, seeks: map[Peer]map[uint32]bool{}, cut: map[Peer]map[uint32]int{},
	}
}

func (w *watch) fatalf(format string, args ...any) {
	w.t.Helper()
	n := max(0, len(w.trace)-60)
	w.t.Fatalf("%s\nafter:\n%s", fmt.Sprintf(format, args...), strings.Join(w.trace[n:], "\n"))
}

// step takes an event, checks, and returns the actions as lines.
func (w *watch) step(ev Event) []Action {
	w.t.Helper()
	w.trace = append(w.trace, fmt.Sprintf("%v %T%v", w.now.Sub(zero), ev, ev))
	w.before(ev)
	clear(w.asked)
	actions := w.e.Step(w.now, ev)
	for _, a := range actions {
		w.trace = append(w.trace, "    "+line1(a))
		w.after(a)
	}
	w.checkWindows()
	if len(w.e.cfg.Sizes) <= 256 {
		w.checkState()
	}
	if d := w.e.Deadline(); !d.IsZero() && d.Before(w.now) {
		w.fatalf("a deadline in the past: %v", d.Sub(zero))
	}
	return actions
}

// before notes what the event settles.
func (w *watch) before(ev Event) {
	switch ev := ev.(type) {
	case Joined:
		if w.has[ev.Peer] == nil {
			w.asks[ev.Peer], w.gives[ev.Peer] = map[uint32]bool{}, map[uint32]bool{}
			w.has[ev.Peer], w.owes[ev.Peer] = map[uint32]bool{}, map[uint32]bool{}
			w.seeks[ev.Peer], w.cut[ev.Peer] = map[uint32]bool{}, map[uint32]int{}
		}
	case Left:
		w.forget(ev.Peer)
	case Has:
		w.each(ev.Ranges, func(c uint32) { set1(w.has[ev.Peer], c) })
	case Asked:
		w.each(ev.Ranges, func(c uint32) { set1(w.owes[ev.Peer], c) })
	case Withdrawn:
		w.each(ev.Ranges, func(c uint32) {
			delete(w.owes[ev.Peer], c)
			if w.gives[ev.Peer][c] {
				delete(w.gives[ev.Peer], c)
				w.cut[ev.Peer][c]++
			}
		})
	case Seeks:
		w.each(ev.Ranges, func(c uint32) { set1(w.seeks[ev.Peer], c) })
	case Coming:
		w.each(ev.Ranges, func(c uint32) { delete(w.seeks[ev.Peer], c) })
	case Refused:
		w.each(ev.Ranges, func(c uint32) {
			if w.asks[ev.Peer][c] {
				delete(w.asks[ev.Peer], c)
				delete(w.has[ev.Peer], c)
			}
		})
	case Stored:
		for _, c := range ev.Chunks {
			delete(w.asks[ev.Peer], c)
		}
	case Bad:
		delete(w.asks[ev.Peer], ev.Chunk)
		delete(w.has[ev.Peer], ev.Chunk)
	case Failed:
		delete(w.asks[ev.Peer], ev.Chunk)
	case Gave:
		for _, c := range ev.Chunks {
			if w.cut[ev.Peer][c] > 0 {
				w.cut[ev.Peer][c]--
			} else if w.gives[ev.Peer][c] {
				delete(w.gives[ev.Peer], c)
				delete(w.owes[ev.Peer], c)
			}
		}
	case Interest:
		w.done = false
	}
}

func set1(m map[uint32]bool, c uint32) {
	if m != nil {
		m[c] = true
	}
}

func (w *watch) forget(p Peer) {
	delete(w.asks, p)
	delete(w.gives, p)
	delete(w.has, p)
	delete(w.owes, p)
	delete(w.seeks, p)
	delete(w.cut, p)
}

func (w *watch) each(ranges []content.Range, f func(c uint32)) {
	for _, r := range ranges {
		for c, end := clip(r, len(w.e.cfg.Sizes)); c < end; c++ {
			f(c)
		}
	}
}

// after judges an action.
func (w *watch) after(a Action) {
	w.t.Helper()
	switch a := a.(type) {
	case Ask:
		w.asked[a.Peer] = true
		w.each(a.Ranges, func(c uint32) {
			switch {
			case w.asks[a.Peer] == nil:
				w.fatalf("asks peer %d, who is not here", a.Peer)
			case w.asks[a.Peer][c]:
				w.fatalf("asks peer %d twice for chunk %d", a.Peer, c)
			case !w.has[a.Peer][c]:
				w.fatalf("asks peer %d for chunk %d, which it does not have", a.Peer, c)
			case w.e.have.has(c):
				w.fatalf("asks peer %d for chunk %d, which is here", a.Peer, c)
			case !w.e.goal.wanted.has(c):
				w.fatalf("asks peer %d for chunk %d, which nobody wants", a.Peer, c)
			}
			w.asks[a.Peer][c] = true
		})
	case Revoke:
		w.each(a.Ranges, func(c uint32) {
			if !w.asks[a.Peer][c] {
				w.fatalf("revokes chunk %d, which peer %d was not asked for", c, a.Peer)
			}
			delete(w.asks[a.Peer], c)
		})
	case Give:
		w.each(a.Ranges, func(c uint32) {
			switch {
			case !w.owes[a.Peer][c]:
				w.fatalf("gives peer %d chunk %d, which it did not ask for", a.Peer, c)
			case w.gives[a.Peer][c]:
				w.fatalf("gives peer %d chunk %d twice", a.Peer, c)
			case !w.e.have.has(c) || w.e.cfg.TakeOnly:
				w.fatalf("gives peer %d chunk %d, which is not here", a.Peer, c)
			}
			w.gives[a.Peer][c] = true
			delete(w.seeks[a.Peer], c)
		})
	case Seek:
		w.each(a.Ranges, func(c uint32) {
			if w.has[a.Peer] == nil || !w.e.goal.wanted.has(c) || w.e.have.has(c) {
				w.fatalf("seeks chunk %d of peer %d", c, a.Peer)
			}
		})
	case Announce:
		w.each(a.Ranges, func(c uint32) {
			if w.has[a.Peer] == nil || w.e.have.has(c) || w.e.requests.first[c] == 0 {
				w.fatalf("announces chunk %d to peer %d, and it is not coming", c, a.Peer)
			}
		})
	case Offer:
		w.each(a.Ranges, func(c uint32) {
			if w.has[a.Peer] == nil || w.e.cfg.TakeOnly {
				w.fatalf("offers peer %d chunk %d", a.Peer, c)
			}
		})
	case Tell:
		if w.has[a.Peer] == nil || w.e.cfg.TakeOnly {
			w.fatalf("tells peer %d, who is not to hear", a.Peer)
		}
		w.each(a.Ranges, func(c uint32) {
			if !w.e.have.has(c) {
				w.fatalf("tells of chunk %d, which is not here", c)
			}
		})
	case Decline:
		w.each(a.Ranges, func(c uint32) {
			if w.e.have.has(c) && !w.e.cfg.TakeOnly {
				w.fatalf("declines chunk %d, which is here", c)
			}
			delete(w.owes[a.Peer], c)
		})
	case Ban:
		w.forget(a.Peer)
	case Finished:
		if w.done || w.e.goal.missing > 0 {
			w.fatalf("finished twice, or with %d chunks missing", w.e.goal.missing)
		}
		w.done = true
	}
}

// checkWindows compares what is open with the windows.
func (w *watch) checkWindows() {
	w.t.Helper()
	s := w.e.Status()
	total, open, giving := 0, 0, 0
	for _, p := range s.Peers {
		sum := 0
		for c := range w.asks[p.Peer] {
			sum += cost(w.e.cfg.Sizes[c])
		}
		if sum != p.InFlight {
			w.fatalf("peer %d: %d bytes in flight by its own count, %d by what was said", p.Peer, p.InFlight, sum)
		}
		if sum > p.Window && len(w.asks[p.Peer]) > 1 && w.asked[p.Peer] { // else the window has shrunk
			w.fatalf("peer %d: %d bytes in flight in a window of %d", p.Peer, sum, p.Window)
		}
		total += sum
		open += len(w.asks[p.Peer])
		given := 0
		for c := range w.gives[p.Peer] {
			given += cost(w.e.cfg.Sizes[c])
		}
		for c, n := range w.cut[p.Peer] {
			given += n * cost(w.e.cfg.Sizes[c])
		}
		if given != p.Giving {
			w.fatalf("peer %d: %d bytes given by its own count, %d by what was said", p.Peer, p.Giving, given)
		}
		giving += given
		if given > max(w.e.cfg.MaxGives, turnBytes, w.e.largest) {
			w.fatalf("peer %d: %d bytes given", p.Peer, given)
		}
	}
	if len(w.asks) != len(s.Peers) {
		w.fatalf("%d peers by its own count, %d by what was said", len(s.Peers), len(w.asks))
	}
	if total > w.e.cfg.MaxInFlight && open > 1 {
		w.fatalf("%d bytes in flight", total)
	}
	if int64(giving) != s.Giving {
		w.fatalf("%d bytes given by its own count, %d by what was said", s.Giving, giving)
	}
	if int64(total) != s.InFlight {
		w.fatalf("%d bytes in flight by its own count, %d by what was said", s.InFlight, total)
	}
}

// checkState counts anew what the engine keeps counts of.
func (w *watch) checkState() {
	w.t.Helper()
	e := w.e
	var free, missing int
	for c := range uint32(len(e.cfg.Sizes)) {
		avail, levels := 0, 0
		for _, p := range e.peers {
			near := p.takes.coming.has(c) || p.takes.mine.has(c)
			if p.holds.counted && (p.holds.has(c) || near) {
				avail++
			}
			if near && (p.holds.has(c) || p.takes.sought.has(c) || p.takes.coming.has(c) && p.takes.mine.has(c)) || p.takes.sought.has(c) && p.holds.has(c) {
				w.fatalf("chunk %d stands in several sets of peer %d", c, p.id)
			}
			if p.holds.has(c) != w.has[p.id][c] {
				w.fatalf("chunk %d at peer %d: %v by its own count, %v by what was said", c, p.id, p.holds.has(c), w.has[p.id][c])
			}
		}
		if avail != int(e.picker.avail[c]) {
			w.fatalf("chunk %d is had by %d, counted %d", c, avail, e.picker.avail[c])
		}
		for i := range e.offers.levels {
			if in := e.offers.levels[i].has(c); in != (e.have.has(c) && !e.cfg.TakeOnly && i == min(2*int(e.offers.times[c])+min(int(e.offers.open[c]), 1), timesCount-1)*levelCount+min(avail, levelCount-1)) {
				w.fatalf("chunk %d in level %d of what is offered: %v", c, i, in)
			}
		}
		gone := e.goal.wanted.has(c) && !e.have.has(c)
		is := gone && e.requests.first[c] == 0
		if is != e.picker.free.has(c) {
			w.fatalf("chunk %d: free %v, kept as %v", c, is, e.picker.free.has(c))
		}
		for i := range e.picker.levels {
			if e.picker.levels[i].has(c) {
				levels++
				if i != min(avail, levelCount-1) {
					w.fatalf("chunk %d stands in level %d and is had by %d", c, i, avail)
				}
			}
		}
		if e.picker.ordered.has(c) != (is && e.picker.early.has(c)) || (levels == 1) != (is && !e.picker.early.has(c)) {
			w.fatalf("chunk %d: free %v, early %v, ordered %v, in %d levels", c, is, e.picker.early.has(c), e.picker.ordered.has(c), levels)
		}
		if gone {
			missing++
		}
		if is {
			free++
		}
	}
	if free != e.picker.free.n || missing != e.goal.missing {
		w.fatalf("%d free, counted %d; %d missing, counted %d", free, e.picker.free.n, missing, e.goal.missing)
	}
	for _, p := range e.peers {
		if n := inBoth(&e.have, &p.takes.sought); n != p.takes.n {
			w.fatalf("peer %d takes %d chunks, counted %d", p.id, n, p.takes.n)
		}
		useful := 0
		for c := e.picker.free.next(0); c >= 0; c = e.picker.free.next(uint32(c) + 1) {
			if p.holds.has(uint32(c)) {
				useful++
			}
		}
		if useful != e.useful(p) {
			w.fatalf("peer %d has %d free chunks, counted %d", p.id, useful, e.useful(p))
		}
	}
}

// pass lets time go by, with a tick whenever one is due, and hands the actions of each to f.
func (w *watch) pass(d time.Duration, f func([]Action)) {
	w.t.Helper()
	end := w.now.Add(d)
	for n := 0; ; n++ {
		at := w.e.Deadline()
		if at.IsZero() || at.After(end) {
			break
		}
		if n > 100_000 {
			w.fatalf("%d ticks within %v", n, d)
		}
		w.now = at
		f(w.step(Tick{}))
	}
	w.now = end
}

// line1 writes an action as scripts show it.
func line1(a Action) string {
	ranges := func(rs []content.Range) string {
		var b strings.Builder
		for _, r := range rs {
			if r.Count == 1 {
				fmt.Fprintf(&b, " %d", r.First)
			} else {
				fmt.Fprintf(&b, " %d-%d", r.First, r.First+r.Count-1)
			}
		}
		return b.String()
	}
	switch a := a.(type) {
	case Ask:
		return fmt.Sprintf("ask %d:%s", a.Peer, ranges(a.Ranges))
	case Revoke:
		return fmt.Sprintf("revoke %d:%s", a.Peer, ranges(a.Ranges))
	case Give:
		return fmt.Sprintf("give %d:%s", a.Peer, ranges(a.Ranges))
	case Tell:
		return fmt.Sprintf("tell %d:%s", a.Peer, ranges(a.Ranges))
	case Decline:
		return fmt.Sprintf("decline %d:%s", a.Peer, ranges(a.Ranges))
	case Seek:
		return fmt.Sprintf("seek %d:%s", a.Peer, ranges(a.Ranges))
	case Announce:
		return fmt.Sprintf("coming %d:%s", a.Peer, ranges(a.Ranges))
	case Offer:
		return fmt.Sprintf("offer %d:%s", a.Peer, ranges(a.Ranges))
	case Ban:
		return fmt.Sprintf("ban %d: %s", a.Peer, a.Reason)
	case Finished:
		return "finished"
	}
	return fmt.Sprintf("unknown action %T", a)
}
