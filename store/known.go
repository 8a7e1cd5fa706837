package store

import (
	"cmp"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"

	"github.com/shoal-p2p/shoal/content"
)

// maxKnown is how many earlier shares of the same directories are looked through for files that need not be read again.
const maxKnown = 4

// knownFile is a file that was hashed before.
type knownFile struct {
	tree *content.Tree
	no   int
	row  fileRow
}

// knownFiles returns a function that fills in a file from an earlier share, if it certainly is what it was then; nil if there
// is no earlier share that could have any.
func (s *Store) knownFiles(ctx context.Context, sources []*source, p *Progress) (func(*os.Root, string, *regular) bool, error) {
	known := make(map[string]knownFile) // by absolute path
	for _, h := range s.overlapping(sources) {
		tree, err := s.Tree(ctx, h.Root)
		if errors.Is(err, context.Canceled) {
			return nil, err
		}
		if err != nil {
			continue // then everything is read again
		}
		err = s.eachFile(h.ID, func(k fileKey, row fileRow) error {
			if row.base >= len(h.Bases) || int(k.no) >= tree.Len() {
				return errRow
			}
			path := filepath.Join(h.Bases[row.base].dir(), row.path)
			if _, newer := known[path]; !newer && !row.racy && !s.marked(k) {
				known[path] = knownFile{tree, int(k.no), row}
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	if len(known) == 0 {
		return nil, nil
	}
	return func(dir *os.Root, path string, f *regular) bool {
		k, ok := known[filepath.Join(path, f.name())]
		if !ok || !k.fill(dir, f) {
			return false
		}
		p.Bytes.Add(f.size)
		return true
	}, nil
}

// overlapping returns the holdings whose files may be among those that are to be shared, the latest first.
func (s *Store) overlapping(sources []*source) []holding {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var out []holding
	for _, h := range s.holdings {
		meets := slices.ContainsFunc(h.Bases, func(b base) bool {
			return slices.ContainsFunc(sources, func(src *source) bool {
				return within(b.Path, src.base.Path) || within(src.base.Path, b.Path)
			})
		})
		if meets && h.Origin != pending {
			out = append(out, h)
		}
	}
	slices.SortFunc(out, func(a, b holding) int { return cmp.Compare(b.ID, a.ID) })
	return out[:min(len(out), maxKnown)]
}

// fill takes a file's leaves from an earlier share, if the file has the same generation now and its chunks are cut as ours.
func (k knownFile) fill(dir *os.Root, f *regular) bool {
	gen, mode, err := generationAt(dir, f.name())
	if err != nil || !mode.IsRegular() || gen != k.row.gen {
		return false
	}
	pieces := k.tree.Pieces(k.no)
	if len(pieces) != content.ChunkCount(gen.size) {
		return false
	}
	leaves := make([]content.Digest, len(pieces))
	for i, p := range pieces {
		if p.Offset != int64(i)*content.ChunkSize {
			return false
		}
		leaves[i] = k.tree.Digest(p.Chunk)
	}
	if f.made, err = content.MakeFile(gen.size, leaves); err != nil {
		return false
	}
	f.gen, f.racy, f.size, f.known = gen, false, gen.size, true
	return true
}
