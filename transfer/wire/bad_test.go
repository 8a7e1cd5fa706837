package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"runtime"
	"slices"
	"testing"
	"testing/iotest"

	"github.com/shoal-p2p/shoal/content"
)

// raw builds a frame from a type and fields that Append would refuse.
func raw(f frame, fields ...any) []byte {
	b := []byte{byte(f)}
	for _, x := range fields {
		switch x := x.(type) {
		case int:
			b = binary.AppendUvarint(b, uint64(x))
		case uint64:
			b = binary.AppendUvarint(b, x)
		case []byte:
			b = append(b, x...)
		case string:
			b = append(b, x...)
		}
	}
	return b
}

func framed(body []byte) []byte {
	return append(binary.AppendUvarint(nil, uint64(len(body))), body...)
}

func field(tag int, value []byte) []byte { return appendField(nil, uint64(tag), value) }

// TestBadBodies has a body for each thing that can be wrong, and for each limit one that crosses it by one.
func TestBadBodies(t *testing.T) {
	id := root(t).Bytes()
	long := bytes.Repeat([]byte("x"), MaxNodes)
	numbers := func(n int, each ...any) []byte {
		var b []byte
		for range n {
			b = append(b, raw(0, each...)[1:]...)
		}
		return b
	}
	header := func(pieces []byte, payload int) []byte {
		return raw(frameData, len(pieces), pieces, long[:payload])
	}
	for _, c := range []struct {
		name string
		body []byte
		want Kind
	}{
		{"nothing", nil, Malformed},
		{"B59: frame type 0", raw(0), Version},
		{"B59: the first type that is not known", raw(frame(len(frameNames))), Version},
		{"B59: type 255", raw(255), Version},

		{"B60: an unknown optional field", raw(frameHello, field(0, id), field(9, []byte("later"))), 0},
		{"B60: an unknown optional field without a value", raw(frameHello, field(0, id), field(33, nil)), 0},
		{"B59: an unknown required field", raw(frameHello, field(0, id), field(2, nil)), Version},
		{"a tag beyond all", raw(frameHello, field(0, id), field(maxTag+1, nil)), Version},
		{"hello: nothing", raw(frameHello), Malformed},
		{"hello: no root", raw(frameHello, field(1, []byte("name"))), Malformed},
		{"hello: the root twice", raw(frameHello, field(0, id), field(0, id)), Malformed},
		{"hello: fields out of order", raw(frameHello, field(1, []byte("name")), field(0, id)), Malformed},
		{"hello: a root cut short", raw(frameHello, field(0, id[:len(id)-1])), Malformed},
		{"hello: a root with more behind it", raw(frameHello, field(0, append(slices.Clone(id), 0))), Malformed},
		{"hello: an empty root", raw(frameHello, field(0, nil)), Malformed},
		{"hello: a field longer than the body", raw(frameHello, 0, 100, id), Malformed},
		{"hello: a name of the longest", raw(frameHello, field(0, id), field(1, long[:MaxName])), 0},
		{"hello: a name one longer", raw(frameHello, field(0, id), field(1, long[:MaxName+1])), TooBig},
		{"hello: an empty name", raw(frameHello, field(0, id), field(1, nil)), Malformed},
		{"hello: a name that is not UTF-8", raw(frameHello, field(0, id), field(1, []byte{0xff})), Malformed},
		{"hello: as many fields as allowed", raw(frameHello, field(0, id), oddFields(MaxFields-1)), 0},
		{"hello: one field more", raw(frameHello, field(0, id), oddFields(MaxFields)), TooMany},
		{"hello: as large as allowed", raw(frameHello, field(0, id), filler(MaxHello-1-len(field(0, id)))), 0},
		{"hello: one byte larger", raw(frameHello, field(0, id), filler(MaxHello-len(field(0, id)))), TooBig},

		{"hello: a session", raw(frameHello, field(0, id), field(3, long[:8])), 0},
		{"hello: a session one byte short", raw(frameHello, field(0, id), field(3, long[:7])), Malformed},
		{"hello: a session one byte longer", raw(frameHello, field(0, id), field(3, long[:9])), Malformed},
		{"hello: session zero", raw(frameHello, field(0, id), field(3, make([]byte, 8))), Malformed},
		{"hello: unlisted", raw(frameHello, field(0, id), field(5, nil)), 0},
		{"hello: a proof", raw(frameHello, field(0, id), field(7, long[:32])), 0},
		{"hello: a proof one byte short", raw(frameHello, field(0, id), field(7, long[:31])), Malformed},
		{"hello: a proof one byte longer", raw(frameHello, field(0, id), field(7, long[:33])), Malformed},
		{"hello: an empty proof", raw(frameHello, field(0, id), field(7, nil)), Malformed},
		{"hello: a proof of zeros", raw(frameHello, field(0, id), field(7, make([]byte, 32))), Malformed},
		{"hello: unlisted, with something", raw(frameHello, field(0, id), field(5, []byte{1})), Malformed},

		{"tree ask: the most to skip", raw(frameTreeAsk, MaxChunks), 0},
		{"tree ask: one more", raw(frameTreeAsk, MaxChunks+1), TooMany},
		{"tree ask: nothing", raw(frameTreeAsk), Malformed},
		{"tree ask: more behind it", raw(frameTreeAsk, 1, 1), Malformed},

		{"nodes: the largest block", raw(frameNodes, 1, MaxBlock, long[:MaxBlock]), 0},
		{"nodes: a block one larger", raw(frameNodes, 1, MaxBlock+1, long[:MaxBlock+1]), TooBig},
		{"nodes: as large as allowed", raw(frameNodes, 2, MaxBlock-10, long[:MaxBlock-10], 1027, long[:1027]), 0},
		{"nodes: one byte larger", raw(frameNodes, 2, MaxBlock-10, long[:MaxBlock-10], 1028, long[:1028]), TooBig},
		{"nodes: as many blocks as allowed", raw(frameNodes, MaxBlocks, make([]byte, MaxBlocks)), 0},
		{"nodes: one block more", raw(frameNodes, MaxBlocks+1, make([]byte, MaxBlocks+1)), TooMany},
		{"nodes: fewer than they say", raw(frameNodes, 2, 1, "x"), Malformed},
		{"nodes: more than they say", raw(frameNodes, 1, 1, "x", 1, "y"), Malformed},
		{"nodes end: with something", raw(frameNodesEnd, 0), Malformed},

		{"have: the last number", raw(frameHave, 1, MaxChunks-1, 1), 0},
		{"B63: have: one number further", raw(frameHave, 1, MaxChunks, 1), TooMany},
		{"have: all", raw(frameHave, 1, 0, MaxChunks), 0},
		{"B63: have: one more than all", raw(frameHave, 1, 0, MaxChunks+1), TooMany},
		{"B63: have: beyond the end by one", raw(frameHave, 1, 1, MaxChunks), TooMany},
		{"B63: have: beyond the end in the second range", raw(frameHave, 2, 0, 2, MaxChunks-2, 1), TooMany},
		{"B63: a number of 2^31", raw(frameHave, 1, 1<<31, 1), Malformed},
		{"B63: -1 as it comes out of a careless cast", raw(frameHave, 1, uint64(math.MaxUint64), 1), Malformed},
		{"B64: have: as many ranges as allowed", raw(frameHave, MaxRanges, numbers(MaxRanges, 1, 1)), 0},
		{"B64: have: one more", raw(frameHave, MaxRanges+1, numbers(MaxRanges+1, 1, 1)), TooMany},
		{"B64: a million ranges announced", raw(frameHave, 1_000_000), TooMany},
		{"B64: a have-map for 2^40 chunks", raw(frameHave, 1, 0, 1<<40), Malformed},
		{"have: an empty range", raw(frameHave, 1, 5, 0), Malformed},
		{"have: fewer than it says", raw(frameHave, 2, 0, 1), Malformed},
		{"have: more than it says", raw(frameHave, 1, 0, 1, 0, 1), Malformed},
		{"have: half a range", raw(frameHave, 1, 0), Malformed},
		{"have: no number of ranges", raw(frameHave), Malformed},
		{"want: one number too far", raw(frameWant, 1, MaxChunks, 1), TooMany},
		{"cancel: one number too far", raw(frameCancel, 1, MaxChunks, 1), TooMany},
		{"seek: one number too far", raw(frameSeek, 1, MaxChunks, 1), TooMany},
		{"coming: one number too far", raw(frameComing, 1, MaxChunks, 1), TooMany},
		{"offer: one number too far", raw(frameOffer, 1, MaxChunks, 1), TooMany},
		{"got: the most", raw(frameGot, MaxGot), 0},
		{"got: one byte more", raw(frameGot, MaxGot+1), TooBig},
		{"got: nothing", raw(frameGot), Malformed},
		{"got: and more", raw(frameGot, 1, 1), Malformed},
		{"peers: the most", raw(framePeers, MaxPeers, bytes.Repeat(raw(0, 1, "x", 1, 1, "y")[1:], MaxPeers)), 0},
		{"peers: one more", raw(framePeers, MaxPeers+1, bytes.Repeat(raw(0, 1, "x", 1, 1, "y")[1:], MaxPeers+1)), TooMany},
		{"peers: a million announced", raw(framePeers, 1_000_000), TooMany},
		{"peers: fewer than they say", raw(framePeers, 2, 1, "x", 1, 1, "y"), Malformed},
		{"peers: more than they say", raw(framePeers, 1, 1, "x", 1, 1, "y", 1, "x", 1, 1, "y"), Malformed},
		{"peers: no number", raw(framePeers), Malformed},
		{"peers: the longest ID", raw(framePeers, 1, MaxPeerID, long[:MaxPeerID], 1, 1, "y"), 0},
		{"peers: an ID one byte longer", raw(framePeers, 1, MaxPeerID+1, long[:MaxPeerID+1], 1, 1, "y"), TooBig},
		{"peers: no ID", raw(framePeers, 1, 0, 1, 1, "y"), Malformed},
		{"peers: an ID cut short", raw(framePeers, 1, 5, "x"), Malformed},
		{"peers: the most addresses", raw(framePeers, 1, 1, "x", MaxPeerAddrs, bytes.Repeat([]byte("\x01y"), MaxPeerAddrs)), 0},
		{"peers: one address more", raw(framePeers, 1, 1, "x", MaxPeerAddrs+1, bytes.Repeat([]byte("\x01y"), MaxPeerAddrs+1)), TooMany},
		{"peers: no address", raw(framePeers, 1, 1, "x", 0), Malformed},
		{"peers: the longest address", raw(framePeers, 1, 1, "x", 1, MaxAddr, long[:MaxAddr]), 0},
		{"peers: an address one byte longer", raw(framePeers, 1, 1, "x", 1, MaxAddr+1, long[:MaxAddr+1]), TooBig},
		{"peers: an empty address", raw(framePeers, 1, 1, "x", 1, 0), Malformed},
		{"peers: an address cut short", raw(framePeers, 1, 1, "x", 1, 5, "y"), Malformed},
		{"have: padded beyond the limit", raw(frameHave, 1, 0, 1, long[:MaxControl]), TooBig},

		{"a number in two bytes that needs one", raw(frameHave, 1, "\x80\x00", 1), Malformed},
		{"B10: a number that never ends", raw(frameTreeAsk, bytes.Repeat([]byte{0x80}, 10)), Malformed},
		{"a number cut short", raw(frameTreeAsk, "\x80"), Malformed},

		{"data: the last number", header(raw(0, MaxChunks-1, 0, 1)[1:], 1), 0},
		{"B63: data: one further", header(raw(0, MaxChunks, 0, 1)[1:], 1), TooMany},
		{"data: the largest piece", header(raw(0, 0, 0, MaxPayload)[1:], MaxPayload), 0},
		{"data: one byte larger", header(raw(0, 0, 0, MaxPayload+1)[1:], MaxPayload+1), TooBig},
		{"data: two pieces that are one byte too large", header(raw(0, 0, 0, MaxPayload, 1, 0, 1)[1:], MaxPayload+1), TooBig},
		{"data: up to the end of the largest chunk", header(raw(0, 0, MaxChunkSize-9, 9)[1:], 9), 0},
		{"data: beyond it by one", header(raw(0, 0, MaxChunkSize-9, 10)[1:], 10), TooBig},
		{"data: an offset beyond it", header(raw(0, 0, MaxChunkSize+1, 0)[1:], 0), TooBig},
		{"data: as many pieces as allowed", header(numbers(MaxPieces, 1, 0, 1), MaxPieces), 0},
		{"data: one more", header(numbers(MaxPieces+1, 1, 0, 1), MaxPieces+1), TooMany},
		{"data: no pieces", header(nil, 0), Malformed},
		{"data: payload without pieces", header(nil, 5), Malformed},
		{"data: more payload than pieces", header(raw(0, 0, 0, 5)[1:], 6), Malformed},
		{"data: less payload than pieces", header(raw(0, 0, 0, 5)[1:], 4), Malformed},
		{"data: an empty chunk", header(raw(0, 3, 0, 0)[1:], 0), 0},
		{"data: nothing from the middle of a chunk", header(raw(0, 3, 1, 0)[1:], 0), Malformed},
		{"data: a header cut short", raw(frameData, 9, 0, 0), Malformed},
		{"data: half a piece", header(raw(0, 3, 0)[1:], 0), Malformed},
		{"data: a header above its limit", raw(frameData, MaxControl+1, long[:MaxControl+1]), TooBig},
		{"data: a header that never ends", raw(frameData, bytes.Repeat([]byte{0x80}, 10)), Malformed},

		{"cannot: a code", raw(frameCannot, []byte{byte(CannotRead)}, 1, 0, 1), 0},
		{"cannot: a code of a bye", raw(frameCannot, []byte{byte(ByeBusy)}, 1, 0, 1), Version},
		{"cannot: the first code that is not known", raw(frameCannot, []byte{byte(cannotEnd)}, 1, 0, 1), Version},
		{"cannot: nothing", raw(frameCannot), Malformed},
		{"bye: the first code that is not known", raw(frameBye, []byte{byte(byeEnd)}), Version},
		{"bye: nothing", raw(frameBye), Malformed},
		{"bye: two codes", raw(frameBye, "\x00\x00"), Malformed},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Parse(c.body)
			verdict(t, "Parse", err, c.want)
			if len(c.body) == 0 {
				return // a frame of nothing is one that a stream may hold
			}
			in := NewReader(bytes.NewReader(framed(c.body)))
			if frame(c.body[0]) != frameHello {
				in = reader(t, bytes.NewReader(append(stream(t), framed(c.body)...)))
			}
			_, err = in.Next()
			verdict(t, "Next", err, c.want)
		})
	}
}

// verdict checks that err is of the wanted kind; 0 is no error.
func verdict(t *testing.T, op string, err error, want Kind) {
	t.Helper()
	var wrong *Error
	switch {
	case want == 0 && err != nil:
		t.Errorf("%s refuses what is allowed: %v", op, err)
	case want != 0 && !errors.As(err, &wrong):
		t.Errorf("%s: got error %v, want one of kind %v", op, err, want)
	case want != 0 && wrong.Kind != want:
		t.Errorf("%s: got %v (kind %v), want kind %v", op, err, wrong.Kind, want)
	}
}

func oddFields(n int) []byte {
	var b []byte
	for i := range n {
		b = append(b, field(2*i+101, nil)...)
	}
	return b
}

// filler is an unknown optional field that takes n bytes, more than 130.
func filler(n int) []byte { return field(9, make([]byte, n-3)) }

func TestLengths(t *testing.T) {
	grown := func(n uint64) []byte { return binary.AppendUvarint(nil, n) }
	for _, c := range []struct {
		name   string
		length []byte
		kind   frame
		want   Kind
	}{
		{"B46: 2^63-1", grown(math.MaxInt64), frameHave, Malformed},
		{"B46: 2^64-1", grown(math.MaxUint64), frameHave, Malformed},
		{"B46: 2^31", grown(1 << 31), frameHave, Malformed},
		{"B46: the largest of all and one", grown(maxFrame + 1), frameNodes, TooBig},
		{"B46: nodes and one", grown(MaxNodes + 1), frameNodes, TooBig},
		{"B46: control and one", grown(MaxControl + 1), frameHave, TooBig},
		{"B46: hello and one", grown(MaxHello + 1), frameHello, TooBig},
		{"B46: data and one", grown(maxData + 1), frameData, TooBig},
		{"B46: bye and far more", grown(MaxControl + 1), frameBye, TooBig},
		{"B48: a length that never ends", bytes.Repeat([]byte{0x80}, 1000), frameHave, Malformed},
		{"B48: a length that overflows", bytes.Repeat([]byte{0xff}, 10), frameHave, Malformed},
		{"a length not in its shortest form", []byte{0x85, 0x00}, frameHave, Malformed},
	} {
		t.Run(c.name, func(t *testing.T) {
			least := uint64(math.MaxUint64) // the runtime allocates too, now and then
			for range 5 {
				count := &counted{r: bytes.NewReader(append(append(slices.Clone(c.length), byte(c.kind)), make([]byte, 1<<20)...))}
				in := NewReader(iotest.OneByteReader(count))
				before := allocated()
				_, err := in.Next()
				least = min(least, allocated()-before)
				verdict(t, "Next", err, c.want)
				if count.n > 9 {
					t.Errorf("read %d bytes before refusing, want at most 9", count.n)
				}
			}
			if least > 4<<10 {
				t.Errorf("allocated %d bytes before refusing", least)
			}
		})
	}
}

type counted struct {
	r io.Reader
	n int
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += n
	return n, err
}

// allocated is how many bytes this process has ever allocated. No test here runs in parallel.
func allocated() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.TotalAlloc
}

// A body cut off anywhere is no message, but for a hello that loses its last fields. The reader says that a frame was cut.
func TestTruncatedAtEveryByte(t *testing.T) {
	for _, m := range samples(t) {
		frame, _ := whole(t, m)
		b := body(t, frame)
		step := 1
		if len(b) > 4096 {
			step = len(b) / 997 // both ends and about a thousand places between them
		}
		for i := range len(frame) - len(b) { // the length
			in := NewReader(bytes.NewReader(frame[:i]))
			if _, err := in.Next(); i == 0 && err != io.EOF || i > 0 && err != io.ErrUnexpectedEOF {
				t.Fatalf("%T cut after %d bytes of its length: got error %v", m, i, err)
			}
		}
		for i := 0; i < len(b); i += step {
			got, err := Parse(b[:i])
			if h, ok := got.(Hello); err == nil && (!ok || !h.Root.Equals(root(t)) || alike(h, m)) {
				t.Fatalf("%T: %d of %d bytes parse as %.100v", m, i, len(b), got)
			}
			if _, hello := m.(Hello); hello {
				continue
			}
			in := reader(t, bytes.NewReader(append(stream(t), frame[:len(frame)-len(b)+i]...)))
			got, err = in.Next()
			if d, ok := got.(Data); ok && err == nil {
				err = in.Payload(make([]byte, size(d)))
			}
			if err != io.ErrUnexpectedEOF {
				t.Fatalf("%T cut after %d of %d bytes: got %.100v and error %v, want io.ErrUnexpectedEOF", m, i, len(b), got, err)
			}
		}
	}
}

func TestOrderOfMessages(t *testing.T) {
	hello, bye, have := Hello{Root: root(t)}, Bye{}, Have{Ranges: ranges(0, 1)}
	for _, c := range []struct {
		name     string
		messages []Message
		good     int // messages before the verdict
		want     Kind
	}{
		{"a hello first", []Message{hello, have}, 2, 0},
		{"a bye in place of the hello", []Message{bye}, 1, 0},
		{"B61: two hellos", []Message{hello, hello}, 1, OutOfTurn},
		{"B61: a hello later on", []Message{hello, have, have, hello}, 3, OutOfTurn},
		{"B61: a want before the hello", []Message{Want{Ranges: ranges(0, 1)}, hello}, 0, OutOfTurn},
		{"B61: a tree ask before the hello", []Message{TreeAsk{}, hello}, 0, OutOfTurn},
		{"B61: data before the hello", []Message{Data{Pieces: []Piece{{Length: 0}}}}, 0, OutOfTurn},
		{"something behind a bye", []Message{hello, bye, have}, 2, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			var b []byte
			for _, m := range c.messages {
				f, _ := whole(t, m)
				b = append(b, f...)
			}
			in := NewReader(bytes.NewReader(b))
			for i := range c.good {
				if m, err := in.Next(); err != nil || !alike(m, c.messages[i]) {
					t.Fatalf("message %d: got %v, %v", i, m, err)
				}
			}
			_, err := in.Next()
			if c.want == 0 {
				if err != io.EOF {
					t.Errorf("at the end: got %v, want io.EOF", err)
				}
				return
			}
			verdict(t, "Next", err, c.want)
		})
	}
}

// B47: a peer may say nothing, but not for long.
func TestEmptyFrames(t *testing.T) {
	for name, quiet := range map[string][]byte{
		"no body": {0}, "an empty have": framed(raw(frameHave, 0)), "empty nodes": framed(raw(frameNodes, 0)),
		"no peers": framed(raw(framePeers, 0)), "an empty cannot": framed(raw(frameCannot, []byte{byte(CannotRead)}, 0)),
	} {
		t.Run(name, func(t *testing.T) {
			loud := stream(t, NodesEnd{})[len(stream(t)):]
			run := func(n int) (err error) {
				in := reader(t, bytes.NewReader(slices.Concat(stream(t), bytes.Repeat(quiet, n), loud, bytes.Repeat(quiet, n))))
				for err == nil {
					_, err = in.Next()
				}
				return err
			}
			if err := run(MaxEmpty); err != io.EOF {
				t.Errorf("%d in a row: got %v, want io.EOF", MaxEmpty, err)
			}
			verdict(t, "one more", run(MaxEmpty+1), TooMany)
			count := &counted{r: bytes.NewReader(append(stream(t), bytes.Repeat(quiet, 1_000_000)...))}
			in := reader(t, count)
			for {
				if _, err := in.Next(); err != nil {
					verdict(t, "a million", err, TooMany)
					break
				}
			}
			if count.n > 64<<10 {
				t.Errorf("read %d bytes of silence", count.n)
			}
		})
	}
}

func TestAppendRefuses(t *testing.T) {
	many := make([]Piece, MaxPieces+1)
	for i, m := range []Message{
		Hello{},
		Hello{Root: root(t), Name: string(make([]byte, MaxName+1))},
		Hello{Root: root(t), Name: "\xff"},
		TreeAsk{Skip: MaxChunks + 1},
		Nodes{Blocks: make([][]byte, MaxBlocks+1)},
		Nodes{Blocks: [][]byte{make([]byte, MaxBlock+1)}},
		Nodes{Blocks: [][]byte{make([]byte, MaxBlock), make([]byte, 2<<10)}},
		Have{Ranges: ranges(MaxChunks, 1)},
		Have{Ranges: ranges(1, MaxChunks)},
		Want{Ranges: ranges(math.MaxUint32, 2)},
		Cancel{Ranges: ranges(2, math.MaxUint32)},
		Seek{Ranges: ranges(MaxChunks, 1)},
		Coming{Ranges: ranges(1, MaxChunks)},
		Offer{Ranges: ranges(MaxChunks, 1)},
		Got{Bytes: MaxGot + 1},
		Peers{Peers: crowd(MaxPeers + 1)},
		Peers{Peers: []Peer{{Addrs: [][]byte{{1}}}}},
		Peers{Peers: []Peer{{ID: make([]byte, MaxPeerID+1), Addrs: [][]byte{{1}}}}},
		Peers{Peers: []Peer{{ID: []byte{1}}}},
		Peers{Peers: []Peer{{ID: []byte{1}, Addrs: make([][]byte, MaxPeerAddrs+1)}}},
		Peers{Peers: []Peer{{ID: []byte{1}, Addrs: [][]byte{nil}}}},
		Peers{Peers: []Peer{{ID: []byte{1}, Addrs: [][]byte{make([]byte, MaxAddr+1)}}}},
		Data{},
		Data{Pieces: many},
		Data{Pieces: []Piece{{Length: MaxPayload}, {Length: 1}}},
		Data{Pieces: []Piece{{Length: MaxPayload + 1}}},
		Data{Pieces: []Piece{{Chunk: MaxChunks}}},
		Data{Pieces: []Piece{{Offset: MaxChunkSize, Length: 1}}},
		Data{Pieces: []Piece{{Offset: math.MaxUint32, Length: 1}}},
		Data{Pieces: []Piece{{Offset: 1}}},
		Cannot{Code: ByeOK},
		Cannot{Code: cannotEnd},
		Bye{Code: byeEnd},
		Bye{Code: CannotRead},
	} {
		t.Run(fmt.Sprintf("%d %v", i, m.frame()), func(t *testing.T) {
			got, err := Append([]byte("before"), m)
			verdict(t, "Append", err, Misuse)
			if string(got) != "before" {
				t.Errorf("a refused message leaves %d bytes behind", len(got)-len("before"))
			}
		})
	}
}

// Any list of ranges can be sent; the receiver hears each range once, in the order given, in frames that keep the rules.
func TestRangesAreCutIntoFrames(t *testing.T) {
	var rising, falling []content.Range
	for i := range uint32(MaxRanges + 1) {
		rising = append(rising, content.Range{First: 2 * i, Count: 1})
	}
	for i := range uint32(5) {
		falling = append(falling, content.Range{First: 100 - i, Count: 1})
	}
	for _, c := range []struct {
		name   string
		ranges []content.Range
		frames int
	}{
		{"none", nil, 1},
		{"only empty ones", ranges(5, 0, 3, 0), 1},
		{"an empty one out of order", ranges(5, 1, 3, 0, 7, 1), 1},
		{"as many as a frame takes", rising[:MaxRanges], 1},
		{"one more", rising, 2},
		{"falling", falling, 5},
		{"touching", ranges(0, 5, 5, 5), 1},
		{"overlapping", ranges(0, 5, 4, 5), 2},
		{"the same twice", ranges(9, 1, 9, 1), 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			b, err := Append(stream(t), Want{Ranges: c.ranges})
			if err != nil {
				t.Fatal(err)
			}
			in := reader(t, bytes.NewReader(b))
			var got []content.Range
			frames := 0
			for {
				m, err := in.Next()
				if err == io.EOF {
					break
				} else if err != nil {
					t.Fatal(err)
				}
				got = append(got, m.(Want).Ranges...)
				frames++
			}
			want := slices.DeleteFunc(slices.Clone(c.ranges), func(r content.Range) bool { return r.Count == 0 })
			if !slices.Equal(got, want) || frames != c.frames {
				t.Errorf("got %d ranges in %d frames, want %d in %d", len(got), frames, len(want), c.frames)
			}
		})
	}
}

// T10: a peer that announces much and sends little costs little.
func TestAnnouncedIsNotAllocated(t *testing.T) {
	for name, b := range map[string][]byte{
		"nodes":        append(binary.AppendUvarint(nil, MaxNodes), raw(frameNodes, MaxBlocks, 5, "abcde")...),
		"a block":      append(binary.AppendUvarint(nil, MaxNodes), raw(frameNodes, 1, MaxBlock, "x")...),
		"data":         append(binary.AppendUvarint(nil, MaxPayload), raw(frameData, MaxControl, 0, 0)...),
		"ranges":       append(binary.AppendUvarint(nil, MaxControl), raw(frameHave, MaxRanges, 0, 1)...),
		"short ranges": framed(raw(frameHave, MaxRanges, 0, 1)),
		"short peers":  framed(raw(framePeers, MaxPeers, 1, "x", MaxPeerAddrs)),
		"short blocks": framed(raw(frameNodes, MaxBlocks, 0)),
	} {
		t.Run(name, func(t *testing.T) {
			in := reader(t, bytes.NewReader(append(stream(t), b...)))
			before := allocated()
			if m, err := in.Next(); err == nil {
				t.Fatalf("got %T out of the beginning of a frame", m)
			}
			if used := allocated() - before; used > firstRead+8<<10 {
				t.Errorf("allocated %d bytes for a frame of %d", used, len(b))
			}
		})
	}
}

func TestRoomGrowsWithWhatComes(t *testing.T) {
	frame, _ := whole(t, Nodes{Blocks: [][]byte{make([]byte, MaxBlock)}})
	for _, sent := range []int{firstRead, firstRead + 10, 3 * firstRead, MaxBlock / 2} {
		in := reader(t, bytes.NewReader(append(stream(t), frame[:sent]...)))
		before := allocated()
		if _, err := in.Next(); err != io.ErrUnexpectedEOF {
			t.Fatalf("got %v", err)
		}
		if used := allocated() - before; used > uint64(4*sent+8<<10) {
			t.Errorf("%d bytes of a frame made the reader allocate %d", sent, used)
		}
	}
}

func TestAllocationStaysWithinTheFrame(t *testing.T) {
	for name, b := range map[string][]byte{
		"empty blocks":    raw(frameNodes, MaxBlocks, make([]byte, MaxBlocks)),
		"the most ranges": raw(frameHave, MaxRanges, bytes.Repeat([]byte{1, 1}, MaxRanges)),
		"the most pieces": raw(frameData, 3*MaxPieces, make([]byte, 3*MaxPieces)),
	} {
		before := allocated()
		if _, err := Parse(b); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		// Slices grow in steps, so that the sum of all steps is some four times the last.
		if used := allocated() - before; used > 1<<20 {
			t.Errorf("%s: allocated %d bytes for %d", name, used, len(b))
		}
	}
}

func TestErrorsDoNotEcho(t *testing.T) {
	secret := "\x1b[2Jsecret"
	for _, b := range [][]byte{
		raw(frameHello, field(0, []byte(secret))),
		raw(frameHello, field(0, root(t).Bytes()), field(1, []byte(secret+"\xff"))),
		raw(frameHello, field(0, root(t).Bytes()), field(2, []byte(secret))),
		raw(frameHello, field(0, root(t).Bytes()), field(7, []byte(secret))),
		raw(99, secret),
	} {
		if _, err := Parse(b); err == nil || bytes.Contains([]byte(err.Error()), []byte("secret")) || len(err.Error()) > 100 {
			t.Errorf("got error %q", err)
		}
	}
}
