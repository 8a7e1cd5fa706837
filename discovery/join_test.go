package discovery

import "testing"

// Fifty nodes that come one after the other make each ask around a dozen times, and a table that stays as it is makes nobody ask, unless
// it is so small that others may have come of whom nobody told.
func TestWhenATableIsWorthAskingAround(t *testing.T) {
	asked, questions := 0, 0
	for size := range 50 {
		if worthAsking(size, asked) {
			asked = size
			questions++
		}
	}
	if questions > fewKnown+4 {
		t.Errorf("asked %d times while fifty nodes came, want a dozen", questions)
	}
	for _, c := range []struct {
		size, asked int
		want        bool
	}{{0, 0, true}, {0, 20, true}, {1, 1, true}, {fewKnown - 1, fewKnown - 1, true}, {fewKnown, fewKnown, false}, {20, 20, false}, {21, 20, false}, {12, 20, false}, {10, 20, true}, {40, 20, true}} {
		if got := worthAsking(c.size, c.asked); got != c.want {
			t.Errorf("with %d nodes known, and %d when they were asked last: asks again %v, want %v", c.size, c.asked, got, c.want)
		}
	}
}
