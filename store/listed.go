package store

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/ipfs/go-cid"
)

// List says whether neighbours may see that a root is shared. Nothing is listed unless somebody says so. The error is
// ErrNotFound if the root is not shared.
func (s *Store) List(root cid.Cid, on bool) error {
	s.write.Lock()
	defer s.write.Unlock()
	shared := false
	for _, h := range s.holdingsOf(root) {
		shared = shared || h.Origin != pending
	}
	if !shared {
		return fmt.Errorf("list %s: %w", root, ErrNotFound)
	}
	if err := s.list(root, on); err != nil {
		return fmt.Errorf("list %s: %w", root, err)
	}
	return nil
}

// list needs s.write.
func (s *Store) list(root cid.Cid, on bool) error {
	if s.isListed(root) == on {
		return nil
	}
	b := s.index.db.NewBatch()
	defer b.Close()
	if on {
		b.Set(listedKey(root), nil, nil)
	} else {
		b.Delete(listedKey(root), nil)
	}
	if err := s.index.commit(b); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if on {
		s.listed[root] = struct{}{}
	} else {
		delete(s.listed, root)
	}
	return nil
}

func (s *Store) isListed(root cid.Cid) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	_, on := s.listed[root]
	return on
}

// Listed returns the shares that neighbours may see, in the order in which they were added, without what is wrong with them.
func (s *Store) Listed() []Share {
	s.mu.RLock()
	byRoot := make(map[cid.Cid]Share)
	for _, h := range s.holdings {
		if _, on := s.listed[h.Root]; !on || h.Origin == pending {
			continue
		}
		if x, known := byRoot[h.Root]; !known || h.Added.Before(x.Added) {
			byRoot[h.Root] = Share{
				Root: h.Root, Name: h.Name, Bytes: h.Bytes, Files: h.Files, Added: h.Added, Listed: true, Access: s.access[h.Root],
			}
		}
	}
	s.mu.RUnlock()
	return slices.SortedFunc(maps.Values(byRoot), func(a, b Share) int {
		return cmp.Or(a.Added.Compare(b.Added), cmp.Compare(a.Root.KeyString(), b.Root.KeyString()))
	})
}
