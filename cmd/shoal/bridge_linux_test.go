package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// machine is a network namespace, held by a process that sleeps. It goes when that process does, and with it every interface.
type machine struct {
	t   *testing.T
	pid int
}

func newMachine(t *testing.T) machine {
	t.Helper()
	hold := exec.Command("sleep", "600")
	hold.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	if err := hold.Start(); err != nil {
		t.Fatalf("a network namespace: %v", err)
	}
	t.Cleanup(func() {
		_ = hold.Process.Kill()
		_ = hold.Wait() // ends with the signal
	})
	m := machine{t, hold.Process.Pid}
	m.must("ip", "link", "set", "lo", "up")
	return m
}

// command prepares a program to run on this machine.
func (m machine) command(name string, args ...string) *exec.Cmd {
	return exec.Command("nsenter", append([]string{fmt.Sprintf("--net=/proc/%d/ns/net", m.pid), "--", name}, args...)...)
}

// must runs a program on this machine and returns its standard output.
func (m machine) must(name string, args ...string) []byte {
	m.t.Helper()
	cmd := m.command(name, args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		m.t.Fatalf("%s %s: %v\n%s%s", filepath.Base(name), strings.Join(args, " "), err, out, &stderr)
	}
	return out
}

// plug connects a machine to a bridge on another one.
func (m machine) plug(into machine, bridge, port, addr string) {
	m.t.Helper()
	into.must("ip", "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", fmt.Sprint(m.pid))
	into.must("ip", "link", "set", port, "master", bridge, "up")
	m.must("ip", "addr", "add", addr, "dev", "eth0")
	m.must("ip", "link", "set", "eth0", "up")
}

// serve runs a node on this machine until the test ends.
func (m machine) serve(shoal, home string, flags ...string) {
	m.t.Helper()
	cmd := m.command(shoal, append([]string{"--home", home, "serve"}, flags...)...)
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil {
			m.t.Errorf("serve: %v\n%s", err, &log)
		}
	})
	for range 200 {
		if m.command(shoal, "--home", home, "status").Run() == nil {
			return
		}
		time.Sleep(50 * time.Millisecond) // another process: its socket is the only sign of life
	}
	m.t.Fatalf("the node of %s does not answer:\n%s", home, &log)
}

// bridge prepares a place for homes, the program and a machine with a bridge. It skips the test where that cannot be.
func bridge(t *testing.T) (dir, shoal string, wire machine) {
	t.Helper()
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
	for _, tool := range []string{"ip", "nsenter"} {
		if _, err := exec.LookPath(tool); err != nil {
			lack("there is no " + tool)
		}
	}
	dir = t.TempDir()
	shoal = filepath.Join(dir, "shoal")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", shoal, ".").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	wire = newMachine(t)
	wire.must("ip", "link", "add", "bridge", "type", "bridge")
	wire.must("ip", "link", "set", "bridge", "up")
	return dir, shoal, wire
}

// TestAcrossABridge is the main job as two people on one LAN see it: one shares, the other types the CID and nothing else.
func TestAcrossABridge(t *testing.T) {
	dir, shoal, wire := bridge(t)
	anna, ben := newMachine(t), newMachine(t)
	anna.plug(wire, "bridge", "anna", "10.77.0.1/24")
	ben.plug(wire, "bridge", "ben", "10.77.0.2/24")

	folder := filepath.Join(dir, "folder")
	fill(t, folder)
	anna.serve(shoal, filepath.Join(dir, "a"))
	var shared struct {
		CID string `json:"cid"`
	}
	answer := anna.must(shoal, "--home", filepath.Join(dir, "a"), "share", folder, "--json")
	if err := json.Unmarshal(answer, &shared); err != nil {
		t.Fatalf("share --json printed %q: %v", answer, err)
	}
	same := func(got string) {
		t.Helper()
		if out, err := exec.Command("diff", "-r", folder, got).CombinedOutput(); err != nil {
			t.Errorf("what came is not what was shared: %v\n%s", err, out)
		}
	}
	t.Run("with a node on the other side", func(t *testing.T) {
		here := machine{t, ben.pid}
		here.serve(shoal, filepath.Join(dir, "b"))
		here.must(shoal, "--home", filepath.Join(dir, "b"), "get", shared.CID, "-o", filepath.Join(dir, "got"))
		same(filepath.Join(dir, "got"))
	})
	t.Run("without one", func(t *testing.T) {
		here := machine{t, ben.pid}
		here.must(shoal, "--home", filepath.Join(dir, "c"), "get", shared.CID, "-o", filepath.Join(dir, "got too"))
		same(filepath.Join(dir, "got too"))
	})
}

// fill makes a folder with files below, at and above the size of a chunk.
func fill(t *testing.T, folder string) {
	t.Helper()
	chance := rand.NewChaCha8([32]byte{})
	for name, size := range map[string]int{"empty": 0, "small": 11, "sub/chunk": 1 << 20, "sub/sub/large": 9<<20 + 1} {
		path := filepath.Join(folder, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		data := make([]byte, size)
		_, _ = chance.Read(data) // never fails
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
