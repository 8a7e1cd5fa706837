package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/shoal-p2p/shoal/content"
)

// errEdited is why a file is not repaired.
var errEdited = errors.New("a user changed or removed the file")

// Repair writes a good chunk into the fetched files of a tree where it broke. Shared files are never written to, nor are
// fetched ones that a user changed, by their size or time: the error is ErrNotFound if there is nothing else. A Check must
// follow, which finds out what the files are worth now.
func (s *Store) Repair(tree *content.Tree, n uint32, c content.Chunk) error {
	if int(n) >= tree.NumChunks() || tree.Digest(n) != c.Digest() || tree.ChunkLen(n) != len(c.Bytes()) {
		return fmt.Errorf("repair: %w", ErrLength)
	}
	last := error(ErrNotFound)
	done := false
	for _, h := range s.holdingsOf(tree.Root) {
		if h.Origin != Fetched {
			continue
		}
		for no := range tree.Len() {
			for _, p := range tree.Pieces(no) {
				if p.Chunk != n {
					continue
				}
				if err := s.repair(fileKey{h.ID, uint32(no)}, h, p.Offset, c); err != nil {
					last = err
				} else {
					done = true
				}
			}
		}
	}
	if !done {
		return fmt.Errorf("repair: %w", last)
	}
	return nil
}

// repair writes one piece of one file, if what is there is wrong.
func (s *Store) repair(k fileKey, h holding, off int64, c content.Chunk) error {
	s.write.Lock()
	defer s.write.Unlock()
	row, err := s.file(k)
	if err != nil {
		return err
	}
	dir, err := os.OpenRoot(h.Bases[row.base].dir())
	if err != nil {
		return err
	}
	defer dir.Close()
	if err := unlinked(dir, row.path); err != nil {
		return err
	}
	f, err := dir.OpenFile(row.path, os.O_RDWR|openFlags, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return &fs.PathError{Op: "repair", Path: row.path, Err: errKind(info.Mode())}
	}
	gen, err := generationOf(f)
	if err != nil {
		return err
	}
	if gen.size != row.gen.size || gen.mtime != row.gen.mtime {
		return errEdited
	}
	old := make([]byte, len(c.Bytes()))
	if _, err := f.ReadAt(old, off); err == nil {
		if _, err := content.Verify(c.Digest(), old); err == nil {
			return nil
		}
	}
	if _, err := f.WriteAt(c.Bytes(), off); err != nil {
		return diskError(err)
	}
	if err := syncFile(f); err != nil {
		return diskError(err)
	}
	if gen, err = generationOf(f); err != nil {
		return err
	}
	seen := row
	row.gen, row.racy = gen, true
	b := s.index.db.NewBatch()
	defer b.Close()
	if row != seen {
		b.Set(k.row(), row.value(), nil)
	}
	return s.index.commit(b)
}
