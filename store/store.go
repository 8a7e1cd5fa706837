package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/gofrs/flock"
	"github.com/ipfs/go-cid"

	"github.com/shoal-p2p/shoal/content"
	"github.com/shoal-p2p/shoal/store/fault"
)

// Config says where a store keeps its index. Home must be set and be a directory.
type Config struct {
	Home    string
	Workers int // that read and hash at a time; zero means one a core
}

// Store is the index of one home, and the way to the bytes that it knows of. Its methods may be called from many goroutines
// at once.
type Store struct {
	home    string // without symbolic links
	workers int
	lock    *flock.Flock
	index   *index

	write  sync.Mutex // held while the index changes, from reading what the change depends on to its commit
	closed bool       // guarded by write

	mu       sync.RWMutex // guards what follows, which is all in the index too
	holdings map[holdingID]holding
	marks    map[fileKey]mark
	listed   map[cid.Cid]struct{}
	access   map[cid.Cid]content.Access // of roots that not everybody may have
	aliases  map[cid.Cid]cid.Cid        // of private ones, to their roots

	dirs  *handles[baseKey, *os.Root]
	files *handles[fileKey, *os.File]
	trees *trees

	hashed *hashed

	downloads sync.Map // path of a part → nil: those that are being written

	// What tests replace.
	sync, syncAll func(*os.File) error
	folds         func(dir *os.Root, probe string) bool
	maxLoss       int64 // bytes of a download that a power cut may take
}

// baseKey names a base of a holding.
type baseKey struct {
	holding holdingID
	base    int
}

const (
	openFiles = 128
	openDirs  = 32
	openIdle  = 15 * time.Second
)

// Progress counts what a long operation has done, for others to look at while it runs. Check counts on from where it is, so
// that several checks can share one.
type Progress struct{ Bytes, Total, Files atomic.Int64 }

// Open opens the store in a home and keeps every other process out of it. If one is in already it returns a *LockedError
// within a second. Other errors: ErrCorrupt and ErrNewer, both without a change to the index.
func Open(c Config) (*Store, error) { return openOn(c, vfs.Default) }

func openOn(c Config, fsys vfs.FS) (*Store, error) {
	home, err := filepath.Abs(c.Home)
	if c.Home == "" {
		err = errors.New("home is not set")
	}
	if err == nil {
		home, err = filepath.EvalSymlinks(home)
	}
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	s := &Store{
		home: home, workers: c.Workers,
		holdings: make(map[holdingID]holding), marks: make(map[fileKey]mark), listed: make(map[cid.Cid]struct{}),
		access: make(map[cid.Cid]content.Access), aliases: make(map[cid.Cid]cid.Cid),
		dirs: newHandles[baseKey, *os.Root](openDirs, openIdle), files: newHandles[fileKey, *os.File](openFiles, openIdle),
		trees: newTrees(), hashed: newHashed(), sync: syncFile, syncAll: syncAll, folds: folds, maxLoss: syncBytes,
	}
	if s.workers <= 0 {
		s.workers = runtime.GOMAXPROCS(0)
	}
	if s.lock, err = lockHome(home); err != nil {
		return nil, err
	}
	if s.index, err = openIndex(home, fsys); err != nil {
		return nil, errors.Join(err, s.lock.Unlock())
	}
	if err := s.load(); err != nil {
		return nil, errors.Join(err, s.index.close(), s.lock.Unlock())
	}
	return s, nil
}

// load reads what is kept in memory: the holdings, what is known to be wrong, what is listed, and who may have what.
func (s *Store) load() error {
	err := s.index.scan([]byte{rowHolding}, func(k, v []byte) (bool, error) {
		h, err := parseHolding(k, v)
		s.holdings[h.ID] = h
		return true, err
	})
	if err != nil {
		return err
	}
	err = s.index.scan([]byte{rowMark}, func(k, v []byte) (bool, error) {
		key, m, err := parseMark(k, v)
		s.marks[key] = m
		return true, err
	})
	if err != nil {
		return err
	}
	err = s.index.scan([]byte{rowListed}, func(k, _ []byte) (bool, error) {
		root, err := content.DecodeCID(k[1:])
		if err != nil {
			return false, fmt.Errorf("%w: %w", errRow, err)
		}
		s.listed[root] = struct{}{}
		return true, nil
	})
	if err != nil {
		return err
	}
	return s.loadAccess()
}

// Close gives the home back. Nothing of the store may be in use. A second Close does nothing.
func (s *Store) Close() error {
	s.write.Lock()
	defer s.write.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	fault.Point("K14")
	s.files.close()
	s.dirs.close()
	s.trees.close()
	err := s.index.close()
	fault.Point("K14")
	return errors.Join(err, s.lock.Unlock())
}

// holding returns what is known of a holding.
func (s *Store) holding(id holdingID) (holding, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	h, ok := s.holdings[id]
	return h, ok
}

// holdingsOf returns every holding of a root, those whose files are there and the one that is only a tree.
func (s *Store) holdingsOf(root cid.Cid) []holding {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var out []holding
	for _, h := range s.holdings {
		if h.Root.Equals(root) {
			out = append(out, h)
		}
	}
	return out
}
