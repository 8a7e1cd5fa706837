package testnet

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

const megabit = 1e6 / 8

// flash is a scenario that uses most of the language.
const flash = `name: flash-crowd
about: one seeder, four arrive
seed: 7
limit: 2m
link: {rate: 100Mbit, delay: 2ms, jitter: 0.5ms, loss: 0.1%, mtu: 1400}
groups:
  - {name: seed, link: {up: 50Mbit}}
  - {name: crowd, nodes: 4, networks: [lan], nat: cone, flags: [--no-mdns]}
  - {name: bad, nodes: 2, role: liar}
content:
  - {name: film, size: 64MiB}
  - {name: photos, size: 10MB, files: 3}
steps:
  - {at: 1s, fetch: film, by: crowd, over: 9s, from: ticket}
  - {at: 0s, share: film, by: [seed, bad]}
  - {at: 4s, restart: crowd-3, down: 2s}
  - {at: 5s, partition: [[seed, crowd-1], [crowd]]}
  - {at: 9s, heal: true}
  - {at: 6s, slow: crowd-2, link: {rate: 5Mbit}}
  - {at: 20s, kill: {of: crowd, share: 25%}}
  - {at: 20s, stop: seed-1}
expect:
  - {complete: crowd, of: film, within: 1.6x}
  - {equal: film}
  - {alive: all}
  - {duplicates: 2%}
  - {sent: seed, of: film, most: 1.5x}
  - {found: 95%, p95: 2s, asked: 12}
`

func parsed(t *testing.T, text string) *Scenario {
	t.Helper()
	sc, err := ParseScenario([]byte(text))
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	return sc
}

func TestScenarioIsReadWhole(t *testing.T) {
	sc := parsed(t, flash)
	common := Link{Up: 100 * megabit, Down: 100 * megabit, Delay: 2 * time.Millisecond, Jitter: 500 * time.Microsecond, Loss: 0.001, MTU: 1400}
	slower := common
	slower.Up = 50 * megabit
	if sc.Name != "flash-crowd" || sc.Seed != 7 || sc.Limit != 2*time.Minute || len(sc.Nodes) != 7 || string(sc.Text) != flash {
		t.Errorf("the head is %+v", sc)
	}
	for name, want := range map[string]Spec{
		"seed":    {Name: "seed", Group: "seed", Role: Honest, Link: slower},
		"crowd-4": {Name: "crowd-4", Group: "crowd", Role: Honest, Link: common, Networks: []string{"lan"}, NAT: "cone", Flags: []string{"--no-mdns"}},
		"bad-2":   {Name: "bad-2", Group: "bad", Role: Liar, Link: common},
	} {
		if got, _ := sc.Node(name); !reflect.DeepEqual(got, want) {
			t.Errorf("%s is %+v, want %+v", name, got, want)
		}
	}
	if want := []Content{{"film", 64 << 20, 1}, {"photos", 10e6, 3}}; !slices.Equal(sc.Content, want) {
		t.Errorf("contents are %v, want %v", sc.Content, want)
	}
	if got := sc.Content[1].Sizes(); !slices.Equal(got, []int64{3333334, 3333333, 3333333}) {
		t.Errorf("10 MB in three files are %v", got)
	}
}

// told writes steps as lines.
func told(steps []Step) (out []string) {
	for _, s := range steps {
		line := fmt.Sprint(s.At, " ", s.Do, " ", s.Nodes)
		if s.Do == Partition {
			line = fmt.Sprint(s.At, " ", s.Do, " ", s.Sides)
		}
		if s.Do == Slow {
			line += fmt.Sprint(" ", s.Link.Up)
		}
		out = append(out, line)
	}
	return out
}

func TestStepsAreSpreadAndSorted(t *testing.T) {
	sc := parsed(t, flash)
	want := []string{
		"0s share [seed bad-1 bad-2]",
		"1s fetch [crowd-1]", "4s fetch [crowd-2]", "4s stop [crowd-3]",
		"5s partition [[seed crowd-1] [crowd-2 crowd-3 crowd-4] [bad-1 bad-2]]",
		"6s start [crowd-3]", "6s slow [crowd-2] 625000", "7s fetch [crowd-3]", "9s heal []", "10s fetch [crowd-4]",
		"20s kill [crowd-4]", "20s stop [seed]",
	}
	if got := told(sc.Steps); !slices.Equal(got, want) {
		t.Errorf("the steps are\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if slow := sc.Steps[6].Link; slow.Delay != 2*time.Millisecond || slow.MTU != 1400 {
		t.Errorf("a slower link has lost what the step does not name: %+v", slow)
	}
}

func TestChurnTakesDownAndBringsBack(t *testing.T) {
	sc := parsed(t, "limit: 1m\ngroups: [{name: a, nodes: 3}]\nsteps: [{at: 2s, churn: a, every: 2s, down: 5s, until: 20s}]")
	down, kills := map[string]bool{}, 0
	for _, s := range sc.Steps {
		n := s.Nodes[0]
		if down[n] == (s.Do == Kill) {
			t.Fatalf("at %v there is a %s of %s, which is down: %v", s.At, s.Do, n, down[n])
		}
		down[n] = s.Do == Kill
		if s.Do == Kill {
			kills++
		}
		if s.Do == Kill && s.At > 20*time.Second {
			t.Errorf("%s is killed at %v", n, s.At)
		}
	}
	if kills < 8 || len(sc.Gone()) > 0 {
		t.Errorf("%d were killed, want about ten, and %v are gone for good, want none", kills, sc.Gone())
	}
	again := parsed(t, string(sc.Text))
	if !reflect.DeepEqual(again.Steps, sc.Steps) {
		t.Error("the same seed chooses otherwise the second time")
	}
}

func TestBound(t *testing.T) {
	const F = 64 << 20
	for _, c := range []struct {
		name, text string
		want       float64 // seconds
	}{
		{"the seeder's uplink", "link: {rate: 100Mbit}\ngroups: [{name: seed, link: {up: 10Mbit}}, {name: crowd, nodes: 2}]", F / (10 * megabit)},
		{"a receiver's downlink", "link: {rate: 100Mbit}\ngroups: [{name: seed}, {name: crowd, nodes: 2, link: {down: 10Mbit}}]", F / (10 * megabit)},
		{"all uplinks", "link: {rate: 100Mbit}\ngroups: [{name: seed}, {name: crowd, nodes: 4, link: {up: 10Mbit}}]", 4 * F / (140 * megabit)},
		{"no limit", "groups: [{name: seed}, {name: crowd, nodes: 4}]", 0},
		{"who lies gives nothing", "link: {rate: 100Mbit}\ngroups: [{name: seed, link: {up: 10Mbit}}, {name: crowd, nodes: 2}, {name: bad, role: liar}]", F / (10 * megabit)},
	} {
		by := "seed"
		if strings.Contains(c.text, "bad") {
			by = "[seed, bad]"
		}
		sc := parsed(t, c.text+"\ncontent: [{name: film, size: 64MiB}]\nsteps: [{at: 0s, share: film, by: "+by+"}, {at: 1s, fetch: film, by: crowd}]")
		var crowd []string
		for _, n := range sc.Nodes {
			if n.Group == "crowd" {
				crowd = append(crowd, n.Name)
			}
		}
		if got := sc.Bound("film", crowd).Seconds(); got < c.want-1e-6 || got > c.want+1e-6 {
			t.Errorf("%s: the bound is %.3f s, want %.3f", c.name, got, c.want)
		}
	}
}

func TestBoundWaitsForTheLastToCome(t *testing.T) {
	sc := parsed(t, `link: {rate: 100Mbit}
groups: [{name: seed}, {name: crowd, nodes: 3}]
content: [{name: film, size: 12500000}]
steps: [{at: 0s, share: film, by: seed}, {at: 5s, fetch: film, by: crowd, over: 20s}]`)
	if got := sc.Bound("film", []string{"crowd-1", "crowd-2", "crowd-3"}); got != 21*time.Second {
		t.Errorf("the bound is %v, want 20 s until the last comes and 1 s for its downlink", got)
	}
}

func TestReadScenarioReadsNoMoreThanItMay(t *testing.T) {
	path := filepath.Join(t.TempDir(), "huge.yaml")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f.Truncate(100<<20), f.Close()); err != nil {
		t.Fatal(err)
	}
	var wrong *ScenarioError
	if _, err := ReadScenario(path); !errors.As(err, &wrong) || !strings.Contains(err.Error(), "longer than") {
		t.Errorf("100 MiB: %v", err)
	}
	if _, err := ReadScenario(path + ".not"); err == nil || errors.As(err, &wrong) {
		t.Errorf("a file that is not there: %v", err)
	}
}

func FuzzScenario(f *testing.F) {
	f.Add(flash)
	for _, c := range mistakes {
		if len(c.text) < 1<<10 {
			f.Add(c.text)
		}
	}
	f.Fuzz(func(t *testing.T, text string) {
		sc, err := ParseScenario([]byte(text))
		var wrong *ScenarioError
		if err != nil && (!errors.As(err, &wrong) || len(wrong.Faults) == 0 || len(wrong.Faults) > maxFaults+1 || strings.Contains(err.Error(), "\n")) {
			t.Fatalf("an error that is no list of sentences: %v", err)
		}
		if err != nil {
			return
		}
		for _, s := range sc.Steps {
			for _, n := range slices.Concat(append(s.Sides, s.Nodes)...) {
				if _, known := sc.Node(n); !known {
					t.Fatalf("a step names %q, which is nobody", n)
				}
			}
			if s.At < 0 || s.At > sc.Limit {
				t.Fatalf("a step at %v, and the limit is %v", s.At, sc.Limit)
			}
		}
	})
}
