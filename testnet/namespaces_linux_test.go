package testnet

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/shoal-p2p/shoal/node"
)

// upNamespaces puts up a network on links, until the test ends.
func upNamespaces(t *testing.T, nodes ...Spec) *Net {
	t.Helper()
	if testing.Short() {
		t.Skip("starts processes and network namespaces")
	}
	if err := lackSpaces(); err != nil {
		lacking(t, err.Error())
	}
	return upOn(t, Namespaces, nodes)
}

// shareRandom has a node share a file of chance bytes.
func shareRandom(t *testing.T, n *Net, name string, size int) (data []byte, ref node.Shared) {
	t.Helper()
	data = make([]byte, size)
	_, _ = rand.NewChaCha8(sha256.Sum256([]byte(t.Name()))).Read(data) // never fails
	file := filepath.Join(t.TempDir(), "file")
	check(t, os.WriteFile(file, data, 0o600))
	ref, err := n.Share(t.Context(), name, node.ShareRequest{Paths: []string{file}})
	check(t, err)
	return data, ref
}

// fetch has a node fetch a file, and returns how long that took.
func fetch(t *testing.T, n *Net, name, ref string, want []byte) time.Duration {
	t.Helper()
	dest := filepath.Join(t.TempDir(), "copy")
	begun := time.Now()
	if _, err := n.Fetch(t.Context(), name, node.FetchRequest{Ref: ref, Dest: dest}, nil); err != nil {
		t.Fatalf("%s fetches: %v", name, err)
	}
	took := time.Since(begun)
	got, err := os.ReadFile(dest)
	check(t, err)
	if !bytes.Equal(got, want) {
		t.Error("what came is not what was shared")
	}
	return took
}

func TestNodesOnLinksAreAsFastAsTheirLinks(t *testing.T) {
	const size, rate = 8 << 20, 2e6
	n := upNamespaces(t, Spec{Name: "seed", Link: Link{Up: rate, Delay: 5 * time.Millisecond}}, Spec{Name: "n1"}, Spec{Name: "n2"})
	data, ref := shareRandom(t, n, "seed", size)
	took := fetch(t, n, "n1", ref.CID, data)
	t.Logf("%v for what takes %.2f s at least", took, size/rate)
	if took.Seconds() < 0.95*size/rate {
		t.Errorf("%d bytes took %v over a link of %g bytes a second", size, took, rate)
	}
	check(t, n.Shape(t.Context(), "seed", Link{}))
	check(t, n.Stop(t.Context(), "n1"))
	took = fetch(t, n, "n2", ref.Ticket, data)
	t.Logf("%v without a limit", took)
	if took.Seconds() > 0.95*size/rate { // which the limit would not let happen
		t.Errorf("without the limit it still took %v", took)
	}
}

// TestNodesOnABridgeHearEachOther asks a node for a neighbour of whom nobody has told it: mDNS has to pass the bridge, also by
// way of a line.
func TestNodesOnABridgeHearEachOther(t *testing.T) {
	n := upNamespaces(t, Spec{Name: "anna"}, Spec{Name: "ben", Link: Link{Delay: time.Millisecond}}, Spec{Name: "carl"})
	ben, err := n.Node("ben")
	check(t, err)
	out, err := n.ground.command(&ben, "nearby", "--json").Output()
	check(t, err)
	seen := map[string]string{}
	for line := range strings.Lines(string(out)) {
		var of node.Neighbour
		check(t, json.Unmarshal([]byte(line), &of))
		seen[of.Name] = of.Route
	}
	if seen["anna"] == "" || seen["carl"] != "mdns" {
		t.Errorf("ben sees %v, want anna, and carl by mDNS", seen)
	}
}

func TestCutStopsATransferUntilItIsHealed(t *testing.T) {
	const size = 6 << 20
	n := upNamespaces(t, Spec{Name: "seed", Link: Link{Up: 2e6}}, Spec{Name: "n1"}, Spec{Name: "n2"})
	data, ref := shareRandom(t, n, "seed", size)
	begun, cut := make(chan struct{}), false
	var fetching errgroup.Group
	dest := filepath.Join(t.TempDir(), "copy")
	fetching.Go(func() error {
		_, err := n.Fetch(t.Context(), "n1", node.FetchRequest{Ref: ref.Ticket, Dest: dest}, func(e node.Event) {
			if e.Bytes > 0 && !cut {
				cut = true
				close(begun)
			}
		})
		return err
	})
	<-begun
	check(t, n.Partition(t.Context(), [][]string{{"seed"}}))
	status := func() int64 {
		s, err := n.Status(t.Context(), "n1")
		check(t, err)
		return s.Down
	}
	before := status()
	quiet := 0
	for range 40 { // what is on its way comes in, and then nothing does
		time.Sleep(100 * time.Millisecond) // nothing tells that nothing comes
		now := status()
		if now > before {
			quiet, before = 0, now
		} else if quiet++; quiet == 10 {
			break
		}
	}
	if quiet < 10 {
		t.Error("the transfer goes on across the cut")
	}
	if _, err := os.Stat(dest); err == nil {
		t.Fatal("all came across the cut, or before it")
	}
	check(t, n.Heal(t.Context()))
	check(t, fetching.Wait())
	if got, err := os.ReadFile(dest); err != nil || !bytes.Equal(got, data) {
		t.Errorf("what came is not what was shared: %v", err)
	}
}

func TestNodesBehindNATsMeet(t *testing.T) {
	n := upNamespaces(t,
		Spec{Name: "anna", NAT: string(PortRestricted)}, Spec{Name: "ben", NAT: string(Cone)}, Spec{Name: "open"}, Spec{Name: "open2"})
	data, ref := shareRandom(t, n, "anna", 1<<20)
	fetch(t, n, "ben", ref.Ticket, data)
}

func TestNATsAloneAreRefused(t *testing.T) {
	if err := lackSpaces(); err != nil {
		lacking(t, err.Error())
	}
	shoal, err := program()
	check(t, err)
	dir := filepath.Join(t.TempDir(), "net")
	_, err = Up(t.Context(), Config{Dir: dir, Ground: Namespaces, Shoal: shoal, Nodes: []Spec{{Name: "a", NAT: "cone"}, {Name: "b", NAT: "cone"}}}, nil)
	if !errors.Is(err, ErrRequest) {
		t.Errorf("%v, want that it makes no sense", err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the folder: %v, want that it is gone", err)
	}
}

func TestNamespacesLeaveNothing(t *testing.T) {
	before := traces(t)
	n := upNamespaces(t, Spec{Name: "a", Link: Link{Delay: time.Millisecond, Loss: 0.01}}, Spec{Name: "b"})
	keeper := slices.DeleteFunc(markedProcesses(n.dir), func(p process) bool {
		return slices.ContainsFunc(n.Nodes(), func(node Node) bool { return node.PID == p.PID })
	})
	if len(keeper) != 1 {
		t.Fatalf("processes beside the nodes: %v, want one", keeper)
	}
	check(t, keeper[0].end(t.Context(), Killed))
	if err := n.Shape(t.Context(), "a", Link{}); !errors.Is(err, ErrGround) || !strings.Contains(err.Error(), "clean") {
		t.Errorf("%v, want that the links are gone, and the next step", err)
	}
	for _, p := range markedProcesses(n.dir) {
		check(t, p.end(t.Context(), Killed))
	}
	check(t, n.Down(t.Context()))
	if left := markedProcesses(n.dir); len(left) > 0 {
		t.Errorf("processes are left: %v", left)
	}
	if after := traces(t); after != before {
		t.Errorf("afterwards there are\n%s\nand before\n%s", after, before)
	}
	if _, err := os.Stat(n.dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the folder: %v, want that it is gone", err)
	}
}

// traces are what a network could leave on the machine beside processes and its folder: links, and namespaces that have names.
func traces(t *testing.T) string {
	t.Helper()
	links, err := net.Interfaces()
	check(t, err)
	var b strings.Builder
	for _, l := range links {
		fmt.Fprintln(&b, "link", l.Name)
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	check(t, err)
	for line := range strings.Lines(string(mounts)) {
		if strings.Contains(line, "nsfs") {
			b.WriteString(line)
		}
	}
	return b.String()
}
