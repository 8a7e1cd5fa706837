package main

import (
	"strings"
	"testing"

	"github.com/shoal-p2p/shoal/node"
)

func TestParseRate(t *testing.T) {
	for text, want := range map[string]int64{
		"0": 0, "0M": 0, "4096": 4096, "800k": 800 << 10, "800K": 800 << 10, "5M": 5 << 20, "1.5MiB": 3 << 19, "1.5 MiB/s": 3 << 19,
		"2MB": 2e6, "100kB": 1e5, "1G": 1 << 30, "20Mbit": 2.5e6, "100mbit/s": 12.5e6, "5000B": 5000,
	} {
		if got, err := parseRate(text); err != nil || got != want {
			t.Errorf("%q: got %d, %v; want %d", text, got, err, want)
		}
	}
	for _, text := range []string{
		"", "M", "-5M", "+5M", "5X", "5MM", "1e9", "0x10000", "NaN", "inf", "5M 3", "1_000_000", "99999999999G", "1,5M", "M5", "5M/h",
		"4095", "1k", "0.1",
	} {
		if got, err := parseRate(text); err == nil {
			t.Errorf("%q: got %d, expected an error", text, got)
		}
	}
}

func TestRatesReachTheNode(t *testing.T) {
	for _, args := range [][]string{{"get", aCID, "-o", t.TempDir()}, {"cat", aCID}} {
		w := newWorld(t)
		exit, _, errs := w.run(t, append(args, "--up-rate", "800k", "--down-rate=5M", "--peer-up-rate", "20Mbit", "--peer-down-rate", "8k", "--exempt-lan")...)
		want := node.Rates{Up: 800 << 10, Down: 5 << 20, PeerUp: 2.5e6, PeerDown: 8 << 10, ExemptLAN: true}
		if exit != 0 || w.node.config.Rates != want {
			t.Errorf("%s: exit %d, the node was opened with %+v; %s", args[0], exit, w.node.config.Rates, errs)
		}
	}
}

func TestRatesOfARunningNode(t *testing.T) {
	w := newWorld(t)
	first := w.node
	w.node.status = func() (node.Status, error) { return node.Status{Rates: first.config.Rates}, nil }
	w.serve(t, "--up-rate", "5M", "--peer-down-rate", "1.5MiB", "--exempt-lan")
	if exit, out, _ := w.run(t, "status"); exit != 0 ||
		!strings.Contains(out, "limits   5.00 MiB/s up, 1.50 MiB/s down from a peer; none on the local network\n") {
		t.Errorf("status: exit %d, %q", exit, out)
	}
	if exit, _, errs := w.run(t, "get", aCID, "--down-rate", "1M"); exit != 2 || !strings.Contains(errs, "come too late") {
		t.Errorf("a limit beside a node that runs: exit %d, %s", exit, errs)
	}
	if exit, _, errs := w.run(t, "get", aCID, "-o", t.TempDir(), "--down-rate", "0"); exit != 0 {
		t.Errorf("no limit beside a node that runs: exit %d, %s", exit, errs)
	}
}
