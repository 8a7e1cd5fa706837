package discovery

import (
	"bytes"
	"context"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/ipfs/go-datastore"
	dssync "github.com/ipfs/go-datastore/sync"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
)

// running runs the DHT of a node until stop is called, which closes it and the host.
func (n dhtNode) running(t *testing.T) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); n.Run(ctx) }()
	return func() {
		cancel()
		<-done
		if err := n.DHT.Close(); err != nil {
			t.Error(err)
		}
		_ = n.Host.Close()
	}
}

// A node that was bootstrapped once starts again when its bootstrapper has gone, and finds what another one announced meanwhile.
func TestJoinsWithoutItsBootstrapper(t *testing.T) {
	first := startDHTNode(t, dssync.MutexWrap(datastore.NewMapDatastore()))
	giver, friend := newDHTNode(t), newDHTNode(t)
	for _, o := range []dhtNode{giver, friend} {
		o.Meet(t.Context(), first.info())
	}
	friend.Meet(t.Context(), giver.info())
	if err := waitFor(func() bool { return giver.Size() == 2 && friend.Size() == 2 }); err != nil {
		t.Fatal(err)
	}
	records := dssync.MutexWrap(datastore.NewMapDatastore())
	before := startDHTNode(t, records, first.info())
	stop := before.running(t)
	root := someRoot(t, 1)
	if err := giver.Announce(root); err != nil {
		t.Fatal(err)
	}
	before.awaitProvider(t, root, giver.Host.ID())
	if err := waitFor(func() bool { return before.Size() == 3 }); err != nil { // first introduces it to the others
		t.Fatal(err)
	}
	friend.awaitProvider(t, root, giver.Host.ID())
	stop()
	if err := first.DHT.Close(); err != nil {
		t.Fatal(err)
	}
	gone := first.info()
	_ = first.Host.Close()

	again := startDHTNode(t, records, gone)
	defer again.running(t)()
	start := time.Now()
	again.awaitProvider(t, root, giver.Host.ID())
	t.Logf("joined and found after %v", time.Since(start).Round(time.Millisecond))
}

func knownFixture(t testing.TB, i int, last time.Time, first time.Time) knownNode {
	return knownNode{id: realID(t, i), first: first, last: last, addrs: addrs("/ip4/10.0.0.1/tcp/4747", "/ip4/10.0.0.1/udp/4747/quic-v1")}
}

// Sixty-four nodes are remembered. Who answers now takes the place of those who were known last of all and have been silent.
func TestKnownNodesAreFew(t *testing.T) {
	records := dssync.MutexWrap(datastore.NewMapDatastore())
	n := startDHTNode(t, records)
	others := []dhtNode{newDHTNode(t), newDHTNode(t), newDHTNode(t)}
	now := time.Now()
	var row []byte
	for i := range maxKnown { // the higher the number, the longer it has been known
		row = knownFixture(t, i, now.Add(-24*time.Hour), now.AddDate(0, 0, -i-2)).append(row)
	}
	if err := records.Put(t.Context(), n.knownKey(), row); err != nil {
		t.Fatal(err)
	}
	for _, o := range others {
		n.Meet(t.Context(), o.info())
	}
	if err := waitFor(func() bool { return n.Size() == len(others) }); err != nil {
		t.Fatal(err)
	}
	if err := n.DHT.Close(); err != nil {
		t.Fatal(err)
	}
	known := n.recall(t.Context(), now)
	if len(known) != maxKnown {
		t.Errorf("%d are remembered, want %d", len(known), maxKnown)
	}
	has := func(id peer.ID) bool { return slices.ContainsFunc(known, func(k knownNode) bool { return k.id == id }) }
	for i, o := range others {
		if !slices.ContainsFunc(known[:len(others)], func(k knownNode) bool {
			return k.id == o.Host.ID() && slices.ContainsFunc(o.Host.Addrs(), k.addrs[0].Equal)
		}) {
			t.Errorf("node %d, which answered, is not among the first of those remembered", i)
		}
		if has(realID(t, i)) {
			t.Errorf("node %d of those who have been silent is remembered, although others were known for longer", i)
		}
	}
	if !has(realID(t, maxKnown-1)) || !has(realID(t, len(others))) {
		t.Error("who was known for the longest is forgotten")
	}
}

// What the disk makes up, what is long ago or still to come, and addresses that mean nothing in the DHT are passed over.
func TestBadKnownNodes(t *testing.T) {
	records := dssync.MutexWrap(datastore.NewMapDatastore())
	n := startDHTNode(t, records)
	n.config.Usable = lan
	now := time.Now()
	good := knownFixture(t, 1, now, now)
	bad := []knownNode{
		knownFixture(t, 2, now.Add(-rememberFor), now),
		knownFixture(t, 3, now.AddDate(10, 0, 0), now),
		{id: realID(t, 4), first: now, last: now, addrs: addrs("/ip4/8.8.8.8/tcp/4747")},
		{id: realID(t, 5), first: now, last: now, addrs: addrs("/dns4/example.org/tcp/4747")},
		{id: realID(t, 6), first: now, last: now},
		{id: n.Host.ID(), first: now, last: now, addrs: good.addrs},
		{id: "nobody", first: now, last: now, addrs: good.addrs},
	}
	var row []byte
	for _, b := range bad {
		row = b.append(row)
	}
	row = appendText(row, "nonsense")
	row = append(good.append(row), 0xff, 0xff, 0xff)
	if err := records.Put(t.Context(), n.knownKey(), row); err != nil {
		t.Fatal(err)
	}
	known := n.recall(t.Context(), now)
	if len(known) != 1 || known[0].id != good.id || !known[0].addrs[0].Equal(good.addrs[0]) || known[0].last.Unix() != now.Unix() {
		t.Errorf("recalled %v, want the one that makes sense", known)
	}
	if err := n.DHT.Close(); err != nil {
		t.Fatal(err)
	}
	if known := n.recall(t.Context(), now); len(known) != 1 {
		t.Errorf("%d are remembered, want one", len(known))
	}
	var flood []byte
	for i := range maxKnown + 1 {
		flood = knownFixture(t, i, now, now).append(flood)
	}
	if got := len(parseKnown(flood)); got != maxKnown {
		t.Errorf("%d nodes were read, want %d at most", got, maxKnown)
	}
}

// A node of a local network is tried on that network only.
func TestKnownNodesBelongToTheirNetwork(t *testing.T) {
	home, office := netip.MustParsePrefix("192.168.1.0/24"), netip.MustParsePrefix("10.7.0.0/16")
	n := startDHTNode(t, dssync.MutexWrap(datastore.NewMapDatastore()))
	defer n.DHT.Close()
	n.config.Here = func() []netip.Prefix { return []netip.Prefix{home} }
	now := time.Now()
	for from, want := range map[netip.Prefix]bool{home: true, office: false, {}: false} {
		k := knownFixture(t, 1, now, now)
		k.from = from
		if back := parseKnown(k.append(nil)); len(back) != 1 || n.here(back[0]) != want {
			t.Errorf("a node from %v is tried at home: %v, want %v", from, len(back) == 1 && n.here(back[0]), want)
		}
	}
	other := newDHTNode(t)
	n.Meet(t.Context(), other.info())
	if _, ok := n.reached(other.Host.ID()); ok {
		t.Error("a node that was reached from none of our networks is remembered")
	}
	n.config.Here = func() []netip.Prefix { return []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")} }
	if k, ok := n.reached(other.Host.ID()); !ok || k.from != n.config.Here()[0] {
		t.Errorf("got %v, %v, want a node of our network", k, ok)
	}
}

func FuzzKnown(f *testing.F) {
	now := time.Unix(1_700_000_000, 0)
	good := knownFixture(f, 1, now, now)
	good.from = netip.MustParsePrefix("10.7.0.0/16")
	f.Add(good.append(nil))
	f.Add(knownFixture(f, 2, now, now).append(good.append(nil)))
	f.Add([]byte("nonsense"))
	f.Fuzz(func(t *testing.T, row []byte) {
		known := parseKnown(row)
		if len(known) > maxKnown {
			t.Fatalf("%d nodes of one row", len(known))
		}
		var back []byte
		for _, n := range known {
			if len(n.addrs) > maxKnownAddrs || slices.ContainsFunc(n.addrs, func(a ma.Multiaddr) bool { return a == nil }) {
				t.Fatalf("addresses %v", n.addrs)
			}
			back = n.append(back)
		}
		var again []byte
		for _, n := range parseKnown(back) {
			again = n.append(again)
		}
		if len(back) <= maxKnownRow && !bytes.Equal(back, again) {
			t.Fatalf("read %x, then %x", back, again)
		}
	})
}
