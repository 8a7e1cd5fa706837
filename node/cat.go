package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/shoal-p2p/shoal/content"
	"github.com/shoal-p2p/shoal/store"
	"github.com/shoal-p2p/shoal/transfer"
)

// Cat writes bytes of one file to w, in order, fetching no more than it needs and keeping nothing.
func (n *Node) Cat(ctx context.Context, r CatRequest, w io.Writer, emit func(Event)) error {
	emit = oneAtATime(emit)
	t, err := n.seek(r.Ref, r.Peers)
	if err != nil {
		return err
	}
	s, err := n.survey(ctx, t, r.Timeout, emit)
	if err != nil {
		return err
	}
	defer s.stop()
	i, ok := s.tree.Find(t.path)
	if !ok {
		return fmt.Errorf("%w: there is no %q in %s", ErrNotFound, t.path, t.root)
	}
	e := s.tree.Entries()[i]
	if e.Kind != content.File {
		return fmt.Errorf("%w: %q is not a file; `ls` shows what is inside", ErrUsage, t.path)
	}
	if r.Offset < 0 || r.Length < 0 || r.Offset > e.Size {
		return fmt.Errorf("%w: offset %d, length %d do not lie in a file of %d bytes", ErrUsage, r.Offset, r.Length, e.Size)
	}
	end := e.Size
	if r.Length > 0 && r.Length < e.Size-r.Offset {
		end = r.Offset + r.Length
	}
	return s.stream(w, s.tree.Pieces(i), r.Offset, end)
}

// List returns the names under Ref, without fetching their bytes.
func (n *Node) List(ctx context.Context, r ListRequest, emit func(Event)) ([]Entry, error) {
	emit = oneAtATime(emit)
	t, err := n.seek(r.Ref, r.Peers)
	if err != nil {
		return nil, err
	}
	s, err := n.survey(ctx, t, r.Timeout, emit)
	if err != nil {
		return nil, err
	}
	defer s.stop()
	return listing(s.tree, t.path, r.Recursive)
}

// survey is a look at a root whose tree is known, whether or not its bytes are here.
type survey struct {
	n       *Node
	ctx     context.Context
	target  target
	tree    *content.Tree
	timeout float64
	emit    func(Event)
	pursuit *pursuit // nil as long as nothing from outside was needed
}

func (n *Node) survey(ctx context.Context, t target, timeout float64, emit func(Event)) (*survey, error) {
	s := &survey{n: n, ctx: ctx, target: t, timeout: timeout, emit: emit}
	tree, err := n.store.Tree(ctx, t.root)
	if err == nil {
		s.tree = tree
		return s, nil
	}
	if !errors.Is(err, store.ErrNotFound) {
		return nil, storeError(err)
	}
	s.pursue(nil)
	if s.tree, err = s.pursuit.tree(); err != nil {
		s.stop()
		return nil, err
	}
	s.pursuit.pause(true)
	return s, nil
}

func (s *survey) pursue(t *content.Tree) {
	s.pursuit = s.n.pursue(s.ctx, s.target, pursuitOptions{Tree: t, Leech: true, Patience: patience(s.timeout), Emit: s.emit})
}

func (s *survey) stop() {
	if s.pursuit != nil {
		s.pursuit.stop()
	}
}

// stream writes the bytes [from, to) of a file.
func (s *survey) stream(w io.Writer, pieces []content.Piece, from, to int64) error {
	first, last := window(s.tree, pieces, from, to)
	r := &reader{survey: s, pieces: pieces[first:last], sink: newCatSink(s.tree)}
	for i, p := range r.pieces {
		data, err := r.chunk(i)
		if err != nil {
			return err
		}
		lo, hi := max(from-p.Offset, 0), min(to-p.Offset, int64(len(data)))
		if lo < hi {
			if s.pursuit != nil {
				s.pursuit.pause(true) // a reader that is slow is not a peer that is slow
			}
			if _, err := w.Write(data[lo:hi]); err != nil {
				return fmt.Errorf("%w: the reader went away: %w", ErrStopped, err)
			}
		}
	}
	return nil
}

// window finds the pieces that hold the bytes [from, to).
func window(t *content.Tree, pieces []content.Piece, from, to int64) (first, last int) {
	for first < len(pieces) && pieces[first].Offset+int64(t.ChunkLen(pieces[first].Chunk)) <= from {
		first++
	}
	last = first
	for last < len(pieces) && pieces[last].Offset < to {
		last++
	}
	return first, last
}

// reader goes through the pieces of a file and has what lies ahead fetched.
type reader struct {
	survey *survey
	pieces []content.Piece
	sink   *catSink
	asked  int   // pieces before this one have been looked for
	ahead  int64 // bytes that were asked for and not read yet
	begun  bool
}

// chunk returns the bytes of piece i, which are valid until the next call.
func (r *reader) chunk(i int) ([]byte, error) {
	s := r.survey
	n := r.pieces[i].Chunk
	if n == 0 && s.tree.Inline != nil {
		return s.tree.Inline, nil
	}
	if data := r.local(n); data != nil {
		return data, nil
	}
	if err := r.lookAhead(i); err != nil {
		return nil, err
	}
	s.pursuit.pause(false)
	data, last, err := r.sink.take(s.pursuit.ctx, n)
	if err != nil {
		return nil, s.pursuit.wait(err)
	}
	if last {
		r.ahead -= int64(len(data))
	}
	return data, nil
}

// local reads a chunk that is on this machine; nil if it is not.
func (r *reader) local(n uint32) []byte {
	buf := r.sink.scratch(r.survey.tree.ChunkLen(n))
	got, err := r.survey.n.store.ReadChunk(r.survey.tree.Digest(n), buf)
	if err != nil || got != len(buf) {
		return nil
	}
	return buf
}

// lookAhead asks for chunks from piece i on, as many as may wait in memory.
func (r *reader) lookAhead(i int) error {
	s := r.survey
	if !r.begun {
		r.begun = true
		if s.pursuit == nil {
			s.pursue(s.tree)
		}
		s.pursuit.session.Begin(r.sink, content.NewSet(s.tree.NumChunks()))
	}
	var want []content.Range
	for r.asked = max(r.asked, i); r.asked < len(r.pieces) && (r.ahead < readAhead || r.asked == i); r.asked++ {
		n := r.pieces[r.asked].Chunk
		if !r.sink.expect(n) {
			continue // it is on its way, or here, for an earlier place in the file
		}
		r.ahead += int64(s.tree.ChunkLen(n))
		want = append(want, content.Range{First: n, Count: 1})
	}
	if len(want) > 0 {
		s.pursuit.session.Want(want, true)
	}
	return nil
}

// catSink keeps chunks in memory from their arrival until they are read.
type catSink struct {
	tree *content.Tree
	buf  []byte

	mu     sync.Mutex // guards the rest
	chunks map[uint32][]byte
	uses   map[uint32]int // how often a chunk was asked for and not read yet
	came   chan struct{}  // closed and replaced whenever a chunk comes in
}

func newCatSink(t *content.Tree) *catSink {
	return &catSink{tree: t, chunks: make(map[uint32][]byte), uses: make(map[uint32]int), came: make(chan struct{})}
}

func (s *catSink) scratch(n int) []byte {
	if cap(s.buf) < n {
		s.buf = make([]byte, n)
	}
	return s.buf[:n]
}

// expect notes that a chunk will be read once more; false if it was asked for already.
func (s *catSink) expect(n uint32) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.uses[n]++
	return s.uses[n] == 1
}

func (s *catSink) Put(n uint32, c content.Chunk) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.chunks[n] == nil {
		s.chunks[n] = append(make([]byte, 0, len(c.Bytes())), c.Bytes()...)
		close(s.came)
		s.came = make(chan struct{})
	}
	return nil
}

func (s *catSink) ReadChunk(uint32, []byte) (int, error) { return 0, transfer.ErrNotFound }

// take waits for a chunk and returns it; last says that it is not kept for another place.
func (s *catSink) take(ctx context.Context, n uint32) (data []byte, last bool, err error) {
	for {
		s.mu.Lock()
		data, came := s.chunks[n], s.came
		if data != nil {
			if s.uses[n]--; s.uses[n] <= 0 {
				delete(s.chunks, n)
				delete(s.uses, n)
				last = true
			}
		}
		s.mu.Unlock()
		if data != nil {
			return data, last, nil
		}
		select {
		case <-came:
		case <-ctx.Done():
			return nil, false, ctx.Err()
		}
	}
}

// listing turns part of a tree into entries.
func listing(t *content.Tree, path string, recursive bool) ([]Entry, error) {
	i, ok := t.Find(path)
	if !ok {
		return nil, fmt.Errorf("%w: there is no %q in %s", ErrNotFound, path, t.Root)
	}
	all := t.Entries()
	if all[i].Kind != content.Dir {
		return []Entry{entry(all[i])}, nil
	}
	out := []Entry{}
	for j, end := i+1, t.Under(i); j < end; {
		out = append(out, entry(all[j]))
		if recursive {
			j++
		} else {
			j = t.Under(j)
		}
	}
	return out, nil
}

func entry(e content.Entry) Entry {
	out := Entry{Path: e.Path, CID: e.CID.String(), Size: e.Size, Target: e.Target}
	switch e.Kind {
	case content.Dir:
		out.Kind = "dir"
	case content.Symlink:
		out.Kind = "symlink"
	default:
		out.Kind = "file"
	}
	if e.Unsafe != nil {
		out.Unsafe = e.Unsafe.Error()
	}
	return out
}
