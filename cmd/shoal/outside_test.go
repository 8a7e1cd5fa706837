package main

import (
	"strings"
	"testing"

	"github.com/shoal-p2p/shoal/node"
)

func TestParseSize(t *testing.T) {
	for text, want := range map[string]int64{"0": 0, "128k": 128 << 10, "1.5MiB": 3 << 19, "2MB": 2e6, "10G": 10 << 30, "77": 77} {
		if got, err := parseSize(text); err != nil || got != want {
			t.Errorf("%q: got %d, %v; want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "G", "-5M", "5X", "1e9", "0x10", "NaN", "inf", "5M/s", "20Mbit", "99999999999G"} {
		if got, err := parseSize(text); err == nil {
			t.Errorf("%q: got %d, expected an error", text, got)
		}
	}
}

// A command that is over soon is no relay, whatever the configuration says.
func TestOnlyServeRelays(t *testing.T) {
	w := newWorld(t)
	w.configure(t, "network: public\nrelay: true\nrelay-data: 1M\n")
	exit, _, errs := w.run(t, "get", aCID, "-o", t.TempDir(), "--no-relay", "--relay-peer", "/ip4/192.0.2.1/tcp/1")
	c := w.node.config
	if exit != 0 || c.RelayService != nil || !c.NoRelay || c.NoUPnP || len(c.RelayPeers) != 1 {
		t.Errorf("exit %d, the node was opened with %+v; %s", exit, c, errs)
	}
	s := settings{IsRelay: true, Relay: node.RelayService{Data: 1 << 20}}
	if r := s.relayService(serves); r == nil || r.Data != 1<<20 {
		t.Errorf("serve is given %+v", r)
	}
}

func TestReachInStatus(t *testing.T) {
	for name, c := range map[string]struct {
		reach node.Reach
		want  []string
	}{
		"nothing known": {node.Reach{TCP: node.NATUnknown, UDP: node.NATUnknown}, []string{"nat      not known yet\n"}},
		"behind a NAT": {
			node.Reach{TCP: node.NATCone, UDP: node.NATSymmetric, Relays: []string{"12D3relay"}, Closed: []string{"/ip4/11.0.0.1/tcp/1"}},
			[]string{"nat      TCP cone: ", "; UDP symmetric: ", "closed   /ip4/11.0.0.1/tcp/1\n", "relay    reached through 12D3relay\n"},
		},
		"a relay": {
			node.Reach{TCP: node.NATNone, UDP: node.NATNone, Serves: true, Open: []string{"/ip4/11.0.0.1/tcp/1"}, Mapped: []string{"/ip4/11.0.0.1/tcp/2"}},
			[]string{"nat      none: ", "open     /ip4/11.0.0.1/tcp/1\n", "mapped   /ip4/11.0.0.1/tcp/2", "relay    this node is one\n"},
		},
	} {
		text := statusText(node.Status{Reach: &c.reach}, false)
		for _, want := range c.want {
			if !strings.Contains(text, want) {
				t.Errorf("%s: %q is missing in\n%s", name, want, text)
			}
		}
	}
}
