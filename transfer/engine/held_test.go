package engine

import (
	"testing"
	"time"

	"github.com/shoal-p2p/shoal/content"
)

// asksOf counts the chunks that a peer is asked for.
func asksOf(acts []Action, p Peer) (n int) {
	for _, a := range acts {
		if a, ok := a.(Ask); ok && a.Peer == p {
			for _, r := range a.Ranges {
				n += int(r.Count)
			}
		}
	}
	return n
}

// A peer that this side does not read from is neither late nor helped out; one that says nothing although it is read from is.
func TestTimeHeldUpDoesNotCount(t *testing.T) {
	for _, held := range []bool{true, false} {
		e := New(Config{Sizes: []uint32{1 << 20}, Seed: 1, TakeOnly: true})
		now := time.Unix(1e9, 0)
		all := []content.Range{{First: 0, Count: 1}}
		e.Step(now, Joined{Peer: 1})
		e.Step(now, Has{Peer: 1, Ranges: all})
		asked := asksOf(e.Step(now, Interest{Ranges: all}), 1)
		if asked != 1 {
			t.Fatalf("%d chunks were asked for, expected 1", asked)
		}
		e.Step(now, Joined{Peer: 2})
		helped := asksOf(e.Step(now, Has{Peer: 2, Ranges: all}), 2)
		revoked := false
		for range 300 {
			now = now.Add(time.Second)
			if held {
				helped += asksOf(e.Step(now, Held{Peer: 1, For: time.Second}), 2)
			}
			acts := e.Step(now, Tick{})
			helped += asksOf(acts, 2)
			for _, a := range acts {
				_, late := a.(Revoke)
				revoked = revoked || late
			}
		}
		if held && (helped > 0 || revoked) {
			t.Errorf("held up: another peer was asked %d times, revoked %v", helped, revoked)
		}
		if !held && helped == 0 {
			t.Error("a silent peer was not helped out")
		}
	}
}
