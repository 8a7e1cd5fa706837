package store

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/shoal-p2p/shoal/content"
	"github.com/shoal-p2p/shoal/store/fault"
)

// Download is one selection of a tree on its way to its destination. Put, ReadChunk, Wanted and Present may be called from
// many goroutines at once.
type Download struct {
	s     *Store
	tree  *content.Tree
	entry int     // of the tree: what is fetched
	root  cid.Cid // of that
	isDir bool
	force bool

	path      string // of the destination, absolute and without symbolic links up to its directory
	name      string // the last part of it
	stage     string // name of the part, beside it
	key       string // of the part among the store's downloads; "" if there is none
	parent    *os.Root
	parentDir *os.File
	final     *os.Root // the destination, if it is a directory that was there before
	merge     bool     // files of the tree go into final one by one

	part      *os.File // of a single file
	staged    *os.Root // of a directory
	stagedDir *os.File

	targets []target
	dirs    []string // to make, parents first; the first is "."
	skipped []Skipped
	first   []uint32 // by chunk: where its spots begin in spots
	spots   []spot
	left    []uint32 // by chunk, while the download begins: its pieces that were not found
	size    int64    // bytes of the selected chunks

	openDirs  *handles[int, *os.Root]
	openFiles *handles[int, *os.File]

	using sync.RWMutex // held for reading while a chunk is written or read, for writing to close

	mu       sync.Mutex // guards what follows
	selected *content.Set
	have     *content.Set
	complete bool // it was all there before
	closed   bool
	gone     bool      // the part is closed
	failed   error     // of a sync: nothing that was written since the start is certain any more
	ending   bool      // Commit is at work
	dirty    int64     // bytes written and not yet synced
	last     time.Time // of a write
	timer    *time.Timer
	syncing  sync.WaitGroup
	busy     chan struct{} // closed when the sync that is under way ends; nil if none is
}

const (
	syncBytes = 64 << 20        // that may be lost in a power cut: half being synced, half waiting for that
	syncEvery = 5 * time.Second // of work that a slow download may lose
)

// Skipped lists what of the tree is not made on this system, and why. Paths are those of the tree.
func (d *Download) Skipped() []Skipped { return d.skipped }

// Size is the length of all selected chunks in bytes, each counted once.
func (d *Download) Size() int64 { return d.size }

// Wanted returns the chunks that are still missing.
func (d *Download) Wanted() *content.Set {
	d.mu.Lock()
	defer d.mu.Unlock()
	out := content.NewSet(d.selected.Len())
	for n := d.selected.NextSet(0); n >= 0; n = d.selected.NextSet(n + 1) {
		if !d.have.Has(n) {
			out.Add(n)
		}
	}
	return out
}

// Present returns the chunks that are there.
func (d *Download) Present() *content.Set {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.have.Clone()
}

func (d *Download) has(n uint32) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.have.Has(int(n))
}

// Put writes a chunk to every place where it belongs. One that is there already is no error. Errors: ErrLength if the tree
// claims another length for it; ErrNoSpace if the disk is full; ErrNotFound if the chunk is not in the selection; ErrClosed.
func (d *Download) Put(n uint32, c content.Chunk) error {
	d.using.RLock()
	defer d.using.RUnlock()
	if err := d.usable(); err != nil {
		return err
	}
	switch {
	case int(n) >= d.selected.Len() || !d.selected.Has(int(n)):
		return fmt.Errorf("put chunk %d: %w", n, ErrNotFound)
	case c.Digest() != d.tree.Digest(n):
		return fmt.Errorf("put chunk %d: %w", n, content.ErrMismatch)
	case len(c.Bytes()) != d.tree.ChunkLen(n):
		return fmt.Errorf("put chunk %d: %w", n, ErrLength)
	case d.has(n):
		return nil
	}
	written := 0
	for _, at := range d.spotsOf(n) {
		t := &d.targets[at.target]
		if t.final {
			continue
		}
		if err := d.write(int(at.target), t, at.offset, c.Bytes()); err != nil {
			return fmt.Errorf("put chunk %d: %w", n, diskError(err))
		}
		written += len(c.Bytes())
	}
	fault.Point("K7")
	d.mu.Lock()
	d.have.Add(int(n))
	d.mu.Unlock()
	fault.Point("K8")
	d.wrote(written)
	return nil
}

func (d *Download) usable() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed || d.gone {
		return ErrClosed
	}
	return d.failed
}

// write puts one piece into a file.
func (d *Download) write(i int, t *target, off int64, data []byte) error {
	if d.part != nil {
		_, err := fault.WriteAt(d.part, data, off, "K6")
		return err
	}
	if t.single {
		return d.writeWhole(t, data)
	}
	f, err := d.openFiles.get(i, func() (*os.File, error) { return d.create(t) })
	if err != nil {
		return err
	}
	defer d.openFiles.done(f)
	_, err = fault.WriteAt(f.value, data, off, "K6")
	return err
}

// inDir calls f with the directory that a target lies in.
func (d *Download) inDir(n int, f func(dir *os.Root) error) error {
	dir, err := d.openDirs.get(n, func() (*os.Root, error) { return d.staged.OpenRoot(d.dirs[n]) })
	if err != nil {
		return err
	}
	defer d.openDirs.done(dir)
	return f(dir.value)
}

// writeWhole makes a file of one chunk.
func (d *Download) writeWhole(t *target, data []byte) error {
	return d.inDir(t.dir, func(dir *os.Root) error {
		f, err := openNew(dir, filepath.Base(t.path), os.O_WRONLY)
		if err != nil {
			return err
		}
		fault.Point("K5")
		_, err = fault.WriteAt(f, data, 0, "K6")
		return errors.Join(err, f.Close())
	})
}

// create makes or opens a file of several chunks, with its full length.
func (d *Download) create(t *target) (file *os.File, err error) {
	err = d.inDir(t.dir, func(dir *os.Root) error {
		f, err := openNew(dir, filepath.Base(t.path), os.O_RDWR)
		if err != nil {
			return err
		}
		fault.Point("K5")
		makeSparse(f)
		if err := f.Truncate(t.size); err != nil {
			f.Close()
			return err
		}
		file = f
		return nil
	})
	return file, err
}

// openNew makes a file, or opens what a former attempt, or a concurrent Put of the same chunk, left under its name.
func openNew(dir *os.Root, name string, how int) (*os.File, error) {
	f, err := dir.OpenFile(name, how|os.O_CREATE|os.O_EXCL|openFlags, 0o666)
	if !errors.Is(err, fs.ErrExist) {
		return f, err
	}
	before, err := dir.Lstat(name)
	if err != nil {
		return nil, err
	}
	if n, _ := links(before); !before.Mode().IsRegular() || n != 1 {
		return nil, &fs.PathError{Op: "write", Path: name, Err: errForeign}
	}
	if f, err = dir.OpenFile(name, how|openFlags, 0); err != nil {
		return nil, err
	}
	if info, err := f.Stat(); err != nil || !os.SameFile(before, info) {
		f.Close()
		return nil, &fs.PathError{Op: "write", Path: name, Err: errForeign}
	}
	return f, nil
}

var errForeign = errors.New("somebody else put something in its place")

// ReadChunk fills buf, which must be long enough, with a chunk that is present, and returns its length. It is read from the
// disk and hashed. ErrNotFound says that it is not here, or not any more.
func (d *Download) ReadChunk(n uint32, buf []byte) (int, error) {
	d.using.RLock()
	defer d.using.RUnlock()
	if d.usable() != nil || int(n) >= d.tree.NumChunks() || !d.has(n) {
		return 0, fmt.Errorf("chunk %d: %w", n, ErrNotFound)
	}
	return d.readHeld(n, buf)
}

// readHeld reads and hashes a chunk that is present.
func (d *Download) readHeld(n uint32, buf []byte) (int, error) {
	length := d.tree.ChunkLen(n)
	if len(buf) < length {
		return 0, fmt.Errorf("chunk %d: %w", n, io.ErrShortBuffer)
	}
	var last error
	for _, at := range d.spotsOf(n) {
		if last = d.read(int(at.target), at.offset, buf[:length]); last != nil {
			continue
		}
		if _, last = content.Verify(d.tree.Digest(n), buf[:length]); last == nil {
			return length, nil
		}
	}
	d.mu.Lock() // somebody took it away: it has to be fetched again
	d.have.Remove(int(n))
	d.mu.Unlock()
	return 0, fmt.Errorf("chunk %d: %w: %w", n, ErrNotFound, last)
}

// read fills buf from one file of the download.
func (d *Download) read(i int, off int64, buf []byte) error {
	t := &d.targets[i]
	switch {
	case d.part != nil:
		return readFull(d.part, buf, off)
	case t.final:
		dir := d.final
		if dir == nil {
			dir = d.parent
		}
		return readAt(dir, t.path, buf, off)
	case t.single:
		return d.inDir(t.dir, func(dir *os.Root) error { return readAt(dir, filepath.Base(t.path), buf, off) })
	}
	f, err := d.openFiles.get(i, func() (*os.File, error) { return d.create(t) })
	if err != nil {
		return err
	}
	defer d.openFiles.done(f)
	return readFull(f.value, buf, off)
}

func readAt(dir *os.Root, path string, buf []byte, off int64) error {
	f, err := openShared(dir, path)
	if err != nil {
		return err
	}
	defer f.Close()
	return readFull(f, buf, off)
}

func readFull(f *os.File, buf []byte, off int64) error {
	if len(buf) == 0 {
		return nil
	}
	_, err := f.ReadAt(buf, off)
	return err
}

// wrote counts what a power cut could take, and when that is too much it waits for the disk.
func (d *Download) wrote(n int) {
	now := time.Now()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.dirty += int64(n)
	d.last = now
	d.schedule()
	for d.busy != nil && d.dirty >= d.s.maxLoss/2 && !d.closed {
		synced := d.busy
		d.mu.Unlock()
		<-synced
		d.mu.Lock()
	}
}

// schedule has what was written go to the disk when that is much, or in a while. The caller holds d.mu.
func (d *Download) schedule() {
	switch {
	case d.closed || d.ending || d.busy != nil || d.dirty == 0:
	case d.dirty >= d.s.maxLoss/2:
		d.startSync()
	case d.timer == nil:
		d.timer = time.AfterFunc(syncEvery, func() {
			d.mu.Lock()
			defer d.mu.Unlock()
			d.timer = nil
			if !d.closed && !d.ending && d.busy == nil && d.dirty > 0 {
				d.startSync()
			}
		})
	}
}

// startSync writes everything to the disk in the background. The caller holds d.mu; only one runs at a time.
func (d *Download) startSync() {
	synced := make(chan struct{})
	d.busy, d.dirty = synced, 0
	d.syncing.Go(func() {
		defer close(synced)
		err := d.sync(false)
		d.mu.Lock()
		defer d.mu.Unlock()
		d.busy = nil
		if err != nil && d.failed == nil {
			d.failed = err
		}
		d.schedule()
	})
}

// Close gives up what is open, and leaves the unfinished part where it is, so that the next attempt can go on with it.
func (d *Download) Close() error {
	d.mu.Lock()
	if d.closed {
		d.mu.Unlock()
		return nil
	}
	d.closed = true
	if d.timer != nil {
		d.timer.Stop()
	}
	d.mu.Unlock()
	d.syncing.Wait()
	return d.release()
}

// letGo closes the part. Nothing can be read from it any more.
func (d *Download) letGo() error {
	d.using.Lock()
	defer d.using.Unlock()
	d.mu.Lock()
	d.gone = true
	d.mu.Unlock()
	if d.openDirs != nil {
		d.openFiles.close()
		d.openDirs.close()
	}
	var errs []error
	for _, f := range []*os.File{d.part, d.stagedDir} {
		if f != nil {
			errs = append(errs, f.Close())
		}
	}
	if d.staged != nil {
		errs = append(errs, d.staged.Close())
	}
	d.part, d.stagedDir, d.staged = nil, nil, nil
	return errors.Join(errs...)
}

// release closes everything that is open.
func (d *Download) release() error {
	errs := []error{d.letGo()}
	if d.parentDir != nil {
		errs = append(errs, d.parentDir.Close())
	}
	for _, r := range []*os.Root{d.final, d.parent} {
		if r != nil {
			errs = append(errs, r.Close())
		}
	}
	if d.key != "" {
		d.s.downloads.Delete(d.key)
	}
	return errors.Join(errs...)
}
