package store

import (
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/ipfs/go-cid"

	"github.com/shoal-p2p/shoal/content"
)

// Origin says how a share came to be.
type Origin uint8

const (
	pending Origin = iota // not a share yet: the tree of a download
	// Shared files are the user's and are never written to.
	Shared
	// Fetched files were written by a download, and may be repaired.
	Fetched
)

// Share is one root whose files are here, at one or more places.
type Share struct {
	Root   cid.Cid
	Name   string
	Paths  []string // absolute, of what was shared or fetched
	Origin Origin   // Fetched if all of its places are
	Bytes  int64    // of all files, those with equal content counted each
	Files  int
	Added  time.Time
	Listed bool      // neighbours may see it
	Stale  []Skipped // files that are not what they were, sorted by path
	Access content.Access
}

// Skipped is a file that was left out or no longer counts, and why, in words for a user.
type Skipped struct {
	Path   string // absolute on this system; inside the tree for what was never made
	Reason string
}

// Shares lists what is shared and fetched, the latest last.
func (s *Store) Shares() ([]Share, error) {
	s.mu.RLock()
	byRoot := make(map[cid.Cid][]holding)
	for _, h := range s.holdings {
		if h.Origin != pending {
			byRoot[h.Root] = append(byRoot[h.Root], h)
		}
	}
	s.mu.RUnlock()
	out := make([]Share, 0, len(byRoot))
	for _, list := range byRoot {
		out = append(out, s.shareOf(list))
	}
	slices.SortFunc(out, func(a, b Share) int {
		return cmp.Or(a.Added.Compare(b.Added), cmp.Compare(a.Root.KeyString(), b.Root.KeyString()))
	})
	return out, nil
}

// shareOf sums up the holdings of one root.
func (s *Store) shareOf(list []holding) Share {
	slices.SortFunc(list, func(a, b holding) int { return cmp.Compare(a.ID, b.ID) })
	first := list[0]
	out := Share{
		Root: first.Root, Name: first.Name, Origin: Fetched, Bytes: first.Bytes, Files: first.Files, Added: first.Added,
		Access: s.Access(first.Root),
	}
	for _, h := range list {
		if h.Origin == Shared {
			out.Origin = Shared
		}
		for _, b := range h.Bases {
			out.Paths = append(out.Paths, b.Path)
		}
		out.Stale = append(out.Stale, s.stale(h)...)
	}
	out.Listed = s.isListed(first.Root)
	slices.SortFunc(out.Stale, func(a, b Skipped) int { return cmp.Compare(a.Path, b.Path) })
	return out
}

// stale lists what is known to be wrong with a holding.
func (s *Store) stale(h holding) []Skipped {
	s.mu.RLock()
	marks := make(map[fileKey]mark)
	for k, m := range s.marks {
		if k.holding == h.ID {
			marks[k] = m
		}
	}
	s.mu.RUnlock()
	var out []Skipped
	for k, m := range marks {
		if n := int(k.no &^ baseMark); k.no&baseMark != 0 && n < len(h.Bases) {
			out = append(out, Skipped{h.Bases[n].Path, m.reason})
		} else if row, err := s.file(k); err == nil && row.base < len(h.Bases) {
			out = append(out, Skipped{filepath.Join(h.Bases[row.base].dir(), row.path), m.reason})
		}
	}
	return out
}

// Remove forgets a root: its files, where its chunks lie, and the nodes that no other root needs. The files themselves stay
// where they are. The error is ErrNotFound if the root is not there.
func (s *Store) Remove(root cid.Cid) error {
	s.write.Lock()
	defer s.write.Unlock()
	list := s.holdingsOf(root)
	if len(list) == 0 {
		return fmt.Errorf("remove %s: %w", root, ErrNotFound)
	}
	if err := s.list(root, false); err != nil { // first: what is shared anew after a crash must not be listed by a leftover
		return fmt.Errorf("remove %s: %w", root, err)
	}
	for _, h := range list {
		if err := s.remove(h); err != nil {
			return fmt.Errorf("remove %s: %w", root, err)
		}
	}
	s.trees.drop(root)
	return nil
}

// remove takes one holding out of the index. The caller holds s.write.
func (s *Store) remove(h holding) error {
	b := s.index.db.NewBatch()
	defer b.Close()
	if h.Origin != pending {
		if err := s.dropPlaces(b, h); err != nil {
			return err
		}
		b.DeleteRange(filePrefix(h.ID), after(filePrefix(h.ID)), nil)
		b.DeleteRange(markPrefix(h.ID), after(markPrefix(h.ID)), nil)
	}
	if err := s.dropNodes(b, h.ID, nil); err != nil {
		return err
	}
	b.Delete(holdingKey(h.Root, h.ID), nil)
	last := len(s.holdingsOf(h.Root)) == 1
	if last {
		putAccess(b, h.Root, content.Access{})
	}
	if err := s.index.commit(b); err != nil {
		return err
	}
	s.forget(h.ID)
	if last { // only now: until then somebody could have had it who may not
		s.rememberAccess(h.Root, content.Access{})
	}
	return nil
}

// dropPlaces removes the places of a holding's chunks: by its tree, or, should that not be readable, by looking at all places.
func (s *Store) dropPlaces(b *pebble.Batch, h holding) error {
	t, err := s.Tree(context.Background(), h.Root)
	if err == nil {
		for no := range t.Len() {
			eachPlace(t, fileKey{h.ID, uint32(no)}, func(d content.Digest, p place) { b.Delete(p.key(d), nil) })
		}
		return nil
	}
	return s.index.scan([]byte{rowPlace}, func(k, _ []byte) (bool, error) {
		if len(k) == placeKeySize && holdingID(binary.BigEndian.Uint32(k[1+len(content.Digest{}):])) == h.ID {
			b.Delete(append([]byte(nil), k...), nil)
		}
		return true, nil
	})
}
