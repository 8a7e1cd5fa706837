package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/shoal-p2p/shoal/store/fault"
)

// schema is the layout of the rows. Another number in the home means another program; only a lower one can be converted.
const schema = 1

const (
	// The index is small and seldom read twice in the same place: what it may keep in memory is chosen for an idle node.
	indexCache    = 4 << 20 // bytes
	indexMemtable = 1 << 20 // bytes; larger batches go to the disk on their own
	// indexReserve must be free on the disk, beyond the batch itself, before one is written. Pebble cannot go on after a
	// log that it could not write.
	indexReserve = 8 << 20 // bytes
)

// index is the database of a home. Reads take no lock; writes are made one batch at a time by the Store.
type index struct {
	dir    string
	db     *pebble.DB
	cache  *pebble.Cache
	broken atomic.Pointer[error] // why nothing more is written
}

func openIndex(home string, fsys vfs.FS) (*index, error) {
	if err := checkSchema(home); err != nil {
		return nil, err
	}
	x := &index{dir: filepath.Join(home, "index"), cache: pebble.NewCache(indexCache)}
	options := &pebble.Options{
		FS:                         fsys,
		Cache:                      x.cache,
		MemTableSize:               indexMemtable,
		FormatMajorVersion:         pebble.FormatNewest,
		CompactionConcurrencyRange: func() (int, int) { return 1, 1 },
		MaxOpenFiles:               64,
		Logger:                     quiet{},
		EventListener:              events(),
	}
	db, err := guard(func() (*pebble.DB, error) { return pebble.Open(x.dir, options) })
	if err != nil {
		x.cache.Unref()
		return nil, x.explain("open", err)
	}
	x.db = db
	return x, nil
}

// events says what is done as the database tells of what it does: nothing, but for tests that end the process there.
func events() *pebble.EventListener {
	return &pebble.EventListener{
		DataCorruption:  func(pebble.DataCorruptionInfo) {},
		FlushBegin:      func(pebble.FlushInfo) { fault.Point("K13") },
		FlushEnd:        func(pebble.FlushInfo) { fault.Point("K13") },
		CompactionBegin: func(pebble.CompactionInfo) { fault.Point("K13") },
		CompactionEnd:   func(pebble.CompactionInfo) { fault.Point("K13") },
		TableCreated:    func(pebble.TableCreateInfo) { fault.Point("K13") },
		TableDeleted:    func(pebble.TableDeleteInfo) { fault.Point("K13") },
		ManifestCreated: func(pebble.ManifestCreateInfo) { fault.Point("K13") },
		WALCreated:      func(pebble.WALCreateInfo) { fault.Point("K13") },
		WALDeleted:      func(pebble.WALDeleteInfo) { fault.Point("K13") },
	}
}

// checkSchema reads, or for a new home writes, the number of the rows' layout. It stands in a file of its own because even
// opening a database writes to it.
func checkSchema(home string) error {
	path := filepath.Join(home, "index.schema")
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Lstat(filepath.Join(home, "index")); err == nil {
			return fmt.Errorf("%w: %s is missing; %s", ErrCorrupt, path, remedy(home))
		}
		return writeSynced(path, strconv.Itoa(schema)+"\n")
	}
	if err != nil {
		return fmt.Errorf("open index: %w", err)
	}
	version, err := strconv.Atoi(strings.TrimSpace(string(b)))
	switch {
	case err != nil || version < 1:
		return fmt.Errorf("%w: %s holds no version; %s", ErrCorrupt, path, remedy(home))
	case version > schema:
		return fmt.Errorf("%w: layout %d in %s, this program knows %d", ErrNewer, version, path, schema)
	}
	return nil
}

// writeSynced makes a file that is whole as soon as it has its name.
func writeSynced(path, text string) error {
	made := path + ".new"
	f, err := os.OpenFile(made, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("create index: %w", err)
	}
	fault.Point("K13")
	_, err = f.WriteString(text)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("create index: %w", err)
	}
	fault.Point("K13")
	if err := os.Rename(made, path); err != nil {
		return fmt.Errorf("create index: %w", err)
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return fmt.Errorf("create index: %w", err)
	}
	return errors.Join(syncDir(dir), dir.Close())
}

func remedy(home string) string {
	return fmt.Sprintf("remove %s and %s and share again (shared files and the node's identity are not touched by this)",
		filepath.Join(home, "index"), filepath.Join(home, "index.schema"))
}

func (x *index) close() error {
	if err := x.broken.Load(); err != nil {
		// Closing would flush through a log that failed: leave everything to the next start.
		return *err
	}
	_, err := guard(func() (any, error) { return nil, x.db.Close() })
	x.cache.Unref()
	return err
}

// get returns a copy of a row, or nil if there is none.
func (x *index) get(key []byte) ([]byte, error) {
	v, closer, err := x.db.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, x.explain("read", err)
	}
	defer closer.Close()
	return append(make([]byte, 0, len(v)), v...), nil
}

// scan calls f with every row whose key begins with prefix, in order, until f returns false. f must copy what it keeps.
func (x *index) scan(prefix []byte, f func(key, value []byte) (bool, error)) error {
	it, err := x.db.NewIter(&pebble.IterOptions{LowerBound: prefix, UpperBound: after(prefix)})
	if err != nil {
		return x.explain("read", err)
	}
	defer it.Close()
	for ok := it.First(); ok; ok = it.Next() {
		v, err := it.ValueAndErr()
		if err != nil {
			return x.explain("read", err)
		}
		if more, err := f(it.Key(), v); err != nil || !more {
			return err
		}
	}
	if err := it.Error(); err != nil {
		return x.explain("read", err)
	}
	return nil
}

// after is the first key beyond those that begin with prefix.
func after(prefix []byte) []byte {
	end := append([]byte(nil), prefix...)
	for i := len(end) - 1; i >= 0; i-- {
		if end[i]++; end[i] != 0 {
			return end[:i+1]
		}
	}
	return nil
}

// commit writes a batch and waits until the disk has it.
func (x *index) commit(b *pebble.Batch) error { return x.apply(b, pebble.Sync) }

func (x *index) apply(b *pebble.Batch, how *pebble.WriteOptions) error {
	return x.write(int64(b.Len()), func() error { return b.Commit(how) })
}

// write lets do write so many bytes, if the disk has room for them and the database is sound.
func (x *index) write(bytes int64, do func() error) error {
	if err := x.broken.Load(); err != nil {
		return *err
	}
	if free, err := freeSpace(x.dir); err == nil && free.available < 2*bytes+indexReserve {
		return fmt.Errorf("write index: %w: %d MiB are free at %s", ErrNoSpace, free.available>>20, x.dir)
	}
	_, err := guard(func() (any, error) { return nil, do() })
	if err != nil {
		err = x.explain("write", err)
		x.broken.CompareAndSwap(nil, &err)
	}
	return err
}

// explain adds to an error of the database what a user can do about it.
func (x *index) explain(op string, err error) error {
	var missing *fs.PathError
	switch {
	case pebble.IsCorruptionError(err), errors.Is(err, errFatal), errors.As(err, &missing) && errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%s index: %w: %w; %s", op, ErrCorrupt, err, remedy(filepath.Dir(x.dir)))
	}
	return fmt.Errorf("%s index: %w", op, err)
}

// errFatal is an error that Pebble would end the process for.
var errFatal = errors.New("index cannot go on")

// guard turns what Pebble can only say by dying into an error, as far as it happens in the caller's goroutine.
func guard[T any](f func() (T, error)) (v T, err error) {
	defer func() {
		switch p := recover().(type) {
		case nil:
		case runtime.Error:
			err = fmt.Errorf("%w: %w", errFatal, p)
		case error:
			err = fmt.Errorf("%w: %w", errFatal, p)
		default:
			err = fmt.Errorf("%w: %v", errFatal, p)
		}
	}()
	return f()
}

// quiet is a logger that says nothing and dies by panicking, which guard catches.
type quiet struct{}

func (quiet) Infof(string, ...any)  {}
func (quiet) Errorf(string, ...any) {}
func (quiet) Fatalf(format string, args ...any) {
	for _, a := range args {
		if err, ok := a.(error); ok {
			panic(fmt.Errorf(strings.ReplaceAll(format, "%v", "%w"), err))
		}
	}
	panic(fmt.Errorf(format, args...))
}

func (quiet) Eventf(context.Context, string, ...any) {}
func (quiet) IsTracingEnabled(context.Context) bool  { return false }
