package sim

import (
	"testing"
	"time"
)

// Over a long way the links are kept busy all the same: 32 receivers took 4.4 times the bound while each chunk was arranged by
// itself, and those among whom only some are far 2.8 times.
func TestLongWaysKeepLinksBusy(t *testing.T) {
	for name, place := range map[string]func(int, *Host){"far": distant, "far and near": scattered} {
		sc := Swarm(32).with(place)
		sc.Name = name
		if r := play(t, sc); r.Last > 2.2 || r.Duplicates > 0.02 {
			t.Errorf("%s: the last after %.2f of the bound, %.1f %% twice; want 2.2 and 2 at most", name, r.Last, 100*r.Duplicates)
		}
	}
}

// So they are when it is farther than most of the world.
func TestVeryLongWays(t *testing.T) {
	sc := Swarm(8).with(func(_ int, h *Host) { h.Delay = 3 * defaultDelay * 100 })
	sc.Name = "round trip 300 ms"
	if r := play(t, sc); r.Last > 2.2 || r.Duplicates > 0.02 {
		t.Errorf("the last after %.2f of the bound, %.1f %% twice; want 2.2 and 2 at most", r.Last, 100*r.Duplicates)
	}
}

// Who is near is not kept waiting by who is very far, whether that one reads what it asked for or not: it took twice the bound while
// everybody was offered chunks as early as the farthest.
func TestFarPeersDoNotHoldUpOthers(t *testing.T) {
	const away = 450 * time.Millisecond
	sc := Swarm(32).and(repeat(Host{Role: Deaf, Delay: away}, 4)...)
	sc.Name = "four are far and do not read"
	if r := play(t, sc); r.Last > 1.8 {
		t.Errorf("%s: the last after %.2f of the bound, want 1.8 at most", sc.Name, r.Last)
	}
	sc = Swarm(32).and(Host{Delay: away})
	sc.Name = "one is far"
	if r := play(t, sc); r.P50 > 1.6 || r.Last > 2.6 {
		t.Errorf("%s: half after %.2f of the bound and the last after %.2f; want 1.6 and 2.6 at most", sc.Name, r.P50, r.Last)
	}
}
