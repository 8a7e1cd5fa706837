package transfer

import (
	"errors"
	"io"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/network"

	"github.com/shoal-p2p/shoal/content"
	"github.com/shoal-p2p/shoal/transfer/wire"
)

func (m *member) mu() *sync.Mutex { return &m.Service.mu }

// stranger is a peer whose every message a test writes by hand.
type stranger struct {
	w    *world
	host *pipeHost
}

func (w *world) stranger(name string) *stranger { return &stranger{w: w, host: w.net.host(name)} }

// line is a stranger's end of one stream.
type line struct {
	t   *testing.T
	str network.Stream
	in  *wire.Reader
}

func (s *stranger) dial(m *member, root cid.Cid) *line {
	s.w.t.Helper()
	str, err := s.host.NewStream(s.w.ctx, m.host.id)
	if err != nil {
		s.w.t.Fatal(err)
	}
	l := &line{s.w.t, str, wire.NewReader(str)}
	l.say(wire.Hello{Root: root})
	return l
}

func (l *line) say(messages ...wire.Message) {
	for _, m := range messages {
		frame, err := wire.Append(nil, m)
		if err != nil {
			l.t.Error(err)
		}
		l.str.Write(frame)
	}
}

// expect returns the next message, with the payload passed over.
func (l *line) expect() wire.Message {
	m, err := l.in.Next()
	if err != nil {
		return nil
	}
	return keep(m)
}

// until reads until a message of the same type as like, or the end of the stream.
func until[M wire.Message](l *line) (M, bool) {
	for {
		m := l.expect()
		if m == nil {
			var zero M
			return zero, false
		}
		if x, ok := m.(M); ok {
			return x, true
		}
	}
}

// gone reports whether the other side ends the stream within the time.
func (l *line) gone(within time.Duration) bool {
	l.str.SetReadDeadline(time.Now().Add(within))
	for {
		if _, err := l.in.Next(); err != nil {
			return errors.Is(err, io.EOF) || errors.Is(err, network.ErrReset)
		}
	}
}

// accept answers everybody who dials the stranger with f, each stream on a goroutine of its own.
func (s *stranger) accept(f func(l *line, root cid.Cid)) {
	s.host.SetStreamHandler(Protocol, func(str network.Stream) {
		l := &line{s.w.t, str, wire.NewReader(str)}
		if hello, ok := l.expect().(wire.Hello); ok {
			f(l, hello.Root)
		}
	})
}

// source answers like an honest seeder, but lets a test spoil what it sends: spoil returns the payload to send for a chunk,
// or false to send nothing.
func (s *stranger) source(shelf *shelf, tree *content.Tree, spoil func(n uint32, data []byte) ([]byte, bool)) {
	s.accept(func(l *line, root cid.Cid) {
		l.say(wire.Hello{Root: root}, wire.Have{Ranges: []content.Range{{First: 0, Count: uint32(tree.NumChunks())}}})
		for {
			switch m := l.expect().(type) {
			case nil:
				l.str.Close()
				return
			case wire.TreeAsk:
				l.say(wire.Nodes{Blocks: [][]byte{shelf.nodes[root]}}, wire.NodesEnd{})
			case wire.Want:
				for _, r := range m.Ranges {
					for n := r.First; n < r.First+r.Count; n++ {
						if data, ok := spoil(n, shelf.chunks[tree.Digest(n)]); ok {
							l.chunk(n, data)
						}
					}
				}
			}
		}
	})
}

func (l *line) chunk(n uint32, data []byte) {
	for off := 0; off < len(data) || off == 0; off += pieceSize {
		part := data[off:min(off+pieceSize, len(data))]
		l.say(wire.Data{Pieces: []wire.Piece{{Chunk: n, Offset: uint32(off), Length: uint32(len(part))}}})
		l.str.Write(part)
		if len(data) == 0 {
			return
		}
	}
}

// B51.
func TestByzantineSwarm(t *testing.T) {
	inWorld(t, func(w *world) {
		me, good := w.member("me"), w.member("good")
		tree := good.put(t, 64*mib, 1)
		other := w.member("other good")
		other.put(t, 64*mib, 1)
		var liars []*stranger
		for _, name := range []string{"liar 1", "liar 2"} {
			s := w.stranger(name)
			s.source(good.shelf, tree, func(n uint32, data []byte) ([]byte, bool) {
				bad := append([]byte(nil), data...)
				bad[len(bad)-1] ^= 1
				return bad, true
			})
			liars = append(liars, s)
		}
		d := w.fetch(me, tree.Root, good.host, other.host, liars[0].host, liars[1].host)
		d.must(t, time.Minute)
		for _, p := range d.Status().Peers {
			if p.Bad > 3 {
				t.Errorf("%s sent %d bad chunks before it was banned", p.Peer, p.Bad)
			}
		}
		if w.banned(me.host, good.host) || w.banned(me.host, other.host) {
			t.Error("an honest peer was banned")
		}
	})
}

func TestStalledPeersDoNotHoldUpADownload(t *testing.T) {
	inWorld(t, func(w *world) {
		me, good := w.member("me"), w.member("good")
		tree := good.put(t, 32*mib, 1)
		from := []*pipeHost{good.host}
		for _, name := range []string{"1", "2", "3", "4"} {
			s := w.stranger("silent " + name)
			s.source(good.shelf, tree, func(uint32, []byte) ([]byte, bool) { return nil, false })
			from = append(from, s.host)
		}
		w.fetch(me, tree.Root, from...).must(t, 30*time.Second)
	})
}

// B49.
func TestUnsolicitedChunkEndsTheStream(t *testing.T) {
	inWorld(t, func(w *world) {
		a := w.member("a")
		tree := a.put(t, 4*mib, 1)
		l := w.stranger("x").dial(a, tree.Root)
		l.say(wire.Data{Pieces: []wire.Piece{{Chunk: 1, Length: 100}}})
		if !l.gone(time.Second) {
			t.Fatal("the stream is still there")
		}
	})
}

func TestUnsolicitedChunkIsNotStored(t *testing.T) {
	inWorld(t, func(w *world) {
		me := w.member("me")
		shelf := newShelf()
		tree := shelf.put(t, 8*mib, 1)
		s := w.stranger("pusher")
		s.accept(func(l *line, root cid.Cid) {
			l.say(wire.Hello{Root: root}, wire.Nodes{Blocks: [][]byte{shelf.nodes[root]}}, wire.NodesEnd{})
			for n := range uint32(8) { // before anything was said to be here, and so before anything was asked for
				l.chunk(n, shelf.chunks[tree.Digest(n)])
			}
			l.gone(time.Minute)
		})
		d := w.fetch(me, tree.Root, s.host)
		time.Sleep(5 * time.Second)
		if down, _ := me.Totals(); down > 0 {
			t.Fatalf("%d bytes were taken that nobody asked for", down)
		}
		if p := d.Status().Peers; len(p) != 1 || p[0].State != Banned {
			t.Fatalf("peers %+v, expected the pusher left out", p)
		}
	})
}

func TestProtocolBreaches(t *testing.T) {
	tree := newShelf().put(t, 4*mib, 1)
	for name, say := range map[string]func(l *line){
		"second hello":          func(l *line) { l.say(wire.Hello{Root: tree.Root}) },
		"want beyond the end":   func(l *line) { l.say(wire.Want{Ranges: []content.Range{{First: 4, Count: 1}}}) },
		"have beyond the end":   func(l *line) { l.say(wire.Have{Ranges: []content.Range{{First: 3, Count: 2}}}) },
		"cancel beyond the end": func(l *line) { l.say(wire.Cancel{Ranges: []content.Range{{First: 0, Count: 5}}}) },
		"cannot beyond the end": func(l *line) {
			l.say(wire.Cannot{Code: wire.CannotRead, Ranges: []content.Range{{First: 9, Count: 1}}})
		},
		"garbage": func(l *line) { l.str.Write([]byte("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff")) },
		"tree five times": func(l *line) {
			for range maxTreeAsks + 1 {
				l.say(wire.TreeAsk{})
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				a := w.member("a")
				a.put(t, 4*mib, 1)
				l := w.stranger("x").dial(a, tree.Root)
				say(l)
				if !l.gone(5 * time.Second) {
					t.Fatal("the stream is still there")
				}
			})
		})
	}
}

// B56.
func TestStreamThatOpensAndSaysNothing(t *testing.T) {
	inWorld(t, func(w *world) {
		a := w.member("a")
		str, err := w.stranger("x").host.NewStream(w.ctx, a.host.id)
		if err != nil {
			t.Fatal(err)
		}
		l := &line{t, str, wire.NewReader(str)}
		if !l.gone(helloTimeout + time.Second) {
			t.Fatal("the stream is still there")
		}
	})
}

// B66.
func TestPeerThatStopsReadingLosesItsStream(t *testing.T) {
	inWorld(t, func(w *world) {
		a := w.member("a")
		tree := a.put(t, 8*mib, 1)
		l := w.stranger("x").dial(a, tree.Root)
		l.say(wire.Want{Ranges: []content.Range{{First: 0, Count: 8}}})
		time.Sleep(2*writeTimeout + 2*time.Second) // twice, as it has taken what fits into the window
		synctest.Wait()
		if s := a.Statuses(); len(s) != 1 || s[0].Links != 0 {
			t.Fatalf("sessions %+v, expected no link left", s)
		}
		if n := a.Service.slots.taken(); n != 0 {
			t.Fatalf("%d upload buffers are still taken", n)
		}
	})
}

func TestBadInnerNodeIsChargedAndTheTreeComesFromAnother(t *testing.T) {
	inWorld(t, func(w *world) {
		me, good := w.member("me"), w.member("good")
		tree := good.put(t, 4*mib, 1)
		liar := w.stranger("liar")
		liar.accept(func(l *line, root cid.Cid) {
			l.say(wire.Hello{Root: root}, wire.Nodes{Blocks: [][]byte{[]byte("not the node")}}, wire.NodesEnd{})
			l.gone(time.Minute)
		})
		d := w.fetch(me, tree.Root, liar.host)
		synctest.Wait()
		d.Offer(good.host.id)
		d.must(t, 30*time.Second)
		if !w.banned(me.host, liar.host) {
			t.Error("the liar was not banned")
		}
	})
}

func TestSilentTreeSourceIsReplaced(t *testing.T) {
	inWorld(t, func(w *world) {
		me, good := w.member("me"), w.member("good")
		tree := good.put(t, 4*mib, 1)
		silent := w.stranger("silent")
		silent.accept(func(l *line, root cid.Cid) {
			l.say(wire.Hello{Root: root})
			l.gone(time.Hour)
		})
		d := w.fetch(me, tree.Root, silent.host)
		synctest.Wait()
		d.Offer(good.host.id)
		d.must(t, treeTimeout+5*time.Second)
	})
}

func TestPieceOutOfOrderEndsTheStream(t *testing.T) {
	inWorld(t, func(w *world) {
		me := w.member("me")
		shelf := newShelf()
		tree := shelf.put(t, 4*mib, 1)
		s := w.stranger("jumbler")
		s.accept(func(l *line, root cid.Cid) {
			l.say(wire.Hello{Root: root}, wire.Nodes{Blocks: [][]byte{shelf.nodes[root]}}, wire.NodesEnd{},
				wire.Have{Ranges: []content.Range{{First: 0, Count: 4}}})
			if _, ok := until[wire.Want](l); ok {
				l.say(wire.Data{Pieces: []wire.Piece{{Chunk: 0, Offset: 100, Length: 10}}})
				l.str.Write(make([]byte, 10))
			}
			l.gone(time.Minute)
		})
		d := w.fetch(me, tree.Root, s.host)
		time.Sleep(3 * time.Second)
		if p := d.Status().Peers; len(p) != 1 || p[0].State != Banned {
			t.Fatalf("peers %+v, expected the jumbler left out", p)
		}
	})
}

// B55: a reset after any number of bytes leaves nothing behind: the bubble ends only when every goroutine has.
func TestResetAtAnyByte(t *testing.T) {
	shelf := newShelf()
	tree := shelf.put(t, mib+10, 1)
	for cut := 1; cut < 4000; cut += 131 {
		inWorld(t, func(w *world) {
			me := w.member("me")
			s := w.stranger("short")
			s.accept(func(l *line, root cid.Cid) {
				out := &budget{left: cut, str: l.str}
				l.str = out
				l.say(wire.Hello{Root: root}, wire.Nodes{Blocks: [][]byte{shelf.nodes[root]}}, wire.NodesEnd{},
					wire.Have{Ranges: []content.Range{{First: 0, Count: 2}}})
				if _, ok := until[wire.Want](l); ok {
					l.chunk(1, shelf.chunks[tree.Digest(1)])
					l.chunk(0, shelf.chunks[tree.Digest(0)])
				}
				l.str.Reset()
			})
			d := w.fetch(me, tree.Root, s.host)
			time.Sleep(500 * time.Millisecond)
			d.cancel()
		})
	}
}

// budget lets so many bytes out, and then resets the stream.
type budget struct {
	network.Stream
	left int
	str  network.Stream
}

func (b *budget) Write(p []byte) (int, error) {
	if len(p) > b.left {
		b.str.Write(p[:b.left])
		b.left = 0
		b.str.Reset()
		return 0, network.ErrReset
	}
	b.left -= len(p)
	return b.str.Write(p)
}
func (b *budget) Read(p []byte) (int, error)        { return b.str.Read(p) }
func (b *budget) Reset() error                      { return b.str.Reset() }
func (b *budget) SetReadDeadline(t time.Time) error { return b.str.SetReadDeadline(t) }

// B54: who closes its side after asking is served, and then the stream ends.
func TestHalfCloseAfterARequest(t *testing.T) {
	inWorld(t, func(w *world) {
		a := w.member("a")
		tree := a.put(t, 4*mib, 1)
		l := w.stranger("x").dial(a, tree.Root)
		l.say(wire.Want{Ranges: []content.Range{{First: 0, Count: 4}}})
		l.str.CloseWrite()
		got := 0
		for {
			d, ok := until[wire.Data](l)
			if !ok {
				break
			}
			for _, p := range d.Pieces {
				got += int(p.Length)
			}
		}
		if got != 4*mib {
			t.Fatalf("%d bytes came, expected all four chunks", got)
		}
		synctest.Wait()
		if s := a.Statuses(); len(s) != 1 || s[0].Links != 0 {
			t.Fatalf("sessions %+v, expected no link left", s)
		}
	})
}

// B52: a last chunk that is longer than the tree says ends the stream before the excess is read.
func TestLastChunkOfTheWrongLength(t *testing.T) {
	for name, pieces := range map[string][]wire.Piece{
		"long":  {{Chunk: 1, Length: 11}},
		"empty": {{Chunk: 1, Length: 0}},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				me := w.member("me")
				shelf := newShelf()
				tree := shelf.put(t, mib+10, 1)
				s := w.stranger("x")
				s.accept(func(l *line, root cid.Cid) {
					l.say(wire.Hello{Root: root}, wire.Nodes{Blocks: [][]byte{shelf.nodes[root]}}, wire.NodesEnd{},
						wire.Have{Ranges: []content.Range{{First: 0, Count: 2}}})
					if _, ok := until[wire.Want](l); ok {
						l.say(wire.Data{Pieces: pieces})
						l.str.Write(make([]byte, pieces[0].Length))
					}
					l.gone(time.Minute)
				})
				d := w.fetch(me, tree.Root, s.host)
				time.Sleep(3 * time.Second)
				if p := d.Status().Peers; len(p) != 1 || p[0].State != Banned {
					t.Fatalf("peers %+v, expected the peer left out", p)
				}
			})
		})
	}
}
