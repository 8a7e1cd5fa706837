package testnet

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/shoal-p2p/shoal/node"
)

// built is the path of the program, once a test has needed it. TestMain removes it.
var built string

// program is the built shoal, once for all tests.
var program = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "shoal-testnet-")
	if err != nil {
		return "", err
	}
	built = filepath.Join(dir, "shoal")
	cmd := exec.Command("go", "build", "-o", built, "../cmd/shoal")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0") // static, as containers need it
	out, err := cmd.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("build: %w\n%s", err, out)
	}
	return built, err
})

// up puts up a network of nodes n1 to nN on loopback, until the test ends.
func up(t *testing.T, nodes int) *Net {
	t.Helper()
	if testing.Short() {
		t.Skip("starts many processes")
	}
	return upOn(t, Processes, Numbered("n", nodes, nil))
}

// upOn puts up a network on a ground, until the test ends.
func upOn(t *testing.T, ground string, nodes []Spec) *Net {
	t.Helper()
	shoal, err := program()
	check(t, err)
	n, err := Up(t.Context(), Config{Dir: filepath.Join(t.TempDir(), "net"), Ground: ground, Shoal: shoal, Nodes: nodes}, nil)
	check(t, err)
	t.Cleanup(func() {
		if err := n.Down(context.Background()); err != nil && !errors.Is(err, ErrNone) {
			t.Error(err)
		}
	})
	return n
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func states(n *Net) []State {
	var out []State
	for _, node := range n.Nodes() {
		out = append(out, node.State)
	}
	return out
}

func TestNodesOfANetShareAndFetch(t *testing.T) {
	n := up(t, 3)
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("hello"), 0o600); err != nil {
		t.Fatal(err)
	}
	shared, err := n.Share(t.Context(), "n2", node.ShareRequest{Paths: []string{file}})
	if err != nil {
		t.Fatal(err)
	}
	copied := file + "-copy"
	if _, err := n.Fetch(t.Context(), "n3", node.FetchRequest{Ref: shared.Ticket, Dest: copied}, nil); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(copied); err != nil || string(got) != "hello" {
		t.Errorf("fetched %q, %v", got, err)
	}
}

func TestDownLeavesNothing(t *testing.T) {
	n := up(t, 3)
	var all []process
	for _, node := range n.Nodes() {
		all = append(all, node.process)
	}
	if err := n.Down(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, p := range all {
		if p.alive() {
			t.Errorf("process %d is still there", p.PID)
		}
	}
	if _, err := os.Lstat(n.dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the folder: %v, want that it is gone", err)
	}
}

func TestNodesAreEndedAndStarted(t *testing.T) {
	n := up(t, 3)
	ctx := t.Context()
	before := n.Nodes()
	if err := errors.Join(n.Kill(ctx, "n1"), n.Stop(ctx, "n2")); err != nil {
		t.Fatal(err)
	}
	if got, want := states(n), []State{StateKilled, StateStopped, StateUp}; !slices.Equal(got, want) {
		t.Errorf("states %v, want %v", got, want)
	}
	if err := errors.Join(n.Start(ctx, "n1"), n.Start(ctx, "n2"), n.Add(ctx, Spec{Name: "anna"})); err != nil {
		t.Fatal(err)
	}
	if got, want := states(n), []State{StateUp, StateUp, StateUp, StateUp}; !slices.Equal(got, want) {
		t.Errorf("states %v, want %v", got, want)
	}
	if after := n.Nodes(); after[0].Peer != before[0].Peer || !slices.Equal(after[0].Addrs, before[0].Addrs) {
		t.Errorf("n1 came back as %s at %v, and was %s at %v", after[0].Peer, after[0].Addrs, before[0].Peer, before[0].Addrs)
	}
}
