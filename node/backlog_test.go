package node

import (
	"math"
	"testing"
	"time"
)

// TestPaceFollowsTheLine has a line whose rate rises, holds, rises again and falls.
func TestPaceFollowsTheLine(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	var l wireRate
	expect := func(when string, want float64) {
		t.Helper()
		if got := l.pace(now); math.Abs(got-want) > 1 {
			t.Errorf("%s: paced at %v bytes a second, want %v", when, got, want)
		}
	}
	during := func(d time.Duration, rate float64) {
		for range d / stretchTime {
			now = now.Add(stretchTime)
			l.seen(rate, now)
		}
	}
	expect("nothing is known", 0)
	for rate := 1e6; rate < 12e6; rate *= 1.2 {
		during(stretchTime, rate)
		expect("it gets into its stride", 0)
	}
	during(2*paceAfter, 12e6)
	expect("it has found its rate", paceOver*12e6)
	during(stretchTime, 12e6*paceOver)
	expect("there was more than that", 0)
	during(3*peakTime, 2e6)
	expect("it got slower", paceOver*2e6)
	during(3*peakTime, 100)
	expect("it is next to nothing", paceLeast)
	during(3*peakTime, slowLink)
	expect("it is fast", 0)
}
