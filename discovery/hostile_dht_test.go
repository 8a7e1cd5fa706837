package discovery

import (
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"testing"
	"time"

	"github.com/ipfs/go-datastore"
	"github.com/ipfs/go-datastore/query"
	dssync "github.com/ipfs/go-datastore/sync"
	dht "github.com/libp2p/go-libp2p-kad-dht"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	ma "github.com/multiformats/go-multiaddr"
	mh "github.com/multiformats/go-multihash"
)

var noPadding = base32.StdEncoding.WithPadding(base32.NoPadding)

func madeUpPeer(t testing.TB, n int) peer.ID {
	t.Helper()
	h, err := mh.Sum(fmt.Appendf(nil, "peer %d", n), mh.SHA2_256, -1)
	if err != nil {
		t.Fatal(err)
	}
	return peer.ID(h)
}

// B72: a node that lists ten thousand providers, and this node among them.
func TestTenThousandProviders(t *testing.T) {
	victim, liar := newDHTNode(t), newDHTNode(t)
	root := someRoot(t, 1)
	for i := range 10_000 {
		info := peer.AddrInfo{ID: madeUpPeer(t, i), Addrs: []ma.Multiaddr{ma.StringCast(fmt.Sprintf("/ip4/10.0.%d.%d/tcp/4747", i>>8, i&255))}}
		if i%100 == 0 {
			info = peer.AddrInfo{ID: victim.Host.ID(), Addrs: info.Addrs}
		}
		if err := liar.dht.ProviderStore().AddProvider(t.Context(), root.Hash(), info); err != nil {
			t.Fatal(err)
		}
	}
	victim.Meet(t.Context(), liar.info())
	found := 0
	for end := time.Now().Add(time.Minute); found == 0 && time.Now().Before(end); { // until the liar has said what it speaks
		for f := range victim.Providers(t.Context(), Lookup{Root: root}) {
			if found++; f.Info.ID == victim.Host.ID() {
				t.Error("found itself")
			}
		}
	}
	if found == 0 || found > MaxProviders {
		t.Errorf("%d providers came of one look-up, want some and at most %d", found, MaxProviders)
	}
}

// Addresses that mean nothing in a DHT are neither dialled nor passed on.
func TestAddressesOutsideTheNetwork(t *testing.T) {
	d := &DHT{config: DHTConfig{Usable: lan}}
	for text, want := range map[string]bool{
		"/ip4/10.0.0.1/tcp/4747": true, "/ip4/8.8.8.8/tcp/4747": false, "/dns4/example.org/tcp/4747": false,
		"/ip6/::ffff:10.0.0.1/tcp/4747": false, "/dnsaddr/example.org": false, "/ip4/8.8.8.8/tcp/1/p2p-circuit": false,
	} {
		if got := len(d.usable([]ma.Multiaddr{ma.StringCast(text)})) == 1; got != want {
			t.Errorf("%s is usable: %v, want %v", text, got, want)
		}
	}
	if n := len(d.usable(make([]ma.Multiaddr, 2*maxRead))); n != 0 {
		t.Errorf("%d empty addresses are usable", n)
	}
}

// B81: records whose time is ten years off, as a clock that was wrong leaves them, do no harm, and old ones are dropped.
func TestRecordsOfAWrongClock(t *testing.T) {
	records := dssync.MutexWrap(datastore.NewMapDatastore())
	root := someRoot(t, 1)
	write := func(n int, at time.Time) {
		key := fmt.Sprintf("/dht/%s/providers/%s/%s", RouteLANDHT, noPadding.EncodeToString(root.Hash()),
			noPadding.EncodeToString([]byte(madeUpPeer(t, n))))
		if err := records.Put(t.Context(), datastore.NewKey(key), binary.AppendVarint(nil, at.UnixNano())); err != nil {
			t.Fatal(err)
		}
	}
	write(1, time.Now().AddDate(10, 0, 0))
	write(2, time.Now().AddDate(-10, 0, 0))
	write(3, time.Now())
	h := newDHTHost(t)
	d, err := OpenDHT(h, DHTConfig{Route: RouteLANDHT, Prefix: "/test", Mode: dht.ModeServer, Usable: anyAddress, Records: records})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	got, err := d.dht.ProviderStore().GetProviders(t.Context(), root.Hash())
	if err != nil {
		t.Fatal(err)
	}
	seen := make(map[peer.ID]bool)
	for _, p := range got {
		seen[p.ID] = true
	}
	if !seen[madeUpPeer(t, 3)] || len(seen) != 1 {
		t.Errorf("of records from now, ten years ago and in ten years these are left: %v", got)
	}
	left, err := records.Query(t.Context(), query.Query{Prefix: "/dht/" + RouteLANDHT + "/providers", KeysOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	if all, err := left.Rest(); err != nil || len(all) != 1 {
		t.Errorf("%v, %v are left on the disk, want one record", all, err)
	}
}

// B81: a node whose clock was years ahead when it announced its roots announces them again when the clock is right.
func TestAnnouncedInTheFuture(t *testing.T) {
	now := time.Now()
	then := now.AddDate(10, 0, 0).Unix()
	for name, c := range map[string]struct {
		key, value string
		want       bool
	}{
		"nothing":                 {"/other", "x", false},
		"a cycle that began":      {"/cycle_start", fmt.Sprintf("%08x", now.Unix()), false},
		"a cycle that will begin": {"/cycle_start", fmt.Sprintf("%08x", then), true},
		"a visit":                 {fmt.Sprintf("/history/%08x/0101", now.Unix()), "", false},
		"a visit to come":         {fmt.Sprintf("/history/%08x/0101", then), "", true},
		"a visit everywhere":      {fmt.Sprintf("/history/%08x", then), "", true},
		"nonsense":                {"/history/zzz/1", "", false},
		"nonsense of a cycle":     {"/cycle_start", "zzz", false},
	} {
		state := dssync.MutexWrap(datastore.NewMapDatastore())
		if err := state.Put(t.Context(), datastore.NewKey(c.key), []byte(c.value)); err != nil {
			t.Fatal(err)
		}
		if got := ahead(t.Context(), state, now); got != c.want {
			t.Errorf("%s: from a time to come %v, want %v", name, got, c.want)
		}
	}
}

// B74: who claims to speak 1,800 protocols is not remembered with all of them.
func TestPeerOfManyProtocols(t *testing.T) {
	victim, liar := newDHTHost(t), newDHTHost(t)
	for i := range 1800 {
		liar.SetStreamHandler(protocolID(i), nil)
	}
	_ = victim.Connect(t.Context(), peer.AddrInfo{ID: liar.ID(), Addrs: liar.Addrs()}) // may be refused, too
	got, err := victim.Peerstore().GetProtocols(liar.ID())
	if err != nil || len(got) > pstoreProtocols {
		t.Errorf("%d protocols of one peer are remembered, %v; want at most %d", len(got), err, pstoreProtocols)
	}
}

const pstoreProtocols = 1024

func protocolID(n int) protocol.ID { return protocol.ID(fmt.Sprint("/made/up/", n)) }
