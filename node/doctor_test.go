package node

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/shoal-p2p/shoal/discovery"
	"github.com/shoal-p2p/shoal/store"
)

// well is a node on a LAN with nothing wrong.
func well() facts {
	return facts{
		network: LAN, report: discovery.Report{Interfaces: []string{"eth0"}, Heard: 5, Echoes: 2, Peers: 1}, answered: true, others: 1,
		listens:   parseAddrs("/ip4/0.0.0.0/tcp/4747", "/ip4/0.0.0.0/udp/4747/quic-v1"),
		neighbour: []asked{{Neighbour: Neighbour{ID: "x", Name: "x"}, clocked: true, offset: 300 * time.Millisecond}},
		disk:      store.Disk{Free: 100 << 30, Write: 500e6, Sync: time.Millisecond}, now: time.Unix(1_800_000_000, 0),
	}
}

// Each thing that can be wrong is seen, with its cause and the next step, and nothing else is blamed for it.
func TestDiagnoses(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*facts)
		check  string
		state  string
		says   string
	}{
		{"all is well", func(*facts) {}, "multicast", Good, "comes back"},
		{"no network", func(f *facts) { f.report = discovery.Report{}; f.answered, f.others, f.neighbour = false, 0, nil }, "interfaces", Failed, "private address"},
		{"a firewall before mDNS", func(f *facts) { f.report.Echoes, f.answered = 0, false }, "multicast", Failed, "5353"},
		{"mDNS cannot listen", func(f *facts) { f.trouble = errors.New("port taken") }, "multicast", Failed, "port taken"},
		{"announcements are lost", func(f *facts) { f.report.Echoes = 0 }, "multicast", Doubtful, "own announcement"},
		{"answers to one are lost", func(f *facts) { f.answered = false }, "multicast", Doubtful, "not answered"},
		{"alone", func(f *facts) { f.neighbour, f.others = nil, 0 }, "neighbours", Doubtful, "guest networks"},
		{"unreachable neighbours", func(f *facts) { f.neighbour = []asked{{Neighbour: Neighbour{Error: "cannot be reached: timeout"}}} }, "neighbours", Failed, "timeout"},
		{"other programs only", func(f *facts) { f.neighbour = []asked{{Neighbour: Neighbour{Error: "does not say who it is"}}} }, "neighbours", Good, "1 node"},
		{"another port", func(f *facts) { f.listens = parseAddrs("/ip4/0.0.0.0/tcp/5000") }, "ports", Doubtful, "4747"},
		{"another port on purpose", func(f *facts) { f.listens, f.chosen = parseAddrs("/ip4/0.0.0.0/tcp/5000"), true }, "ports", Good, "TCP 5000 and no UDP"},
		{"no port", func(f *facts) { f.listens = nil }, "ports", Failed, "nobody can connect"},
		{"a firewall that drops", func(f *facts) { f.rules = "-P INPUT DROP\n" }, "firewall", Doubtful, "4747"},
		{"an unread firewall", func(f *facts) { f.rulesErr = errFirewall }, "firewall", Unasked, "not looked at"},
		{"a clock that is ahead", func(f *facts) { f.neighbour[0].offset = -time.Hour }, "clock", Doubtful, "1h0m0s ahead"},
		{"a clock that is behind", func(f *facts) { f.neighbour[0].offset = time.Hour }, "clock", Doubtful, "1h0m0s behind"},
		{"a clock a little off", func(f *facts) { f.neighbour[0].offset = -time.Minute }, "clock", Good, "1m0s ahead"},
		{"a clock that was never set", func(f *facts) { f.now = time.Unix(100, 0) }, "clock", Failed, "1970"},
		{"nobody to compare clocks with", func(f *facts) { f.neighbour[0].clocked = false }, "clock", Unasked, "no neighbour"},
		{"a file server with another clock", func(f *facts) { f.neighbour[0].clocked, f.disk.Ahead = false, time.Hour }, "clock", Doubtful, "1h0m0s"},
		{"a full disk", func(f *facts) { f.disk.Free, f.disk.Write = 1<<20, 0 }, "disk space", Failed, "make room"},
		{"a nearly full disk", func(f *facts) { f.disk.Free = 500 << 20 }, "disk space", Doubtful, "make room"},
		{"a slow disk", func(f *facts) { f.disk.Write = 1e6 }, "disk speed", Doubtful, "SD card"},
		{"a disk that syncs slowly", func(f *facts) { f.disk.Sync = time.Second }, "disk speed", Doubtful, "busy"},
		{"a read-only disk", func(f *facts) { f.diskErr, f.disk.Write = errors.New("read-only file system"), 0 }, "disk speed", Failed, "read-only"},
		{"a DHT without nodes", func(f *facts) { f.dhts = []tableFacts{{"the DHT", 0, errors.New("no other node of it is known yet")}} }, "dht", Doubtful, "--bootstrap"},
		{"a DHT", func(f *facts) { f.dhts = []tableFacts{{"the DHT", 7, nil}} }, "dht", Good, "7 nodes"},
		{"no DHT", func(f *facts) {}, "dht", Unasked, "switched off"},
		{"not public", func(f *facts) {}, "nat", Unasked, "not asked in network lan"},
		{"a symmetric NAT", func(f *facts) { f.reach = &Reach{TCP: NATCone, UDP: NATSymmetric} }, "nat", Doubtful, "forward port"},
		{"a cone NAT", func(f *facts) { f.reach = &Reach{TCP: NATCone, UDP: NATCone} }, "nat", Good, "cone"},
		{"nobody outside", func(f *facts) { f.reach = &Reach{TCP: NATUnknown, UDP: NATUnknown} }, "nat", Doubtful, "--bootstrap"},
		{"a public address", func(f *facts) { f.reach = &Reach{Open: []string{"/ip4/11.0.0.1/tcp/4747"}} }, "reachability", Good, "11.0.0.1"},
		{"shut from outside", func(f *facts) { f.reach = &Reach{Closed: []string{"/ip4/11.0.0.1/tcp/4747"}} }, "reachability", Doubtful, "forwarded port"},
		{"no relay", func(f *facts) { f.reach = &Reach{TCP: NATCone} }, "relay", Doubtful, "--relay-peer"},
		{"a relay", func(f *facts) { f.reach = &Reach{TCP: NATCone, Relays: []string{"x"}} }, "relay", Good, "1 relay"},
		{"no relay needed", func(f *facts) { f.reach = &Reach{TCP: NATNone} }, "relay", Good, "none is needed"},
		{"isolated", func(f *facts) { f.network, f.report, f.neighbour = Isolated, discovery.Report{}, nil }, "multicast", Unasked, "isolated"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := well()
			c.change(&f)
			found := judge(f)
			i := slices.IndexFunc(found, func(x Finding) bool { return x.Check == c.check })
			if i < 0 {
				t.Fatalf("%s is not looked at", c.check)
			}
			x := found[i]
			if x.State != c.state || !strings.Contains(fmt.Sprint(x), c.says) {
				t.Errorf("got %+v, want %s and %q", x, c.state, c.says)
			}
			for _, x := range found {
				if (x.State == Failed || x.State == Doubtful) && (x.Cause == "" || x.Next == "") {
					t.Errorf("no cause or no next step: %+v", x)
				}
				if x.State == Failed && x.Check != c.check {
					t.Errorf("%s failed too: %+v", x.Check, x)
				}
			}
		})
	}
}

// What nft and iptables print.
func TestFirewallRules(t *testing.T) {
	for rules, drops := range map[string]bool{
		"": false,
		"table inet filter {\n\tchain input {\n\t\ttype filter hook input priority filter; policy drop;\n\t}\n}\n":   true,
		"table inet filter {\n\tchain input {\n\t\ttype filter hook input priority filter; policy accept;\n\t}\n}\n": false,
		"table inet filter {\n\tchain forward {\n\t\ttype filter hook forward priority 0; policy drop;\n\t}\n}\n":    false,
		"-P INPUT DROP\n-A INPUT -i lo -j ACCEPT\n":                                                                  true,
		"-P INPUT ACCEPT\n": false,
	} {
		if got := dropsByDefault(rules); got != drops {
			t.Errorf("%q: %v, want %v", rules, got, drops)
		}
	}
}

func FuzzFirewallRules(f *testing.F) {
	f.Add("table inet filter {\n\tchain input {\n\t\ttype filter hook input priority filter; policy drop;\n\t}\n}\n")
	f.Add("-P INPUT DROP\n")
	f.Fuzz(func(t *testing.T, rules string) {
		if dropsByDefault(rules) && !strings.Contains(strings.ToLower(rules), "drop") {
			t.Fatalf("%q drops nothing", rules)
		}
	})
}

func TestDoctorExaminesANode(t *testing.T) {
	a := startWith(t, "a", named("a"))
	d, err := a.Doctor(t.Context(), DoctorRequest{}, ignore)
	if err != nil {
		t.Fatal(err)
	}
	for _, check := range []string{"interfaces", "multicast", "ports", "firewall", "nat", "dht", "relay", "clock", "disk space", "disk speed"} {
		if !slices.ContainsFunc(d.Findings, func(f Finding) bool { return f.Check == check && f.Detail != "" }) {
			t.Errorf("%s is missing among %+v", check, d.Findings)
		}
	}
	for _, ref := range []string{"nonsense", "shoal1nonsense", "/ip4/127.0.0.1/tcp/1", a.addr(), a.ticketOf(t)} {
		if _, err := a.Doctor(t.Context(), DoctorRequest{Ref: ref}, ignore); !errors.Is(err, ErrUsage) || strings.Contains(err.Error(), "nonsense") {
			t.Errorf("%q: %v, want ErrUsage without what was typed", ref, err)
		}
	}
}

func TestDoctorMeasuresOnlyThePath(t *testing.T) {
	a, b := startWith(t, "a", named("a")), startWith(t, "b", named("b"))
	d, err := a.Doctor(t.Context(), DoctorRequest{Ref: b.addr(), Only: true}, ignore)
	if err != nil {
		t.Fatal(err)
	}
	if len(d.Findings) > 0 || d.Path == nil || d.Path.Error != "" || d.Path.Down <= 0 || !d.OK {
		t.Errorf("got %+v with the path %+v, want a path and nothing else", d, d.Path)
	}
	if _, err := a.Doctor(t.Context(), DoctorRequest{Only: true}, ignore); !errors.Is(err, ErrUsage) {
		t.Errorf("a path to nobody: %v, want ErrUsage", err)
	}
}

func (r *running) ticketOf(t *testing.T) string {
	path, _ := r.file("shared", 10)
	s := r.share(path)
	return s.Ticket
}
