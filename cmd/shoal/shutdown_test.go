//go:build linux && fault

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// Killed at each point of its shutdown, a node starts again as the same peer, with what it shared.
func TestShutdownIsKilledAtEachPoint(t *testing.T) {
	p := program{dir: t.TempDir()}
	p.path = filepath.Join(p.dir, "shoal")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-tags", "fault", "-o", p.path, ".").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	file := filepath.Join(p.dir, "file")
	if err := os.WriteFile(file, []byte("hello world"), 0o600); err != nil {
		t.Fatal(err)
	}
	x := p.serve(t, "anna")
	id := text(t, p.run(t, 0, "anna", "id"), "id")
	cid := text(t, p.run(t, 0, "anna", "share", file), "cid")
	p.end(t, x)
	for passing := 1; passing <= 4; passing++ {
		name := fmt.Sprintf("K14:%d:kill", passing)
		t.Run(name, func(t *testing.T) {
			t.Setenv("SHOAL_FAULT", name)
			x := p.start(t, "anna", "serve", "--network", "isolated", "--listen", "/ip4/127.0.0.1/tcp/0")
			x.out.await(t, "listens")
			x.signal(syscall.SIGTERM)
			x.ends()
			if s := x.ProcessState.Sys().(syscall.WaitStatus); !s.Signaled() || s.Signal() != syscall.SIGKILL {
				t.Fatalf("it ended with %v before it came there\n%s", s, x.err)
			}
		})
		start := time.Now()
		x = p.serve(t, "anna")
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("%s: it took %v to start again", name, took)
		}
		if now := text(t, p.run(t, 0, "anna", "id"), "id"); now != id {
			t.Errorf("%s: the peer is %s, and was %s", name, now, id)
		}
		p.run(t, 0, "anna", "check", cid)
		p.end(t, x)
	}
}

// end ends a node as a user does.
func (p program) end(t *testing.T, x *process) {
	t.Helper()
	x.signal(syscall.SIGTERM)
	if exit := x.ends(); exit != 0 {
		t.Fatalf("serve: exit %d\n%s", exit, x.err)
	}
}
