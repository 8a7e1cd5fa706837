package main

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/shoal-p2p/shoal/node"
)

func TestConfigHoldsWhatFlagsHold(t *testing.T) {
	got, err := parseConfig([]byte(`# a comment
network: public
listen: [/ip4/0.0.0.0/tcp/4747]
bootstrap:
  - ipfs
  - /ip4/192.0.2.1/tcp/4747/p2p/12D3KooWKnDdG3iXw9eTFijk3EWSunZcFi54Zka4wmtqtt6rPxc8
dht-prefix: /acme
ephemeral: true
no-mdns: true
no-dht: true
no-relay: true
no-upnp: true
relay-peer: [/ip4/192.0.2.2/tcp/4747/p2p/12D3KooWKnDdG3iXw9eTFijk3EWSunZcFi54Zka4wmtqtt6rPxc8]
relay: true
relay-allow: [12D3KooWKnDdG3iXw9eTFijk3EWSunZcFi54Zka4wmtqtt6rPxc8]
relay-nodes: 3
relay-circuits: 4
relay-time: 90s
relay-data: 1M
up-rate: 5M
down-rate: 1000000
peer-up-rate: 20Mbit
peer-down-rate: 800k
exempt-lan: true
allow: [12D3KooWKnDdG3iXw9eTFijk3EWSunZcFi54Zka4wmtqtt6rPxc8]
block:
  - 12D3KooWJ3BqAU6uMmuXWTNKaYm1xnQkNdSLxZKsHYGjQTYxmZKa
`))
	want := settings{
		Network: node.Public, Listen: []string{"/ip4/0.0.0.0/tcp/4747"},
		Bootstrap:  []string{"ipfs", "/ip4/192.0.2.1/tcp/4747/p2p/12D3KooWKnDdG3iXw9eTFijk3EWSunZcFi54Zka4wmtqtt6rPxc8"},
		DHTPrefix:  "/acme",
		Ephemeral:  true,
		Allow:      []string{"12D3KooWKnDdG3iXw9eTFijk3EWSunZcFi54Zka4wmtqtt6rPxc8"},
		Block:      []string{"12D3KooWJ3BqAU6uMmuXWTNKaYm1xnQkNdSLxZKsHYGjQTYxmZKa"},
		Switches:   node.Switches{NoMDNS: true, NoDHT: true, NoRelay: true, NoUPnP: true},
		RelayPeers: []string{"/ip4/192.0.2.2/tcp/4747/p2p/12D3KooWKnDdG3iXw9eTFijk3EWSunZcFi54Zka4wmtqtt6rPxc8"}, IsRelay: true,
		Relay: node.RelayService{
			Allow:        []string{"12D3KooWKnDdG3iXw9eTFijk3EWSunZcFi54Zka4wmtqtt6rPxc8"},
			Reservations: 3, Circuits: 4, Duration: 90 * time.Second, Data: 1 << 20,
		},
		Rates: node.Rates{Up: 5 << 20, Down: 1000000, PeerUp: 2500000, PeerDown: 800 << 10, ExemptLAN: true},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v; want %+v", got, err, want)
	}
}

func TestConfigSaysWhereItIsWrong(t *testing.T) {
	long := "# " + strings.Repeat("x", maxConfig-3) + "\n"
	for _, c := range []struct{ name, text, want string }{
		{"nothing", "", ""},
		{"a comment", "# nothing\n", ""},
		{"as long as may be", long, ""},
		{"longer by one", long + "\n", "longer than"},
		{"an unknown key", "network: lan\nbootstarp: ipfs\n", `line 2: unknown field "bootstarp"`},
		{"a key twice", "network: lan\nnetwork: lan\n", "line 2"},
		{"a wrong type", "network: lan\nno-mdns: perhaps\n", "line 2"},
		{"a list for a word", "network: [lan]\n", "line 1"},
		{"no network", "network: wan\n", `network: "wan" is none of`},
		{"no rate", "up-rate: fast\n", "up-rate: "},
		{"no time", "relay-time: long\n", "relay-time: "},
		{"no size", "relay-data: 5Mbit\n", "relay-data: "},
		{"a rate too low", "up-rate: 1\n", "up-rate: the lowest"},
		{"no YAML", "network: lan\n\t- [", "line 2"},
		{"a list", "- network\n", "line 1"},
		{"an anchor", "listen: &a [/ip4/0.0.0.0/tcp/1]\nbootstrap: *a\n", "anchors, aliases"},
		{"a tag", "network: !x lan\n", "line 1: anchors"},
		{"two documents", "network: lan\n---\nnetwork: public\n", "more than one"},
		{"as deep as may be", "x: " + strings.Repeat("[", maxNesting) + strings.Repeat("]", maxNesting), `unknown field "x"`},
		{"deeper by one", "x: " + strings.Repeat("[", maxNesting+1) + strings.Repeat("]", maxNesting+1), "line 1: nested too deep"},
		{"deep otherwise", strings.Repeat("- ", maxConfig/2), "line 1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := parseConfig([]byte(c.text))
			switch {
			case c.want == "" && err != nil:
				t.Errorf("got %v, want none", err)
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n")):
				t.Errorf("got %v, want one line with %q", err, c.want)
			}
		})
	}
}

// configure gives the world's home a configuration.
func (w *world) configure(t *testing.T, text string) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(w.home, 0o700), os.WriteFile(filepath.Join(w.home, "config.yaml"), []byte(text), 0o600)); err != nil {
		t.Fatal(err)
	}
}

// TestFlagsWinOverTheConfig starts nodes on a home with a configuration.
func TestFlagsWinOverTheConfig(t *testing.T) {
	w := newWorld(t)
	text := "network: isolated\nno-mdns: true\nno-dht: true\nup-rate: 5M\nlisten: [/ip4/127.0.0.1/tcp/0]\n"
	w.configure(t, text)
	if exit, _, errs := w.run(t, "shares"); exit != 0 {
		t.Fatalf("exit %d: %s", exit, errs)
	}
	c := w.node.config
	if c.Network != node.Isolated || !c.NoMDNS || !c.NoDHT || c.Rates.Up != 5<<20 || len(c.Listen) != 1 {
		t.Errorf("the configuration alone gives %+v", c)
	}
	w.node = newFake()
	if exit, _, errs := w.run(t, "get", aCID, "--network", "lan", "--no-mdns=false", "--up-rate", "0", "-o", filepath.Join(t.TempDir(), "x")); exit != 0 {
		t.Fatalf("exit %d: %s", exit, errs)
	}
	c = w.node.config
	if c.Network != node.LAN || c.NoMDNS || !c.NoDHT || c.Rates.Up != 0 || len(c.Listen) != 1 {
		t.Errorf("with flags besides: %+v", c)
	}
}

func TestABadConfigIsAUsageError(t *testing.T) {
	w := newWorld(t)
	w.configure(t, "netwrk: lan\n")
	exit, _, errs := w.run(t, "shares")
	if exit != 2 || !strings.Contains(errs, "config.yaml: line 1: unknown field") {
		t.Errorf("exit %d, says %q", exit, errs)
	}
}

func FuzzConfig(f *testing.F) {
	for _, text := range []string{
		"", "network: lan\n", "listen: [a, b]\nbootstrap:\n  - ipfs\n", "no-mdns: true\nup-rate: 5M\n", "a: &a [*a]\n", "x: !!binary aGk=\n",
		"listen: &a [x]\nbootstrap: *a\n", "<<: {network: lan}\n", "? {a: b}\n: c\n", "network: |\n  lan\n", "up-rate: 1e300\n", "---\n...\n---\n",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		set, err := parseConfig(text)
		if err != nil && strings.Contains(err.Error(), "\n") {
			t.Errorf("an error of several lines: %q", err)
		}
		if err == nil && set.Network != "" && !set.Network.Known() {
			t.Errorf("took the network %q", set.Network)
		}
	})
}
