package testnet

import (
	"bytes"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/shoal-p2p/shoal/node"
)

// upContainers puts up a network in containers, until the test ends.
func upContainers(t *testing.T, nodes ...Spec) *Net {
	t.Helper()
	if testing.Short() {
		t.Skip("starts containers")
	}
	if err := newDocker().ask(t.Context(), "GET", "/_ping", nil, nil); err != nil {
		lacking(t, err.Error())
	}
	return upOn(t, Containers, nodes)
}

// TestNodesInContainers has two networks that one node joins, and does to the nodes what can happen to them.
func TestNodesInContainers(t *testing.T) {
	one, two := []string{"one"}, []string{"two"}
	n := upContainers(t, Spec{Name: "n1", Networks: one}, Spec{Name: "joint", Networks: []string{"one", "two"}},
		Spec{Name: "n3", Networks: two}, Spec{Name: "n4", Networks: one})
	ctx := t.Context()
	files := filepath.Join(n.dir, nodesName, ".files") // containers see what is in the folder of their network
	check(t, os.Mkdir(files, 0o700))
	file := filepath.Join(files, "file")
	want := bytes.Repeat([]byte("so many words. "), 200_000)
	check(t, os.WriteFile(file, want, 0o600))
	shared, err := n.Share(ctx, "n1", node.ShareRequest{Paths: []string{file}})
	check(t, err)
	fetch := func(name string, patience float64) error {
		t.Helper()
		dest := filepath.Join(files, name)
		if _, err := n.Fetch(ctx, name, node.FetchRequest{Ref: shared.CID, Dest: dest, Timeout: patience}, nil); err != nil {
			return err
		}
		if got, err := os.ReadFile(dest); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s fetched %d bytes that are not the shared ones, %v", name, len(got), err)
		}
		return nil
	}
	linked := os.Getuid() == 0
	if linked {
		check(t, n.Shape(ctx, "n1", Link{Up: 1e6}))
	} else if err := n.Shape(ctx, "n1", Link{Up: 1e6}); !errors.Is(err, ErrGround) {
		t.Errorf("shape a link without root: %v, want that this cannot be", err)
	}
	check(t, n.Partition(ctx, [][]string{{"n4"}}))
	if err := fetch("n4", 2); err == nil {
		t.Error("n4 fetches although it is cut off")
	}
	begun := time.Now()
	check(t, fetch("joint", 30))
	if took := time.Since(begun).Seconds(); linked && took < 0.9*float64(len(want))/1e6 {
		t.Errorf("%d bytes took %.2f s over a link of 1 MB a second", len(want), took)
	}
	check(t, n.Heal(ctx))
	check(t, fetch("n4", 60))
	check(t, fetch("n3", 60)) // from the one that is in both networks

	before, err := n.Node("n3")
	check(t, err)
	check(t, n.Kill(ctx, "n3"))
	check(t, n.Start(ctx, "n3"))
	if after, err := n.Node("n3"); err != nil || after.Peer != before.Peer || !slices.Equal(after.Addrs, before.Addrs) {
		t.Errorf("n3 came back as %s at %q, and was %s at %q: %v", after.Peer, after.Addrs, before.Peer, before.Addrs, err)
	}
	cmd := n.ground.command(&before, "shares", "--json")
	if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), shared.CID) {
		t.Errorf("%q: %v, %s; want the share of what n3 fetched", cmd.Args, err, out)
	}
	if text, err := os.ReadFile(before.Log); err != nil || !strings.Contains(string(text), before.Peer) {
		t.Errorf("the log of n3 does not name it: %v\n%s", err, text)
	}
	nothingLeft(t, n)
}

// nothingLeft has the network cleaned up whose state nobody can read any more, and looks whether Docker knows it still.
func nothingLeft(t *testing.T, n *Net) {
	t.Helper()
	g := n.ground.(*containers)
	check(t, os.WriteFile(filepath.Join(n.dir, stateName), []byte("torn"), 0o600))
	cleaned, err := CleanOne(t.Context(), n.dir)
	check(t, err)
	if !cleaned.Removed {
		t.Errorf("not removed: %s", cleaned.Reason)
	}
	for _, kind := range []string{"containers/json", "networks"} {
		left, err := g.docker.labelled(t.Context(), kind, g.label())
		check(t, err)
		if len(left) > 0 {
			t.Errorf("%s: %q are left", kind, left)
		}
	}
	if err := g.docker.ask(t.Context(), "GET", "/images/"+g.image()+"/json", nil, nil); !missing(err) {
		t.Errorf("the image after down: %v, want that it is gone", err)
	}
}

func TestContainersSayWhatIsMissing(t *testing.T) {
	shoal, err := filepath.Abs("/bin/sh") // whatever it is, it is not static
	check(t, err)
	up := func(s Spec, host, program string) string {
		t.Setenv("DOCKER_HOST", host)
		_, err := Up(t.Context(), Config{Dir: filepath.Join(t.TempDir(), "net"), Ground: Containers, Shoal: program, Nodes: []Spec{s}}, nil)
		if !errors.Is(err, ErrGround) {
			t.Errorf("%+v at %s: %v, want that this ground cannot", s, host, err)
			return ""
		}
		if strings.Contains(err.Error(), "\n") {
			t.Errorf("says more than a sentence: %q", err)
		}
		return err.Error()
	}
	nowhere := "unix://" + filepath.Join(t.TempDir(), "docker.sock")
	for want, got := range map[string]string{
		"unset it":         up(Spec{Name: "n1"}, "tcp://192.0.2.1:2375", shoal),
		"CGO_ENABLED=0":    up(Spec{Name: "n1"}, nowhere, shoal),
		"install Docker":   up(Spec{Name: "n1"}, nowhere, staticProgram(t)),
		"there is no rout": up(Spec{Name: "n1", NAT: string(Cone)}, nowhere, shoal),
		"makes a jitter":   up(Spec{Name: "n1", Link: Link{Loss: 0.1}}, nowhere, shoal),
	} {
		if !strings.Contains(got, want) {
			t.Errorf("says %q, want the next step: %q", got, want)
		}
	}
}

// staticProgram is the least file that is a static program.
func staticProgram(t *testing.T) string {
	t.Helper()
	head := make([]byte, 64)
	copy(head, "\x7fELF\x02\x01\x01")
	head[16], head[18], head[20], head[52] = 2, 62, 1, 64 // executable, amd64, version, length of this
	path := filepath.Join(t.TempDir(), "static")
	check(t, os.WriteFile(path, head, 0o700))
	return path
}

func TestSidesOfAPartition(t *testing.T) {
	var nodes []*Node
	for _, name := range []string{"a", "b", "c", "d"} {
		nodes = append(nodes, &Node{Spec: Spec{Name: name}})
	}
	for _, c := range []struct {
		sides [][]string
		want  map[string]int // of those that move
	}{
		{nil, nil},
		{[][]string{{"a"}}, map[string]int{"a": 1}},
		{[][]string{{"a"}, {"b", "c"}}, map[string]int{"a": 1, "b": 2, "c": 2}},
		{[][]string{{"a"}, {"b", "c", "d"}}, map[string]int{"a": 1}},
		{[][]string{{"a", "b"}, {"c", "d"}}, map[string]int{"c": 2, "d": 2}},
	} {
		got := sidesOf(nodes, c.sides)
		maps.DeleteFunc(got, func(_ string, side int) bool { return side == 0 })
		if !maps.Equal(got, c.want) {
			t.Errorf("%q: %v move, want %v", c.sides, got, c.want)
		}
	}
}
