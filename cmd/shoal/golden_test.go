package main

import (
	"context"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/shoal-p2p/shoal/node"
)

var update = flag.Bool("update", false, "write the golden files anew")

// hostile is a node to which others have given every name that a terminal could take for something else.
func hostile() *fake {
	n := newFake()
	names := []string{
		"plain.txt", "esc\x1b[2J\x1b]0;owned\x07", "nul\x00", "new\nline", "cr\rover", "del\x7f", "c1\u009b31m", "rtl\u202egpj.exe",
		"iso\u2066late", "zero\u200bwidth", "bad\xff\xfeutf8", "sep\u2028arator", "tag\U000e0041", "-rf", "$(id)`id`", "日本語", "emoji🐟",
		"<script>alert(1)</script>",
	}
	all := strings.Join(names, " ")
	n.list = func(context.Context, node.ListRequest, func(node.Event)) ([]node.Entry, error) {
		var out []node.Entry
		for i, name := range names {
			out = append(out, node.Entry{Path: "d/" + name, Kind: "file", CID: aCID, Size: int64(i) * 1_000_003})
		}
		return append(out,
			node.Entry{Path: "d\x1b[A", Kind: "dir", CID: aCID},
			node.Entry{Path: "l\x1b[A", Kind: "symlink", CID: aCID, Target: "/etc/\x1b[31mpasswd", Unsafe: "a \x1b[31msymbolic link"}), nil
	}
	n.shares = func() ([]node.Share, error) {
		return []node.Share{{
			CID: aCID, Name: all, Paths: []string{"/home/u/" + all}, Origin: "shared", Bytes: 123456789, Files: 1234567,
			Added: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
			Stale: []node.Skipped{{Path: all, Reason: "changed\x1b[2J"}}, Listed: true,
			Terms: node.Terms{
				Private: true, Limited: true, Allow: []string{"12D3KooWPeer\x1b[2J"}, Expires: time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC),
			},
		}}, nil
	}
	n.ticket = func(node.TicketRequest) (node.Ticketed, error) {
		return node.Ticketed{CID: aCID, Ticket: "shoal1aaaa", Name: all, Terms: node.Terms{
			Private: true, Expires: time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC),
		}}, nil
	}
	n.inspect = func(node.InspectRequest) (node.Inspected, error) {
		x := node.Inspected{
			CID: aCID, Path: "d/" + all, Name: all, Kind: "dir", Bytes: 1_234_567, Files: 1234, Claimed: true, Here: true, More: 1200,
			Holders: []node.Holder{
				{Peer: "12D3KooWPeer", Addr: "/ip4/10.0.0.7/tcp/4001"}, {Peer: "12D3KooWOther\x1b[2J", Addr: "/ip4/10.0.0.8/tcp/1/p2p-circuit\u202e", Relayed: true},
			},
			Ticket: &node.TicketFacts{
				Peer: "12D3KooWPeer\x1b[2J", Addrs: []string{"/ip4/10.0.0.7/tcp/4001", "/ip4/10.0.0.7/tcp/1\u202e"}, Private: true, Keep: true,
				Expires: time.Date(2020, 1, 2, 3, 4, 5, 0, time.UTC), Expired: true,
			},
		}
		for i, name := range names {
			x.Entries = append(x.Entries, node.Entry{Path: "d/" + name, Kind: "file", CID: aCID, Size: int64(i) * 1_000_003})
		}
		return x, nil
	}
	n.nearby = func(emit func(node.Event)) ([]node.Neighbour, error) {
		emit(node.Event{Kind: "finding", Message: "listening for neighbours for 2.5 s"})
		return []node.Neighbour{
			{
				ID: "12D3KooWPeer", Name: all, Addr: "/ip4/10.0.0.7/tcp/4001", Agent: "shoal/v1", Route: "mdns", More: 1234,
				Listed: []node.Listed{{CID: aCID, Name: all, Bytes: 123456789, Files: 1234567}, {CID: aCID, Bytes: 5, Files: 1}},
			},
			{ID: "12D3KooWQuiet", Name: "quiet", Addr: "/ip4/10.0.0.8/tcp/4001", Agent: "shoal/v1", Route: "mdns"},
			{ID: "12D3KooWKubo", Addr: "/ip4/10.0.0.9/tcp/4001", Agent: "kubo\x1b[2J", Route: "mdns", Error: "does not say who it is"},
			{ID: "12D3KooWGone", Route: "mdns", Error: "cannot be reached: timeout\x1b[2J"},
		}, nil
	}
	n.peers = func() ([]node.PeerStatus, error) {
		return []node.PeerStatus{{
			ID: "12D3KooWPeer", Addrs: []string{"/ip4/10.0.0.7/tcp/4001"}, Transport: "tcp", Direction: "in", Agent: "agent\x1b[2J" + all,
			Route: "mdns", Down: 1 << 30, Up: 5000,
		}}, nil
	}
	n.status = func() (node.Status, error) {
		return node.Status{
			ID: "12D3KooWSelf", Version: "v1", Home: "/home/" + all, PID: 42, Network: node.LAN, Uptime: 3725, Addrs: []string{"/ip4/10.0.0.1/tcp/4001"},
			Shares: 2, Stale: 1, Peers: 1, Memory: 50 << 20, Down: 1 << 40, Up: 999,
			Background: node.Background{Down: 123456, Up: 6543, DownRate: 1234.5, UpRate: 56.25},
			Transfers: []node.Transfer{
				{
					CID: aCID, Name: all, Direction: "both", Peers: 2, Bytes: 5 << 20, Total: 10 << 20, Rate: 1 << 20, Sent: 3 << 20, UpRate: 2 << 20,
					Duplicate: 1 << 19, Sources: []node.Source{
						{Peer: "12D3KooWPeer", Addr: "/ip4/10.0.0.7/tcp/4001", Bytes: 4 << 20, Rate: 1 << 20, Bad: 1, Duplicate: 1 << 19},
						{Peer: "12D3KooW\x1b[2JOther", Addr: "/ip4/10.0.0.8/tcp/1/p2p-circuit" + all, Relayed: true, Bytes: 1 << 20, Sent: 3 << 20, UpRate: 2 << 20},
					},
				},
				{CID: aCID, Direction: "down", Peers: 1, Bytes: 5},
				{CID: aCID, Name: "photos", Direction: "up", Peers: 1, Sent: 7 << 30, Sources: []node.Source{{Peer: "12D3KooWPeer", Sent: 7 << 30}}},
			},
		}, nil
	}
	n.check = func(context.Context, node.CheckRequest, func(node.Event)) (node.Checked, error) {
		return node.Checked{
			Shares: 1, Files: len(names), Bytes: 1 << 30, Seconds: 2, Repaired: 3,
			Bad: []node.Broken{{CID: aCID, Path: all, Reason: "bytes\x1b[2J differ", Chunks: 1}},
		}, nil
	}
	n.doctor = func(r node.DoctorRequest, emit func(node.Event)) (node.Diagnosis, error) {
		emit(node.Event{Kind: "note", Message: "trying the disk"})
		d := node.Diagnosis{Findings: []node.Finding{
			{Check: "interfaces", State: node.Good, Detail: "eth0, " + all},
			{Check: "multicast", State: node.Failed, Detail: "nothing\x1b[2J is heard", Cause: "a firewall\x1b", Next: "open\x1b it"},
			{Check: "ports", State: node.Doubtful, Detail: "listens on TCP 1", Cause: "taken", Next: "free it"},
			{Check: "dht", State: node.Unasked, Detail: "not asked in network lan"},
		}}
		if r.Ref == "" {
			return d, nil
		}
		d.OK = true
		d.Path = &node.Path{
			Peer: "12D3KooW\x1b[2JOther", Addr: "/ip4/10.0.0.8/tcp/1/" + all, Transport: "tcp", Route: "ticket", Connect: 0.0123, RTT: 0.00021,
			Down: 1 << 30, Up: 1 << 29, OurDisk: 5 << 20, Bottleneck: "our disk",
		}
		return d, nil
	}
	n.share = func(context.Context, node.ShareRequest, func(node.Event)) (node.Shared, error) {
		return node.Shared{CID: aCID, Ticket: "shoal1aaaa", Name: all, Bytes: 2048, Files: 1, Seconds: 1, Skipped: []node.Skipped{{Path: all, Reason: "a pipe\x1b"}}}, nil
	}
	n.fetch = func(_ context.Context, _ node.FetchRequest, emit func(node.Event)) (node.Event, error) {
		emit(node.Event{Kind: "note", Message: "note " + all})
		emit(node.Event{Kind: "finding", Message: "asking " + all})
		return node.Event{
			Kind: "done", CID: aCID, Path: "/home/u/" + all, Bytes: 3 << 20, Seconds: 2, Present: 1 << 20, Files: 2,
			Duplicate: 1 << 19, Sources: []node.Source{
				{Peer: "12D3KooWPeer", Addr: "/ip4/10.0.0.7/tcp/4001", Bytes: 2<<20 - 1000, Bad: 1, Duplicate: 1 << 19},
				{Peer: "12D3KooWOther\x1b[2J", Addr: "/ip4/10.0.0.8/tcp/1/p2p-circuit\u202e", Relayed: true, Bytes: 1000},
			},
			Skipped: []node.Skipped{{Path: all, Reason: "unsafe\x1b"}},
		}, nil
	}
	n.find = func(_ context.Context, _ node.FindRequest, emit func(node.Event)) (node.Found, error) {
		found := node.Found{CID: aCID, Seconds: 1.5, Asked: 8, Providers: []node.Provider{
			{Peer: "12D3KooWPeer", Addrs: []string{"/ip4/10.0.0.7/tcp/4001", "/dns4/" + all + "/tcp/1"}, Route: "dht-lan", Seconds: 0.0123},
			{Peer: "12D3KooWOther\x1b[2J", Addrs: []string{"/ip4/192.0.2.8/tcp/1"}, Route: "dht", Seconds: 1.2},
		}}
		for _, p := range found.Providers {
			emit(node.Event{Kind: "provider", Peer: p.Peer, Addrs: p.Addrs, Route: p.Route, Seconds: p.Seconds})
		}
		return found, nil
	}
	n.identity = func() (node.Identity, error) {
		return node.Identity{ID: "12D3KooWSelf", Addrs: []string{"/ip4/10.0.0.1/tcp/4001/p2p/12D3KooWSelf"}}, nil
	}
	return n
}

// TestHostileNamesRender compares what people and programs see with testdata/*.txt, and looks for raw control characters.
func TestHostileNamesRender(t *testing.T) {
	w := newWorld(t)
	w.node = hostile()
	t.Setenv("TZ", "UTC")
	time.Local = time.UTC
	w.serve(t)
	dest := filepath.Join(t.TempDir(), "x")
	for _, c := range []struct {
		name string
		args []string
	}{
		{"ls", []string{"ls", aCID}},
		{"shares", []string{"shares"}},
		{"peers", []string{"peers"}},
		{"status", []string{"status"}},
		{"status-peers", []string{"status", "--peers"}},
		{"check", []string{"check"}},
		{"share", []string{"share", "x"}},
		{"get", []string{"get", aCID, "-o", dest}},
		{"find", []string{"find", aCID}},
		{"id", []string{"id"}},
		{"nearby", []string{"nearby"}},
		{"doctor", []string{"doctor"}},
		{"doctor-path", []string{"doctor", "/ip4/10.0.0.8/tcp/1/p2p/12D3KooWOther"}},
		{"unlist", []string{"unlist", aCID}},
		{"unshare", []string{"unshare", aCID}},
		{"ticket", []string{"ticket", aCID}},
		{"inspect", []string{"inspect", aCID}},
	} {
		for _, suffix := range []string{"", "-json"} {
			t.Run(c.name+suffix, func(t *testing.T) {
				args := c.args
				if suffix != "" {
					args = append(args, "--json")
				}
				exit, out, errs := w.run(t, args...)
				if exit != 0 && c.name != "check" && c.name != "doctor" {
					t.Errorf("exit %d", exit)
				}
				text := out + "--- standard error\n" + errs
				for _, r := range text {
					if r != '\n' && unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp) {
						t.Errorf("a raw %U was printed", r)
					}
				}
				golden(t, filepath.Join("testdata", c.name+suffix+".txt"), text)
			})
		}
	}
}

func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s (go test -update writes it anew): got\n%s\nwant\n%s", file, got, want)
	}
}
