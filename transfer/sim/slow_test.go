package sim

import "testing"

// What is a sign of trouble at 100 Mbit/s is the usual course on a slow line, where a chunk takes a second: 32 receivers took 5.2 times
// the bound there, and a quarter of what came had come before, while they were treated alike.
func TestSlowLinesAreNotTrouble(t *testing.T) {
	sc := Swarm(32)
	sc.Name, sc.Chunks = "links of 10 Mbit/s", 32
	for i := range sc.Hosts {
		sc.Hosts[i].Up, sc.Hosts[i].Down = 10*Mbit, 10*Mbit
	}
	if r := play(t, sc); r.Last > 1.6 || r.Duplicates > 0.05 {
		t.Errorf("the last after %.2f of the bound, %.1f %% twice; want 1.6 and 5 at most", r.Last, 100*r.Duplicates)
	}
}
