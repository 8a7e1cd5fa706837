package discovery

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/ipfs/go-cid"
	"github.com/ipfs/go-datastore"
	dssync "github.com/ipfs/go-datastore/sync"
	pebbleds "github.com/ipfs/go-ds-pebble"
	dht "github.com/libp2p/go-libp2p-kad-dht"
	pb "github.com/libp2p/go-libp2p-kad-dht/pb"
	kb "github.com/libp2p/go-libp2p-kbucket"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/p2p/host/peerstore/pstoremem"
	ma "github.com/multiformats/go-multiaddr"
	mh "github.com/multiformats/go-multihash"
)

// simulated is a DHT of which only the nodes that ask are real: the others are a routing table each, filled from a seed, and
// answer as the protocol says, at once.
type simulated struct {
	nodes  map[peer.ID]*simulatedNode
	order  []peer.ID
	chance *rand.Rand

	mu      sync.Mutex                       // guards what follows
	records map[string]map[peer.ID][]peer.ID // the providers of a root that a node knows
	stored  int                              // records that the real nodes have sent
}

type simulatedNode struct {
	addr  ma.Multiaddr
	table *kb.RoutingTable
}

const simulatedBucket = 20

func simulate(t testing.TB, nodes int, seed uint64) *simulated {
	t.Helper()
	s := &simulated{
		nodes: make(map[peer.ID]*simulatedNode), records: make(map[string]map[peer.ID][]peer.ID),
		chance: rand.New(rand.NewPCG(seed, seed)),
	}
	for i := range nodes {
		id := s.newID(t)
		s.order = append(s.order, id)
		s.nodes[id] = &simulatedNode{
			addr:  ma.StringCast(fmt.Sprintf("/ip4/10.%d.%d.%d/tcp/4747", i>>16, i>>8&255, i&255)),
			table: s.newTable(t, id),
		}
	}
	for _, n := range s.nodes {
		s.fill(t, n.table)
	}
	return s
}

func (s *simulated) newID(t testing.TB) peer.ID {
	t.Helper()
	h, err := mh.Sum(binary.BigEndian.AppendUint64(nil, s.chance.Uint64()), mh.SHA2_256, -1)
	if err != nil {
		t.Fatal(err)
	}
	return peer.ID(h)
}

func (s *simulated) newTable(t testing.TB, id peer.ID) *kb.RoutingTable {
	t.Helper()
	store, err := pstoremem.NewPeerstore()
	if err != nil {
		t.Fatal(err)
	}
	table, err := kb.NewRoutingTable(simulatedBucket, kb.ConvertPeerID(id), time.Hour, store, time.Hour, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = table.Close(); _ = store.Close() })
	return table
}

// fill puts nodes into a table in the order of chance, as whoever is met first stays.
func (s *simulated) fill(t testing.TB, table *kb.RoutingTable) {
	t.Helper()
	for _, i := range s.chance.Perm(len(s.order)) {
		_, _ = table.TryAddPeer(s.order[i], true, false) // a full bucket is no error here
	}
}

// courier is the sender of one real node. It notes who told it of whom.
type courier struct {
	net   *simulated
	mu    sync.Mutex // guards the rest
	hops  map[peer.ID]int
	asked int
	// How far away the first node was that named a provider, and how many had been asked by then; 0 if none has.
	foundAfter, foundAsked int
}

func (a *courier) OnDisconnect(context.Context, peer.ID) {}

func (a *courier) SendMessage(_ context.Context, _ peer.ID, m *pb.Message) error {
	s := a.net
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stored++
	return nil
}

func (a *courier) SendRequest(ctx context.Context, p peer.ID, m *pb.Message) (*pb.Message, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	n := a.net.nodes[p]
	out := pb.NewMessage(m.Type, m.Key, 0)
	closer := n.table.NearestPeers(kb.ConvertKey(string(m.Key)), simulatedBucket)
	for _, c := range closer {
		out.CloserPeers = append(out.CloserPeers, pb.RawPeerInfosToPBPeers([]peer.AddrInfo{{ID: c, Addrs: []ma.Multiaddr{a.net.nodes[c].addr}}})...)
	}
	a.net.mu.Lock()
	known := a.net.records[string(m.Key)][p]
	a.net.mu.Unlock()
	if m.Type == pb.Message_GET_PROVIDERS { // and not what keeps the table fresh meanwhile
		for _, id := range known {
			out.ProviderPeers = append(out.ProviderPeers, pb.RawPeerInfosToPBPeers([]peer.AddrInfo{{ID: id, Addrs: []ma.Multiaddr{n.addr}}})...)
		}
		a.note(p, closer, len(known) > 0)
	}
	return out, nil
}

func (a *courier) note(p peer.ID, closer []peer.ID, holds bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.asked++
	hop := max(a.hops[p], 1)
	for _, c := range closer {
		if a.hops[c] == 0 {
			a.hops[c] = hop + 1
		}
	}
	if holds && a.foundAfter == 0 {
		a.foundAfter, a.foundAsked = hop, a.asked
	}
}

// unconnected is a host that takes every dial for done: only messages are simulated.
type unconnected struct{ host.Host }

func (unconnected) Connect(context.Context, peer.AddrInfo) error { return nil }

// join makes a real node of the simulated DHT, with a table filled like those of the others.
func (s *simulated) join(t testing.TB, records datastore.Batching) (*DHT, *courier) {
	t.Helper()
	h := newDHTHost(t)
	a := &courier{net: s, hops: make(map[peer.ID]int)}
	d, err := openDHT(unconnected{h}, DHTConfig{Route: RouteLANDHT, Prefix: "/test", Mode: dht.ModeClient, Usable: anyAddress, Records: records},
		dht.WithCustomMessageSender(func(host.Host, []protocol.ID) pb.MessageSenderWithDisconnect { return a }), dht.DisableAutoRefresh())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	s.fill(t, d.dht.RoutingTable())
	return d, a
}

// announce writes a record of root to the nodes that are the closest, of which each then is the provider.
func (s *simulated) announce(root cid.Cid) {
	all := kb.SortClosestPeers(s.order, kb.ConvertKey(string(root.Hash())))
	holders := make(map[peer.ID][]peer.ID)
	for _, p := range all[:min(simulatedBucket, len(all)*simulatedBucket/100+1)] {
		holders[p] = []peer.ID{p}
	}
	s.write(root, holders)
}

// write has nodes know providers of a root.
func (s *simulated) write(root cid.Cid, holders map[peer.ID][]peer.ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.records[string(root.Hash())] = holders
}

// TestHopsGrowLikeTheLogarithm looks for many roots among 10, 100 and 1,000 nodes, each written down by the hundredth part of
// them that is the closest (one node, one, ten), so that nobody knows a holder by chance alone.
func TestHopsGrowLikeTheLogarithm(t *testing.T) {
	const finds = 100
	for _, nodes := range []int{10, 100, 1000} {
		s := simulate(t, nodes, uint64(nodes))
		d, a := s.join(t, dssync.MutexWrap(datastore.NewMapDatastore()))
		var hops, asked []int
		for i := range finds {
			root := someRoot(t, i)
			s.announce(root)
			a.mu.Lock()
			clear(a.hops)
			a.asked, a.foundAfter = 0, 0
			a.mu.Unlock()
			found := 0
			for range d.Providers(t.Context(), Lookup{Root: root}) {
				found++
			}
			if found == 0 {
				t.Errorf("%d nodes: root %d was not found", nodes, i)
			}
			a.mu.Lock()
			hops, asked = append(hops, a.foundAfter), append(asked, a.foundAsked)
			a.mu.Unlock()
		}
		sum := 0
		for _, n := range hops {
			sum += n
		}
		slices.Sort(asked)
		mean := float64(sum) / finds
		t.Logf("%5d nodes: %d of %d found, hops to the first who knew: mean %.2f, most %d; asked by then: median %d, most %d",
			nodes, finds, finds, mean, slices.Max(hops), asked[finds/2], asked[finds-1])
		if most := 1 + math.Log2(float64(nodes)); mean > most {
			t.Errorf("%d nodes: %.2f hops on average, want at most 1 + log2 n = %.1f", nodes, mean, most)
		}
	}
}

// TestEnoughAreAsked looks for thirty providers of one root among 1,000 nodes: each record was lost by three in ten of the twenty
// nodes that ought to have it. A dozen nodes are enough to hear of nearly all of them. If the nearest ones lie, all are asked who are
// to be asked thoroughly.
func TestEnoughAreAsked(t *testing.T) {
	const finds, providers = 40, 30
	s := simulate(t, 1000, 7)
	d, _ := s.join(t, dssync.MutexWrap(datastore.NewMapDatastore()))
	look := func(l Lookup) (named, asked int) {
		l.Asked = new(atomic.Int64)
		for range d.Providers(t.Context(), l) {
			named++
		}
		return named, int(l.Asked.Load())
	}
	total := 0
	var all []int
	for i := range finds {
		root := someRoot(t, i)
		holders := make(map[peer.ID][]peer.ID)
		nearest := kb.SortClosestPeers(s.order, kb.ConvertKey(string(root.Hash())))[:simulatedBucket]
		for range providers {
			id := s.newID(t)
			for _, p := range nearest {
				if s.chance.IntN(10) >= 3 {
					holders[p] = append(holders[p], id)
				}
			}
		}
		s.write(root, holders)
		named, asked := look(Lookup{Root: root})
		total, all = total+named, append(all, asked)
	}
	slices.Sort(all)
	t.Logf("%d of %d providers named, asked %d (median), %d (most)", total, finds*providers, all[finds/2], all[finds-1])
	if total < finds*providers*95/100 || all[finds/2] > 12 || all[finds*9/10] >= simulatedBucket {
		t.Errorf("%d of %d providers were named, by %d nodes (median) and %d (most); want 95 %% of them by 12", total, finds*providers, all[finds/2], all[finds-1])
	}

	root, fake, real := someRoot(t, finds), s.newID(t), s.newID(t)
	holders := make(map[peer.ID][]peer.ID)
	for i, p := range kb.SortClosestPeers(s.order, kb.ConvertKey(string(root.Hash())))[:simulatedBucket] {
		if holders[p] = []peer.ID{fake}; i >= 12 {
			holders[p] = []peer.ID{fake, real}
		}
	}
	s.write(root, holders)
	if named, asked := look(Lookup{Root: root, Thorough: true}); named != 2 || asked < simulatedBucket {
		t.Errorf("asked thoroughly, %d nodes name %d providers, want both of them", asked, named)
	}
}

// BenchmarkAnnounce100000 shares a hundred thousand roots from one node, among 1,000 simulated nodes; -benchtime 1x.
func BenchmarkAnnounce100000(b *testing.B) {
	const roots, nodes = 100_000, 1000
	for b.Loop() {
		s := simulate(b, nodes, 1)
		d, _ := s.join(b, pebbleRecords(b))
		all := make([]cid.Cid, roots)
		for i := range all {
			all[i] = someRoot(b, i)
		}
		before := liveHeap()
		start := time.Now()
		if err := d.AnnounceOnly(b.Context(), all); err != nil {
			b.Fatal(err)
		}
		written := time.Since(start)
		most, sent := before, 0
		for deadline := time.Now().Add(15 * time.Minute); sent < roots*simulatedBucket*99/100 && time.Now().Before(deadline); {
			time.Sleep(200 * time.Millisecond)
			most = max(most, liveHeap())
			s.mu.Lock()
			sent = s.stored
			s.mu.Unlock()
		}
		took := time.Since(start)
		b.Logf("%d roots written down in %v; %d records sent in %v, %.0f roots/s; memory for it: %.1f MB at most (%.1f before)",
			roots, written.Round(time.Millisecond), sent, took.Round(time.Millisecond), float64(sent)/simulatedBucket/took.Seconds(),
			float64(most-before)/1e6, float64(before)/1e6)
		runtime.KeepAlive(all)
	}
}

// liveHeap is the live heap in bytes.
func liveHeap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// pebbleRecords keeps records as the store does: on the disk, with small caches.
func pebbleRecords(t testing.TB) datastore.Batching {
	t.Helper()
	cache := pebble.NewCache(4 << 20)
	db, err := pebble.Open(t.TempDir(), &pebble.Options{FS: vfs.Default, Cache: cache, MemTableSize: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	d, err := pebbleds.NewDatastore("", pebbleds.WithPebbleDB(db))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close(); cache.Unref() })
	return d
}
