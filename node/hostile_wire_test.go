package node

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"testing"
	"time"

	"github.com/shoal-p2p/shoal/content"
)

// breach is one way to break the protocol towards a node that serves; the node ends the stream at once.
type breach struct {
	name string
	open bool // before any hello
	do   func(l *line, g *goods)
}

const atOnce = 4 * time.Second // on a busy machine

func rangeOf(first, count uint32) content.Range { return content.Range{First: first, Count: count} }

// B46–B50, B52, B59, B61–B64 towards a node that serves.
var breaches = []breach{
	{name: "B46 length of 2^63-1", do: func(l *line, _ *goods) { l.raw(numbers(1<<63 - 1)) }},
	{name: "B46 length of 2^31", do: func(l *line, _ *goods) { l.raw(numbers(1 << 31)) }},
	{name: "B46 control frame one byte too long", do: func(l *line, _ *goods) {
		l.raw(numbers(mostControl+1), []byte{kindHave})
	}},
	{name: "B46 data frame too long", do: func(l *line, _ *goods) { l.raw(numbers(1<<20), []byte{kindData}) }},
	{name: "B46 hello too long", open: true, do: func(l *line, _ *goods) { l.raw(numbers(4<<10+1), []byte{kindHello}) }},
	{name: "B47 empty frames", do: func(l *line, _ *goods) { l.raw(make([]byte, 1<<20)) }},
	{name: "B47 empty lists", do: func(l *line, _ *goods) {
		l.raw(bytes.Repeat(rangesFrame(kindHave), 1000))
	}},
	{name: "B48 length that never ends", do: func(l *line, _ *goods) { l.raw(bytes.Repeat([]byte{0x80}, 9)) }},
	{name: "B48 length that is not minimal", do: func(l *line, _ *goods) { l.raw([]byte{0x81, 0x00}, []byte{kindNodesEnd}) }},
	{name: "B49 data that nobody asked for", do: func(l *line, g *goods) { l.data(0, g.chunks[0]) }},
	{name: "B49 nodes that nobody asked for", do: func(l *line, g *goods) { l.raw(bytes.Repeat(nodesFrame(g.nodes...), 5)) }},
	{name: "B49 end of nodes that nobody asked for", do: func(l *line, _ *goods) { l.raw(bytes.Repeat(frameOf(kindNodesEnd), 5)) }},
	{name: "B59 unknown frame", do: func(l *line, _ *goods) { l.raw(frameOf(0x77, []byte("?"))) }},
	{name: "B59 unknown code", do: func(l *line, _ *goods) { l.raw(frameOf(kindBye, []byte{0xee})) }},
	{name: "B59 required field that is unknown", open: true, do: func(l *line, g *goods) {
		l.raw(frameOf(kindHello, numbers(0, uint64(g.root.ByteLen())), g.root.Bytes(), numbers(2, 1), []byte{1}))
	}},
	{name: "B61 two hellos", do: func(l *line, g *goods) { l.raw(helloFrame(g.root)) }},
	{name: "B61 want before the hello", open: true, do: func(l *line, g *goods) { l.want(g.all()) }},
	{name: "B61 garbage in place of a hello", open: true, do: func(l *line, _ *goods) { l.raw([]byte("GET / HTTP/1.1\r\n\r\n")) }},
	{name: "B61 root that is no CID", open: true, do: func(l *line, _ *goods) { l.raw(frameOf(kindHello, numbers(0, 4), []byte("root"))) }},
	{name: "B63 chunk behind the last", do: func(l *line, g *goods) { l.want(rangeOf(uint32(len(g.chunks)), 1)) }},
	{name: "B63 range over the end", do: func(l *line, g *goods) { l.want(rangeOf(1, uint32(len(g.chunks)))) }},
	{name: "B63 chunk 2^32-1", do: func(l *line, _ *goods) { l.raw(frameOf(kindWant, numbers(1, 1<<32-1, 1))) }},
	{name: "B63 chunk 2^64-1", do: func(l *line, _ *goods) { l.raw(frameOf(kindWant, numbers(1, 1<<64-1, 1))) }},
	{name: "B63 no count", do: func(l *line, _ *goods) { l.raw(frameOf(kindWant, numbers(1, 0, 0))) }},
	{name: "B63 have behind the last", do: func(l *line, g *goods) { l.have(rangeOf(0, uint32(len(g.chunks)+1))) }},
	{name: "B63 cancel behind the last", do: func(l *line, g *goods) {
		l.raw(rangesFrame(kindCancel, rangeOf(0, uint32(len(g.chunks)+1))))
	}},
	{name: "B63 cannot behind the last", do: func(l *line, g *goods) {
		l.raw(frameOf(kindCannot, []byte{cannotNotHere}, rangesBody(rangeOf(0, uint32(len(g.chunks)+1)))))
	}},
	{name: "B63 seek behind the last", do: func(l *line, g *goods) {
		l.raw(rangesFrame(kindSeek, rangeOf(0, uint32(len(g.chunks)+1))))
	}},
	{name: "B63 coming behind the last", do: func(l *line, g *goods) {
		l.raw(rangesFrame(kindComing, rangeOf(uint32(len(g.chunks)), 1)))
	}},
	{name: "B63 offer behind the last", do: func(l *line, g *goods) {
		l.raw(rangesFrame(kindOffer, rangeOf(uint32(len(g.chunks)), 1)))
	}},
	{name: "B63 2^40 bytes were read", do: func(l *line, _ *goods) { l.raw(frameOf(kindGot, numbers(1<<40))) }},
	{name: "B64 a million ranges", do: func(l *line, _ *goods) { l.raw(frameOf(kindHave, numbers(1<<20), numbers(0, 1, 0, 1))) }},
	{name: "B64 4097 ranges", do: func(l *line, _ *goods) {
		l.raw(frameOf(kindHave, numbers(4097), bytes.Repeat(numbers(1, 1), 4097)))
	}},
	{name: "B64 have-map for 2^40 chunks", do: func(l *line, _ *goods) { l.raw(frameOf(kindHave, numbers(1, 0, 1<<40))) }},
	{name: "B64 skip of 2^40 nodes", do: func(l *line, _ *goods) { l.raw(frameOf(kindTreeAsk, numbers(1<<40))) }},
	{name: "tree five times", do: func(l *line, _ *goods) { l.raw(bytes.Repeat(frameOf(kindTreeAsk, numbers(0)), 5)) }},
	{name: "B55 reset", do: func(l *line, _ *goods) { l.str.Reset() }},
	{name: "B54 half-close in a frame", do: func(l *line, _ *goods) {
		l.raw(numbers(100), []byte{kindWant})
		l.str.CloseWrite()
	}},
}

// Whatever it breaks, an outsider loses its stream and nothing else happens.
func TestBreachesEndTheStream(t *testing.T) {
	tidy(t, "all", func(t *testing.T) {
		a := start(t, "a")
		path, _ := a.file("big", 3<<20)
		g := a.goods(a.share(path).CID)
		grew := peak(func() {
			t.Run("breaches", func(t *testing.T) {
				for _, b := range breaches {
					t.Run(b.name, func(t *testing.T) {
						t.Parallel()
						b.commit(t, a, g)
					})
				}
			})
		})
		if grew > 64<<20 {
			t.Errorf("the heap grew by %d KiB under %d outsiders", grew>>10, len(breaches))
		}
		a.stillServes(g)
	})
}

func (b breach) commit(t *testing.T, a *running, g *goods) {
	s := newOutsider(t)
	var l *line
	if b.open {
		l = s.open(a)
	} else {
		l = s.greet(a, g.root)
	}
	b.do(l, g)
	l.expectEnd(atOnce)
	l.str.Reset()
	if a.hasBanned(s.host.ID()) {
		t.Error("a broken frame may be a broken version: nobody is banned for it")
	}
}

// Who is sent away hears why.
func TestGoodbyes(t *testing.T) {
	a, b := start(t, "a"), start(t, "b")
	path, _ := a.file("big", 1<<20)
	g := a.goods(a.share(path).CID)
	s := newOutsider(t)
	l := s.open(b)
	l.raw(helloFrame(g.root))
	l.expectBye(byeNotHere)
	l = s.greet(a, g.root)
	l.raw(helloFrame(g.root))
	l.expectBye(byeProtocol)
}

// B60: fields that a later version may add do no harm.
func TestUnknownOptionalField(t *testing.T) {
	a := start(t, "a")
	path, _ := a.file("big", 3<<20)
	g := a.goods(a.share(path).CID)
	l := newOutsider(t).open(a)
	l.raw(frameOf(kindHello, numbers(0, uint64(g.root.ByteLen())), g.root.Bytes(), numbers(77, 3), []byte("new")))
	l.want(rangeOf(0, 1))
	if l.until(kindData, patient).payload() == 0 {
		t.Error("no bytes of the chunk")
	}
}

// B54: who closes its side after asking gets what it asked for, and then the stream ends.
func TestHalfCloseIsServed(t *testing.T) {
	a := start(t, "a")
	path, data := a.file("big", 3<<20)
	g := a.goods(a.share(path).CID)
	l := newOutsider(t).greet(a, g.root)
	l.want(g.all())
	l.str.CloseWrite()
	got := 0
	for {
		l.str.SetReadDeadline(time.Now().Add(patient))
		h, err := l.next()
		if err != nil {
			t.Fatalf("%v after %d of %d bytes", err, got, len(data))
		}
		if h.kind == kindBye {
			break
		}
		if h.kind == kindData {
			got += h.payload()
		}
	}
	if got != len(data) {
		t.Errorf("%d bytes came before the goodbye, expected %d", got, len(data))
	}
}

// B62: chunks asked for twice, taken back, and asked for again are served, and nothing is held against who does that.
func TestWantAndCancelOverAndOver(t *testing.T) {
	a := start(t, "a")
	path, _ := a.file("big", 8<<20)
	g := a.goods(a.share(path).CID)
	l := newOutsider(t).greet(a, g.root)
	go func() {
		for range 500 {
			l.want(g.all())
			l.want(g.all())
			l.raw(rangesFrame(kindCancel, g.all()))
		}
		l.want(g.all())
	}()
	missing := make(map[uint64]bool)
	for n, c := range g.chunks {
		for off := 0; off < len(c); off += mostPayload {
			missing[uint64(n)<<32|uint64(off)] = true
		}
	}
	for len(missing) > 0 {
		h := l.until(kindData, patient)
		h.take()
		n, off := h.take(), h.take()
		delete(missing, n<<32|off)
	}
}

// B55: a reset after any number of bytes of a conversation leaves nothing behind, on either side of it.
func TestResetAtEachByte(t *testing.T) {
	tidy(t, "served", func(t *testing.T) {
		a := start(t, "a")
		path, _ := a.file("small", 1<<20)
		g := a.goods(a.share(path).CID)
		said := bytes.Join([][]byte{
			helloFrame(g.root), frameOf(kindTreeAsk, numbers(0)), rangesFrame(kindWant, g.all()), rangesFrame(kindCancel, g.all()),
			frameOf(kindBye, []byte{0}),
		}, nil)
		s := newOutsider(t)
		for cut := range len(said) + 1 {
			l := s.open(a)
			l.raw(said[:cut])
			l.str.Reset()
		}
		waitFor(t, "the streams to go", func() bool { return a.transferStreams() == 0 })
		a.stillServes(g)
	})
	tidy(t, "serving", func(t *testing.T) {
		good, me := start(t, "good"), start(t, "me")
		path, data := good.file("small", 1<<20+100)
		shared := good.share(path)
		g := good.goods(shared.CID)
		said := bytes.Join([][]byte{
			helloFrame(g.root), nodesFrame(g.nodes...), frameOf(kindNodesEnd), rangesFrame(kindHave, g.all()), dataFrame(1, 0, g.chunks[1]),
		}, nil)
		var peers []string
		for cut := 0; cut <= len(said); cut += 1 + len(said)/40 {
			s := newOutsider(t)
			s.serve(g, policy{told: func(l *line, h told) bool {
				if h.kind == kindHello {
					l.raw(said[:min(cut, len(said))])
					return true
				}
				l.str.Reset()
				return true
			}})
			peers = append(peers, s.addr())
		}
		me.gets(shared.CID, data, append(peers, good.addr())...)
		if me.hasBanned(good.host.ID()) {
			t.Error("the honest peer was banned")
		}
	})
}

// B58: who speaks no protocol at all, or garbage, is let go, at every layer at which a protocol is agreed on. A connection that
// is not secured yet has the fifteen seconds that libp2p's upgrader gives it (and no option of libp2p.New changes); it counts
// as one of few.
func TestGarbageInNegotiation(t *testing.T) {
	a := start(t, "a")
	path, _ := a.file("small", 1<<20)
	g := a.goods(a.share(path).CID)
	line100k := append(binary.AppendUvarint(nil, 100<<10), bytes.Repeat([]byte("x"), 100<<10)...)
	for name, said := range map[string][]byte{
		"nothing":                  nil,
		"garbage":                  []byte("\x00\xff\x16\x03\x01 what is this\n\n"),
		"a line of 100 KiB":        line100k,
		"half a greeting":          []byte("\x13/multistream/1.0"),
		"no protocol that we know": append([]byte("\x13/multistream/1.0.0\n"), []byte("\x0d/no/such/one\n")...),
	} {
		t.Run("connection, "+name, func(t *testing.T) {
			t.Parallel()
			c := a.tcp(t)
			c.Write(said)
			closedWithin(t, c, 15*time.Second)
		})
		t.Run("stream, "+name, func(t *testing.T) {
			t.Parallel()
			s := newOutsider(t)
			s.connect(a)
			str, err := s.host.Network().NewStream(t.Context(), a.host.ID())
			if err != nil {
				t.Fatal(err)
			}
			str.Write(said)
			closedWithin(t, str, 10*time.Second)
		})
	}
	t.Run("hello that never comes", func(t *testing.T) { // B56
		t.Parallel()
		l := newOutsider(t).open(a)
		l.raw(helloFrame(g.root)[:1])
		closedWithin(t, l.str, 10*time.Second)
	})
	a.stillServes(g)
}

// Streams that have ended are given back: two nodes may have few at once, but as many as they like one after the other.
func TestEndedStreamsAreGivenBack(t *testing.T) {
	a, b := start(t, "a"), start(t, "b")
	for i := range 2 * maxTransferPeerStreams {
		path, data := a.file(fmt.Sprint("file", i), 100_000+i)
		b.gets(a.share(path).CID, data, a.addr())
	}
	waitFor(t, "the streams to go", func() bool { return a.transferStreams()+b.transferStreams() == 0 })
}
