//go:build unix

package main

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/shoal-p2p/shoal/testnet"
)

// empty expects that nothing is left in a folder.
func empty(t *testing.T, dir string) {
	t.Helper()
	left, err := os.ReadDir(dir)
	if err != nil || len(left) > 0 {
		t.Errorf("left in the folder of a bench: %v, %v", left, err)
	}
}

// benches measures this machine, and is stopped in the middle of it.
func (p program) benches(t *testing.T) {
	dir := t.TempDir()
	x := p.start(t, "bench", "bench", "--size", "8M", "--dir", dir, "--json")
	if exit := x.ends(); exit != 0 {
		t.Fatalf("exit %d\n%s%s", exit, x.out, x.err)
	}
	var got testnet.Benched
	if err := json.Unmarshal([]byte(x.out.String()), &got); err != nil {
		t.Fatalf("%v: %s", err, x.out)
	}
	var names []string
	for i, f := range got.Figures {
		names = append(names, f.Name)
		if last := i == len(got.Figures)-1; f.Rate <= 0 || (f.Ratio > 0) == last {
			t.Errorf("%s: got %+v", f.Name, f)
		}
	}
	want := []string{testnet.BenchTransfer, testnet.BenchStream, testnet.BenchWrite, testnet.BenchRead, testnet.BenchHash}
	if strings.Join(names, ", ") != strings.Join(want, ", ") || got.Size != 8<<20 || (got.Bottleneck == "") != (got.Reached == 0) || got.Reached < 0 || got.Reached > 1 {
		t.Errorf("got %+v", got)
	}
	empty(t, dir)

	x = p.start(t, "bench", "bench", "--size", "1G", "--dir", dir)
	x.err.await(t, "writing a file")
	x.signal(syscall.SIGINT)
	if exit := x.ends(); exit != exitInterrupted {
		t.Errorf("interrupted: exit %d\n%s", exit, x.err)
	}
	empty(t, dir)
	p.run(t, 0, "bench", "bench", "--size", "4M")
	if _, err := os.Stat(filepath.Join(p.dir, "bench")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the home that a bench made is still there: %v", err)
	}
	for _, wrong := range [][]string{{"--size", "1M"}, {"--size", "5Mbit"}, {"--get"}, {"--dir", filepath.Join(dir, "none")}, {"--peer", "x", "--size", "8M"}} {
		p.run(t, 2, "bench", append([]string{"bench"}, wrong...)...)
	}
}

// benchesOnAFullDisk needs root, to make a small disk.
func (p program) benchesOnAFullDisk(t *testing.T) {
	dir := t.TempDir()
	if err := mountSmall(dir); err != nil {
		if os.Getenv("CI") == "true" && runtime.GOOS == "linux" {
			t.Fatal(err)
		}
		t.Skipf("no small disk here: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	out := p.run(t, 6, "bench", "bench", "--size", "64M", "--dir", dir)
	if text, err := json.Marshal(out); err != nil || !strings.Contains(string(text), "--dir") {
		t.Errorf("the error names no next step: %s", text)
	}
	empty(t, dir)
}

// benchesAPeer measures the path to a node, and gets what its ticket names.
func (p program) benchesAPeer(t *testing.T, ticket string) {
	out := p.run(t, 0, "bench", "bench", "--peer", ticket, "--get", "--network", "isolated", "--listen", "/ip4/127.0.0.1/tcp/0")
	path, ok1 := out["path"].(map[string]any)
	get, ok2 := out["get"].(map[string]any)
	if !ok1 || !ok2 {
		t.Fatalf("got %v", out)
	}
	for name, v := range map[string]any{"down": path["down"], "up": path["up"], "rtt": path["rtt"], "rate": get["rate"], "ratio": get["ratio"]} {
		if f, ok := v.(float64); !ok || f <= 0 {
			t.Errorf("%s is %v in %v", name, v, out)
		}
	}
	if get["whole"] != true {
		t.Errorf("the get did not come to its end: %v", get)
	}
	if left, err := filepath.Glob(filepath.Join(p.dir, "shoal-bench-*")); err != nil || len(left) > 0 {
		t.Errorf("%q are left beside the home (%v)", left, err)
	}
	if shares := p.run(t, 0, "bench", "shares"); len(shares) > 0 && shares["cid"] != nil {
		t.Errorf("the node still serves what was fetched for a bench: %v", shares)
	}
}
