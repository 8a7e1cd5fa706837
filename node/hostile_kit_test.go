package node

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"runtime/metrics"
	"runtime/pprof"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	libp2ptls "github.com/libp2p/go-libp2p/p2p/security/tls"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	"github.com/multiformats/go-multiaddr"

	"github.com/shoal-p2p/shoal/content"
	"github.com/shoal-p2p/shoal/transfer"
)

// outsider is a peer that a test moves by hand: go-libp2p as it comes, without any limit, and frames made of bytes.
type outsider struct {
	t    testing.TB
	host host.Host
	wait sync.WaitGroup // streams that are being served
}

func newOutsider(t testing.TB) *outsider {
	t.Helper()
	h, err := libp2p.New(
		libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"), libp2p.Transport(tcp.NewTCPTransport),
		libp2p.Security(libp2ptls.ID, libp2ptls.New), libp2p.DisableRelay(), libp2p.Ping(false), libp2p.DisableMetrics(),
		libp2p.ResourceManager(&network.NullResourceManager{}), libp2p.DisableIdentifyAddressDiscovery(),
	)
	if err != nil {
		t.Fatal(err)
	}
	s := &outsider{t: t, host: h}
	t.Cleanup(func() {
		h.Close()
		s.wait.Wait()
	})
	return s
}

// addr is what a user would type to name the outsider.
func (s *outsider) addr() string { return s.host.Addrs()[0].String() + "/p2p/" + s.host.ID().String() }

// connect dials the node.
func (s *outsider) connect(r *running) {
	s.t.Helper()
	m, err := multiaddr.NewMultiaddr(r.addr())
	if err != nil {
		s.t.Fatal(err)
	}
	info, err := peer.AddrInfoFromP2pAddr(m)
	if err != nil {
		s.t.Fatal(err)
	}
	if err := s.host.Connect(s.t.Context(), *info); err != nil {
		s.t.Fatal(err)
	}
}

// open begins a stream of the transfer protocol and says nothing on it.
func (s *outsider) open(r *running) *line {
	s.t.Helper()
	l, err := s.tryOpen(r)
	if err != nil {
		s.t.Fatal(err)
	}
	return l
}

func (s *outsider) tryOpen(r *running) (*line, error) {
	s.connect(r)
	ctx, cancel := context.WithTimeout(s.t.Context(), 10*time.Second)
	defer cancel()
	str, err := s.host.NewStream(ctx, r.host.ID(), transfer.Protocol)
	if err != nil {
		return nil, err
	}
	return s.line(str), nil
}

// greet opens a stream about a root that the node serves, and reads its hello.
func (s *outsider) greet(r *running, root cid.Cid) *line {
	s.t.Helper()
	l := s.open(r)
	l.raw(helloFrame(root))
	l.until(kindHello, patient)
	return l
}

const patient = 20 * time.Second // for what happens at once, on a busy machine

func read(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (s *outsider) line(str network.Stream) *line {
	return &line{t: s.t, str: str, in: bufio.NewReaderSize(str, 1<<16)}
}

// line is an outsider's end of one stream.
type line struct {
	t   testing.TB
	str network.Stream
	in  *bufio.Reader
}

// raw writes bytes as they are; false when the stream takes no more.
func (l *line) raw(b ...[]byte) bool {
	_, err := l.str.Write(slices.Concat(b...))
	return err == nil
}

func (l *line) have(ranges ...content.Range) bool { return l.raw(rangesFrame(kindHave, ranges...)) }
func (l *line) want(ranges ...content.Range) bool { return l.raw(rangesFrame(kindWant, ranges...)) }

// tree sends inner nodes, several in a frame.
func (l *line) tree(nodes [][]byte) bool {
	for len(nodes) > 0 {
		n, size := 0, 0
		for n < len(nodes) && (n == 0 || size+len(nodes[n]) <= mostNodesBytes) {
			size += len(nodes[n])
			n++
		}
		if !l.raw(nodesFrame(nodes[:n]...)) {
			return false
		}
		nodes = nodes[n:]
	}
	return l.raw(frameOf(kindNodesEnd))
}

// data sends a whole chunk.
func (l *line) data(n uint32, chunk []byte) bool {
	for off := 0; off == 0 || off < len(chunk); off += mostPayload {
		if !l.raw(dataFrame(n, off, chunk[off:min(off+mostPayload, len(chunk))])) {
			return false
		}
	}
	return true
}

// next reads one frame.
func (l *line) next() (told, error) { return readFrame(l.in) }

// until reads up to the next frame of a kind, which must come.
func (l *line) until(kind byte, within time.Duration) told {
	l.t.Helper()
	l.str.SetReadDeadline(time.Now().Add(within))
	defer l.str.SetReadDeadline(time.Time{})
	for {
		h, err := l.next()
		if err != nil {
			l.t.Fatalf("expected a frame of kind %#x: %v", kind, err)
		}
		if h.kind == kind {
			return h
		}
	}
}

// expectBye waits for the node to say goodbye with the code.
func (l *line) expectBye(code byte) {
	l.t.Helper()
	if h := l.until(kindBye, patient); len(h.body) != 1 || h.body[0] != code {
		l.t.Fatalf("the node left with code %d, expected %d", h.body, code)
	}
}

// expectEnd waits until the node has ended the stream in both directions: nothing more comes, and nothing more is taken.
func (l *line) expectEnd(within time.Duration) {
	l.t.Helper()
	began := time.Now()
	if !l.drained(within) {
		l.t.Fatalf("the node still has the stream after %v", within)
	}
	l.str.SetWriteDeadline(began.Add(within))
	for l.raw([]byte{0}) { // an empty frame, again and again, until the reset has come
		time.Sleep(time.Millisecond)
	}
	if time.Since(began) > within {
		l.t.Fatalf("the node still took bytes after %v", within)
	}
}

// drained reads to the end of what the node says; false when it has not ended after that time.
func (l *line) drained(within time.Duration) bool {
	l.str.SetReadDeadline(time.Now().Add(within))
	for {
		if _, err := l.next(); err != nil {
			return !isTimeout(err)
		}
	}
}

// goods are a root and all that is below it, in memory.
type goods struct {
	root   cid.Cid
	nodes  [][]byte // inner ones, in walk order
	chunks [][]byte // by number
}

// goods reads a share of the node out of its store.
func (r *running) goods(of string) *goods {
	r.t.Helper()
	root, err := content.ParseCID(of)
	if err != nil {
		r.t.Fatal(err)
	}
	tree, err := r.store.Tree(r.t.Context(), root)
	if err != nil {
		r.t.Fatal(err)
	}
	g := &goods{root: root, nodes: walked(r.t, root, r.store.Node)}
	for n := range tree.NumChunks() {
		buf := make([]byte, tree.ChunkLen(uint32(n)))
		if _, err := r.store.ReadChunk(tree.Digest(uint32(n)), buf); err != nil {
			r.t.Fatal(err)
		}
		g.chunks = append(g.chunks, buf)
	}
	return g
}

// walked lists a tree's inner nodes in walk order, as far as a walk goes.
func walked(t testing.TB, root cid.Cid, node func(cid.Cid) ([]byte, error)) (out [][]byte) {
	t.Helper()
	w, err := content.NewWalk(root, content.Budget{})
	if err != nil {
		t.Fatal(err)
	}
	for c, more := w.Next(); more; c, more = w.Next() {
		b, err := node(c)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, b)
		if w.Add(b) != nil {
			break
		}
	}
	return out
}

func (g *goods) all() content.Range { return content.Range{Count: uint32(len(g.chunks))} }

// policy says where a source differs from an honest one. A field that is nil is honest.
type policy struct {
	hello func(l *line)              // in place of the hello and the have-map
	have  []content.Range            // in place of everything
	tree  func(l *line, skip int)    // in place of the inner nodes
	offer []content.Range            // in place of everything, when it is told what is sought
	give  func(l *line, n uint32)    // in place of a chunk that was asked for
	told  func(l *line, h told) bool // first look at each frame; true: that was all
}

// serve answers whoever opens a stream to the outsider. It is the only loop of a source: every liar is a policy.
func (s *outsider) serve(g *goods, p policy) {
	s.host.SetStreamHandler(transfer.Protocol, func(str network.Stream) {
		s.wait.Add(1)
		defer s.wait.Done()
		defer str.Reset()
		l := s.line(str)
		for {
			h, err := l.next()
			if err != nil {
				return
			}
			if h.kind == kindBye {
				str.CloseWrite()
				return
			}
			if p.told == nil || !p.told(l, h) {
				l.answer(g, p, h)
			}
		}
	})
}

func (l *line) answer(g *goods, p policy, h told) {
	switch h.kind {
	case kindHello:
		if p.hello != nil {
			p.hello(l)
			return
		}
		l.raw(helloFrame(g.root))
		if p.have == nil {
			l.have(g.all())
		} else {
			l.have(p.have...)
		}
	case kindTreeAsk:
		skip := min(int(h.take()), len(g.nodes))
		if p.tree != nil {
			p.tree(l, skip)
			return
		}
		l.tree(g.nodes[skip:])
	case kindSeek:
		if p.offer == nil {
			l.raw(rangesFrame(kindOffer, g.all())) // nobody else waits: take what you like
		} else {
			l.raw(rangesFrame(kindOffer, p.offer...))
		}
	case kindWant:
		h.each(func(n uint32) { l.give(g, p, n) })
	}
}

func (l *line) give(g *goods, p policy, n uint32) {
	switch {
	case p.give != nil:
		p.give(l, n)
	case int(n) < len(g.chunks):
		l.data(n, g.chunks[n])
	}
}

// spoilt is a copy of a chunk with one byte changed.
func spoilt(chunk []byte, at int) []byte {
	b := bytes.Clone(chunk)
	b[at] ^= 1
	return b
}

// hasBanned reports whether the node has nothing to do any more with a peer.
func (r *running) hasBanned(p peer.ID) bool { return r.host.gater.isBanned(p) }

// stillServes has an honest peer fetch a chunk from the node.
func (r *running) stillServes(g *goods) {
	r.t.Helper()
	newOutsider(r.t).reads(r, &goods{root: g.root, chunks: g.chunks[:1]})
}

// reads takes all chunks from the node, and says what it has read, as an honest peer does.
func (s *outsider) reads(r *running, g *goods) {
	s.t.Helper()
	l := s.greet(r, g.root)
	defer l.str.Reset()
	l.want(g.all())
	left := 0
	for _, c := range g.chunks {
		left += len(c)
	}
	for l.str.SetReadDeadline(time.Now().Add(patient)); left > 0; {
		h, err := l.next()
		if err != nil {
			s.t.Fatalf("an honest peer waits for %d bytes: %v", left, err)
		}
		if h.kind == kindData {
			n := h.payload()
			left -= n
			l.raw(frameOf(kindGot, numbers(uint64(n))))
		}
	}
}

// burden is what this process holds: live bytes of the heap, goroutines and descriptors.
type burden struct {
	heap       int64
	goroutines int
	fds        int
}

func measure(t testing.TB) burden {
	t.Helper()
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil && runtime.GOOS == "linux" {
		t.Fatal(err)
	}
	return burden{liveHeap(), runtime.NumGoroutine(), len(fds)}
}

// liveHeap returns the bytes that a collection found in use. What others allocate while it is read is not among them: a
// flood allocates, and throws away, a hundred MiB in the time that reading takes on a slow machine.
func liveHeap() int64 {
	runtime.GC()
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(live)
	return int64(live[0].Value.Uint64())
}

// peak returns by how many live bytes the heap grew at most while f ran.
func peak(f func()) int64 {
	runtime.GC() // twice, so that pools are empty
	before := liveHeap()
	done := make(chan struct{})
	most := make(chan int64)
	go func() {
		var top int64
		for {
			top = max(top, liveHeap()-before)
			select {
			case <-done:
				most <- top
				return
			case <-time.After(20 * time.Millisecond):
			}
		}
	}()
	f()
	close(done)
	return <-most
}

// tidy runs f as a test of its own and waits until nothing of it is left: no goroutine, no descriptor.
func tidy(t *testing.T, name string, f func(t *testing.T)) {
	t.Helper()
	before := measure(t)
	if !t.Run(name, f) {
		return
	}
	var after burden
	for end := time.Now().Add(patient); ; time.Sleep(20 * time.Millisecond) {
		after = measure(t)
		if after.goroutines <= before.goroutines && after.fds <= before.fds {
			return
		}
		if time.Now().After(end) {
			break
		}
	}
	t.Errorf("left behind: %d goroutines and %d descriptors, of %d and %d", after.goroutines-before.goroutines,
		after.fds-before.fds, after.goroutines, after.fds)
	pprof.Lookup("goroutine").WriteTo(os.Stderr, 1)
}

// tcp dials the node's port as any program could.
func (r *running) tcp(t *testing.T) net.Conn {
	t.Helper()
	m := r.host.Network().ListenAddresses()[0]
	c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", portOf(m)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// closedWithin reads whatever comes, until the node closes. A second more is for the machine.
func closedWithin(t *testing.T, c interface {
	io.Reader
	SetReadDeadline(time.Time) error
}, most time.Duration,
) {
	t.Helper()
	began := time.Now()
	c.SetReadDeadline(began.Add(most + time.Second))
	if _, err := io.Copy(io.Discard, c); err != nil && isTimeout(err) {
		t.Errorf("still open after %v", time.Since(began).Round(time.Second))
	}
}

// transferStreams is how many streams of the transfer protocol the node has open.
func (r *running) transferStreams() (n int) {
	for _, c := range r.host.Network().Conns() {
		for _, s := range c.GetStreams() {
			if s.Protocol() == transfer.Protocol {
				n++
			}
		}
	}
	return n
}
