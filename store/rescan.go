package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"golang.org/x/sync/errgroup"
)

const (
	errChanged = "was changed after it was indexed"
	errGone    = "is not there any more"
)

// Rescan looks at every indexed file, without reading any, and notes which are not what they were. A file that was renamed or
// moved within what was shared is found by its inode. What cannot be looked at, because its disk is not there, is paused: it
// counts as stale until it is back, and is forgotten never.
func (s *Store) Rescan(ctx context.Context) error {
	s.mu.RLock()
	all := make([]holding, 0, len(s.holdings))
	for _, h := range s.holdings {
		all = append(all, h)
	}
	s.mu.RUnlock()
	for _, h := range all {
		if h.Origin == pending {
			if err := s.expire(h); err != nil {
				return fmt.Errorf("rescan: %w", err)
			}
			continue
		}
		if err := s.rescan(ctx, h); err != nil {
			return fmt.Errorf("rescan %s: %w", h.Root, err)
		}
	}
	return nil
}

// expire removes the tree of a download that nobody went on with for long.
func (s *Store) expire(h holding) error {
	if time.Since(h.Added) < pendingLife {
		return nil
	}
	s.write.Lock()
	defer s.write.Unlock()
	if now, ok := s.holding(h.ID); !ok || now.Origin != pending || !now.Added.Equal(h.Added) {
		return nil
	}
	return s.remove(h)
}

// rescan looks at the files of one holding.
func (s *Store) rescan(ctx context.Context, h holding) error {
	h.Bases = slices.Clone(h.Bases)
	r := &rescanning{s: s, h: h, dirs: make([]*os.Root, len(h.Bases))}
	defer r.close()
	for i := range h.Bases {
		if err := r.enter(i); err != nil {
			return err
		}
	}
	var group []checked
	flush := func() error {
		err := r.look(ctx, group)
		group = group[:0]
		return err
	}
	err := s.eachFile(h.ID, func(k fileKey, row fileRow) error {
		if row.base >= len(h.Bases) {
			return errRow
		}
		if r.dirs[row.base] == nil {
			return nil
		}
		if group = append(group, checked{key: k, row: row}); len(group) < rescanGroup {
			return nil
		}
		return flush()
	})
	if err == nil {
		err = flush()
	}
	if err == nil {
		err = r.find(ctx)
	}
	if err != nil {
		return err
	}
	return s.record(r.changes)
}

// rescanGroup is how many files are looked at between two looks at the index.
const rescanGroup = 4096

// rescanning is the rescan of one holding.
type rescanning struct {
	s       *Store
	h       holding
	dirs    []*os.Root // nil where a base is not there
	lost    []checked  // files that are not what they were at their place
	changes []change
}

func (r *rescanning) close() {
	for _, d := range r.dirs {
		if d != nil {
			d.Close()
		}
	}
}

// enter opens the directory of a base. If it was renamed it is looked for beside its old place; if it is not there, or is
// the empty place where a disk belongs, the base is marked and its files are left alone.
func (r *rescanning) enter(i int) error {
	b := r.h.Bases[i]
	key := fileKey{r.h.ID, uint32(i) | baseMark}
	dir, err := os.OpenRoot(b.dir())
	if errors.Is(err, fs.ErrNotExist) && b.Dir {
		if moved := sibling(b); moved != "" {
			if err := r.s.moveBase(r.h.ID, i, moved); err != nil {
				return err
			}
			r.h.Bases[i].Path = moved
			dir, err = os.OpenRoot(moved)
		}
	}
	if err == nil && b.Dir && unmounted(dir, b) {
		dir.Close()
		err = errors.New("is empty: the disk that belongs here is not mounted")
	}
	if isShortage(err) {
		return err
	}
	if err != nil {
		r.changes = append(r.changes, change{key: key, mark: &mark{reason: reason(err)}})
		return nil
	}
	r.dirs[i] = dir
	r.changes = append(r.changes, change{key: key})
	return nil
}

// sibling finds a directory that was renamed beside its old place.
func sibling(b base) string {
	above, err := os.OpenRoot(filepath.Dir(b.Path))
	if err != nil {
		return ""
	}
	defer above.Close()
	entries, err := readDir(above)
	if err != nil {
		return ""
	}
	for _, e := range entries {
		if !e.IsDir() {
			continue
		}
		dir, err := above.OpenRoot(e.Name())
		if err != nil {
			continue
		}
		device, inode, err := identify(dir)
		dir.Close()
		if err == nil && device == b.device && inode == b.inode {
			return filepath.Join(filepath.Dir(b.Path), e.Name())
		}
	}
	return ""
}

// unmounted says that a directory is another one than it was, and empty.
func unmounted(dir *os.Root, b base) bool {
	device, inode, err := identify(dir)
	if err != nil || device == b.device && inode == b.inode {
		return false
	}
	f, err := dir.Open(".")
	if err != nil {
		return false
	}
	defer f.Close()
	_, err = f.ReadDir(1)
	return errors.Is(err, io.EOF)
}

// look compares files with what they were.
func (r *rescanning) look(ctx context.Context, files []checked) error {
	lost := make([]bool, len(files))
	group, ctx := errgroup.WithContext(ctx)
	each := len(files)/r.s.workers + 1
	for first := 0; first < len(files); first += each {
		part := files[first:min(first+each, len(files))]
		group.Go(func() error {
			var near nearby
			defer near.close()
			for i, f := range part {
				if err := ctx.Err(); err != nil {
					return err
				}
				gen, mode, err := near.generation(r.dirs[f.row.base], f.row.base, f.row.path)
				if isShortage(err) {
					return err
				}
				lost[first+i] = err != nil || !mode.IsRegular() || !gen.sameData(f.row.gen)
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	for i, f := range files {
		if lost[i] {
			r.lost = append(r.lost, f)
		} else if r.s.marked(f.key) {
			r.changes = append(r.changes, change{key: f.key, old: f.row, row: f.row})
		}
	}
	return nil
}

// nearby keeps the directory of the last file open, because the next one mostly lies in it too.
type nearby struct {
	base int
	path string
	dir  *os.Root
}

func (n *nearby) close() {
	if n.dir != nil {
		n.dir.Close()
	}
}

func (n *nearby) generation(root *os.Root, base int, path string) (generation, fs.FileMode, error) {
	parent := filepath.Dir(path)
	if parent == "." {
		return generationAt(root, path)
	}
	if n.dir == nil || n.base != base || n.path != parent {
		n.close()
		n.dir = nil
		dir, err := root.OpenRoot(parent)
		if err != nil {
			return generation{}, 0, err
		}
		n.dir, n.base, n.path = dir, base, parent
	}
	return generationAt(n.dir, filepath.Base(path))
}

// find looks for lost files by their inodes, and settles what is to be said of each.
func (r *rescanning) find(ctx context.Context) error {
	byBase := make(map[int]map[inode]string)
	for _, f := range r.lost {
		if byBase[f.row.base] == nil {
			byBase[f.row.base] = make(map[inode]string)
		}
		byBase[f.row.base][inode{f.row.gen.device, f.row.gen.inode}] = ""
	}
	for i, wanted := range byBase {
		if err := search(ctx, r.dirs[i], ".", r.h.Bases[i].Dir, wanted); err != nil {
			return err
		}
	}
	for _, f := range r.lost {
		c := change{key: f.key, old: f.row, row: f.row}
		at := byBase[f.row.base][inode{f.row.gen.device, f.row.gen.inode}]
		if gen, mode, err := generationAt(r.dirs[f.row.base], cmp.Or(at, f.row.path)); at != "" && err == nil && mode.IsRegular() && gen.sameData(f.row.gen) {
			c.row.path = at
			if b := r.h.Bases[f.row.base]; !b.Dir {
				if err := r.s.moveBase(r.h.ID, f.row.base, filepath.Join(b.dir(), at)); err != nil {
					return err
				}
			}
		} else if _, err := r.dirs[f.row.base].Lstat(f.row.path); errors.Is(err, fs.ErrNotExist) {
			c.mark = &mark{reason: errGone}
		} else if err != nil {
			c.mark = &mark{reason: reason(err)}
		} else {
			c.mark = &mark{reason: errChanged}
		}
		r.changes = append(r.changes, c)
	}
	return nil
}

type inode struct{ device, number uint64 }

// search notes for each wanted inode where a file that is it lies in a directory, and with deep also below it.
func search(ctx context.Context, dir *os.Root, path string, deep bool, wanted map[inode]string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	entries, err := readDir(dir)
	if err != nil {
		return nil // what cannot be read holds nothing that could be served
	}
	for _, e := range entries {
		switch {
		case e.Type().IsRegular():
			gen, _, err := generationAt(dir, e.Name())
			if err != nil {
				continue
			}
			if _, ok := wanted[inode{gen.device, gen.inode}]; ok {
				wanted[inode{gen.device, gen.inode}] = filepath.Join(path, e.Name())
			}
		case e.IsDir() && deep:
			sub, err := dir.OpenRoot(e.Name())
			if err != nil {
				continue
			}
			err = search(ctx, sub, filepath.Join(path, e.Name()), deep, wanted)
			sub.Close()
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// moveBase records a new path of a base.
func (s *Store) moveBase(id holdingID, n int, path string) error {
	s.write.Lock()
	defer s.write.Unlock()
	h, ok := s.holding(id)
	if !ok || n >= len(h.Bases) {
		return nil
	}
	bases := append([]base(nil), h.Bases...)
	bases[n].Path = path
	h.Bases = bases
	b := s.index.db.NewBatch()
	defer b.Close()
	b.Set(holdingKey(h.Root, h.ID), h.value(), nil)
	if err := s.index.commit(b); err != nil {
		return err
	}
	s.remember(h)
	s.dirs.drop(baseKey{id, n})
	return nil
}

// change is what an operation learned about one file, or, by a key with baseMark, about one base.
type change struct {
	key  fileKey
	old  fileRow // as the operation saw it: if it is another one by now the change is void
	row  fileRow
	mark *mark // nil clears what was known
	read bool  // the file was read, so that even wrong bytes can be cleared
}

// record writes down what an operation learned about files.
func (s *Store) record(changes []change) error {
	s.write.Lock()
	defer s.write.Unlock()
	b := s.index.db.NewBatch()
	defer b.Close()
	done := make([]change, 0, len(changes))
	for _, c := range changes {
		if c.key.no&baseMark == 0 {
			now, err := s.file(c.key)
			if errors.Is(err, ErrNotFound) || err == nil && now != c.old {
				continue
			}
			if err != nil {
				return err
			}
		}
		if c.row != c.old {
			b.Set(c.key.row(), c.row.value(), nil)
		}
		s.mu.RLock()
		known, marked := s.marks[c.key]
		_, held := s.holdings[c.key.holding]
		s.mu.RUnlock()
		switch {
		case !held || known.hash && !c.read:
			continue // wrong bytes stay wrong until somebody has read them all
		case c.mark != nil && (!marked || known != *c.mark):
			b.Set(c.key.mark(), c.mark.value(), nil)
		case c.mark == nil && marked:
			b.Delete(c.key.mark(), nil)
		}
		done = append(done, c)
	}
	if b.Empty() {
		return nil
	}
	if err := s.index.apply(b, pebble.Sync); err != nil {
		return err
	}
	s.mu.Lock()
	for _, c := range done {
		if c.mark != nil {
			s.marks[c.key] = *c.mark
		} else {
			delete(s.marks, c.key)
		}
	}
	s.mu.Unlock()
	for _, c := range done {
		if c.row != c.old {
			s.files.drop(c.key)
		}
	}
	return nil
}
