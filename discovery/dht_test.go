package discovery

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/ipfs/go-datastore"
	dssync "github.com/ipfs/go-datastore/sync"
	"github.com/libp2p/go-libp2p"
	dht "github.com/libp2p/go-libp2p-kad-dht"
	pb "github.com/libp2p/go-libp2p-kad-dht/pb"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	mh "github.com/multiformats/go-multihash"
)

// dhtNode is a node of a DHT on loopback.
type dhtNode struct {
	host.Host
	*DHT
}

func (n dhtNode) info() peer.AddrInfo { return peer.AddrInfo{ID: n.Host.ID(), Addrs: n.Host.Addrs()} }

func anyAddress(netip.Addr) bool { return true }

func newDHTHost(t testing.TB) host.Host {
	t.Helper()
	h, err := libp2p.New(libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"), libp2p.DisableRelay(), libp2p.DisableMetrics(),
		libp2p.DisableIdentifyAddressDiscovery(), libp2p.ResourceManager(nil))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.Close() })
	return h
}

func newDHTNode(t testing.TB, bootstrap ...peer.AddrInfo) dhtNode {
	t.Helper()
	n := startDHTNode(t, dssync.MutexWrap(datastore.NewMapDatastore()), bootstrap...)
	t.Cleanup(func() {
		if err := n.DHT.Close(); err != nil {
			t.Error(err)
		}
	})
	return n
}

// startDHTNode is newDHTNode for one that the caller closes, and whose records stay.
func startDHTNode(t testing.TB, records datastore.Batching, bootstrap ...peer.AddrInfo) dhtNode {
	t.Helper()
	h := newDHTHost(t)
	d, err := OpenDHT(h, DHTConfig{
		Route: RouteLANDHT, Prefix: "/test", Mode: dht.ModeServer, Bootstrap: bootstrap, Usable: anyAddress, Records: records,
	})
	if err != nil {
		t.Fatal(err)
	}
	return dhtNode{h, d}
}

func someRoot(t testing.TB, n int) cid.Cid {
	t.Helper()
	h, err := mh.Sum(fmt.Appendf(nil, "root %d", n), mh.SHA2_256, -1)
	if err != nil {
		t.Fatal(err)
	}
	return cid.NewCidV1(cid.Raw, h)
}

func waitFor(ok func() bool) error {
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if ok() {
			return nil
		}
	}
	return context.DeadlineExceeded
}

// awaitProvider looks until the DHT names p, as others may be announcing still.
func (n dhtNode) awaitProvider(t testing.TB, root cid.Cid, p peer.ID) Finding {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for ctx.Err() == nil {
		for f := range n.Providers(ctx, Lookup{Root: root}) {
			if f.Info.ID == p {
				return f
			}
		}
	}
	t.Fatal("the provider was not found within a minute")
	return Finding{}
}

// TestTwoIntroductionsAway has three nodes of which the first and the last have never heard of each other.
func TestTwoIntroductionsAway(t *testing.T) {
	a, b, c := newDHTNode(t), newDHTNode(t), newDHTNode(t)
	a.Meet(t.Context(), b.info())
	root := someRoot(t, 1)
	if err := a.Announce(root); err != nil {
		t.Fatal(err)
	}
	c.Meet(t.Context(), b.info())
	f := c.awaitProvider(t, root, a.Host.ID())
	if f.Route != RouteLANDHT || !slices.ContainsFunc(a.Host.Addrs(), f.Info.Addrs[0].Equal) {
		t.Errorf("found %v by %q, want %v by %q", f.Info, f.Route, a.Host.Addrs(), RouteLANDHT)
	}
}

// A node that turns out to be reachable at another address, as through a relay, announces what it has again, with that address.
func TestAnnouncedAgainElsewhere(t *testing.T) {
	told := make(chan []ma.Multiaddr, 64)
	h := newDHTHost(t)
	d, err := openDHT(h, DHTConfig{
		Route: RouteLANDHT, Prefix: "/test", Mode: dht.ModeServer, Usable: anyAddress, Records: dssync.MutexWrap(datastore.NewMapDatastore()),
	}, dht.OnRequestHook(func(_ context.Context, _ network.Stream, m *pb.Message) {
		if m.GetType() == pb.Message_ADD_PROVIDER {
			for _, p := range pb.PBPeersToPeerInfos(m.GetProviderPeers()) {
				told <- p.Addrs
			}
		}
	}))
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	holder := dhtNode{h, d}
	giver := startDHTNode(t, dssync.MutexWrap(datastore.NewMapDatastore()))
	giver.Meet(t.Context(), holder.info())
	defer giver.running(t)()
	if err := giver.Announce(someRoot(t, 1)); err != nil {
		t.Fatal(err)
	}
	await := func(what string, ok func([]ma.Multiaddr) bool) {
		t.Helper()
		for end := time.After(time.Minute); ; {
			select {
			case addrs := <-told:
				if ok(addrs) {
					return
				}
			case <-end:
				t.Fatalf("waited in vain for %s", what)
			}
		}
	}
	await("the first announcement", func(addrs []ma.Multiaddr) bool { return len(addrs) == 1 })
	if err := giver.Host.Network().Listen(ma.StringCast("/ip4/127.0.0.1/tcp/0")); err != nil {
		t.Fatal(err)
	}
	await("one with the new address", func(addrs []ma.Multiaddr) bool { return len(addrs) == 2 })
}

func TestWithdrawnIsNotAnnounced(t *testing.T) {
	a := newDHTNode(t)
	roots := []cid.Cid{someRoot(t, 1), someRoot(t, 2), someRoot(t, 3)}
	size := func() int {
		n, err := a.keys.Size(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	if err := a.Announce(roots...); err != nil || size() != 3 {
		t.Fatalf("%d are announced, %v; want 3", size(), err)
	}
	if err := a.Withdraw(roots[0]); err != nil || size() != 2 {
		t.Errorf("%d are announced, %v; want 2", size(), err)
	}
	if err := a.AnnounceOnly(t.Context(), []cid.Cid{roots[0], roots[1]}); err != nil || size() != 2 {
		t.Errorf("%d are announced, %v; want 2", size(), err)
	}
	left, err := a.keys.Get(t.Context(), "")
	if err != nil || slices.ContainsFunc(left, func(h mh.Multihash) bool { return string(h) == string(roots[2].Hash()) }) {
		t.Errorf("%v, %v are announced, and one of them is shared no longer", left, err)
	}
}

// TestManyFindOne has nodes that one bootstrapper joined find what one of them announces, and prints how long it took and how
// many peers were asked.
func TestManyFindOne(t *testing.T) {
	const nodes, finds = 24, 24
	measureFinds(t, nodes, finds)
}

// BenchmarkFind100 is TestManyFindOne with a hundred nodes; -benchtime 1x, because building them takes longer than asking.
func BenchmarkFind100(b *testing.B) {
	for b.Loop() {
		measureFinds(b, 100, 100)
	}
}

func measureFinds(t testing.TB, nodes, finds int) {
	t.Helper()
	first := newDHTNode(t)
	all := []dhtNode{first}
	for range nodes - 1 {
		n := newDHTNode(t, first.info())
		n.Meet(t.Context(), first.info())
		_ = n.DHT.dht.Bootstrap(t.Context())
		all = append(all, n)
	}
	giver, root := all[nodes/2], someRoot(t, 7)
	if err := giver.Announce(root); err != nil {
		t.Fatal(err)
	}
	all[nodes-1].awaitProvider(t, root, giver.Host.ID())
	var took []time.Duration
	var untilFound, asked []int
	for i := range finds {
		n := all[i%nodes]
		if n.Host.ID() == giver.Host.ID() {
			continue
		}
		d, u, a := measureFind(t, n, root, giver.Host.ID())
		took, untilFound, asked = append(took, d), append(untilFound, u), append(asked, a)
	}
	slices.Sort(took)
	slices.Sort(untilFound)
	slices.Sort(asked)
	p95, last := len(took)*95/100, len(took)-1
	t.Logf("%d nodes, %d finds: all found; first provider after %v (median), %v (p95), %v (worst); peers asked by then %d (median), %d (worst), in the whole look-up %d (median), %d (worst)",
		nodes, len(took), took[last/2], took[p95], took[last], untilFound[last/2], untilFound[last], asked[last/2], asked[last])
	if asked[last] > 12 {
		t.Errorf("%d peers were asked, want at most 12", asked[last])
	}
	if took[p95] > 10*time.Second {
		t.Errorf("the 95th of 100 finds takes %v", took[p95])
	}
}

// measureFind returns how long the first provider took, how many peers had been asked by then, and how many in all.
func measureFind(t testing.TB, n dhtNode, root cid.Cid, want peer.ID) (took time.Duration, untilFound, asked int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	l := Lookup{Root: root, Asked: new(atomic.Int64)}
	start := time.Now()
	found := false
	for f := range n.Providers(ctx, l) {
		if f.Info.ID == want && !found {
			found, took, untilFound = true, time.Since(start), int(l.Asked.Load())
		}
	}
	if !found {
		t.Errorf("a node did not find the provider")
	}
	return took, untilFound, int(l.Asked.Load())
}
