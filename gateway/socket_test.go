//go:build unix

package gateway

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestSocketIsClosedToOthers(t *testing.T) {
	s := serve(t, Limits{})
	for path, want := range map[string]os.FileMode{s.socket: 0o600 | os.ModeSocket, filepath.Dir(s.socket): 0o700 | os.ModeDir} {
		info, err := os.Lstat(path)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode() != want {
			t.Errorf("%s has mode %v, want %v", path, info.Mode(), want)
		}
	}
	if left, _ := filepath.Glob(s.socket + ".*"); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}

func TestHomeThatIsOpenToOthersIsRefused(t *testing.T) {
	for _, mode := range []os.FileMode{0o755, 0o701, 0o770, 0o777 | os.ModeSticky} {
		home := filepath.Join(t.TempDir(), "home")
		if err := os.Mkdir(home, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(home, mode); err != nil {
			t.Fatal(err)
		}
		c := NewControl(Config{Socket: filepath.Join(home, "control.sock")})
		if err := c.Listen(); err == nil || !strings.Contains(err.Error(), "chmod 700") {
			t.Errorf("mode %v: got %v, want a refusal that says what to do", mode, err)
			c.listener.Close()
		}
	}
}

func TestStaleSocketIsReplaced(t *testing.T) {
	home := filepath.Join(t.TempDir(), "home")
	if err := os.Mkdir(home, 0o700); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(home, "control.sock")
	dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	dead.SetUnlinkOnClose(false)
	dead.Close()
	if _, err := Dial(path); !errors.Is(err, ErrNoNode) {
		t.Errorf("dial of a stale socket: got %v, want ErrNoNode", err)
	}
	c := NewControl(Config{Socket: path})
	if err := c.Listen(); err != nil {
		t.Fatal(err)
	}
	defer c.listener.Close()
	if _, err := Dial(path); err != nil {
		t.Errorf("dial of the new socket: %v", err)
	}
}

func TestLiveSocketIsLeftAlone(t *testing.T) {
	s := serve(t, Limits{})
	c := NewControl(Config{Socket: s.socket})
	if err := c.Listen(); !errors.Is(err, ErrInUse) {
		t.Errorf("got %v, want ErrInUse", err)
	}
	if _, err := Call[ask, reply](t.Context(), s.dial(t), "echo", ask{}, nil); err != nil {
		t.Errorf("the first server: %v", err)
	}
}

func TestOtherFilesAreLeftAlone(t *testing.T) {
	home := filepath.Join(t.TempDir(), "home")
	path := filepath.Join(home, "control.sock")
	if err := os.Mkdir(home, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := NewControl(Config{Socket: path}).Listen(); err == nil {
		t.Error("a file was replaced by the socket")
	}
	if b, _ := os.ReadFile(path); string(b) != "mine" {
		t.Errorf("the file holds %q", b)
	}
	if _, err := Dial(path); !errors.Is(err, ErrNoNode) {
		t.Errorf("dial of a file: got %v, want ErrNoNode", err)
	}
}

// TestCloseRemovesOnlyItsOwnSocket has another server take the path while the first one runs.
func TestCloseRemovesOnlyItsOwnSocket(t *testing.T) {
	s := serve(t, Limits{})
	if err := os.Remove(s.socket); err != nil {
		t.Fatal(err)
	}
	second := NewControl(Config{Socket: s.socket})
	if err := second.Listen(); err != nil {
		t.Fatal(err)
	}
	defer second.listener.Close()
	s.stop()
	if _, err := Dial(s.socket); err != nil {
		t.Errorf("the second server's socket went with the first: %v", err)
	}
}

func TestLongPath(t *testing.T) {
	if _, err := os.Stat("/proc/self/fd"); err != nil {
		t.Skip("this system has no /proc/self/fd, through which long paths are reached")
	}
	home := filepath.Join(t.TempDir(), strings.Repeat("long/", 40))
	if err := os.MkdirAll(home, 0o700); err != nil {
		t.Fatal(err)
	}
	c := NewControl(Config{Socket: filepath.Join(home, "control.sock")})
	Handle(c, "echo", func(_ context.Context, r ask, _ func(any)) (reply, error) { return reply{r.Name}, nil })
	if err := c.Listen(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	client, err := Dial(c.config.Socket)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := Call[ask, reply](t.Context(), client, "echo", ask{Name: "far"}, nil); err != nil || got.Said != "far" {
		t.Errorf("got %+v, %v", got, err)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
