package wire

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"unsafe"
)

// The caller may take the payload in any cuts, pass over any of it, or leave it to Next.
func TestPayloadInAnyCuts(t *testing.T) {
	data := Data{Pieces: []Piece{{Chunk: 1, Length: 100_000}, {Chunk: 2, Length: 3}, {Chunk: 3}, {Chunk: 4, Length: 50_000}}}
	frame, payload := whole(t, data)
	tail := stream(t, Bye{})[len(stream(t)):]
	for _, cuts := range [][]int{
		{},
		{0},
		{1},
		{150_003},
		{100_000, 3, 0, 50_000},
		{-100_000, 3, -50_000},
		{100_000, -3, 50_000},
		{17_000, -17_000, 17_000},
		{-1, 1, -1, 1, 16 << 10, 100_000},
		{-150_003},
		{4095, 1, 4096, 64 << 10},
	} {
		in := reader(t, bytes.NewReader(append(append(stream(t), frame...), tail...)))
		if _, err := in.Next(); err != nil {
			t.Fatal(err)
		}
		at := 0
		for _, n := range cuts {
			if n < 0 {
				if err := in.Discard(-n); err != nil {
					t.Fatalf("%v: discard %d: %v", cuts, -n, err)
				}
				at -= n
				continue
			}
			p := make([]byte, n)
			if err := in.Payload(p); err != nil || !bytes.Equal(p, payload[at:at+n]) {
				t.Fatalf("%v: the %d bytes from %d on are wrong, error %v", cuts, n, at, err)
			}
			at += n
		}
		if m, err := in.Next(); err != nil || m != (Bye{}) {
			t.Errorf("%v: behind the payload: got %v, %v, want a bye", cuts, m, err)
		}
	}
}

func TestPayloadEndsWhereItEnds(t *testing.T) {
	frame, _ := whole(t, Data{Pieces: []Piece{{Length: 10}}})
	in := reader(t, bytes.NewReader(append(append(stream(t), frame...), frame...)))
	verdict(t, "payload before any data", in.Payload(make([]byte, 1)), Misuse)
	if _, err := in.Next(); err != nil {
		t.Fatal(err)
	}
	verdict(t, "one byte too many", in.Payload(make([]byte, 11)), Misuse)
	verdict(t, "discarding one too many", in.Discard(11), Misuse)
	verdict(t, "discarding less than nothing", in.Discard(-1), Misuse)
	if err := in.Payload(make([]byte, 10)); err != nil {
		t.Errorf("a refused call used the payload up: %v", err)
	}
}

// What the stream says goes through untouched, so that a session can tell a slow line from a bad peer.
func TestStreamErrorsPassThrough(t *testing.T) {
	broken := errors.New("connection reset")
	frame, _ := whole(t, Data{Pieces: []Piece{{Length: 100_000}}})
	nodes, _ := whole(t, Nodes{Blocks: [][]byte{make([]byte, 200_000)}})
	have, _ := whole(t, Have{Ranges: ranges(0, 1)})
	for _, frame := range [][]byte{frame, nodes, have} {
		for cut := 0; cut < len(frame); cut += 1 + len(frame)/100 {
			b := append(stream(t), frame[:cut]...)
			in := reader(t, io.MultiReader(bytes.NewReader(b), errReader{broken}))
			m, err := in.Next()
			if d, ok := m.(Data); ok && err == nil {
				err = in.Payload(make([]byte, size(d)))
			}
			if err != broken {
				t.Fatalf("cut after %d bytes: got %v, want the stream's own error", cut, err)
			}
		}
	}
}

type errReader struct{ err error }

func (e errReader) Read([]byte) (int, error) { return 0, e.err }

// endless repeats one frame for ever, and counts what it copies into which buffer.
type endless struct {
	frame  []byte
	at     int
	direct int // bytes that went straight into mine
	mine   []byte
}

func (e *endless) Read(p []byte) (int, error) {
	n := copy(p, e.frame[e.at:])
	if len(e.mine) > 0 && len(p) > 0 && within(p, e.mine) {
		e.direct += n
	}
	e.at = (e.at + n) % len(e.frame)
	return n, nil
}

func within(p, of []byte) bool {
	at, from := uintptr(unsafe.Pointer(&p[0])), uintptr(unsafe.Pointer(&of[0]))
	return at >= from && at < from+uintptr(len(of))
}

func TestBigPiecesAreCopiedOnce(t *testing.T) {
	frame, _ := whole(t, Data{Pieces: []Piece{{Length: MaxPayload}}})
	mine := make([]byte, MaxPayload)
	src := &endless{frame: frame, mine: mine}
	in := reader(t, io.MultiReader(bytes.NewReader(stream(t)), src))
	const frames = 20
	for range frames {
		if _, err := in.Next(); err != nil {
			t.Fatal(err)
		}
		if err := in.Payload(mine); err != nil {
			t.Fatal(err)
		}
	}
	if want := frames * (MaxPayload - headRead); src.direct < want {
		t.Errorf("%d of %d bytes went straight to the caller, want at least %d", src.direct, frames*MaxPayload, want)
	}
}

func TestDataNeedsNoMemory(t *testing.T) {
	small := make([]Piece, 500)
	for i := range small {
		small[i] = Piece{Chunk: uint32(i), Length: 500}
	}
	for name, d := range map[string]Data{"one big piece": {Pieces: []Piece{{Chunk: 7, Length: MaxPayload}}}, "many": {Pieces: small}} {
		frame, payload := whole(t, d)
		in := reader(t, io.MultiReader(bytes.NewReader(stream(t)), &endless{frame: frame}))
		buf := make([]byte, len(payload))
		head := make([]byte, 0, 64<<10)
		message := Message(d)
		if n := testing.AllocsPerRun(200, func() {
			m, err := in.Next()
			if err != nil || len(m.(Data).Pieces) != len(d.Pieces) {
				t.Fatal(m, err)
			}
			if err := in.Payload(buf); err != nil {
				t.Fatal(err)
			}
			if head, err = Append(head[:0], message); err != nil {
				t.Fatal(err)
			}
		}); n > 0 {
			t.Errorf("%s: %v allocations a frame, want none", name, n)
		}
	}
}

// A tree that has gone through leaves no memory behind on a stream that lives for hours.
func TestNodesAreLetGo(t *testing.T) {
	b := stream(t, Nodes{Blocks: [][]byte{make([]byte, MaxBlock)}}, NodesEnd{})
	in := reader(t, bytes.NewReader(b))
	for range 2 {
		if _, err := in.Next(); err != nil {
			t.Fatal(err)
		}
	}
	if in.body != nil || in.parser.blocks != nil {
		t.Errorf("the reader still holds %d bytes of nodes", cap(in.body))
	}
}

func BenchmarkRead(b *testing.B) {
	frame, _ := whole(b, Data{Pieces: []Piece{{Chunk: 7, Length: MaxPayload}}})
	in := reader(b, io.MultiReader(bytes.NewReader(stream(b)), &endless{frame: frame}))
	buf := make([]byte, MaxPayload)
	b.SetBytes(MaxPayload)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := in.Next(); err != nil {
			b.Fatal(err)
		}
		if err := in.Payload(buf); err != nil {
			b.Fatal(err)
		}
	}
}
