//go:build unix

package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A seeder, a liar and two who fetch, one of whom is killed and comes back.
const smallScenario = `name: small
limit: 1m
groups: [{name: seed}, {name: crowd, nodes: 2}, {name: bad, role: liar}]
content: [{name: film, size: 2MiB}]
steps:
- {at: 0s, share: film, by: [seed, bad]}
- {at: 100ms, fetch: film, by: crowd}
- {at: 200ms, kill: crowd-2}
- {at: 300ms, start: crowd-2}
expect:
- {complete: crowd, of: film, within: WITHIN}
- {equal: film}
- {alive: all}
`

func testnetPlays(t *testing.T, p program) {
	file := filepath.Join(p.dir, "small.yaml")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	good, late := filepath.Join(p.dir, "runs", "good"), filepath.Join(p.dir, "late")
	write(strings.Replace(smallScenario, "WITHIN", "50s", 1))
	if m := p.run(t, 0, "me", "testnet", "run", file, "-o", good); m["ok"] != true {
		t.Errorf("a scenario that holds ends with %v", m)
	}
	events, err := os.ReadFile(filepath.Join(good, "events.jsonl"))
	for _, want := range []string{`"event":"begin"`, `"event":"verified"`, `"event":"down"`, `"event":"end"`} {
		if err != nil || !strings.Contains(string(events), want) {
			t.Errorf("the record has no %s, %v", want, err)
		}
	}
	write(strings.Replace(smallScenario, "WITHIN", "1ms", 1))
	p.run(t, 10, "me", "testnet", "run", file, "-o", late)
	p.nothingLeft(t, nil)

	write("groups: [{name: a, flags: [--bogus]}]\n")
	p.run(t, 1, "me", "testnet", "run", file, "-o", filepath.Join(p.dir, "none"))
	if _, err := os.Lstat(filepath.Join(p.dir, "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a run whose nodes do not start leaves a record: %v", err)
	}

	write("groups: [{name: a, nodes: -1}]\n")
	x := p.start(t, "me", "testnet", "run", file)
	if exit := x.ends(); exit != 2 || !strings.Contains(x.err.String(), file+": line 1: groups[1].nodes: -1 is not from 1 to 10000") {
		t.Errorf("a scenario with -1 nodes: exit %d, says %s", exit, x.err)
	}
}
