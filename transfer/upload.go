package transfer

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/shoal-p2p/shoal/content"
	"github.com/shoal-p2p/shoal/transfer/engine"
	"github.com/shoal-p2p/shoal/transfer/wire"
)

// write runs until the outbox is ended, and then closes the stream for writing.
func (l *link) write(ctx context.Context) error {
	w := &writer{link: l}
	for {
		if err := w.flush(); err != nil {
			return err
		}
		ask, chunk, some, ending := l.out.next()
		switch {
		case ending:
			return w.goodbye()
		case ask != nil:
			if err := l.serveShape(*ask); errors.Is(err, errGone) {
				l.out.end(wire.ByeStopping)
			} else if err != nil {
				return &PeerError{l.peer, "send tree", err}
			}
		case some:
			if err := w.upload(ctx, chunk); errors.Is(err, errGone) {
				l.out.end(wire.ByeStopping) // unless it has been ended already
			} else if err != nil {
				return err
			}
		default:
			select {
			case <-l.out.wake:
			case <-ctx.Done():
				l.out.end(wire.ByeStopping)
			}
		}
	}
}

// writer is what a link's writing goroutine keeps to itself.
type writer struct {
	link   *link
	frames []byte // control frames on their way out
	head   []byte // the header of a data frame
}

// flush writes the control frames that wait.
func (w *writer) flush() error {
	w.frames = w.link.out.takeFrames(w.frames)
	if len(w.frames) == 0 {
		return nil
	}
	return w.link.put(w.frames)
}

func (w *writer) goodbye() error {
	if err := w.flush(); err != nil {
		return err
	}
	w.link.out.mu.Lock()
	code := w.link.out.code
	w.link.out.mu.Unlock()
	if err := w.link.send(wire.Bye{Code: code}); err != nil {
		return err
	}
	if w.link.broken.Load() {
		w.link.str.SetReadDeadline(time.Now().Add(resetGrace))
		return nil // the reset comes then, which is not possible once both directions are closed
	}
	w.link.str.SetReadDeadline(time.Now().Add(byeTimeout)) // the other side hangs up too, or the reader gives up waiting
	return w.link.str.CloseWrite()
}

// put writes bytes that are whole frames, or the next part of one.
func (l *link) put(b []byte) error {
	for {
		timeout := writeTimeout
		if l.left.Load() {
			timeout = byeTimeout
		}
		l.x.svc.stalls.moves(l, time.Now())
		l.str.SetWriteDeadline(time.Now().Add(timeout))
		n, err := l.str.Write(b)
		l.x.svc.stalls.moves(l, time.Time{})
		if err == nil {
			return nil
		}
		if n < leastWrite || !isTimeout(err) || l.left.Load() {
			return &PeerError{l.peer, "write", err}
		}
		b = b[n:] // it reads, if only slowly: its user may have said how fast
		l.stillTaking()
	}
}

func isTimeout(err error) bool {
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout()
}

// send writes one message at once. Only the writer may call it.
func (l *link) send(m wire.Message) error {
	frame, err := wire.Append(nil, m)
	if err != nil {
		return err
	}
	return l.put(frame)
}

// upload reads one chunk and sends it; small ones take as many as fit along in one frame.
func (w *writer) upload(ctx context.Context, chunk uint32) error {
	s, stalls := w.link.x.svc.slots, &w.link.x.svc.stalls
	take := func(ctx context.Context) error { return s.take(w.link.peer, w.link.gone, ctx.Done()) }
	if err := stalls.wait(ctx, w.link, take); err != nil {
		return err
	}
	defer s.put(w.link.peer)
	defer stalls.done(w.link)
	buf := uploadBuffers.Get().(*uploadBuffer)
	defer uploadBuffers.Put(buf)
	if w.link.x.tree.ChunkLen(chunk) <= min(smallChunk, w.link.frameSize()) {
		return w.uploadSmall(chunk, buf[:])
	}
	return w.uploadBig(chunk, buf[:])
}

// An uploadBuffer has room for a chunk and, before it, for the header of a frame, so that both go out in one write.
type uploadBuffer [headRoom + content.ChunkSize]byte

var uploadBuffers = sync.Pool{New: func() any { return new(uploadBuffer) }}

func (w *writer) uploadBig(chunk uint32, buf []byte) error {
	x := w.link.x
	if n := x.tree.ChunkLen(chunk); headRoom+n > len(buf) {
		buf = make([]byte, headRoom+n) // trees made elsewhere may have chunks of up to 2 MiB
	}
	n, err := x.readChunk(chunk, buf[headRoom:])
	if err != nil {
		return w.sent(nil, []uint32{chunk}, 0)
	}
	written := 0
	for off, size := 0, 0; off < n && w.link.out.wanted(); off += size {
		size = min(w.link.frameSize(), n-off)
		written += size
		pieces := []wire.Piece{{Chunk: chunk, Offset: uint32(off), Length: uint32(size)}}
		if err := w.data(pieces, buf, headRoom+off, size); err != nil {
			return err
		}
		if err := w.flush(); err != nil {
			return err
		}
	}
	return w.sent([]uint32{chunk}, nil, written)
}

// uploadSmall fills one frame with the chunks that are next in the queue.
func (w *writer) uploadSmall(chunk uint32, buf []byte) error {
	x := w.link.x
	payload := buf[headRoom : headRoom+max(w.link.frameSize(), x.tree.ChunkLen(chunk))]
	var pieces []wire.Piece
	var sent, missing []uint32
	used := 0
	fits := func(n uint32) bool {
		return x.tree.ChunkLen(n) <= min(smallChunk, len(payload)-used) && len(pieces) < wire.MaxPieces
	}
	for more := true; more; chunk, more = w.link.out.popIf(fits) {
		n, err := x.readChunk(chunk, payload[used:])
		if err != nil {
			missing = append(missing, chunk)
			continue
		}
		pieces = append(pieces, wire.Piece{Chunk: chunk, Length: uint32(n)})
		sent = append(sent, chunk)
		used += n
	}
	if len(pieces) > 0 {
		if err := w.data(pieces, buf, headRoom, used); err != nil {
			return err
		}
	}
	return w.sent(sent, missing, used)
}

// data writes a frame whose payload is n bytes of buf from at on. Its header goes right before them, over what has been
// sent already: a write of its own would cost the muxer, TLS and the socket a round for a few bytes.
func (w *writer) data(pieces []wire.Piece, buf []byte, at, n int) error {
	head, err := wire.Append(w.head[:0], wire.Data{Pieces: pieces})
	if err != nil {
		return err
	}
	w.head = head
	if err := w.link.maySend(n); err != nil {
		return err
	}
	copy(buf[at-len(head):], head)
	if err := w.link.put(buf[at-len(head) : at+n]); err != nil {
		return err
	}
	w.link.x.upRate.add(time.Now(), n)
	w.link.stillTaking()
	return nil
}

// sent tells the loop what went out, and the peer what could not be read.
func (w *writer) sent(chunks, missing []uint32, bytes int) error {
	l := w.link
	l.up.Add(int64(bytes))
	l.x.svc.count(l.peer, 0, int64(bytes))
	l.x.post(func() {
		l.x.given += int64(bytes)
		l.upRate.add(time.Now(), bytes)
		if l.x.links[l.id] != l {
			return
		}
		if len(missing) > 0 {
			l.say(wire.Cannot{Code: wire.CannotRead, Ranges: rangesOf(missing)})
		}
		l.x.measureTrip(l, time.Now())
		settled := append(chunks, missing...)
		l.x.step(engine.Gave{Peer: l.id, Chunks: settled, Bytes: bytes})
		l.x.paid(l, len(settled))
	})
	return nil
}

func rangesOf(chunks []uint32) []content.Range {
	var out []content.Range
	for _, n := range chunks {
		if k := len(out); k > 0 && out[k-1].First+out[k-1].Count == n {
			out[k-1].Count++
			continue
		}
		out = append(out, content.Range{First: n, Count: 1})
	}
	return out
}

// readChunk reads a chunk's verified bytes from wherever this node has it.
func (x *Session) readChunk(n uint32, buf []byte) (int, error) {
	if got := x.recent.read(n, buf); got > 0 {
		return got, nil
	}
	if x.sink != nil {
		got, err := x.sink.ReadChunk(n, buf)
		if err == nil || !errors.Is(err, ErrNotFound) {
			return got, err
		}
	}
	got, err := x.svc.library.ReadChunk(x.tree.Digest(n), buf)
	if err != nil {
		return 0, err
	}
	if got != x.tree.ChunkLen(n) {
		return 0, ErrNotFound // the tree lies about its size: nobody could use it
	}
	return got, nil
}
