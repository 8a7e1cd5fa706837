package node

import (
	"math"
	"testing"
)

// TestPaceFollowsTheLine has a line that carries more, and then less.
func TestPaceFollowsTheLine(t *testing.T) {
	var l wireRate
	carries := func(most float64, times int) {
		for range times {
			paced := l.pace()
			arrives := most
			if paced > 0 {
				arrives = min(most, paced)
			}
			l.seen(arrives, paced)
		}
	}
	expect := func(when string, want float64) {
		t.Helper()
		if got := l.pace(); math.Abs(got-want) > want/50 {
			t.Errorf("%s: paced at %v bytes a second, want %v", when, got, want)
		}
	}
	expect("nothing is known", 0)
	carries(12e6, 1)
	expect("perhaps it carries more", probeOver*12e6)
	carries(12e6, 1)
	expect("it does not", 12e6)
	carries(12e6, probeWait)
	expect("it is tried again", probeOver*12e6)
	carries(40e6, 8)
	expect("it carries three times as much", 40e6)
	for range paceKept / 4 { // one that shares the line now and then
		carries(40e6, 3)
		l.seen(10e6, 40e6)
	}
	l.probe = false
	expect("others had a share of it", 40e6)
	carries(2e6, 3*probeWait)
	l.probe = false
	expect("it got slower", 2e6)
	carries(100, 3*probeWait)
	l.probe = false
	expect("it is next to nothing", paceLeast)
	carries(slowLink, 200)
	expect("it is fast", 0)
}
