package node

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
)

// With whom there is a connection, in both directions, by the lists.
func TestAllowAndBlockLists(t *testing.T) {
	guest := start(t, "guest")
	id := guest.host.ID().String()
	for i, c := range []struct {
		name         string
		allow, block []string
		connects     bool
	}{
		{"no lists", nil, nil, true},
		{"blocked", nil, []string{id}, false},
		{"another one blocked", nil, []string{somebody(t)}, true},
		{"allowed", []string{somebody(t), id}, nil, true},
		{"not among the allowed", []string{somebody(t)}, nil, false},
		{"allowed and blocked", []string{id}, []string{id}, false},
	} {
		host, _, _ := startAt(t, Config{Home: filepath.Join(t.TempDir(), "a"), Allow: c.allow, Block: c.block})
		timeout := 1.0 // seconds
		if c.connects {
			timeout = 60
		}
		path, _ := host.file("f", 1000+i)
		s := host.share(path)
		err := host.host.Connect(t.Context(), peer.AddrInfo{ID: guest.host.ID(), Addrs: guest.host.addrs()})
		if named := host.host.Network().Connectedness(guest.host.ID()) == network.Connected; named && !c.connects {
			t.Errorf("%s: connected, going out (%v)", c.name, err)
		}
		_, err = guest.Fetch(t.Context(), FetchRequest{Ref: s.Ticket, Dest: filepath.Join(t.TempDir(), "f"), Timeout: timeout}, ignore)
		if c.connects != (err == nil) {
			t.Errorf("%s: the guest's fetch ends with %v", c.name, err)
		}
		path, _ = guest.file("g", 2000+i)
		_, err = host.Fetch(t.Context(), FetchRequest{
			Ref: guest.share(path).CID, Dest: filepath.Join(t.TempDir(), "g"), Peers: []string{guest.addr()}, Timeout: timeout,
		}, ignore)
		if c.connects != (err == nil) {
			t.Errorf("%s: a fetch from the guest ends with %v", c.name, err)
		}
		if st, err := host.Status(t.Context()); err != nil || len(st.Allow) != len(c.allow) || len(st.Block) != len(c.block) {
			t.Errorf("%s: status says %q, %q, %v", c.name, st.Allow, st.Block, err)
		}
	}
}

func somebody(t testing.TB) string {
	t.Helper()
	id, err := peer.IDFromPrivateKey(newKey(t, 1))
	if err != nil {
		t.Fatal(err)
	}
	return id.String()
}

// Whom the lists keep out is refused with a sentence that says so, and a list that makes no sense is not taken.
func TestListsAreExplained(t *testing.T) {
	guest := start(t, "guest")
	path, _ := guest.file("f", 1000)
	s := guest.share(path)
	host, _, _ := startAt(t, Config{Home: filepath.Join(t.TempDir(), "a"), Block: []string{guest.host.ID().String()}})
	_, err := host.Fetch(t.Context(), FetchRequest{Ref: s.Ticket, Dest: filepath.Join(t.TempDir(), "f"), Timeout: 2}, ignore)
	if !errors.Is(err, ErrNoPeer) || !strings.Contains(err.Error(), "blocked") {
		t.Errorf("fetching from a blocked peer: %v", err)
	}
	for _, bad := range []string{"", "x", guest.addr(), "shoal1aaaa"} {
		_, err := Open(t.Context(), Config{Home: filepath.Join(t.TempDir(), "b"), Network: Isolated, Allow: []string{bad}})
		if !errors.Is(err, ErrUsage) {
			t.Errorf("a list with %q: %v, want ErrUsage", bad, err)
		}
	}
}

// Bans, and the addresses that they were for, are there after a restart, and end when they would have.
func TestBansOutlastARestart(t *testing.T) {
	home := filepath.Join(t.TempDir(), "a")
	r, _, stop := startAt(t, Config{Home: home})
	g := r.host.gater
	ip := netip.MustParseAddr("192.168.7.7")
	for range maxStrikes {
		id, err := peer.IDFromPrivateKey(newKey(t, 1))
		if err != nil {
			t.Fatal(err)
		}
		g.ban(id, banTime, []netip.Addr{ip})
	}
	list, _ := g.listBans()
	stop()
	r, _, stop = startAt(t, Config{Home: home})
	g = r.host.gater
	for _, b := range list {
		id, _ := peer.Decode(b.Peer)
		if !g.isBanned(id) || g.InterceptPeerDial(id) {
			t.Errorf("%s is forgiven", b.Peer)
		}
	}
	if len(list) != maxStrikes || !g.isShunned(ip) {
		t.Errorf("%d bans, and their address is forgiven: %v", len(list), !g.isShunned(ip))
	}
	stop()
	late := newGater(LAN)
	late.now = func() time.Time { return time.Now().Add(banTime) }
	if err := late.loadBans(home); err != nil || len(late.banned) > 0 {
		t.Errorf("after their time %d bans are loaded, %v", len(late.banned), err)
	}
	if info, err := os.Stat(filepath.Join(home, bansFile)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file: %v, %v", info, err)
	}
	if err := os.WriteFile(filepath.Join(home, bansFile), []byte("[{"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, log, _ := startAt(t, Config{Home: home}) // does not keep the node from starting
	if !strings.Contains(log.String(), "bans of earlier are not known") {
		t.Error("nothing says that the bans are lost")
	}
}

// FuzzBans reads files that somebody may have edited.
func FuzzBans(f *testing.F) {
	now := time.Unix(1_800_000_000, 0)
	f.Add([]byte(`[{"peer":"12D3KooWJ3BqAU6uMmuXWTNKaYm1xnQkNdSLxZKsHYGjQTYxmZKa","until":"2027-01-15T08:30:00Z","from":["10.0.0.1","fe80::1%eth0"]}]`))
	f.Add([]byte(`[]`))
	f.Add([]byte(`[{"peer":"x"}]`))
	f.Fuzz(func(t *testing.T, text []byte) {
		list, err := parseBans(text, now)
		if err != nil {
			return
		}
		if len(list) > maxBanned {
			t.Fatalf("%d bans", len(list))
		}
		for _, b := range list {
			if _, err := peer.Decode(b.Peer); err != nil || b.Until.After(now.Add(banTime)) || len(b.From) > maxPeerConns {
				t.Fatalf("%+v is taken", b)
			}
		}
	})
}

// The limits of that file, each crossed by one.
func TestBansFileHasLimits(t *testing.T) {
	id := somebody(t)
	line := fmt.Sprintf(`{"peer":%q,"until":"2027-01-15T08:30:00Z"}`, id)
	list := func(n int) []byte { return []byte("[" + strings.TrimSuffix(strings.Repeat(line+",", n), ",") + "]") }
	if _, err := parseBans(list(maxBanned), time.Now()); err != nil {
		t.Errorf("%d bans: %v", maxBanned, err)
	}
	if _, err := parseBans(list(maxBanned+1), time.Now()); err == nil {
		t.Errorf("%d bans are taken", maxBanned+1)
	}
	pad := func(n int) []byte { return append(make([]byte, 0, n), strings.Repeat(" ", n-2)+"[]"...) }
	if _, err := parseBans(pad(maxBansFile), time.Now()); err != nil {
		t.Errorf("a file of the largest size: %v", err)
	}
	if _, err := parseBans(pad(maxBansFile+1), time.Now()); err == nil {
		t.Error("a file one byte larger is taken")
	}
}
