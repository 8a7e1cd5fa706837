package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/shoal-p2p/shoal/node"
)

// taken is the status of a node of which one peer takes something.
func taken() (node.Status, error) {
	return node.Status{Up: 5000, Transfers: []node.Transfer{{CID: aCID, Direction: "up", UpRate: 2048, Sources: []node.Source{
		{Peer: "12D3KooWabcdefgh", Addr: "/ip4/10.0.0.7/tcp/4001", Sent: 5000, UpRate: 2048},
		{Peer: "12D3KooWidle"},
	}}}}, nil
}

func TestSeedEndsWithZeroWhenInterrupted(t *testing.T) {
	w := newWorld(t)
	w.node.peers = func() ([]node.PeerStatus, error) {
		return []node.PeerStatus{{ID: "12D3KooWabcdefgh", Addrs: []string{"/ip4/10.0.0.7/tcp/4001"}, Up: 5000}}, nil
	}
	dest := filepath.Join(t.TempDir(), "x")
	c := w.start("get", aCID, "-o", dest, "--seed", "forever")
	c.err.await(t, "seeding until it is interrupted (^C)")
	c.err.await(t, "…abcdefgh fetches from /ip4/10.0.0.7/tcp/4001")
	if got := c.out.String(); got != dest+"\n" {
		t.Errorf("printed %q, want %q", got, dest+"\n")
	}
	select {
	case <-w.node.closed:
		t.Error("the node is closed while it seeds")
	default:
	}
	c.signals <- os.Interrupt
	if exit := c.ends(t); exit != 0 || !strings.Contains(c.err.String(), "seeded for ") {
		t.Errorf("exit %d, want 0, as all of it has come:\n%s", exit, c.err)
	}
	<-w.node.closed
}

func TestSeedEndsWhenTheTimeIsOver(t *testing.T) {
	w := newWorld(t)
	up := int64(1000)
	w.node.status = func() (node.Status, error) {
		s, err := taken()
		up += 500
		s.Up = up
		return s, err
	}
	exit, out, errs := w.run(t, "get", aCID, "-o", filepath.Join(t.TempDir(), "x"), "--seed", "1200ms", "--json")
	if exit != 0 {
		t.Errorf("exit %d\n%s", exit, errs)
	}
	var kinds []string
	var last node.Event
	for line := range strings.Lines(out) {
		var e node.Event
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatal(err)
		}
		if e.Kind == "seeding" && (len(e.Sources) != 1 || e.Sources[0].Sent != 5000 || e.Peers != 1 || e.Rate != 2048 || e.ETA <= 0 || e.ETA > 1.2) {
			t.Errorf("an event is %s", line)
		}
		kinds, last = append(kinds, e.Kind), e
	}
	if k := strings.Join(kinds, " "); !strings.HasPrefix(k, "done seeding") || !strings.HasSuffix(k, "seeding seeded") || last.Bytes < 500 || last.Seconds < 1 {
		t.Errorf("the events are %s, and the last one %+v", k, last)
	}
}

func TestSeedIsLeftToANodeThatServes(t *testing.T) {
	w := newWorld(t)
	w.serve(t)
	exit, _, errs := w.run(t, "get", aCID, "-o", filepath.Join(t.TempDir(), "x"), "--seed", "forever")
	if exit != 0 || !strings.Contains(errs, "goes on serving it") {
		t.Errorf("exit %d\n%s", exit, errs)
	}
}

// TestSeedOutlivesALentNode fetches through the node of another command, which then ends.
func TestSeedOutlivesALentNode(t *testing.T) {
	w := newWorld(t)
	stop := w.lend(t, newFake())
	c := w.start("get", aCID, "-o", filepath.Join(t.TempDir(), "x"), "--seed", "1h")
	c.err.await(t, "served by process 4242 for as long as it runs, and by this one afterwards, for ")
	stop()
	<-w.node.opened
	c.err.await(t, "seeding for ")
	if n := strings.Count(c.err.String(), "fetched "); n != 1 {
		t.Errorf("it was fetched %d times:\n%s", n, c.err)
	}
	c.signals <- os.Interrupt
	if exit := c.ends(t); exit != 0 {
		t.Errorf("exit %d\n%s", exit, c.err)
	}
}

func TestSeedThroughALentNodeEndsWithTheTime(t *testing.T) {
	w := newWorld(t)
	w.lend(t, newFake())
	if exit, _, errs := w.run(t, "get", aCID, "-o", filepath.Join(t.TempDir(), "x"), "--seed", "10ms"); exit != 0 {
		t.Errorf("exit %d\n%s", exit, errs)
	}
}

func TestSeedIsNoExcuseForAFetchThatFailed(t *testing.T) {
	w := newWorld(t)
	w.node.fetch = failing(wrapped(node.ErrNotFound))
	if exit, _, errs := w.run(t, "get", aCID, "-o", filepath.Join(t.TempDir(), "x"), "--seed", "forever"); exit != 3 {
		t.Errorf("exit %d\n%s", exit, errs)
	}
}

func TestSeedTimes(t *testing.T) {
	for text, want := range map[string]seedTime{
		"0": {}, "0s": {}, "10m": {length: 10 * time.Minute}, "1h30m": {length: 90 * time.Minute}, "forever": {forever: true},
	} {
		var got seedTime
		if err := got.Set(text); err != nil || got != want {
			t.Errorf("%q is %+v, %v, want %+v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "soon", "-1m", "10"} {
		var got seedTime
		if err := got.Set(text); err == nil {
			t.Errorf("%q is taken for %+v", text, got)
		}
	}
}

// TestSeedSaysNowAndThenThatItGoesOn has no terminal, and nobody who takes anything new.
func TestSeedSaysNowAndThenThatItGoesOn(t *testing.T) {
	n := newFake()
	n.status = taken
	errs := &terminal{}
	a := &app{out: &terminal{}, err: errs, getenv: func(string) string { return "" }}
	x := a.newSeeding(node.Event{Kind: "done"}, time.Time{})
	for seconds := range 130 {
		x.look(t.Context(), n, x.begun.Add(time.Duration(seconds)*time.Second))
	}
	if got := strings.Count(errs.String(), "seeding: 0 B given, 2.00 KiB/s, 1 peer\n"); got != 2 {
		t.Errorf("it was said %d times in 130 s, want 2:\n%s", got, errs)
	}
	x.end()
	if !strings.HasSuffix(errs.String(), ", gave 0 B\n") {
		t.Errorf("the end is not told:\n%s", errs)
	}
}
