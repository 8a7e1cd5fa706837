package main

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/shoal-p2p/shoal/node"
)

// TestServeBeginsWithSharesAndAGet is a service: nobody types a second command.
func TestServeBeginsWithSharesAndAGet(t *testing.T) {
	for _, asJSON := range []bool{false, true} {
		w := newWorld(t)
		dir := t.TempDir()
		var shared []string
		w.node.share = func(_ context.Context, r node.ShareRequest, _ func(node.Event)) (node.Shared, error) {
			shared = append(shared, r.Paths...)
			return node.Shared{CID: aCID, Ticket: "shoal1secret", Bytes: 12, Files: 1}, nil
		}
		fetched := make(chan node.FetchRequest, 1)
		w.node.fetch = func(_ context.Context, r node.FetchRequest, _ func(node.Event)) (node.Event, error) {
			fetched <- r
			return node.Event{Kind: "done", CID: aCID, Path: r.Dest}, nil
		}
		args := []string{"serve", "--share", filepath.Join(dir, "a"), "--share", filepath.Join(dir, "b"), "--get", aCID, "-o", dir}
		if asJSON {
			args = append(args, "--json")
		}
		c := w.start(args...)
		r := <-fetched
		if want := (node.FetchRequest{Ref: aCID, Dest: filepath.Join(dir, aCID), Timeout: -1}); r.Ref != want.Ref || r.Dest != want.Dest || r.Timeout != want.Timeout {
			t.Errorf("fetches %+v, want %+v", r, want)
		}
		if want := []string{filepath.Join(dir, "a"), filepath.Join(dir, "b")}; !slices.Equal(shared, want) {
			t.Errorf("shares %q, want %q", shared, want)
		}
		c.out.await(t, filepath.Join(dir, aCID))
		c.signals <- os.Interrupt
		if exit := c.ends(t); exit != 0 {
			t.Errorf("exit %d\n%s", exit, c.err)
		}
		if out := c.out.String() + c.err.String(); strings.Contains(out, "secret") {
			t.Errorf("a ticket is printed, and so kept in logs:\n%s", out)
		}
		if !asJSON {
			if !strings.Contains(c.out.String(), aCID+"  "+filepath.Join(dir, "a")+"\n") {
				t.Errorf("the share is not listed:\n%s", c.out)
			}
			continue
		}
		var kinds []string
		for line := range strings.Lines(c.out.String()) {
			var e node.Event
			if err := json.Unmarshal([]byte(line), &e); err != nil {
				t.Errorf("%q: %v", line, err)
			}
			kinds = append(kinds, e.Kind)
		}
		if want := []string{"", "shared", "shared", "done"}; !slices.Equal(kinds, want) {
			t.Errorf("prints %q, want %q", kinds, want)
		}
	}
}

func TestServeRefusesWhatItCannotBeginWith(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct {
		exit int
		says string
		args []string
	}{
		{2, "there is no --get", []string{"-o", w.home}},
		{2, "nonsense", []string{"--get", "nonsense"}},
		{2, "there is no directory", []string{"--get", aCID, "-o", filepath.Join(w.home, "no", "where")}},
	} {
		if exit, _, errs := w.run(t, append([]string{"serve"}, c.args...)...); exit != c.exit || !strings.Contains(errs, c.says) {
			t.Errorf("%q: exit %d, want %d and %q:\n%s", c.args, exit, c.exit, c.says, errs)
		}
	}
	w.node.share = func(context.Context, node.ShareRequest, func(node.Event)) (node.Shared, error) {
		return node.Shared{}, wrapped(node.ErrUsage)
	}
	if exit, _, errs := w.run(t, "serve", "--share", filepath.Join(w.home, "gone")); exit != 2 || !strings.Contains(errs, errScripted.Error()) {
		t.Errorf("a share that cannot be: exit %d\n%s", exit, errs)
	}
}
