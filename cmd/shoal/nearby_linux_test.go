package main

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/shoal-p2p/shoal/node"
)

// TestNearbyAndDoctorAcrossABridge is what two people on one LAN see of each other, and what they are told when a firewall is
// between them.
func TestNearbyAndDoctorAcrossABridge(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes and network namespaces")
	}
	lack := func(what string) {
		if os.Getenv("CI") == "true" {
			t.Fatal("in CI this test must run, but " + what)
		}
		t.Skip(what)
	}
	if os.Getuid() != 0 {
		lack("network namespaces need root")
	}
	for _, tool := range []string{"ip", "nsenter", "nft"} {
		if _, err := exec.LookPath(tool); err != nil {
			lack("there is no " + tool)
		}
	}
	dir := t.TempDir()
	shoal := filepath.Join(dir, "shoal")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", shoal, ".").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	wire, anna, ben := newMachine(t), newMachine(t), newMachine(t)
	wire.must("ip", "link", "add", "bridge", "type", "bridge")
	wire.must("ip", "link", "set", "bridge", "up")
	anna.plug(wire, "bridge", "anna", "10.77.0.1/24")
	ben.plug(wire, "bridge", "ben", "10.77.0.2/24")
	folder := filepath.Join(dir, "folder")
	fill(t, folder)
	homeA, homeB := filepath.Join(dir, "a"), filepath.Join(dir, "b")
	anna.serve(shoal, homeA, "--node-name", "Anna's laptop")
	var shared node.Shared
	decode(t, anna.must(shoal, "--home", homeA, "share", "--listed", folder, "--json"), &shared)

	t.Run("nearby", func(t *testing.T) {
		here := machine{t, ben.pid}
		var seen node.Neighbour
		decode(t, here.must(shoal, "--home", homeB, "nearby", "--json"), &seen) // one node, so one line
		if seen.Name != "Anna's laptop" || seen.Route != "mdns" || len(seen.Listed) != 1 || seen.Listed[0].CID != shared.CID {
			t.Errorf("sees %+v", seen)
		}
	})
	t.Run("doctor", func(t *testing.T) {
		here := machine{t, ben.pid}
		var d node.Diagnosis
		decode(t, here.must(shoal, "--home", homeB, "doctor", shared.Ticket, "--json"), &d)
		for _, check := range []string{"interfaces", "multicast", "neighbours", "ports", "firewall", "clock"} {
			if got := state(d, check); got != node.Good {
				t.Errorf("%s: %s: %+v", check, got, d.Findings)
			}
		}
		if p := d.Path; p == nil || p.Error != "" || p.Transport != "tcp" || p.Relayed || p.RTT <= 0 || p.Down < 1e6 || p.Up < 1e6 || p.Bottleneck == "" {
			t.Errorf("the path is %+v", d.Path)
		}
	})
	t.Run("doctor for a peer whom this node has yet to hear of", func(t *testing.T) {
		here := machine{t, ben.pid}
		var seen node.Neighbour
		decode(t, here.must(shoal, "--home", homeB, "nearby", "--json"), &seen)
		var d node.Diagnosis
		decode(t, here.must(shoal, "--home", homeB, "doctor", seen.ID, "--json"), &d)
		if p := d.Path; p == nil || p.Error != "" || p.RTT <= 0 {
			t.Errorf("the path is %+v", d.Path)
		}
	})
	t.Run("nearby without looking", func(t *testing.T) {
		here := machine{t, ben.pid}
		out, err := here.command(shoal, "--home", homeB, "nearby", "--network", "isolated").CombinedOutput()
		if err != nil || !strings.Contains(string(out), "its network is isolated") {
			t.Errorf("ended with %v and said %q, want that this node does not look", err, out)
		}
	})
	t.Run("a firewall", func(t *testing.T) {
		here := machine{t, ben.pid}
		here.must("nft", "add table inet wall; add chain inet wall in { type filter hook input priority 0; policy drop; };"+
			"add rule inet wall in ct state established,related accept")
		out, err := here.command(shoal, "--home", homeB, "doctor", "--json").Output()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != 1 {
			t.Fatalf("ended with %v, want exit code 1\n%s", err, out)
		}
		var d node.Diagnosis
		decode(t, out, &d)
		if state(d, "multicast") != node.Failed || state(d, "firewall") != node.Doubtful || d.OK {
			t.Errorf("found %+v", d.Findings)
		}
		if i := slices.IndexFunc(d.Findings, func(f node.Finding) bool { return f.Check == "multicast" }); !strings.Contains(d.Findings[i].Next, "5353") {
			t.Errorf("the next step is %q", d.Findings[i].Next)
		}
	})
}

func decode(t *testing.T, text []byte, into any) {
	t.Helper()
	if err := json.Unmarshal(text, into); err != nil {
		t.Fatalf("%v in %q", err, text)
	}
}

func state(d node.Diagnosis, check string) string {
	i := slices.IndexFunc(d.Findings, func(f node.Finding) bool { return f.Check == check })
	if i < 0 {
		return "missing"
	}
	return d.Findings[i].State
}
