package virtual

import (
	"os"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sync/errgroup"
)

// TestFileForAll builds a network of nodes with 8 links each, and brings a file of 8 MiB to all of them. SHOAL_VIRTUAL_NODES=300 is what
// make bench-testnet asks for: then wall time and memory are compared with their bounds. Processor time stands beside them, because on a
// busy machine only that says much.
func TestFileForAll(t *testing.T) {
	const links, size, wallBound, memoryBound = 8, 8 << 20, 120 * time.Second, 4 << 30
	count, measured := 12, false
	if text := os.Getenv("SHOAL_VIRTUAL_NODES"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 2 {
			t.Fatalf("SHOAL_VIRTUAL_NODES=%q is no number of nodes", text)
		}
		count, measured = n, true
	}
	began := time.Now()
	var built, took time.Duration
	synctest.Test(t, func(t *testing.T) {
		n := New(t, Config{Links: links, Seed: 1})
		put(t, n, count, home)
		built = n.Elapsed()
		data, shared := shareFile(t, n, "n1", size)
		var group errgroup.Group
		start := time.Now()
		for _, x := range n.Nodes()[1:] {
			group.Go(func() error { return get(t.Context(), n, x.Name, shared.CID, data) })
		}
		if err := group.Wait(); err != nil {
			t.Error(err)
		}
		took = time.Since(start)
	})
	if !measured {
		return
	}
	wall := time.Since(began)
	processor, memory := resources()
	t.Logf("%d nodes, %d links each, %d MiB for all: built in %.1f s of virtual time, fetched in %.1f s", count, links, size>>20, built.Seconds(), took.Seconds())
	t.Logf("wall time %.0f s, %.2f of the bound; processor time %.0f s; memory %.2f GB, %.2f of the bound",
		wall.Seconds(), wall.Seconds()/wallBound.Seconds(), processor.Seconds(), float64(memory)/1e9, float64(memory)/memoryBound)
	if wall > wallBound || memory > memoryBound {
		t.Errorf("the bounds are %v and %d bytes", wallBound, int64(memoryBound))
	}
}
