package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/shoal-p2p/shoal/content"
	"github.com/shoal-p2p/shoal/store/fault"
)

const (
	spanChunks = 16        // of one large file that a worker hashes before it looks for other work
	batchFiles = 64        // small files of one directory that a worker takes at a time
	stepBytes  = 4 << 20   // between two looks at whether to stop
	hashTries  = 3         // for a file that changes while it is being read
	hashBuffer = 256 << 10 // bytes: what was read is still in the core's cache when it is hashed
)

var errChanging = errors.New("it changed while it was being read")

// job is what a worker takes at a time: some small files of one directory, or a span of a large one.
type job struct {
	dir   string // of the small files, absolute
	files []*regular
	large *large
	first int // chunk
}

// large is a file of several spans, which workers hash together.
type large struct {
	*regular
	dir  string // absolute
	left atomic.Int32

	open   sync.Once
	file   *os.File
	gen    generation
	now    time.Time
	tick   time.Duration
	failed atomic.Pointer[error]
}

// hasher hashes files on all cores, each chunk once.
type hasher struct {
	jobs  []job
	next  atomic.Int64
	p     *Progress
	known func(dir *os.Root, path string, f *regular) bool // fills in a file of a directory that need not be read; may be nil
}

// plan cuts what a scan found into jobs.
func (h *hasher) plan(sources []*source) {
	for _, s := range sources {
		if s.file != nil {
			h.add(s.base.dir(), []*regular{s.file})
		} else {
			h.walk(s.base.Path, s.tree)
		}
	}
}

func (h *hasher) walk(base string, d *directory) {
	h.add(filepath.Join(base, d.path), d.files)
	for _, sub := range d.dirs {
		h.walk(base, sub)
	}
}

func (h *hasher) add(dir string, files []*regular) {
	const most = spanChunks * content.ChunkSize
	first, bytes := 0, int64(0)
	cut := func(end int) {
		if end > first {
			h.jobs = append(h.jobs, job{dir: dir, files: files[first:end]})
		}
		first, bytes = end, 0
	}
	for i, f := range files {
		if f.size > most {
			cut(i)
			first = i + 1
			h.addLarge(dir, f)
			continue
		}
		if bytes += f.size; bytes > most || i-first >= batchFiles {
			cut(i)
			bytes = f.size
		}
	}
	cut(len(files))
}

func (h *hasher) addLarge(dir string, f *regular) {
	l := &large{regular: f, dir: dir}
	chunks := content.ChunkCount(f.size)
	f.pieces = make([]content.Digest, chunks)
	for first := 0; first < chunks; first += spanChunks {
		l.left.Add(1)
		h.jobs = append(h.jobs, job{large: l, first: first})
	}
}

// run works through the jobs. What is wrong with a file is noted there; only a cancelled context is an error.
func (h *hasher) run(ctx context.Context, workers int) error {
	group, ctx := errgroup.WithContext(ctx)
	for range workers {
		group.Go(func() error {
			buf := make([]byte, hashBuffer)
			for {
				n := h.next.Add(1) - 1
				if n >= int64(len(h.jobs)) {
					return nil
				}
				if err := ctx.Err(); err != nil {
					return err
				}
				j := &h.jobs[n]
				if j.large != nil {
					h.span(ctx, j.large, j.first, buf)
				} else {
					h.small(ctx, j, buf)
				}
			}
		})
	}
	err := group.Wait()
	for _, j := range h.jobs {
		if j.large != nil && j.large.file != nil {
			j.large.file.Close()
		}
	}
	return err
}

// small hashes the files of one directory.
func (h *hasher) small(ctx context.Context, j *job, buf []byte) {
	dir, err := os.OpenRoot(j.dir)
	if err != nil {
		for _, f := range j.files {
			f.failed = err
		}
		return
	}
	defer dir.Close()
	for _, f := range j.files {
		if ctx.Err() != nil {
			return
		}
		if h.known == nil || !h.known(dir, j.dir, f) {
			h.whole(ctx, dir, f, buf)
		}
		h.p.Files.Add(1)
	}
}

// whole hashes one file in one goroutine, again if it changes meanwhile.
func (h *hasher) whole(ctx context.Context, dir *os.Root, f *regular, buf []byte) {
	for range hashTries {
		if f.failed = h.once(ctx, dir, f, buf); !errors.Is(f.failed, errChanging) {
			return
		}
	}
}

func (h *hasher) once(ctx context.Context, dir *os.Root, f *regular, buf []byte) error {
	in, err := openShared(dir, f.name())
	if err != nil {
		return err
	}
	defer in.Close()
	gen, now, tick, err := calm(in)
	if err != nil {
		return err
	}
	leaves := make([]content.Digest, content.ChunkCount(gen.size))
	if err := h.read(ctx, in, gen.size, 0, leaves, buf); err != nil {
		return err
	}
	return f.finish(in, gen, gen.racy(now, tick), leaves)
}

// calm returns a file's generation at a moment when later changes will show in it, as far as that can be had by waiting a
// little.
func calm(f *os.File) (gen generation, now time.Time, tick time.Duration, err error) {
	gen, err = generationOf(f)
	if err != nil {
		return gen, now, 0, err
	}
	now, tick = time.Now(), shortTick
	if gen.racy(now, longTick) { // the common file is older than every tick, and need not be asked for its own
		if tick = tickOf(f); gen.racy(now, tick) {
			now = settle(gen, tick)
			gen, err = generationOf(f)
		}
	}
	return gen, now, tick, err
}

// finish makes the file's tree, if it is still what it was before it was read.
func (f *regular) finish(in *os.File, gen generation, racy bool, leaves []content.Digest) error {
	now, err := generationOf(in)
	if err != nil {
		return err
	}
	if now != gen {
		return errChanging
	}
	if f.made, err = content.MakeFile(gen.size, leaves); err != nil {
		return err
	}
	f.gen, f.racy, f.size = gen, racy, gen.size
	return nil
}

// read hashes the chunks of a file from first on into out.
func (h *hasher) read(ctx context.Context, in *os.File, size int64, first int, out []content.Digest, buf []byte) error {
	holes, err := newHoles(in, size)
	if err != nil {
		return err
	}
	const step = stepBytes / content.ChunkSize
	for len(out) > 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		n := holes.skip(first, out)
		if n == 0 {
			n = min(step, len(out))
			if holes.sparse {
				n = 1
			}
			err := content.HashSpan(in, size, first, n, out[:n], buf)
			switch {
			case errors.Is(err, io.ErrUnexpectedEOF):
				return errChanging
			case err != nil:
				return err
			}
		}
		h.p.Bytes.Add(min(int64(n)*content.ChunkSize, size-int64(first)*content.ChunkSize))
		first, out = first+n, out[n:]
		fault.Point("K2")
	}
	return nil
}

// span hashes one span of a large file. Whoever does the last one ends the file.
func (h *hasher) span(ctx context.Context, l *large, first int, buf []byte) {
	l.open.Do(func() { l.fail(h.begin(l)) })
	if l.failed.Load() == nil && !l.done() {
		end := min(first+spanChunks, len(l.pieces))
		l.fail(h.read(ctx, l.file, l.gen.size, first, l.pieces[first:end], buf))
	}
	if l.left.Add(-1) > 0 {
		return
	}
	h.p.Files.Add(1)
	if l.done() {
		return
	}
	err := error(nil)
	if p := l.failed.Load(); p != nil {
		err = *p
	} else {
		err = l.finish(l.file, l.gen, l.gen.racy(l.now, l.tick), l.pieces)
	}
	l.pieces = nil
	if l.file != nil {
		l.file.Close()
		l.file = nil
	}
	if l.regular.failed = err; errors.Is(err, errChanging) {
		h.again(ctx, l, buf)
	}
}

// done says that the file was known and needs no reading.
func (l *large) done() bool { return l.made.CID.Defined() }

func (l *large) fail(err error) {
	if err != nil {
		l.failed.CompareAndSwap(nil, &err)
	}
}

func (h *hasher) begin(l *large) error {
	dir, err := os.OpenRoot(l.dir)
	if err != nil {
		return err
	}
	defer dir.Close()
	if h.known != nil && h.known(dir, l.dir, l.regular) {
		return nil
	}
	in, err := openShared(dir, l.name())
	if err != nil {
		return err
	}
	l.file = in
	if l.gen, l.now, l.tick, err = calm(in); err != nil {
		return err
	}
	if content.ChunkCount(l.gen.size) != len(l.pieces) {
		return errChanging
	}
	return nil
}

// again hashes a large file that changed from the start, with nobody's help.
func (h *hasher) again(ctx context.Context, l *large, buf []byte) {
	dir, err := os.OpenRoot(l.dir)
	if err != nil {
		l.regular.failed = err
		return
	}
	defer dir.Close()
	h.whole(ctx, dir, l.regular, buf)
}

// holes lets a reader pass over what the disk has no data for.
type holes struct {
	file   *os.File
	size   int64
	sparse bool
	data   int64 // there is none from where the reader is up to here
}

func newHoles(f *os.File, size int64) (holes, error) {
	h := holes{file: f, size: size}
	if size < content.ChunkSize {
		return h, nil
	}
	info, err := f.Stat()
	h.sparse = err == nil && sparse(info)
	return h, err
}

// skip fills in the digests of the chunks from first on that are nothing but hole, and returns how many these are.
func (h *holes) skip(first int, out []content.Digest) int {
	if !h.sparse {
		return 0
	}
	start := int64(first) * content.ChunkSize
	if h.data <= start {
		h.data = seekData(h.file, start, h.size)
	}
	n := 0
	for n < len(out) {
		end := min(start+content.ChunkSize, h.size)
		if h.data < end {
			break
		}
		out[n] = zeros(int(end - start))
		n++
		start = end
	}
	return n
}

// zeros is the digest of so many zero bytes.
func zeros(n int) content.Digest {
	if n == content.ChunkSize {
		return zeroChunk()
	}
	return content.Seal(make([]byte, n)).Digest()
}

var zeroChunk = sync.OnceValue(func() content.Digest {
	return content.Seal(make([]byte, content.ChunkSize)).Digest()
})

// failure is why a file was left out, as a user reads it.
func (f *regular) failure() string {
	if f.failed == nil {
		return ""
	}
	return fmt.Sprint(reason(f.failed))
}
