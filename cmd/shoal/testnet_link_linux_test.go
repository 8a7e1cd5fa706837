package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/shoal-p2p/shoal/testnet"
)

// TestTestnetOnLinks is what somebody types who wants to see a network fall apart and come together again.
func TestTestnetOnLinks(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes and network namespaces")
	}
	if os.Getuid() != 0 {
		if os.Getenv("CI") == "true" {
			t.Fatal("in CI this test must run, but network namespaces need root")
		}
		t.Skip("network namespaces need root")
	}
	dir := t.TempDir()
	shoal := filepath.Join(dir, "shoal")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", shoal, ".").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	run := func(args string) (string, error) {
		cmd := exec.CommandContext(t.Context(), shoal, strings.Fields("--home "+dir+"/home testnet "+args)...)
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	must := func(args string) string {
		t.Helper()
		out, err := run(args)
		if err != nil {
			t.Fatalf("%s: %v\n%s", args, err, out)
		}
		return out
	}
	must("up -n 3 --netns --detach --rate 100Mbit --delay 2ms")
	defer func() { must("down") }()

	var shown struct {
		Node string
		Link testnet.Link
	}
	out := must("link n2 --down 1MB --loss 1% --json")
	if err := json.Unmarshal([]byte(out), &shown); err != nil {
		t.Fatalf("%v in %s", err, out)
	}
	want := testnet.Link{Up: 12.5e6, Down: 1e6, Delay: 2 * time.Millisecond, Loss: 0.01}
	if shown.Node != "n2" || shown.Link != want {
		t.Errorf("the link is %+v, want %+v", shown, want)
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	var shared struct{ Ticket string }
	out = must("exec n1 -- share " + file + " --json")
	if err := json.Unmarshal([]byte(out), &shared); err != nil {
		t.Fatalf("%v in %s", err, out)
	}
	must("add n4 --delay 5ms")
	out = must("link n4 --json")
	shown.Link, want = testnet.Link{}, testnet.Link{Up: 12.5e6, Down: 12.5e6, Delay: 5 * time.Millisecond}
	if err := json.Unmarshal([]byte(out), &shown); err != nil || shown.Link != want {
		t.Errorf("the link of one that came later is %s, want what 'up' said and the delay of its own", out)
	}
	must("cut n1")
	if out := must("status"); !strings.Contains(out, "cut: n1 | all others") {
		t.Errorf("nothing is said of the cut:\n%s", out)
	}
	if out, err := run("exec n3 -- get " + shared.Ticket + " -o " + file + "3 --timeout 2s"); err == nil {
		t.Errorf("it came across the cut:\n%s", out)
	}
	must("heal")
	must("exec n3 -- get " + shared.Ticket + " -o " + file + "3")

	for args, says := range map[string]string{
		"cut nobody":          "nobody",
		"link n1 --jitter 5s": "the delay",
		"link --rate 1M":      "whose link",
		"up --name b -n 2 --netns --nat cone --detach":  "choose more",
		"up --netns --loss 1%":                          "up already",
		"up --name b -n 1 --mtu 9":                      "--netns",
		"up --name b -n 3 --netns --nat round --detach": "round",
	} {
		out, err := run(args)
		var exit *exec.ExitError
		if e, ok := err.(*exec.ExitError); ok {
			exit = e
		}
		if exit == nil || exit.ExitCode() != 2 || !strings.Contains(out, says) {
			t.Errorf("%s: %v, want exit code 2 and %q in\n%s", args, err, says, out)
		}
	}
}
