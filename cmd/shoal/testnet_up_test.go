//go:build unix

package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestTestnet puts networks up with the built program.
func TestTestnet(t *testing.T) {
	if testing.Short() {
		t.Skip("starts many processes")
	}
	path := filepath.Join(t.TempDir(), "shoal")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", path, ".").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	for _, c := range []struct {
		name string
		test func(*testing.T, program)
	}{
		{"is used and taken down", testnetIsUsed},
		{"goes with its view", testnetGoesWithItsView},
		{"is cleaned when its up was killed", testnetIsCleaned},
		{"is taken over or replaced", testnetIsTakenOver},
		{"refuses what makes no sense", testnetMistakes},
		{"plays scenarios", testnetPlays},
		{"kills nobody else", testnetKillsNobodyElse},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := program{path: path, dir: t.TempDir()}
			t.Cleanup(func() {
				x := p.start(t, "me", "testnet", "down")
				if exit := x.ends(); exit == 0 && !t.Failed() {
					t.Errorf("a test network was left: %s", x.out)
				}
			})
			c.test(t, p)
		})
	}
}

// nodesOf are the names and processes of a network, as JSON says.
func nodesOf(t *testing.T, m map[string]any) (names []string, pids []int) {
	t.Helper()
	list, _ := m["nodes"].([]any)
	for _, entry := range list {
		n, _ := entry.(map[string]any)
		pid, _ := n["pid"].(float64)
		names, pids = append(names, text(t, n, "name")), append(pids, int(pid))
	}
	return names, pids
}

// runs reports whether there is a process that has not ended. One without a parent that looks may stay listed for a while.
func runs(pid int) bool {
	state, err := exec.Command("ps", "-o", "stat=", "-p", strconv.Itoa(pid)).Output()
	return err == nil && !strings.HasPrefix(strings.TrimSpace(string(state)), "Z")
}

func (p program) nothingLeft(t *testing.T, pids []int) {
	t.Helper()
	for _, pid := range pids {
		if runs(pid) {
			t.Errorf("process %d of the network still runs", pid)
		}
	}
	if _, err := os.Lstat(filepath.Join(p.dir, "me", "testnet")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the folder of the networks: %v, want that it is gone", err)
	}
}

func testnetIsUsed(t *testing.T, p program) {
	names, pids := nodesOf(t, p.run(t, 0, "me", "testnet", "up", "-n", "4", "--detach"))
	if want := []string{"n1", "n2", "n3", "n4"}; !slices.Equal(names, want) {
		t.Fatalf("up shows the nodes %q, want %q", names, want)
	}
	file, got := filepath.Join(p.dir, "file"), filepath.Join(p.dir, "got")
	data := bytes.Repeat([]byte("shoal"), 1<<20)
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	cid := text(t, p.run(t, 0, "me", "testnet", "exec", "n2", "share", file), "cid")
	p.run(t, 0, "me", "testnet", "exec", "n4", "--", "get", cid, "-o", got, "--timeout", "60s")
	if b, err := os.ReadFile(got); err != nil || !bytes.Equal(b, data) {
		t.Errorf("n4 fetched %d bytes, %v, want those of the file", len(b), err)
	}
	p.run(t, 2, "me", "testnet", "exec", "n4", "get", "nonsense") // its exit code is the command's

	p.run(t, 0, "me", "testnet", "kill", "n1")
	p.run(t, 0, "me", "testnet", "stop", "n2")
	if got := statesOf(t, p); got != "n1 killed, n2 stopped, n3 up, n4 up" {
		t.Errorf("after kill and stop: %s", got)
	}
	p.run(t, 1, "me", "testnet", "exec", "n2", "--", "status")
	p.run(t, 0, "me", "testnet", "start", "n1", "n2")
	_, more := nodesOf(t, p.run(t, 0, "me", "testnet", "add", "anna"))
	if got := statesOf(t, p); got != "n1 up, n2 up, n3 up, n4 up, anna up" {
		t.Errorf("after start and add: %s", got)
	}
	log := p.start(t, "me", "testnet", "logs", "n3")
	if exit := log.ends(); exit != 0 || !strings.Contains(log.out.String(), "listens") {
		t.Errorf("logs: exit %d, %q, want what serve prints", exit, log.out)
	}
	down := p.run(t, 0, "me", "testnet", "down")
	if down["nodes"] != 5.0 {
		t.Errorf("down says %v, want 5 nodes", down)
	}
	p.nothingLeft(t, append(pids, more...))
}

func statesOf(t *testing.T, p program) string {
	t.Helper()
	list, _ := p.run(t, 0, "me", "testnet", "status")["nodes"].([]any)
	var out []string
	for _, entry := range list {
		n, _ := entry.(map[string]any)
		out = append(out, text(t, n, "name")+" "+text(t, n, "state"))
	}
	return strings.Join(out, ", ")
}

// firstLook starts 'up' in the foreground and waits until it shows the network.
func (p program) firstLook(t *testing.T, args ...string) (up *process, pids []int) {
	t.Helper()
	up = p.start(t, "me", append([]string{"testnet", "up"}, args...)...)
	up.out.await(t, "0 B/s of content")
	_, pids = nodesOf(t, p.run(t, 0, "me", "testnet", "status"))
	return up, pids
}

func testnetGoesWithItsView(t *testing.T, p program) {
	up, pids := p.firstLook(t, "-n", "3")
	again := p.start(t, "me", "testnet", "up")
	again.out.await(t, "3 nodes, 3 up")
	again.signal(syscall.SIGINT)
	if exit := again.ends(); exit != 0 {
		t.Errorf("the second view: exit %d\n%s", exit, again.err)
	}
	if got := statesOf(t, p); got != "n1 up, n2 up, n3 up" {
		t.Errorf("after the second view: %s, want all up", got)
	}
	up.signal(syscall.SIGINT)
	if exit := up.ends(); exit != 0 {
		t.Errorf("exit %d\n%s", exit, up.err)
	}
	p.nothingLeft(t, pids)
}

func testnetIsCleaned(t *testing.T, p program) {
	up, pids := p.firstLook(t, "-n", "3")
	p.run(t, 0, "me", "testnet", "up", "-n", "2", "--detach", "--name", "other")
	up.signal(syscall.SIGKILL)
	up.ends()
	if got := statesOf(t, p); got != "n1 up, n2 up, n3 up" {
		t.Errorf("without their up: %s, want all up", got)
	}
	out := p.run(t, 0, "me", "testnet", "clean")
	cleaned, _ := out["cleaned"].([]any)
	removed := map[string]any{}
	for _, entry := range cleaned {
		c, _ := entry.(map[string]any)
		removed[filepath.Base(text(t, c, "dir"))] = c["removed"]
	}
	if removed["default"] != true || removed["other"] != false {
		t.Errorf("clean removed %v, want the abandoned one and not the other", removed)
	}
	p.run(t, 0, "me", "testnet", "down", "--name", "other")
	p.nothingLeft(t, pids)
}

func testnetIsTakenOver(t *testing.T, p program) {
	up, pids := p.firstLook(t, "-n", "2")
	up.signal(syscall.SIGKILL)
	up.ends()
	up, same := p.firstLook(t)
	if !slices.Equal(pids, same) {
		t.Errorf("processes %v after up was killed, want those of before: %v", same, pids)
	}
	up.signal(syscall.SIGKILL)
	up.ends()
	for _, pid := range pids {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
	}
	for late := time.Now().Add(10 * time.Second); slices.ContainsFunc(pids, runs); {
		if time.Now().After(late) {
			t.Fatalf("processes %v still run, 10 s after SIGKILL", pids)
		}
	}
	up, fresh := p.firstLook(t, "-n", "1")
	if len(fresh) != 1 || slices.Contains(pids, fresh[0]) {
		t.Errorf("processes %v where all had crashed, want one new one", fresh)
	}
	up.signal(syscall.SIGTERM)
	up.ends()
	p.nothingLeft(t, append(pids, fresh...))
}

func testnetMistakes(t *testing.T, p program) {
	p.run(t, 1, "me", "testnet", "status")
	p.run(t, 0, "me", "testnet", "up", "-n", "1", "--detach")
	defer p.run(t, 0, "me", "testnet", "down")
	for _, c := range []struct {
		args string
		want string
	}{
		{"up -n -1", "-1 nodes make no network"},
		{"up -n 0", "0 nodes make no network"},
		{"up -n 1000000000", "more than the 1000"},
		{"up -n 7", "is up already, with 1 node"},
		{"up seven", "flags of the nodes go behind two hyphens"},
		{"up --name ../x", "the name"},
		{"up --name two --no-dht", "'shoal testnet up -- --no-dht …'"},
		{"up --name two -- --home x", "--home cannot be chosen"},
		{"add n1", "there is a node n1 already"},
		{"add A", "the name"},
		{"exec n1", "ARGS are missing"},
		{"exec", "NODE is missing"},
		{"kill n1 n2", `there is no node "n2" here, but n1`},
		{"start n1", "node n1 runs already"},
		{"logs n9", "there is no node"},
	} {
		x := p.start(t, "me", append([]string{"testnet"}, strings.Fields(c.args)...)...)
		if exit := x.ends(); exit != 2 || !strings.Contains(x.err.String(), c.want) {
			t.Errorf("%s: exit %d, %q, want 2 and %q", c.args, exit, x.err, c.want)
		}
	}
	if got := statesOf(t, p); got != "n1 up" {
		t.Errorf("after the mistakes: %s", got)
	}
	x := p.start(t, "me", "testnet", "up", "--name", "two", "--", "--nonsense")
	if exit := x.ends(); exit == 0 || !strings.Contains(x.err.String(), "unknown flag: --nonsense") {
		t.Errorf("a flag that serve does not know: exit %d, %q", exit, x.err)
	}
}

// A process that came to have the number of one of ours is left alone.
func testnetKillsNobodyElse(t *testing.T, p program) {
	_, pids := nodesOf(t, p.run(t, 0, "me", "testnet", "up", "-n", "1", "--detach"))
	other := exec.Command("sleep", "60")
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	gone := make(chan error, 1)
	go func() { gone <- other.Wait() }()
	defer func() { _ = other.Process.Kill() }()
	state := filepath.Join(p.dir, "me", "testnet", "default", "net.json")
	b, err := os.ReadFile(state)
	if err != nil {
		t.Fatal(err)
	}
	forged := bytes.ReplaceAll(b, []byte(`"pid": `+strconv.Itoa(pids[0])), []byte(`"pid": `+strconv.Itoa(other.Process.Pid)))
	if bytes.Equal(forged, b) {
		t.Fatalf("the state names no process %d: %s", pids[0], b)
	}
	if err := os.WriteFile(state, forged, 0o600); err != nil {
		t.Fatal(err)
	}
	p.run(t, 0, "me", "testnet", "down")
	p.nothingLeft(t, pids)
	select {
	case err := <-gone:
		t.Errorf("the other process ended: %v", err)
	case <-time.After(0):
	}
}
