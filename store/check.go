package store

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/ipfs/go-cid"
)

// Damage is one file that does not hold what its root says.
type Damage struct {
	Path   string   // absolute
	Reason string   // in words for a user
	Chunks []uint32 // that are not right, in the numbers of the root's tree
	Edited bool     // a user changed or removed it, by its size or time; otherwise the disk did
}

// Check reads and hashes all files of a root and returns those that are not what they should be. A file that is all right
// counts as certain from then on, and every other one as stale. The error is ErrNotFound if the root is not there.
func (s *Store) Check(ctx context.Context, root cid.Cid, p *Progress) ([]Damage, error) {
	if p == nil {
		p = new(Progress)
	}
	var out []Damage
	found := false
	for _, h := range s.holdingsOf(root) {
		if h.Origin == pending {
			continue
		}
		found = true
		damage, err := s.check(ctx, h, p)
		if err != nil {
			return nil, fmt.Errorf("check %s: %w", root, err)
		}
		out = append(out, damage...)
	}
	if !found {
		return nil, fmt.Errorf("check %s: %w", root, ErrNotFound)
	}
	slices.SortFunc(out, func(a, b Damage) int { return strings.Compare(a.Path, b.Path) })
	return out, nil
}

// check hashes the files of one holding.
func (s *Store) check(ctx context.Context, h holding, p *Progress) ([]Damage, error) {
	tree, err := s.Tree(ctx, h.Root)
	if err != nil {
		return nil, err
	}
	c := &checking{s: s, h: h, dirs: make([]*os.Root, len(h.Bases))}
	defer c.close()
	v := &verifier{tree: tree, p: p, ended: c.ended}
	for i, b := range h.Bases {
		if c.dirs[i], err = os.OpenRoot(b.dir()); err != nil {
			c.dirs[i] = nil // each file in it says so
		}
	}
	err = s.eachFile(h.ID, func(k fileKey, row fileRow) error {
		if int(k.no) >= tree.Len() || row.base >= len(h.Bases) {
			return errRow
		}
		size := tree.Entry(int(k.no)).Size
		c.files = append(c.files, checked{k, row, size})
		f := &suspect{id: len(v.files), pieces: tree.Pieces(int(k.no)), open: func() (*os.File, error) {
			if c.dirs[row.base] == nil {
				return nil, os.ErrNotExist
			}
			return openUnlinked(c.dirs[row.base], row)
		}}
		v.files = append(v.files, f)
		p.Total.Add(size)
		return nil
	})
	if err != nil {
		return nil, err
	}
	if err := v.run(ctx, s.workers); err != nil {
		return nil, err
	}
	return c.damage, s.record(c.changes)
}

// checking collects what a check of one holding finds.
type checking struct {
	s     *Store
	h     holding
	dirs  []*os.Root
	files []checked

	mu      sync.Mutex // guards what follows
	damage  []Damage
	changes []change
}

type checked struct {
	key  fileKey
	row  fileRow
	size int64 // bytes, by the tree
}

func (c *checking) close() {
	for _, d := range c.dirs {
		if d != nil {
			d.Close()
		}
	}
}

// ended judges one file after all of it was read.
func (c *checking) ended(f *suspect, in *os.File) error {
	file := c.files[f.id]
	row := file.row
	now, err := f.gen, f.err
	if err == nil {
		now, err = generationOf(in)
	}
	var problem *mark
	edited := true
	switch {
	case err != nil:
		problem = &mark{reason: reason(err)}
		edited = in == nil || now.size != row.gen.size || now.mtime != row.gen.mtime
	case len(f.bad) > 0 && now.size == row.gen.size && now.mtime == row.gen.mtime:
		problem = &mark{hash: true, reason: errWrongBytes.Error()}
		edited = false
	case len(f.bad) > 0 || now.size != file.size:
		problem = &mark{reason: errChanged}
	case now != f.gen:
		return nil // it moved while it was being read: what was known stays
	default:
		row.gen, row.racy = now, f.racy(in)
		c.s.hashed.all(file.key)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.changes = append(c.changes, change{file.key, file.row, row, problem, true})
	if problem != nil {
		c.damage = append(c.damage, Damage{
			Path:   filepath.Join(c.h.Bases[row.base].dir(), row.path),
			Reason: problem.reason, Chunks: badChunks(f), Edited: edited,
		})
	}
	return nil
}

// badChunks returns the chunks of a file that are not right, sorted; all of them if it could not be read.
func badChunks(f *suspect) []uint32 {
	var out []uint32
	for i, p := range f.pieces {
		if f.err != nil || slices.Contains(f.bad, i) {
			out = append(out, p.Chunk)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}
