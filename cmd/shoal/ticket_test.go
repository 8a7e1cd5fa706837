package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/shoal-p2p/shoal/node"
)

// aTicket is one whose checksum fits, to bafkreifzjut3te2nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e.
const aTicket = "shoal1aasacvisec4u2j5zsngt4cfffzjnpwt5vp5mjbhp4n5fhahoscepplhc57g6sainmeqhg33vojrwkiduojswkargaasaqaiseb5cmw3p2dvf4xcnzmogywkucfe7gsvvdh5v5tyvrlkrlonimzkgkayiatakqaifayh2caylatakqaifseba7ionambqwbglabyqpeicb6q42a2rrre42"

// A ticket can be in a file, whose size is bounded and in which nothing else may be.
func TestTicketInAFile(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return "@" + path
	}
	full := aTicket + strings.Repeat("\n", maxRef-len(aTicket))
	for _, c := range []struct {
		ref  string
		code int
		says string
	}{
		{write("good", aTicket+"\n"), 0, ""},
		{write("path", " "+strings.ToUpper(aTicket)+"/docs/a.txt\r\n"), 0, ""},
		{write("cid", aCID), 0, ""},
		{write("full", full), 0, ""},
		{write("over", full+"\n"), 2, "too large"},
		{write("empty", "\n"), 2, "does not hold one ticket"},
		{write("two", aTicket+"\n"+aTicket), 2, "does not hold one ticket"},
		{write("spoilt", strings.Replace(aTicket, "a", "b", 1)), 2, "content ID"},
		{write("checksum", aTicket[:len(aTicket)-1]+"a"), 2, "checksum"},
		{"@" + filepath.Join(dir, "none"), 2, "no such file"},
		{"@" + dir, 2, "directory"},
		{"@", 2, "no such file"},
	} {
		w := newWorld(t)
		var asked node.FetchRequest
		w.node.fetch = func(_ context.Context, r node.FetchRequest, _ func(node.Event)) (node.Event, error) {
			asked = r
			return node.Event{Kind: "done", CID: aCID, Path: r.Dest}, nil
		}
		code, out, errs := w.run(t, "get", c.ref, "-o", filepath.Join(dir, "got"))
		if code != c.code || !strings.Contains(errs, c.says) {
			t.Errorf("get %s: exit %d, want %d with %q:\n%s%s", filepath.Base(c.ref), code, c.code, c.says, out, errs)
		}
		if strings.Contains(strings.ToLower(out+errs), aTicket[10:30]) {
			t.Errorf("get %s prints the ticket:\n%s%s", filepath.Base(c.ref), out, errs)
		}
		if c.code == 0 && strings.ContainsAny(asked.Ref, "@\r\n ") {
			t.Errorf("get %s asks for %q", filepath.Base(c.ref), asked.Ref)
		}
	}
}

// Whatever is wrong with a command line, no ticket in it is printed: not to the terminal, not as JSON, not in the log.
func TestTicketsAreNotRepeated(t *testing.T) {
	for _, args := range [][]string{
		{aTicket},
		{"get", aTicket, aTicket},
		{"get", aCID, aTicket},
		{"get", aTicket + "x"},
		{"get", strings.ToUpper(aTicket) + "x"},
		{"--network", aTicket, "id"},
		{"get", "--timeout", aTicket, aCID},
		{"get", "--" + aTicket},
		{"share", "--allow", aTicket, "x"},
		{"get", "--peer", aTicket, aCID},
		{"unshare", aTicket, aTicket},
		{"help", aTicket},
		{"completion", aTicket},
		{"ticket", aTicket + "/x", "--expires", aTicket},
		{"get", "@/tmp/" + aTicket},
		{"get", aTicket, "-o", "/nowhere/" + aTicket + "/x"},
	} {
		for _, more := range [][]string{nil, {"--json"}, {"--verbose"}} {
			w := newWorld(t)
			w.open = openNode
			_, out, errs := w.run(t, append(append([]string{"--network", "isolated", "--listen", "/ip4/127.0.0.1/tcp/0"}, args...), more...)...)
			if strings.Contains(strings.ToLower(out+errs), aTicket[10:30]) {
				t.Errorf("%.40q prints the ticket:\n%s%s", args, out, errs)
			}
		}
	}
}

func TestExpiresIsUnderstood(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"30m": 30 * time.Minute, "24h": 24 * time.Hour, "7d": 7 * 24 * time.Hour, "1.5d": 36 * time.Hour, "1s": time.Second,
		"0": 0, "": 0, "-1h": 0, "d": 0, "1": 0, "999ms": 0, "1w": 0, "NaNd": 0, "1e9999d": 0, "9999999999d": 0,
	} {
		var got term
		if err := got.Set(text); (err == nil) != (want > 0) || time.Duration(got) != want {
			t.Errorf("%q: %v, %v; want %v", text, time.Duration(got), err, want)
		}
	}
}

// The lists of the configuration hold for a share that is limited to somebody, too: its --allow is another one.
func TestListsOfTheConfiguration(t *testing.T) {
	const one, other = "12D3KooWJ3BqAU6uMmuXWTNKaYm1xnQkNdSLxZKsHYGjQTYxmZKa", "12D3KooWKnDdG3iXw9eTFijk3EWSunZcFi54Zka4wmtqtt6rPxc8"
	for _, c := range []struct {
		args         []string
		allow, block string
	}{
		{[]string{"shares"}, one, other},
		{[]string{"get", aCID, "-o", filepath.Join(t.TempDir(), "x"), "--allow", other}, other, other},
		{[]string{"get", aCID, "-o", filepath.Join(t.TempDir(), "x"), "--block", one}, one, one},
		{[]string{"share", "x", "--allow", other}, one, other},
	} {
		w := newWorld(t)
		w.configure(t, "allow: ["+one+"]\nblock: ["+other+"]\n")
		run := w.start(c.args...)
		select {
		case <-w.node.opened:
		case <-time.After(time.Minute):
			t.Fatalf("%q opens no node: %s", c.args, run.err)
		}
		if c.args[0] == "share" {
			run.err.await(t, "serving")
			run.signals <- os.Interrupt
		}
		if code := run.ends(t); code != 0 {
			t.Errorf("%q: exit %d: %s", c.args, code, run.err)
		}
		if got := w.node.config; len(got.Allow) != 1 || got.Allow[0] != c.allow || len(got.Block) != 1 || got.Block[0] != c.block {
			t.Errorf("%q opens a node with %q, %q", c.args, got.Allow, got.Block)
		}
	}
}

// The flags come to the node as they were meant, and the lists too late for one that runs.
func TestWhoMayComeInIsPassedOn(t *testing.T) {
	const one, other = "12D3KooWJ3BqAU6uMmuXWTNKaYm1xnQkNdSLxZKsHYGjQTYxmZKa", "12D3KooWKnDdG3iXw9eTFijk3EWSunZcFi54Zka4wmtqtt6rPxc8"
	w := newWorld(t)
	node1 := w.node
	var asked node.ShareRequest
	share := func(_ context.Context, r node.ShareRequest, _ func(node.Event)) (node.Shared, error) {
		asked = r
		return node.Shared{CID: aCID, Ticket: "shoal1aaaa", Terms: node.Terms{Private: true, Limited: true, Allow: r.Allow}}, nil
	}
	node1.share = share
	w.serve(t, "--allow", one+","+other, "--block", other, "--block", one)
	if c := node1.config; len(c.Allow) != 2 || c.Allow[1] != other || len(c.Block) != 2 || c.Block[1] != one {
		t.Errorf("serve opens a node with %q, %q", c.Allow, c.Block)
	}
	code, out, errs := w.run(t, "share", "x", "--private", "--allow", one, "--expires", "2h")
	if code != 0 || !asked.Private || len(asked.Allow) != 1 || asked.Expires != 7200 {
		t.Errorf("share: exit %d, %+v\n%s%s", code, asked, out, errs)
	}
	if !strings.Contains(errs, "only for …QTYxmZKa, with the ticket") {
		t.Errorf("share does not say for whom it is:\n%s", errs)
	}
	for _, args := range [][]string{{"get", aCID, "--allow", one}, {"ls", aCID, "--block", one}, {"share", "x", "--block", one}} {
		if code, _, errs := w.run(t, args...); code != 2 || !strings.Contains(errs, "too late") {
			t.Errorf("%q beside a running node: exit %d, %s", args, code, errs)
		}
	}
}
