package transfer

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/shoal-p2p/shoal/content"
)

// shelf is a library and a sink in memory.
type shelf struct {
	mu     sync.Mutex
	trees  map[cid.Cid]*content.Tree
	nodes  map[cid.Cid][]byte
	chunks map[content.Digest][]byte
	calls  []string // of its methods
}

func newShelf() *shelf {
	return &shelf{
		trees: make(map[cid.Cid]*content.Tree), nodes: make(map[cid.Cid][]byte), chunks: make(map[content.Digest][]byte),
	}
}

func (s *shelf) Tree(_ context.Context, root cid.Cid) (*content.Tree, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = append(s.calls, "Tree")
	if t := s.trees[root]; t != nil {
		return t, nil
	}
	return nil, ErrNotFound
}

func (s *shelf) Node(c cid.Cid) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = append(s.calls, "Node")
	if b := s.nodes[c]; b != nil {
		return b, nil
	}
	return nil, ErrNotFound
}

func (s *shelf) ReadChunk(d content.Digest, buf []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = append(s.calls, "ReadChunk")
	b, ok := s.chunks[d]
	if !ok {
		return 0, ErrNotFound
	}
	return copy(buf, b), nil
}

// put makes a file of random bytes part of the shelf.
func (s *shelf) put(t testing.TB, size int, seed uint64) *content.Tree {
	t.Helper()
	data := make([]byte, size)
	rand.NewChaCha8([32]byte{byte(seed)}).Read(data)
	leaves := make([]content.Digest, content.ChunkCount(int64(size)))
	if err := content.HashSpan(bytes.NewReader(data), int64(size), 0, len(leaves), leaves, make([]byte, content.ChunkSize)); err != nil {
		t.Fatal(err)
	}
	made, err := content.MakeFile(int64(size), leaves)
	if err != nil {
		t.Fatal(err)
	}
	for i, d := range leaves {
		s.chunks[d] = data[i*content.ChunkSize : min((i+1)*content.ChunkSize, size)]
	}
	for _, b := range made.Blocks {
		s.nodes[b.CID] = b.Data
	}
	if len(made.Blocks) == 0 {
		s.nodes[made.CID] = data
	}
	tree := s.walk(t, made.CID)
	s.trees[made.CID] = tree
	return tree
}

// putMany makes a directory of n files of size bytes part of the shelf.
func (s *shelf) putMany(t testing.TB, n, size int) *content.Tree {
	t.Helper()
	links := make([]content.Link, n)
	for i := range links {
		data := bytes.Repeat([]byte{byte(i), byte(i >> 8), 7}, size/3+1)[:size]
		c := content.Seal(data)
		s.chunks[c.Digest()] = data
		links[i] = content.Link{Name: fmt.Sprintf("file-%05d", i), CID: c.Digest().CID(), Tsize: uint64(size)}
	}
	made, err := content.MakeDir(links)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range made.Blocks {
		s.nodes[b.CID] = b.Data
	}
	tree := s.walk(t, made.CID)
	s.trees[made.CID] = tree
	return tree
}

func (s *shelf) walk(t testing.TB, root cid.Cid) *content.Tree {
	t.Helper()
	w, err := content.NewWalk(root, content.Budget{})
	if err != nil {
		t.Fatal(err)
	}
	for {
		c, more := w.Next()
		if !more {
			break
		}
		if err := w.Add(s.nodes[c]); err != nil {
			t.Fatal(err)
		}
	}
	tree, err := w.Tree()
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

// intake is the sink of one download.
type intake struct {
	tree  *content.Tree
	mu    sync.Mutex
	got   map[uint32][]byte
	twice int
	reads int
	fail  error
}

func newIntake(t *content.Tree) *intake { return &intake{tree: t, got: make(map[uint32][]byte)} }

func (k *intake) Put(n uint32, c content.Chunk) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.fail != nil {
		return k.fail
	}
	if k.got[n] != nil {
		k.twice++
	}
	k.got[n] = bytes.Clone(c.Bytes())
	return nil
}

func (k *intake) ReadChunk(n uint32, buf []byte) (int, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.reads++
	b, ok := k.got[n]
	if !ok {
		return 0, ErrNotFound
	}
	return copy(buf, b), nil
}

func (k *intake) complete() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.got) != k.tree.NumChunks() {
		return false
	}
	for n, b := range k.got {
		if _, err := content.Verify(k.tree.Digest(n), b); err != nil {
			return false
		}
	}
	return true
}

// world is a few services on one pipe net, in virtual time.
type world struct {
	t    *testing.T
	ctx  context.Context
	net  *pipeNet
	bans map[peer.ID]map[peer.ID]int // by whom, who
	mu   sync.Mutex
	wait sync.WaitGroup
}

// inWorld runs f in a bubble and waits until everything in it has ended.
func inWorld(t *testing.T, f func(w *world)) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		w := &world{t: t, ctx: ctx, net: newPipeNet(), bans: make(map[peer.ID]map[peer.ID]int)}
		f(w)
		cancel()
		w.wait.Wait()
		synctest.Wait()
	})
}

type member struct {
	*Service
	*shelf
	host  *pipeHost
	trust *trust
	locks *locks
}

func (w *world) member(name string) *member { return w.limited(name, Rates{}, nil) }

// limited is a member with limits on rates, but for the connections that are exempt.
func (w *world) limited(name string, r Rates, exempt func(network.Conn) bool) *member {
	m := &member{shelf: newShelf(), host: w.net.host(name), trust: new(trust), locks: newLocks()}
	m.Service = New(Config{Host: m.host, Library: m.shelf, Workers: 2, Introducer: m.trust, Doors: m.locks, Rates: r, Exempt: exempt, Ban: func(p peer.ID) {
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.bans[m.host.id] == nil {
			w.bans[m.host.id] = make(map[peer.ID]int)
		}
		w.bans[m.host.id][p]++
	}})
	w.wait.Go(func() { m.Service.Run(w.ctx) })
	synctest.Wait()
	return m
}

func (w *world) banned(by, who *pipeHost) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.bans[by.id][who.id] > 0
}

// download is a fetch that goes on in the background.
type download struct {
	*Session
	sink   *intake // set before result is told
	result chan error
	cancel context.CancelFunc
	began  time.Time
}

func (w *world) fetch(m *member, root cid.Cid, from ...*pipeHost) *download {
	ctx, cancel := context.WithCancel(w.ctx)
	d := &download{Session: m.Session(root, SessionOptions{}), result: make(chan error, 1), cancel: cancel, began: time.Now()}
	w.wait.Go(func() { d.Run(ctx) })
	for _, h := range from {
		d.Offer(h.id)
	}
	w.wait.Go(func() {
		tree, err := d.Tree(ctx)
		if err != nil {
			d.result <- err
			return
		}
		for _, b := range d.Nodes() {
			m.shelf.mu.Lock()
			m.shelf.nodes[b.CID] = b.Data
			m.shelf.mu.Unlock()
		}
		d.sink = newIntake(tree)
		if tree.Inline != nil { // it came with the tree
			d.result <- d.sink.Put(0, content.Seal(tree.Inline))
			return
		}
		d.Begin(d.sink, content.NewSet(tree.NumChunks()))
		d.Want([]content.Range{{First: 0, Count: uint32(tree.NumChunks())}}, false)
		d.result <- d.Wait(ctx)
	})
	return d
}

// must waits for a download to end well within the time, in the bubble's clock.
func (d *download) must(t *testing.T, within time.Duration) {
	t.Helper()
	select {
	case err := <-d.result:
		if err != nil {
			t.Fatalf("download ended with %v; status %+v", err, d.Status())
		}
	case <-time.After(within):
		t.Fatalf("download not done after %v; status %+v", within, d.Status())
	}
	if !d.sink.complete() {
		t.Fatal("download ended, but its chunks are not all there and right")
	}
}
