package main

import (
	"encoding/json"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/shoal-p2p/shoal/node"
)

// counting is a node whose status is another one each time.
func counting() func() (node.Status, error) {
	var n atomic.Int64
	return func() (node.Status, error) {
		return node.Status{ID: "12D3KooWSelf", Down: n.Add(1), Transfers: []node.Transfer{{CID: aCID, Name: "a\x1b[2Jname", Direction: "down"}}}, nil
	}
}

func TestWatchPrintsABlockASecond(t *testing.T) {
	w := newWorld(t)
	w.node.status = counting()
	w.serve(t)
	c := w.start("status", "--watch")
	c.out.await(t, "\n\npeer     12D3KooWSelf")
	c.signals <- os.Interrupt
	if exit := c.ends(t); exit != 0 || c.err.String() != "" {
		t.Errorf("exit %d, want 0, and nothing on standard error:\n%s", exit, c.err)
	}
	if text := c.out.String(); strings.Contains(text, "\x1b") || !strings.HasPrefix(text, "peer") || strings.Count(text, "traffic") < 2 {
		t.Errorf("printed %q", text)
	}
}

func TestWatchPrintsALineOfJSONASecond(t *testing.T) {
	w := newWorld(t)
	w.node.status = counting()
	w.serve(t)
	c := w.start("status", "--watch", "--json")
	c.out.await(t, "}\n{")
	c.signals <- os.Interrupt
	if exit := c.ends(t); exit != 0 {
		t.Errorf("exit %d\n%s", exit, c.err)
	}
	var last int64
	for line := range strings.Lines(c.out.String()) {
		var s node.Status
		if err := json.Unmarshal([]byte(line), &s); err != nil || s.Down <= last || len(s.Transfers) != 1 {
			t.Errorf("the line %q: %v", line, err)
		}
		last = s.Down
	}
}

// TestWatchNearby has a neighbour that comes after the first look.
func TestWatchNearby(t *testing.T) {
	w := newWorld(t)
	var looks atomic.Int64
	w.node.nearby = func(func(node.Event)) ([]node.Neighbour, error) {
		if looks.Add(1) == 1 {
			return []node.Neighbour{}, nil
		}
		return []node.Neighbour{{ID: "12D3KooWPeer", Name: "a\x1b[2Jname"}}, nil
	}
	w.serve(t)
	c := w.start("nearby", "--watch")
	c.out.await(t, "12D3KooWPeer")
	c.signals <- os.Interrupt
	if exit := c.ends(t); exit != 0 || c.err.String() != "" {
		t.Errorf("exit %d, want 0, and nothing on standard error:\n%s", exit, c.err)
	}
	if text := c.out.String(); strings.Contains(text, "\x1b") || !strings.HasPrefix(text, "no other node answers on this network yet\n\na") {
		t.Errorf("printed %q", text)
	}
	looks.Store(0)
	c = w.start("nearby", "--watch", "--json")
	c.out.await(t, `[{"`)
	c.signals <- os.Interrupt
	if exit := c.ends(t); exit != 0 || !strings.HasPrefix(c.out.String(), "[]\n[{") {
		t.Errorf("exit %d, printed %q", exit, c.out)
	}
}

func TestWatchEndsWithTheNode(t *testing.T) {
	w := newWorld(t)
	lent := newFake()
	lent.status = counting()
	stop := w.lend(t, lent)
	c := w.start("status", "--watch")
	c.out.await(t, "traffic")
	stop()
	if exit := c.ends(t); exit != exitOther {
		t.Errorf("exit %d, want %d\n%s", exit, exitOther, c.err)
	}
}

// TestWatchIsInterruptedWhileItAsks has a node that takes its time over the second answer.
func TestWatchIsInterruptedWhileItAsks(t *testing.T) {
	w := newWorld(t)
	lent := newFake()
	asked, over := make(chan struct{}, 1), make(chan struct{})
	calls := counting()
	lent.status = func() (node.Status, error) {
		s, err := calls()
		if s.Down == 2 {
			asked <- struct{}{}
			<-over
		}
		return s, err
	}
	stop := w.lend(t, lent)
	c := w.start("status", "--watch")
	<-asked
	c.signals <- os.Interrupt
	if exit := c.ends(t); exit != 0 || c.err.String() != "" {
		t.Errorf("exit %d\n%s", exit, c.err)
	}
	close(over)
	stop()
}

func TestWatchNeedsARunningNode(t *testing.T) {
	w := newWorld(t)
	if exit, _, errs := w.run(t, "status", "--watch"); exit != exitOther || !strings.Contains(errs, "no node is running") {
		t.Errorf("exit %d\n%s", exit, errs)
	}
}

func TestFit(t *testing.T) {
	lines := []string{"one", "two", "three"}
	for rows, want := range map[int]string{5: "one two thr…", 3: "one two thr…", 2: "two thr…", 1: "thr…", 0: "thr…"} {
		if got := strings.Join(fit(lines, 5, rows), " "); got != want {
			t.Errorf("in %d rows: %q, want %q", rows, got, want)
		}
	}
}
