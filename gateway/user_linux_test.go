package gateway

import (
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

const strangerVariable = "SHOAL_TEST_STRANGER"

// TestStranger is the other user's process of TestOtherUIDIsRefused.
func TestStranger(t *testing.T) {
	path := os.Getenv(strangerVariable)
	if path == "" {
		t.Skip("runs only as a child of TestOtherUIDIsRefused")
	}
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal("cannot connect: ", err)
	}
	defer c.Close()
	io.WriteString(c, post("echo", `{"name":"secret"}`))
	c.SetReadDeadline(time.Now().Add(10 * time.Second))
	all, err := io.ReadAll(c)
	t.Logf("was told %q (%v)", all, err)
	if _, err := Dial(path); err == nil || !strings.Contains(err.Error(), ErrRefused.Error()) {
		t.Errorf("the client trusts another user's node: %v", err)
	}
}

// TestOtherUIDIsRefused runs a process of another user, first against the permissions of the socket, then without them.
func TestOtherUIDIsRefused(t *testing.T) {
	if os.Geteuid() != 0 {
		if os.Getenv("CI") == "true" {
			t.Fatal("needs root, to become another user")
		}
		t.Skip("needs root, to become another user")
	}
	s := serve(t, Limits{})
	exe := filepath.Join(t.TempDir(), "gateway.test")
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(exe, self, 0o755); err != nil {
		t.Fatal(err)
	}
	open(t, filepath.Dir(exe))
	open(t, filepath.Dir(filepath.Dir(s.socket)))
	stranger := func() string {
		cmd := exec.CommandContext(t.Context(), exe, "-test.run=^TestStranger$", "-test.v")
		cmd.Dir = "/"
		cmd.Env = append(os.Environ(), strangerVariable+"="+s.socket)
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		out, err := cmd.CombinedOutput()
		if len(out) == 0 {
			t.Fatal(err)
		}
		return string(out)
	}
	if out := stranger(); !strings.Contains(out, "permission denied") {
		t.Errorf("with the permissions as they are, want permission denied, got:\n%s", out)
	}
	open(t, filepath.Dir(s.socket))
	if err := os.Chmod(s.socket, 0o666); err != nil {
		t.Fatal(err)
	}
	if out := stranger(); !strings.Contains(out, `was told ""`) || !strings.Contains(out, "--- PASS: TestStranger") {
		t.Errorf("with open permissions, want a closed connection, got:\n%s", out)
	}
	if _, err := Call[ask, reply](t.Context(), s.dial(t), "echo", ask{}, nil); err != nil {
		t.Errorf("this user afterwards: %v", err)
	}
}

// open lets everybody into a directory below the one for temporary files.
func open(t *testing.T, dir string) {
	t.Helper()
	for ; dir != filepath.Clean(os.TempDir()); dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
}
