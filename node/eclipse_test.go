package node

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p"
	dht "github.com/libp2p/go-libp2p-kad-dht"
	dhtpb "github.com/libp2p/go-libp2p-kad-dht/pb"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/x/simlibp2p"
	"github.com/libp2p/go-msgio"
	"github.com/marcopolo/simnet"
	"github.com/multiformats/go-multiaddr"
	mh "github.com/multiformats/go-multihash"
	"google.golang.org/protobuf/proto"

	"github.com/shoal-p2p/shoal/content"
	"github.com/shoal-p2p/shoal/discovery"
	"github.com/shoal-p2p/shoal/store"
	"github.com/shoal-p2p/shoal/transfer"
)

const (
	simNodes  = 64
	simSybils = 20
	simPrefix = protocol.ID("/shoal-test")
	simVictim = "/ip4/9.9.9.9/udp/%d/quic-v1" // nobody listens there
)

// bed is a DHT of simulated hosts in virtual time. The last simSybils of them stand nearest to the root: they are told of each
// provider and tell nobody, or only of providers that they made up.
type bed struct {
	t      *testing.T
	net    *simnet.Simnet
	hosts  []host.Host
	gaters []*gater
	dhts   []*dht.IpfsDHT
	root   content.Made
	chunks map[content.Digest][]byte

	mu    sync.Mutex             // guards dials
	dials map[*gater][]time.Time // to the victim
}

// watching counts the dials to the victim that a gater lets through.
type watching struct {
	*gater
	bed *bed
}

func (w watching) InterceptAddrDial(p peer.ID, m multiaddr.Multiaddr) bool {
	ok := w.gater.InterceptAddrDial(p, m)
	if ip, _ := ipOf(m); ok && ip == netip.MustParseAddr("9.9.9.9") {
		w.bed.mu.Lock()
		defer w.bed.mu.Unlock()
		w.bed.dials[w.gater] = append(w.bed.dials[w.gater], time.Now())
	}
	return ok
}

// newBed starts the hosts and fills their tables. It must be called in a bubble; close ends it.
func newBed(t *testing.T, fakes int) *bed {
	b := newHosts(t, simNodes)
	for _, h := range b.hosts {
		d, err := dht.New(h, dht.Mode(dht.ModeServer), dht.ProtocolPrefix(simPrefix), dht.DisableAutoRefresh(),
			dht.RoutingTablePeerDiversityFilter(nil))
		if err != nil {
			t.Fatal(err)
		}
		b.dhts = append(b.dhts, d)
	}
	for i := simNodes - simSybils; i < simNodes; i++ {
		b.corrupt(i, fakes)
	}
	for i, d := range b.dhts {
		for k, h := range b.hosts {
			if i != k {
				b.hosts[i].Peerstore().AddAddrs(h.ID(), h.Addrs(), peerstore.PermanentAddrTTL)
				d.RoutingTable().TryAddPeer(h.ID(), true, true)
			}
		}
	}
	return b
}

// newHosts starts the first so many hosts, without a DHT.
func newHosts(t *testing.T, hosts int) *bed {
	b := &bed{
		t: t, net: &simnet.Simnet{LatencyFunc: simnet.StaticLatency(10 * time.Millisecond), Logger: slog.New(slog.DiscardHandler)}, chunks: make(map[content.Digest][]byte),
		dials: make(map[*gater][]time.Time),
	}
	b.makeFile(2 * content.ChunkSize)
	for i, key := range b.keys()[:hosts] {
		g := newGater(LAN)
		g.links.read = func() []netip.Prefix { return prefixes("0.0.0.0/0") } // the simulated internet is our LAN

		link := simnet.LinkSettings{BitsPerSecond: 100 * simlibp2p.OneMbps}
		h, err := libp2p.New(
			libp2p.Identity(key), blackHoles(), libp2p.ConnectionGater(watching{g, b}),
			libp2p.ListenAddrStrings(fmt.Sprintf("/ip4/%s/udp/8000/quic-v1", simnet.IntToPublicIPv4(i))),
			simlibp2p.QUICSimnet(b.net, simnet.NodeBiDiLinkSettings{Downlink: link, Uplink: link}),
			libp2p.DisableIdentifyAddressDiscovery(), libp2p.DisableRelay(), libp2p.DisableMetrics(),
			libp2p.ResourceManager(&network.NullResourceManager{}),
		)
		if err != nil {
			t.Fatal(err)
		}
		b.hosts, b.gaters = append(b.hosts, h), append(b.gaters, g)
	}
	b.net.Start()
	return b
}

func (b *bed) close() {
	for _, d := range b.dhts {
		if err := d.Close(); err != nil {
			b.t.Error(err)
		}
	}
	for _, h := range b.hosts {
		if err := h.Close(); err != nil {
			b.t.Error(err)
		}
	}
	b.net.Close()
}

// keys returns the identities of all hosts: the last simSybils are the nearest to the root of many.
func (b *bed) keys() (keys []crypto.PrivKey) {
	target := distanceTo(b.root.CID.Hash())
	type candidate struct {
		key      crypto.PrivKey
		distance [32]byte
	}
	var all []candidate
	for range 40 * simNodes {
		_, secret, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			b.t.Fatal(err)
		}
		key, err := crypto.UnmarshalEd25519PrivateKey(secret)
		if err != nil {
			b.t.Fatal(err)
		}
		id, err := peer.IDFromPrivateKey(key)
		if err != nil {
			b.t.Fatal(err)
		}
		all = append(all, candidate{key, target(mh.Multihash(id))})
	}
	slices.SortFunc(all, func(x, y candidate) int { return bytes.Compare(y.distance[:], x.distance[:]) })
	for _, c := range slices.Concat(all[:simNodes-simSybils], all[len(all)-simSybils:]) {
		keys = append(keys, c.key)
	}
	return keys
}

// distanceTo is Kademlia's: the exclusive or of the hashes of two keys.
func distanceTo(key mh.Multihash) func(mh.Multihash) [32]byte {
	hash := func(k mh.Multihash) (out [32]byte) {
		sum, _ := mh.Sum(k, mh.SHA2_256, -1) // SHA-256 knows no error
		copy(out[:], sum[2:])
		return out
	}
	at := hash(key)
	return func(k mh.Multihash) [32]byte {
		d := hash(k)
		for i := range d {
			d[i] ^= at[i]
		}
		return d
	}
}

func (b *bed) makeFile(size int) {
	data := make([]byte, size)
	if _, err := rand.Read(data); err != nil {
		b.t.Fatal(err)
	}
	leaves := make([]content.Digest, content.ChunkCount(int64(size)))
	if err := content.HashSpan(bytes.NewReader(data), int64(size), 0, len(leaves), leaves, make([]byte, content.ChunkSize)); err != nil {
		b.t.Fatal(err)
	}
	made, err := content.MakeFile(int64(size), leaves)
	if err != nil {
		b.t.Fatal(err)
	}
	b.root = made
	for i, d := range leaves {
		b.chunks[d] = data[i*content.ChunkSize : (i+1)*content.ChunkSize]
	}
}

// corrupt makes a sybil of a host: it knows only the other sybils, keeps no record, and names fakes that it makes up.
func (b *bed) corrupt(i, fakes int) {
	b.hosts[i].SetStreamHandler(simPrefix+"/kad/1.0.0", func(s network.Stream) {
		defer s.Close()
		in, out := msgio.NewVarintReader(s), msgio.NewVarintWriter(s)
		for {
			raw, err := in.ReadMsg()
			if err != nil {
				return
			}
			var m dhtpb.Message
			if err := proto.Unmarshal(raw, &m); err != nil || m.GetType() == dhtpb.Message_ADD_PROVIDER {
				continue
			}
			var friends, made []peer.AddrInfo
			for _, h := range b.hosts[simNodes-simSybils:] {
				friends = append(friends, peer.AddrInfo{ID: h.ID(), Addrs: h.Addrs()})
			}
			for n := range fakes / simSybils {
				no := i*1000 + n
				made = append(made, peer.AddrInfo{ID: stranger(no), Addrs: addrs(fmt.Sprintf(simVictim, no))})
			}
			m.CloserPeers = dhtpb.RawPeerInfosToPBPeers(friends)
			if m.GetType() == dhtpb.Message_GET_PROVIDERS {
				m.ProviderPeers = dhtpb.RawPeerInfosToPBPeers(made)
			}
			answer, err := proto.Marshal(&m)
			if err != nil || out.WriteMsg(answer) != nil {
				return
			}
		}
	})
}

// only is a library with one file, or with none.
type only struct {
	*bed
	tree *content.Tree
}

func (o only) Tree(context.Context, cid.Cid) (*content.Tree, error) {
	if o.tree == nil {
		return nil, transfer.ErrNotFound
	}
	return o.tree, nil
}

func (o only) Node(c cid.Cid) ([]byte, error) {
	for _, b := range o.root.Blocks {
		if b.CID.Equals(c) {
			return b.Data, nil
		}
	}
	return nil, transfer.ErrNotFound
}

func (o only) ReadChunk(d content.Digest, buf []byte) (int, error) {
	if o.tree == nil {
		return 0, transfer.ErrNotFound
	}
	return copy(buf, o.chunks[d]), nil
}

func (b *bed) tree() *content.Tree {
	w, err := content.NewWalk(b.root.CID, content.Budget{})
	if err != nil {
		b.t.Fatal(err)
	}
	for _, block := range b.root.Blocks {
		if err := w.Add(block.Data); err != nil {
			b.t.Fatal(err)
		}
	}
	tree, err := w.Tree()
	if err != nil {
		b.t.Fatal(err)
	}
	return tree
}

// node makes a node of a host, with a file if tree is not nil. It looks for peers with the DHT if told so.
func (b *bed) node(i int, tree *content.Tree, sources ...discovery.Source) *Node {
	h := &netHost{Host: b.hosts[i], gater: b.gaters[i]}
	n := &Node{config: Config{Network: LAN}, host: h, store: new(store.Store)} // an empty one, that is asked who may have the root
	n.finder = discovery.NewFinder(discovery.FinderConfig{Host: h, Sources: sources})
	n.transfer = transfer.New(transfer.Config{
		Host: h.Host, Library: only{b, tree}, Introducer: introducer{h}, Ban: func(p peer.ID) { n.distrust(p) },
	})
	return n
}

func (b *bed) info(i int) peer.AddrInfo {
	return peer.AddrInfo{ID: b.hosts[i].ID(), Addrs: b.hosts[i].Addrs()}
}

// kad is the DHT of one host as a source.
type kad struct{ *dht.IpfsDHT }

func (k kad) Routes() []string { return []string{discovery.RouteDHT} }
func (k kad) Trouble() error   { return nil }

func (k kad) Providers(ctx context.Context, l discovery.Lookup) <-chan discovery.Finding {
	out := make(chan discovery.Finding)
	go func() {
		defer close(out)
		for info := range k.FindProvidersAsync(ctx, l.Root, 0) {
			select {
			case out <- discovery.Finding{Info: info, Route: discovery.RouteDHT}:
			case <-ctx.Done():
			}
		}
	}()
	return out
}

// run answers other peers until the end of the test's bubble.
func run(ctx context.Context, n *Node) {
	go func() { _ = n.transfer.Run(ctx) }()
	go func() { _ = n.finder.Run(ctx) }()
}

// get fetches the file of the bed and returns what was said last, how long it took, and how it ended.
func (b *bed) get(ctx context.Context, n *Node, t target) (notes []Event, took time.Duration, err error) {
	start := time.Now()
	t.root = b.root.CID
	p := n.pursue(ctx, t, pursuitOptions{Leech: true, Patience: DefaultPatience, Emit: oneAtATime(func(e Event) { notes = append(notes, e) })})
	defer p.stop()
	tree, err := p.tree()
	if err != nil {
		return notes, time.Since(start), err
	}
	sink, wanted := newCatSink(tree), content.NewSet(tree.NumChunks())
	wanted.AddRange(content.Range{Count: uint32(tree.NumChunks())})
	err = p.fetch(sink, content.NewSet(tree.NumChunks()), wanted)
	for c := range uint32(tree.NumChunks()) {
		if err == nil && !bytes.Equal(sink.chunks[c], b.chunks[tree.Digest(c)]) {
			err = fmt.Errorf("chunk %d came out wrong", c)
		}
	}
	return notes, time.Since(start), err
}

// T15: 64 nodes, of which the 20 nearest to the root belong to somebody who wants it hidden. A ticket, or another peer's word,
// leads to it all the same; the DHT alone ends within a minute with a sentence that says so. Providers that the sybils make up,
// all at one address, change nothing, and nobody at that address is dialled more than three times a minute (T16).
func TestEclipse(t *testing.T) {
	const seeker, holder, friend = 0, 1, 2
	for _, fakes := range []int{0, 1000} {
		t.Run(fmt.Sprintf("%d fakes", fakes), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBed(t, fakes)
				defer b.close()
				ctx, cancel := context.WithCancel(t.Context())
				defer func() { cancel(); synctest.Wait() }()
				has := b.node(holder, b.tree())
				run(ctx, has)
				if err := b.dhts[holder].Provide(ctx, b.root.CID, true); err != nil {
					t.Logf("provide: %v", err)
				}

				alone := b.node(seeker, nil, kad{b.dhts[seeker]})
				_, took, err := b.get(ctx, alone, target{})
				if !errors.Is(err, ErrNoPeer) || took > time.Minute || !strings.Contains(err.Error(), "DHT") ||
					(fakes > 0) != strings.Contains(err.Error(), "only a DHT named anybody") {
					t.Errorf("the DHT alone: after %v %v, expected within a minute that only a DHT was there to ask", took, err)
				}
				t.Logf("the DHT alone, after %v: %v", took, err)

				ticket := b.info(holder)
				_, took, err = b.get(ctx, alone, target{holder: &ticket})
				if err != nil || took > 5*time.Second {
					t.Errorf("with a ticket: after %v %v", took, err)
				}
				t.Logf("with a ticket after %v", took)

				// The friend knows the tree and has no chunk to give; it has met the holder, and says so.
				knows := b.node(friend, nil)
				run(ctx, knows)
				known := b.tree()
				x := knows.transfer.Session(b.root.CID, transfer.SessionOptions{Tree: known})
				knows.host.Note(discovery.Finding{Info: ticket, Route: discovery.RouteTicket})
				x.Offer(ticket.ID)
				met, leave := context.WithCancel(ctx)
				defer leave()
				go func() { _ = x.Run(met) }()
				x.Begin(newCatSink(known), content.NewSet(known.NumChunks()))
				other := b.node(3, nil, kad{b.dhts[3]})
				notes, took, err := b.get(ctx, other, target{peers: []peer.AddrInfo{b.info(friend)}})
				if err != nil || took > 10*time.Second {
					t.Errorf("with a peer that knows who has it: after %v %v; %+v", took, err, notes)
				}
				t.Logf("by peer exchange after %v", took)
				b.checkDials(fakes)
			})
		})
	}
}

// checkDials counts the dials to the one address at which the sybils place their fakes.
func (b *bed) checkDials(fakes int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if (fakes > 0) != (len(b.dials) > 0) {
		b.t.Errorf("%d dials to the victim with %d fakes", len(b.dials), fakes)
	}
	for _, dials := range b.dials {
		b.t.Logf("%d dials to the victim by one seeker", len(dials))
		for i, first := range dials {
			if n := i + discovery.MaxHeardDials; n < len(dials) && dials[n].Sub(first) < time.Minute {
				b.t.Fatalf("the victim was dialled more than %d times a minute: %v", discovery.MaxHeardDials, dials)
			}
		}
	}
}
