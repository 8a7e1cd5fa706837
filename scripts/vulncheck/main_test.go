package main

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
)

// Three findings as govulncheck prints them: one of a module, one of a call without a fix, one of a call with a fix.
const stream = `{"osv": {"id": "GO-1", "summary": "in a module only"}}
{"osv": {"id": "GO-2024-3218", "summary": "content can be hidden"}}
{"osv": {"id": "GO-3", "summary": "a crash"}}
{"finding": {"osv": "GO-1", "trace": [{"module": "example.org/m", "version": "v1.0.0"}]}}
{"finding": {"osv": "GO-2024-3218", "trace": [{"module": "example.org/dht", "version": "v0.1.0", "package": "example.org/dht", "function": "New"}]}}
{"finding": {"osv": "GO-3", "fixed_version": "v2.0.1", "trace": [{"module": "example.org/c", "version": "v2.0.0", "package": "example.org/c", "function": "Do"}]}}
`

func TestOnlyCallsCount(t *testing.T) {
	found, err := called(strings.NewReader(stream))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := slices.Sorted(maps.Keys(found)), []string{"GO-2024-3218", "GO-3"}; !slices.Equal(got, want) {
		t.Errorf("found %q, want %q", got, want)
	}
	if want := "a crash: example.org/c@v2.0.0, example.org/c.Do (fixed in v2.0.1)"; found["GO-3"] != want {
		t.Errorf("GO-3 is told as %q, want %q", found["GO-3"], want)
	}
	if _, err := called(strings.NewReader(stream[:len(stream)-9])); err == nil {
		t.Error("a stream that breaks off passes for a whole one")
	}
}

func TestExceptionsEnd(t *testing.T) {
	last, err := time.Parse(time.DateOnly, exceptions[0].until)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{exceptions[0].id: ""}
	if err := judge(found, last.Add(23*time.Hour)); err != nil {
		t.Errorf("refused on the last day: %v", err)
	}
	if err := judge(found, last.Add(24*time.Hour)); err == nil {
		t.Error("still excepted on the day after the last")
	}
	if err := judge(map[string]string{"GO-3": ""}, last); err == nil {
		t.Error("a vulnerability without an exception passes")
	}
}

func TestExceptionsAreWhole(t *testing.T) {
	for _, e := range exceptions {
		if _, err := time.Parse(time.DateOnly, e.until); err != nil || e.id == "" || e.reason == "" {
			t.Errorf("%+v: an exception needs an id, a reason and a last day", e)
		}
	}
}
