package store

import (
	"context"
	"errors"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/shoal-p2p/shoal/content"
)

// verifier hashes files that should hold the pieces of a tree, on all cores, and finds which of them do.
type verifier struct {
	tree  *content.Tree
	p     *Progress
	holes bool // what the disk has no data for is bad without a look, unless it should be zeros
	files []*suspect
	// ended is called with each file when its last piece was looked at, while it is still open (in is nil if it could not
	// be opened), by several goroutines at once. An error ends the whole run.
	ended func(f *suspect, in *os.File) error
	// wrong is called with each file of which a piece is not right, as soon as that is seen, and may end the whole run by an
	// error. It may be nil.
	wrong func(f *suspect) error

	jobs []span
	next atomic.Int64
}

// suspect is one file to be verified.
type suspect struct {
	id     int // the caller's
	open   func() (*os.File, error)
	pieces []content.Piece

	opening sync.Once
	in      *os.File
	gen     generation // before the first piece was read
	began   time.Time
	left    atomic.Int32

	mu  sync.Mutex // guards what follows
	err error      // why it could not be opened or read
	bad []int      // pieces, in no order
}

// span is some pieces of one file, or all of several small ones.
type span struct{ file, files, first, pieces int }

const (
	spanPieces = 16
	spanFiles  = 64
)

func (v *verifier) run(ctx context.Context, workers int) error {
	v.plan()
	group, ctx := errgroup.WithContext(ctx)
	for range workers {
		group.Go(func() error {
			var buf []byte
			for {
				n := v.next.Add(1) - 1
				if n >= int64(len(v.jobs)) {
					return nil
				}
				j := v.jobs[n]
				for i := j.file; i < j.file+j.files; i++ {
					f := v.files[i]
					first, count := j.first, j.pieces
					if j.files > 1 || j.pieces == 0 {
						first, count = 0, len(f.pieces)
					}
					if err := v.look(ctx, f, first, count, &buf); err != nil {
						return err
					}
				}
			}
		})
	}
	err := group.Wait()
	for _, f := range v.files {
		if f.in != nil {
			f.in.Close()
		}
	}
	return err
}

// plan cuts the files into jobs. An empty list of pieces is a job too: the file may be wrong for being there.
func (v *verifier) plan() {
	for i := 0; i < len(v.files); {
		f := v.files[i]
		if len(f.pieces) > spanPieces {
			for first := 0; first < len(f.pieces); first += spanPieces {
				f.left.Add(1)
				v.jobs = append(v.jobs, span{i, 1, first, min(spanPieces, len(f.pieces)-first)})
			}
			i++
			continue
		}
		j := span{file: i}
		for pieces := 0; i < len(v.files) && j.files < spanFiles; i++ {
			next := v.files[i]
			if pieces += len(next.pieces); j.files > 0 && pieces > spanPieces*4 || len(next.pieces) > spanPieces {
				break
			}
			next.left.Add(1)
			j.files++
		}
		v.jobs = append(v.jobs, j)
	}
}

// look hashes some pieces of a file.
func (v *verifier) look(ctx context.Context, f *suspect, first, count int, buf *[]byte) error {
	f.opening.Do(func() {
		in, err := f.open()
		if err == nil {
			f.in, f.began = in, time.Now()
			f.gen, err = generationOf(in)
		}
		f.fail(err)
	})
	data := int64(-1) // the disk has none from where the last piece ended up to here
	for i := first; i < first+count; i++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		piece := f.pieces[i]
		if !f.failed() {
			ok, err := v.piece(f, piece, &data, buf)
			if err != nil {
				f.fail(err)
			} else if !ok {
				f.mu.Lock()
				f.bad = append(f.bad, i)
				f.mu.Unlock()
				if v.wrong != nil {
					if err := v.wrong(f); err != nil {
						return err
					}
				}
			}
		}
		v.p.Bytes.Add(int64(v.tree.ChunkLen(piece.Chunk)))
	}
	if f.left.Add(-1) > 0 {
		return nil
	}
	v.p.Files.Add(1)
	err := v.ended(f, f.in)
	if f.in != nil {
		f.in.Close()
		f.in = nil
	}
	return err
}

// piece hashes one piece. A file that ends too early has bad pieces; one that cannot be read is an error.
func (v *verifier) piece(f *suspect, p content.Piece, data *int64, buf *[]byte) (bool, error) {
	n := v.tree.ChunkLen(p.Chunk)
	want := v.tree.Digest(p.Chunk)
	if v.holes && n > 0 {
		if *data <= p.Offset {
			*data = seekData(f.in, p.Offset, f.gen.size)
		}
		if *data >= p.Offset+int64(n) && p.Offset+int64(n) <= f.gen.size {
			return zeros(n) == want, nil
		}
	}
	if len(*buf) < n {
		*buf = make([]byte, max(n, content.ChunkSize))
	}
	b := (*buf)[:n]
	if _, err := f.in.ReadAt(b, p.Offset); err != nil && n > 0 {
		if errors.Is(err, io.EOF) {
			return false, nil
		}
		return false, err
	}
	_, err := content.Verify(want, b)
	return err == nil, nil
}

func (f *suspect) fail(err error) {
	if err != nil {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.err = err
	}
}

func (f *suspect) failed() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.err != nil
}

// racy says that a file that is right may have changed again without a trace.
func (f *suspect) racy(in *os.File) bool {
	return f.gen.racy(f.began, longTick) && f.gen.racy(f.began, tickOf(in))
}
