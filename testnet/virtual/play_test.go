package virtual

import (
	"path/filepath"
	"testing"
	"testing/synctest"

	"github.com/shoal-p2p/shoal/testnet"
)

// TestScenario plays one that the other grounds take too, and expects of it what it says.
func TestScenario(t *testing.T) {
	sc, err := testnet.ParseScenario([]byte(`
name: a-bit-of-everything
seed: 5
limit: 3m
link: {rate: 50Mbit, delay: 2ms, jitter: 0.5ms, loss: 0.1%}
groups:
  - {name: seed, nodes: 1}
  - {name: crowd, nodes: 4}
content:
  - {name: film, size: 4MiB, files: 3}
steps:
  - {at: 0s, share: film, by: seed}
  - {at: 1s, fetch: film, by: crowd, over: 1s, from: ticket}
  - {at: 1200ms, kill: crowd-1}
  - {at: 1300ms, slow: crowd-2, link: {rate: 10Mbit}}
  - {at: 1500ms, partition: [[seed], [crowd]]}
  - {at: 5s, heal: true}
  - {at: 6s, start: crowd-1}
  - {at: 20s, stop: crowd-4}
expect:
  - {complete: crowd, of: film, within: 1m}
  - {equal: film}
  - {alive: all}
`))
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		count := map[string]int{}
		last := 0.0
		verdicts, err := testnet.PlaySimulated(t.Context(), sc, filepath.Join(t.TempDir(), "run"), Simulate(t, Config{}), func(e testnet.Event) {
			count[e.Kind]++
			if e.T < last {
				t.Errorf("%+v comes after an event at %v", e, last)
			}
			last = e.T
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range verdicts {
			if !v.OK {
				t.Errorf("%s: %s, expected %s", v.Name, v.Got, v.Want)
			}
		}
		for kind, want := range map[string]int{"begin": 1, "node": 5, "up": 6, "down": 2, "cut": 2, "link": 1, "share": 1, "fetch": 4, "done": 4, "verified": 4, "expect": 3, "end": 1} {
			if count[kind] != want {
				t.Errorf("%d events of the kind %s, want %d", count[kind], kind, want)
			}
		}
		if count["sample"] == 0 || count["fed"] == 0 {
			t.Errorf("there are no looks: %v", count)
		}
	})
}
