//go:build unix

package main

import (
	"encoding/json"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/shoal-p2p/shoal/node"
)

// seeds has a get that goes on serving, for others to fetch from, and ends in all the ways that it can.
func (p program) seeds(t *testing.T, cid, ticket, folder string) {
	isolated := []string{"--network", "isolated"}
	get := func(name string, more ...string) []string {
		return append(append(isolated, "get", "-o", filepath.Join(p.dir, "seed-"+name)), more...)
	}
	giver := p.start(t, "giver", append(get("given", ticket, "--seed", "forever"), "--listen", "/ip4/127.0.0.1/tcp/0")...)
	giver.err.await(t, "seeding until")
	if s := giver.err.String(); !strings.Contains(s, " 100 %  direct   /ip4/127.0.0.1/tcp/") {
		t.Errorf("the summary does not name the source:\n%s", s)
	}
	id := p.run(t, 0, "giver", "id")
	addr, _ := id["addrs"].([]any)[0].(string)
	taker := p.start(t, "taker", get("received", cid, "--peer", addr, "--seed", "forever", "--json")...) // and stays connected
	taker.out.await(t, `"seeding"`)
	giver.err.await(t, " fetches from /ip4/127.0.0.1/tcp/")
	taker.signal(syscall.SIGTERM)
	if exit := taker.ends(); exit != 0 {
		t.Errorf("who took and seeded: exit %d\n%s", exit, taker.err)
	}
	var done node.Event
	for line := range strings.Lines(taker.out.String()) {
		if strings.Contains(line, `"done"`) {
			if err := json.Unmarshal([]byte(line), &done); err != nil {
				t.Fatal(err)
			}
		}
	}
	if len(done.Sources) != 1 || done.Sources[0].Peer != id["id"] {
		t.Errorf("it came from %v, want %v", done.Sources, id["id"])
	}
	if out, err := exec.Command("diff", "-r", folder, filepath.Join(p.dir, "seed-received")).CombinedOutput(); err != nil {
		t.Errorf("what came is not what was shared: %v\n%s", err, out)
	}
	status := p.start(t, "giver", "status", "--watch", "--json")
	status.out.await(t, "}\n{")
	status.signal(syscall.SIGINT)
	if exit := status.ends(); exit != 0 {
		t.Errorf("status --watch: exit %d\n%s", exit, status.err)
	}
	giver.signal(syscall.SIGINT)
	if exit := giver.ends(); exit != 0 || !strings.Contains(giver.err.String(), ", gave 3.00 MiB") {
		t.Errorf("seeding that was interrupted: exit %d\n%s", exit, giver.err)
	}

	short := p.start(t, "short", get("short", ticket, "--seed", "1s")...)
	if exit := short.ends(); exit != 0 || !strings.Contains(short.err.String(), "seeded for 1.0 s") {
		t.Errorf("seeding for a second: exit %d\n%s", exit, short.err)
	}
	p.serve(t, "server")
	left := p.start(t, "server", "get", "-o", filepath.Join(p.dir, "left"), ticket, "--seed", "forever")
	if exit := left.ends(); exit != 0 || !strings.Contains(left.err.String(), "goes on serving it") {
		t.Errorf("seeding with a node that serves: exit %d\n%s", exit, left.err)
	}
	if last := p.run(t, 0, "events", get("events", ticket, "--seed", "10ms")...); last["event"] != "seeded" {
		t.Errorf("the last event is %v", last)
	}
}
