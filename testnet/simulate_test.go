package testnet

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"
)

// simulate plays the text of a scenario and returns what was recorded.
func simulate(t testing.TB, text string) (sc *Scenario, events []Event) {
	t.Helper()
	sc, err := ParseScenario([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if err := Simulate(t.Context(), sc, func(e Event) { events = append(events, e) }); err != nil {
		t.Fatal(err)
	}
	return sc, events
}

// kinds lists the events of one kind, and checks on the way that none comes before one of an earlier time.
func kinds(t *testing.T, events []Event, kind string) (out []Event) {
	t.Helper()
	last := 0.0
	for _, e := range events {
		if e.T < last {
			t.Errorf("%+v comes after an event at %v", e, last)
		}
		if last = e.T; e.Kind == kind {
			out = append(out, e)
		}
	}
	return out
}

const manyThings = `
name: many-things
seed: 7
limit: 2m
link: {rate: 100Mbit, delay: 2ms, jitter: 0.5ms, loss: 0.1%}
groups:
  - {name: seed, nodes: 1, link: {up: 50Mbit}}
  - {name: crowd, nodes: 16}
  - {name: liar, nodes: 1, role: liar}
  - {name: idle, nodes: 2}
content:
  - {name: film, size: 10000000}
steps:
  - {at: 0s, share: film, by: seed}
  - {at: 0s, share: film, by: liar}
  - {at: 1s, fetch: film, by: crowd, over: 2s}
  - {at: 1500ms, kill: crowd-1}
  - {at: 2s, start: crowd-1}
  - {at: 2s, slow: crowd-2, link: {rate: 5Mbit}}
  - {at: 2s, partition: [[seed, liar, crowd-2], [crowd]]}
  - {at: 8s, heal: true}
  - {at: 1m, kill: crowd-3}
expect:
  - {complete: crowd, of: film, within: 1m}
  - {equal: film}
  - {alive: all}
`

// TestSimulate plays a scenario with everything that the model has.
func TestSimulate(t *testing.T) {
	_, events := simulate(t, manyThings)
	if e := events[0]; e.Kind != "begin" || e.Ground != Simulated || e.Scenario != "many-things" || e.Bound <= 0 {
		t.Errorf("it begins with %+v", e)
	}
	nodes, done, fed := kinds(t, events, "node"), kinds(t, events, "done"), kinds(t, events, "fed")
	if len(nodes) != 20 || len(kinds(t, events, "share")) != 2 || len(kinds(t, events, "fetch")) != 16 || len(kinds(t, events, "cut")) != 2 || len(kinds(t, events, "link")) != 1 {
		t.Errorf("%d nodes and other events are missing: %+v", len(nodes), events)
	}
	if len(done) != 16 || len(kinds(t, events, "verified")) != 16 || len(kinds(t, events, "failed")) != 0 {
		t.Fatalf("%d of 16 were done", len(done))
	}
	cut := 0
	for _, e := range done {
		if e.Bytes != 10_000_000 || e.Seconds <= 0 || e.Bound <= 0 || e.Group != "crowd" {
			t.Errorf("done: %+v", e)
		}
		if e.T > 2 && e.T < 8 && e.Node != "crowd-2" {
			t.Errorf("%s was done at %.2f s, cut off from the only source", e.Node, e.T)
		}
		if e.T >= 8 {
			cut++
		}
	}
	if cut == 0 {
		t.Error("the partition held up nobody")
	}
	var down []string
	for _, e := range kinds(t, events, "down") {
		down = append(down, fmt.Sprint(e.Node, " ", e.Reason, " ", e.T))
	}
	if want := []string{"crowd-1 killed 1.5", "crowd-3 killed 60"}; !reflect.DeepEqual(down, want) {
		t.Errorf("down: %q, want %q", down, want)
	}
	got := map[string]int64{}
	for _, e := range fed {
		if e.From == "liar" || e.Node == "seed" {
			t.Errorf("%+v", e)
		}
		got[e.Node] += e.Bytes
	}
	for _, e := range done {
		if got[e.Node] < 9_999_000 {
			t.Errorf("%s has everything, and was fed %d bytes", e.Node, got[e.Node])
		}
	}
	var sent int64
	for _, e := range kinds(t, events, "sample") {
		if e.Bytes > e.Total || e.Received < 0 || e.Duplicate < 0 {
			t.Errorf("%+v", e)
		}
		if e.Node == "seed" {
			sent = e.Sent
		}
	}
	if sent < 10_000_000 {
		t.Errorf("the seed sent %d bytes", sent)
	}
}

// TestSimulationsAreEqual plays a scenario twice.
func TestSimulationsAreEqual(t *testing.T) {
	_, a := simulate(t, manyThings)
	_, b := simulate(t, manyThings)
	if !reflect.DeepEqual(a, b) {
		t.Error("equal scenarios give different events")
	}
	_, c := simulate(t, strings.Replace(manyThings, "seed: 7", "seed: 8", 1))
	if reflect.DeepEqual(a, c) {
		t.Error("another seed gives the same events")
	}
}

// TestSimulationsThatFail gives a swarm a tenth of the time that it needs, with one node that never comes.
func TestSimulationsThatFail(t *testing.T) {
	_, events := simulate(t, `
limit: 10s
link: {rate: 1Mbit}
groups: [{name: a, nodes: 1}, {name: b, nodes: 2}]
content: [{name: film, size: 4MiB}]
steps:
  - {at: 0s, share: film, by: a}
  - {at: 0s, kill: b-2}
  - {at: 1s, fetch: film, by: b}
`)
	failed := kinds(t, events, "failed")
	if len(failed) != 2 || failed[0].Reason == "" || len(kinds(t, events, "done")) != 0 {
		t.Errorf("with a tenth of the time that it takes, and one of two down, it came to %+v", failed)
	}
}

// TestSimulateRefuses expects a sentence and a line for what the model does not have.
func TestSimulateRefuses(t *testing.T) {
	for _, c := range []struct{ name, from, to, line, text string }{
		{"a NAT", "{name: idle, nodes: 2}", "{name: idle, nodes: 2, nat: cone}", "line 10: groups[4].nat", "router"},
		{"networks", "{name: idle, nodes: 2}", "{name: idle, nodes: 2, networks: [lan]}", "line 10: groups[4]", "one network"},
		{"flags", "{name: idle, nodes: 2}", "{name: idle, nodes: 2, flags: [--no-mdns]}", "line 10: groups[4].flags", "flags"},
		{"a DHT", "over: 2s}", "over: 2s, from: dht}", "line 16", "DHT"},
		{"another delay", "link: {rate: 5Mbit}}", "link: {delay: 5ms}}", "line 19", "only the rates"},
		{"look-ups", "  - {alive: all}", "  - {found: 90%}", "line 26", "look-ups"},
		{"two contents", "size: 10000000}", "size: 10000000}\n  - {name: book, size: 1}", "", ""},
		{"too much", "size: 10000000}", "size: 1TiB}", "content", "smaller content"},
	} {
		t.Run(c.name, func(t *testing.T) {
			text := strings.Replace(manyThings, c.from, c.to, 1)
			if c.name == "two contents" {
				text = strings.Replace(text, "share: film, by: liar", "share: book, by: liar", 1)
				c.line, c.text = "line 16", "second"
			}
			if c.name == "too much" { // for a liar too
				text = strings.Replace(text, "  - {at: 0s, share: film, by: liar}\n", "", 1)
			}
			sc, err := ParseScenario([]byte(text))
			if err != nil {
				t.Fatal(err)
			}
			err = Simulate(t.Context(), sc, func(Event) { t.Fatal("something was recorded") })
			var wrong *ScenarioError
			if !errors.As(err, &wrong) || !strings.Contains(err.Error(), c.line) || !strings.Contains(err.Error(), c.text) {
				t.Errorf("got %v, want a mistake at %s about %s", err, c.line, c.text)
			}
			if wrong != nil && len(wrong.Faults) > 1 {
				t.Errorf("one mistake is told %d times: %v", len(wrong.Faults), err)
			}
		})
	}
}

// TestSimulateStops cancels a run.
func TestSimulateStops(t *testing.T) {
	sc, err := ParseScenario([]byte(manyThings))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Simulate(ctx, sc, func(Event) {}); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled run: %v", err)
	}
}

// BenchmarkSimulate plays a flash crowd of ten thousand nodes with 64 MiB; see make bench-testnet.
func BenchmarkSimulate(b *testing.B) {
	const nodes = 10_000
	for _, mib := range []int{16, 64} {
		b.Run(fmt.Sprintf("%dMiB", mib), func(b *testing.B) {
			for b.Loop() {
				began := time.Now()
				_, events := simulate(b, fmt.Sprintf(`
limit: 10m
link: {rate: 100Mbit, delay: 250us}
groups: [{name: seed, nodes: 1}, {name: crowd, nodes: %d}]
content: [{name: film, size: %dMiB}]
steps:
  - {at: 0s, share: film, by: seed}
  - {at: 0s, fetch: film, by: crowd}
`, nodes-1, mib))
				done := 0
				for _, e := range events {
					if e.Kind == "done" {
						done++
					}
				}
				if done != nodes-1 {
					b.Fatalf("%d of %d were done", done, nodes-1)
				}
				b.ReportMetric(time.Since(began).Seconds()/60, "of-the-bound-of-60s")
			}
		})
	}
}
