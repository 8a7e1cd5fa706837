package virtual

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/shoal-p2p/shoal/node"
	"github.com/shoal-p2p/shoal/testnet"
)

const mbit = 1e6 / 8 // bytes a second

// home is a link as in many of them.
var home = testnet.Link{Up: 50 * mbit, Down: 100 * mbit, Delay: 2 * time.Millisecond}

func quiet(node.Event) {}

// put adds nodes named n1, n2 and so on, and waits until they are connected.
func put(t testing.TB, n *Net, count int, link testnet.Link) {
	t.Helper()
	var specs []testnet.Spec
	for i := range count {
		specs = append(specs, testnet.Spec{Name: fmt.Sprintf("n%d", i+1), Link: link})
	}
	if err := n.Add(specs...); err != nil {
		t.Fatal(err)
	}
	if err := n.Settle(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func nodeOf(t testing.TB, n *Net, name string) *node.Node {
	t.Helper()
	x, err := n.Node(name)
	if err != nil {
		t.Fatal(err)
	}
	r, err := x.Running()
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// shareFile lets a node share a new file.
func shareFile(t testing.TB, n *Net, name string, size int) (data []byte, shared node.Shared) {
	t.Helper()
	data = make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{}).Read(data) // never fails
	path := filepath.Join(n.config.Dir, name, "film")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	shared, err := nodeOf(t, n, name).Share(t.Context(), node.ShareRequest{Paths: []string{path}}, quiet)
	if err != nil {
		t.Fatal(err)
	}
	return data, shared
}

// get lets a node fetch, and compares.
func get(ctx context.Context, n *Net, name, ref string, want []byte) error {
	x, err := n.Node(name)
	if err != nil {
		return err
	}
	dest := filepath.Join(n.config.Dir, name, "film")
	if _, err := x.Fetch(ctx, node.FetchRequest{Ref: ref, Dest: dest}, quiet); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if got, err := os.ReadFile(dest); err != nil || !bytes.Equal(got, want) {
		return fmt.Errorf("%s has another file (%v)", name, err)
	}
	return nil
}

// TestNodesFetchInVirtualTime gives a file to seven nodes with four links each, and expects it to take what the links make it
// take, and no machine.
func TestNodesFetchInVirtualTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := New(t, Config{Links: 4})
		put(t, n, 8, home)
		data, shared := shareFile(t, n, "n1", 4<<20)
		var group errgroup.Group
		began := time.Now()
		for _, x := range n.Nodes()[1:] {
			group.Go(func() error { return get(t.Context(), n, x.Name, shared.CID, data) })
		}
		if err := group.Wait(); err != nil {
			t.Fatal(err)
		}
		bound := float64(len(data)) / home.Up
		if took := time.Since(began).Seconds(); took < bound || took > 4*bound {
			t.Errorf("took %.2f s, want 1 to 4 times the bound of %.2f s", took, bound)
		}
		for _, x := range n.Nodes() {
			peers, err := nodeOf(t, n, x.Name).Peers(t.Context())
			if err != nil || len(peers) > 4 || len(peers) == 0 {
				t.Errorf("%s has %d peers (%v), want 1 to 4", x.Name, len(peers), err)
			}
		}
	})
}

// TestSmallFileTakesOneRoundTrip fetches a small file over a long way that is open already: there and back once, and nobody waits for
// the goodbye.
func TestSmallFileTakesOneRoundTrip(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		far := home
		far.Delay = 50 * time.Millisecond
		n := New(t, Config{Links: 1})
		put(t, n, 2, far)
		data, shared := shareFile(t, n, "n1", 1000)
		began := time.Now()
		if err := get(t.Context(), n, "n2", shared.CID, data); err != nil {
			t.Fatal(err)
		}
		trip := 4 * far.Delay
		if took := time.Since(began); took < trip || took > trip+trip/4 {
			t.Errorf("took %v, want a round trip of %v", took, trip)
		}
	})
}

// TestFaults fetches over lossy links, through a partition, a kill of the fetching node and one of the first provider.
func TestFaults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := New(t, Config{Seed: 3, Links: 3})
		put(t, n, 4, testnet.Link{Up: 20 * mbit, Down: 20 * mbit, Delay: 5 * time.Millisecond, Jitter: time.Millisecond, Loss: 0.01})
		data, shared := shareFile(t, n, "n1", 4<<20)
		cut := make(chan error, 1)
		go func() { cut <- get(t.Context(), n, "n2", shared.Ticket, data) }()
		time.Sleep(500 * time.Millisecond) // virtual: in mid-transfer
		if err := n.Partition([][]string{{"n1"}, {"n2", "n3"}}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * time.Second)
		select {
		case err := <-cut:
			t.Fatalf("the fetch ended in a partition: %v", err)
		default:
		}
		if err := n.Heal(); err != nil {
			t.Fatal(err)
		}
		if err := <-cut; err != nil {
			t.Fatalf("after the partition: %v", err)
		}

		lost := make(chan error, 1)
		go func() { lost <- get(t.Context(), n, "n3", shared.Ticket, data) }()
		time.Sleep(500 * time.Millisecond)
		if err := n.Kill("n3"); err != nil {
			t.Fatal(err)
		}
		if err := <-lost; err == nil {
			t.Error("a node that was killed fetched on")
		}
		if _, err := mustNode(t, n, "n3").Running(); err == nil {
			t.Error("a node that was killed runs")
		}
		if err := n.Kill("n1"); err != nil {
			t.Fatal(err)
		}
		if err := n.Start("n3"); err != nil {
			t.Fatal(err)
		}
		if err := get(t.Context(), n, "n3", shared.CID, data); err != nil {
			t.Errorf("started again, with the provider gone: %v", err)
		}
		if sent, lost := n.Packets(); lost < sent/200 {
			t.Errorf("%d of %d packets got lost, want a hundredth or more", lost, sent)
		}
	})
}

func mustNode(t testing.TB, n *Net, name string) *Node {
	t.Helper()
	x, err := n.Node(name)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// TestRefusals expects a sentence for each thing that this ground does not have.
func TestRefusals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := New(t, Config{})
		for _, s := range []testnet.Spec{
			{Name: "a", NAT: "cone"}, {Name: "b", Role: "liar"}, {Name: "c", Networks: []string{"lan"}}, {Name: "d", Flags: []string{"--no-mdns"}},
		} {
			if err := n.Add(s); err == nil {
				t.Errorf("%+v was taken", s)
			}
		}
		if err := n.Add(testnet.Spec{Name: "e"}, testnet.Spec{Name: "e"}); err == nil {
			t.Error("two nodes of one name were taken")
		}
		for what, err := range map[string]error{
			"kill": n.Kill("nobody"), "start": n.Start("nobody"), "shape": n.Shape("nobody", testnet.Link{}), "partition": n.Partition([][]string{{"nobody"}}),
		} {
			if err == nil {
				t.Errorf("%s of an unknown node was taken", what)
			}
		}
	})
}
