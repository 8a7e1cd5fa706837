package sim

import (
	"reflect"
	"testing"
	"time"
)

// A partition holds up those who have nobody with everything on their side, and nobody is lost in it.
func TestPartition(t *testing.T) {
	sc := Swarm(12)
	sc.Name, sc.Chunks = "cut in two until ten bounds have passed", 16
	bound := sc.Bound()
	sides := make([]int, len(sc.Hosts))
	for i := range sides {
		sides[i] = btoi(i > 6)
	}
	sc.Changes = []Change{{At: bound / 4, Do: Divide, Sides: sides}, {At: 10 * bound, Do: Unite}}
	var here, beyond int
	sc.Watch.Done = func(v View, host int) {
		switch {
		case v.Now() >= 10*bound:
		case host > 6:
			beyond++
		default:
			here++
		}
	}
	r := play(t, sc)
	if here != 6 || beyond != 0 {
		t.Errorf("in the partition, %d of 6 were done beside the source, and %d beyond it; want 6 and 0", here, beyond)
	}
	if r.Last < 10 || r.Last > 13 {
		t.Errorf("the last was done after %.2f of the bound, want 10 to 13", r.Last)
	}
}

// Who comes during a partition meets the other side when it ends.
func TestComesInPartition(t *testing.T) {
	sc := Swarm(2)
	sc.Chunks = 4
	sc.Hosts[2].Joins = time.Second
	sc.Changes = []Change{{Do: Divide, Sides: []int{0, 0, 1}}, {At: 2 * time.Second, Do: Unite}}
	play(t, sc)
}

// A swarm whose source becomes slow takes as long as that takes.
func TestReshape(t *testing.T) {
	sc := Swarm(4)
	sc.Chunks = 16
	fast := play(t, sc)
	sc.Changes = []Change{{At: fast.Took / 10, Do: Reshape, Host: 0, Up: Mbit, Down: Mbit}}
	if slow := play(t, sc); slow.Took < 20*fast.Took {
		t.Errorf("with a source of 1 Mbit/s instead of 100 it took %v, and %v without", slow.Took, fast.Took)
	}
}

// Hosts may go and come many times. Those that are gone at the end are not waited for.
func TestChurn(t *testing.T) {
	sc := Swarm(8)
	sc.Chunks = 16
	step := sc.Bound() / 8
	for i := range 8 {
		at := time.Duration(i) * step
		sc.Changes = append(sc.Changes, Change{At: at, Do: Leave, Host: 1 + i%2}, Change{At: at + step/2, Do: Return, Host: 1 + i%2})
	}
	sc.Changes = append(sc.Changes, Change{At: step, Do: Leave, Host: 8})
	if r := play(t, sc); r.Receivers != 7 {
		t.Errorf("%d receivers were waited for, want 7", r.Receivers)
	}
}

// Who watches sees what the result says, and changes nothing in it.
func TestWatch(t *testing.T) {
	sc := Swarm(16).and(Host{Role: Liar})
	sc.Chunks = 16
	want := Run(sc)
	looks, done := 0, 0
	var last View
	sc.Watch = Watch{
		Every: 100 * time.Millisecond, Look: func(v View) { looks++; last = v },
		Done: func(_ View, host int) { done++ }, Stop: func() bool { return false },
	}
	got := Run(sc)
	got.Entries = want.Entries // looks are entries too
	if !reflect.DeepEqual(got, want) {
		t.Errorf("watched, it comes to %+v; unwatched to %+v", got, want)
	}
	if looks != 1+int(want.Took/(100*time.Millisecond)) || done != 16 {
		t.Errorf("%d looks and %d hosts done in %v", looks, done, want.Took)
	}
	var received, sent, fed, useful int64
	for i := range sc.Hosts {
		s := last.Host(i)
		received, sent = received+s.Received, sent+s.Sent
		if s.Duplicate < 0 || s.Duplicate > s.Received || s.Peers == 0 && s.Here {
			t.Errorf("host %d is said to be %+v", i, s)
		}
		if i > 0 && i < 17 {
			useful += s.Has
		}
	}
	last.Fed(func(from, to int, bytes int64) {
		if from == 17 || to == 0 {
			t.Errorf("%d bytes are said to have come from %d to %d", bytes, from, to)
		}
		fed += bytes
	})
	if received != want.Received || sent != want.Sent || useful != 16*16<<20 || fed < useful {
		t.Errorf("hosts received %d and sent %d, and have %d, of which %d were fed; the result says %+v", received, sent, useful, fed, want)
	}
}

// A run ends when it is told to.
func TestStop(t *testing.T) {
	sc := Swarm(64)
	sc.Watch.Stop = func() bool { return true }
	if r := Run(sc); r.Unfinished == 0 {
		t.Error("it ran to its end")
	}
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}
