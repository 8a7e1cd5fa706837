package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/cockroachdb/pebble/v2"

	"github.com/shoal-p2p/shoal/content"
)

// ReadChunk fills buf with a chunk and returns its length in bytes; buf must be at least as long. The bytes are the chunk's:
// they come from a file that certainly is what it was when it was indexed, or they were hashed just now. Every place is tried
// before it gives up. ErrNotFound says that there is no place, ErrStale that no place has the bytes any more.
func (s *Store) ReadChunk(d content.Digest, buf []byte) (int, error) {
	known := false
	var last error
	for _, try := range [...]effort{certain, hashing, hopeless} {
		length := -1
		err := s.index.scan(placePrefix(d), func(k, v []byte) (bool, error) {
			p, err := parsePlace(k, v)
			if err != nil {
				return false, err
			}
			known = true
			if p.length > len(buf) {
				return false, io.ErrShortBuffer
			}
			switch err := s.readPlace(d, p, buf[:p.length], try); {
			case err == nil:
				length = p.length
			case !errors.Is(err, errOtherEffort):
				last = err
			}
			return length < 0, nil
		})
		switch {
		case err != nil:
			return 0, err
		case length >= 0:
			return length, nil
		case !known:
			return 0, fmt.Errorf("chunk: %w", ErrNotFound)
		}
	}
	return 0, fmt.Errorf("chunk: %w: %w", ErrStale, last)
}

// effort is how much to do for a place. A chunk's places are gone through once for each.
type effort int

const (
	certain  effort = iota // read where this process hashed before, and the generation says that it is the same since
	hashing                // read and hash elsewhere
	hopeless               // read and hash even in files that are known to have changed
)

var (
	errOtherEffort = errors.New("needs another effort")
	errWrongBytes  = errors.New("the content is not what was indexed")
)

// readPlace reads a chunk from one place, and notes down what it finds wrong there.
func (s *Store) readPlace(d content.Digest, p place, buf []byte, try effort) error {
	if (try == hopeless) != s.marked(p.file) {
		return errOtherEffort
	}
	row, err := s.file(p.file)
	if err != nil {
		return err
	}
	f, err := s.openFile(p.file, row)
	if err != nil {
		s.blame(p.file, err)
		return err
	}
	defer s.files.done(f)
	gen, err := generationOf(f.value)
	if err != nil {
		return err
	}
	if try == certain && (gen != row.gen || row.racy) {
		s.files.drop(p.file) // it may have been replaced: look by its name again
		return errOtherEffort
	}
	if try == certain && !s.hashed.has(p) {
		return errOtherEffort
	}
	if _, err := f.value.ReadAt(buf, p.offset); err != nil {
		s.files.drop(p.file)
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		s.blame(p.file, err)
		return err
	}
	if try == certain {
		if now, err := generationOf(f.value); err != nil || now != gen {
			return errOtherEffort
		}
		return nil
	}
	if _, err := content.Verify(d, buf); err != nil {
		s.setMark(p.file, mark{hash: gen.sameData(row.gen), reason: errWrongBytes.Error()})
		return errWrongBytes
	}
	if gen == row.gen {
		s.hashed.one(p, gen.size)
	}
	return nil
}

// file reads the row of a file.
func (s *Store) file(k fileKey) (fileRow, error) {
	v, err := s.index.get(k.row())
	if err == nil && v == nil {
		err = ErrNotFound
	}
	if err != nil {
		return fileRow{}, err
	}
	return parseFile(v)
}

// openFile opens a shared file, or finds it open. What lies at its path must be a regular file, and not another one unless it
// is clear by its name: a symbolic link is refused whatever it points to.
func (s *Store) openFile(k fileKey, row fileRow) (*handle[fileKey, *os.File], error) {
	return s.files.get(k, func() (*os.File, error) {
		f, err := s.openAt(k.holding, row)
		if errors.Is(err, fs.ErrNotExist) {
			s.dirs.drop(baseKey{k.holding, row.base}) // the whole directory may have been replaced
			f, err = s.openAt(k.holding, row)
		}
		return f, err
	})
}

func (s *Store) openAt(id holdingID, row fileRow) (*os.File, error) {
	dir, err := s.openBase(id, row.base)
	if err != nil {
		return nil, err
	}
	defer s.dirs.done(dir)
	return openUnlinked(dir.value, row)
}

// openUnlinked opens a file and, if it is not the indexed one, makes sure that no symbolic link led to it.
func openUnlinked(dir *os.Root, row fileRow) (*os.File, error) {
	f, err := openShared(dir, row.path)
	if err != nil {
		return nil, err
	}
	gen, err := generationOf(f)
	if err == nil && (gen.device != row.gen.device || gen.inode != row.gen.inode) {
		err = unlinked(dir, row.path)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// unlinked returns an error if any part of a path is a symbolic link.
func unlinked(dir *os.Root, path string) error {
	for p := path; p != "."; p = filepath.Dir(p) {
		info, err := dir.Lstat(p)
		if err != nil {
			return err
		}
		if info.Mode()&fs.ModeSymlink != 0 {
			return &fs.PathError{Op: "open", Path: p, Err: errKind(info.Mode())}
		}
	}
	return nil
}

// openBase opens the directory of a base, or finds it open.
func (s *Store) openBase(id holdingID, n int) (*handle[baseKey, *os.Root], error) {
	return s.dirs.get(baseKey{id, n}, func() (*os.Root, error) {
		h, ok := s.holding(id)
		if !ok || n >= len(h.Bases) {
			return nil, ErrNotFound
		}
		return os.OpenRoot(h.Bases[n].dir())
	})
}

func (s *Store) marked(k fileKey) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	_, ok := s.marks[k]
	return ok
}

// blame notes that a file could not be read, unless that was not its fault.
func (s *Store) blame(k fileKey, err error) {
	if !isShortage(err) {
		s.setMark(k, mark{reason: reason(err)})
	}
}

// setMark notes that a file is not what it was. Losing the note in a crash does no harm, so nothing waits for the disk.
func (s *Store) setMark(k fileKey, m mark) {
	s.mu.Lock()
	old, ok := s.marks[k]
	if _, held := s.holdings[k.holding]; !held || ok && old == m {
		s.mu.Unlock()
		return
	}
	s.marks[k] = m
	s.mu.Unlock()

	s.write.Lock()
	defer s.write.Unlock()
	if _, held := s.holding(k.holding); !held {
		return
	}
	b := s.index.db.NewBatch()
	defer b.Close()
	b.Set(k.mark(), m.value(), nil)
	s.index.apply(b, pebble.NoSync)
}

// reason is an error as a user reads it beside the path that it is about.
func reason(err error) string {
	var p *fs.PathError
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "is not there"
	case errors.Is(err, io.ErrUnexpectedEOF):
		return "is shorter than when it was indexed"
	case errors.As(err, &p):
		return p.Err.Error()
	}
	return err.Error()
}

// eachFile calls f with every file of a holding, in the order of their numbers.
func (s *Store) eachFile(id holdingID, f func(k fileKey, row fileRow) error) error {
	return s.index.scan(filePrefix(id), func(k, v []byte) (bool, error) {
		if len(k) != 1+4+4 {
			return false, errRow
		}
		row, err := parseFile(v)
		if err != nil {
			return false, err
		}
		return true, f(fileKey{id, binary.BigEndian.Uint32(k[5:])}, row)
	})
}
