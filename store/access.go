package store

import (
	"encoding/binary"
	"fmt"
	"math"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/ipfs/go-cid"

	"github.com/shoal-p2p/shoal/content"
)

// Access returns who may have a root.
func (s *Store) Access(root cid.Cid) content.Access {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.access[root]
}

// Private returns the private root that has this alias.
func (s *Store) Private(alias cid.Cid) (root cid.Cid, ok bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	root, ok = s.aliases[alias]
	return root, ok
}

// SetAccess says who may have a root that is shared or was fetched. The error is ErrNotFound if it is not here.
func (s *Store) SetAccess(root cid.Cid, a content.Access) error {
	s.write.Lock()
	defer s.write.Unlock()
	if len(s.holdingsOf(root)) == 0 {
		return fmt.Errorf("access to %s: %w", root, ErrNotFound)
	}
	return s.commitAccess(root, a)
}

// Confine says who may have a root that is about to be fetched, unless it was shared here, or was fetched for everybody: that
// stays as the user made it. Forgive takes it back.
func (s *Store) Confine(root cid.Cid, a content.Access) error {
	s.write.Lock()
	defer s.write.Unlock()
	old := s.Access(root)
	for _, h := range s.holdingsOf(root) {
		if h.Origin == Shared || h.Origin == Fetched && old.Open() {
			return nil
		}
	}
	return s.commitAccess(root, a)
}

// Forgive forgets who may have a root of which nothing is here.
func (s *Store) Forgive(root cid.Cid) error {
	s.write.Lock()
	defer s.write.Unlock()
	if len(s.holdingsOf(root)) > 0 || s.Access(root).Open() {
		return nil
	}
	return s.commitAccess(root, content.Access{})
}

func (s *Store) commitAccess(root cid.Cid, a content.Access) error {
	b := s.index.db.NewBatch()
	defer b.Close()
	putAccess(b, root, a)
	if err := s.index.commit(b); err != nil {
		return err
	}
	s.rememberAccess(root, a)
	return nil
}

// inherit is who may have a part of a root that is fetched on its own: those who may have the root, unless the part is here
// already.
func (s *Store) inherit(whole cid.Cid) func(content.Access, bool) content.Access {
	return func(old content.Access, held bool) content.Access {
		if held || !old.Open() {
			return old
		}
		return s.Access(whole)
	}
}

func putAccess(b *pebble.Batch, root cid.Cid, a content.Access) {
	if a.Open() {
		b.Delete(accessKey(root), nil)
		return
	}
	b.Set(accessKey(root), accessValue(a), nil)
}

// rememberAccess takes into memory what was committed.
func (s *Store) rememberAccess(root cid.Cid, a content.Access) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if old := s.access[root]; !old.Secret.IsZero() {
		delete(s.aliases, old.Secret.Alias(root))
	}
	delete(s.access, root)
	if !a.Open() {
		s.access[root] = a
	}
	if !a.Secret.IsZero() {
		s.aliases[a.Secret.Alias(root)] = root
	}
}

// loadAccess reads all of it. What a download left behind that never got as far as a tree is dropped: it would hide from
// everybody a root that is fetched from somewhere else later.
func (s *Store) loadAccess() error {
	held := make(map[cid.Cid]bool)
	for _, h := range s.holdings {
		held[h.Root] = true
	}
	b := s.index.db.NewBatch()
	defer b.Close()
	err := s.index.scan([]byte{rowAccess}, func(k, v []byte) (bool, error) {
		root, a, err := parseAccess(k, v)
		switch {
		case err != nil:
			return false, err
		case held[root]:
			s.rememberAccess(root, a)
		default:
			b.Delete(append([]byte(nil), k...), nil)
		}
		return true, nil
	})
	if err != nil || b.Empty() {
		return err
	}
	return s.index.apply(b, pebble.NoSync)
}

func accessKey(root cid.Cid) []byte { return append([]byte{rowAccess}, root.Bytes()...) }

func accessValue(a content.Access) []byte {
	b := appendString([]byte{flag(a.Limited)}, string(a.Secret.Reveal()))
	until := int64(0)
	if !a.Until.IsZero() {
		until = a.Until.Unix()
	}
	b = binary.AppendUvarint(binary.AppendVarint(b, until), uint64(len(a.Peers)))
	for _, p := range a.Peers {
		b = appendString(b, p)
	}
	return b
}

func parseAccess(key, value []byte) (cid.Cid, content.Access, error) {
	if len(key) < 1 || key[0] != rowAccess {
		return cid.Undef, content.Access{}, errRow
	}
	root, err := content.DecodeCID(key[1:])
	if err != nil {
		return cid.Undef, content.Access{}, fmt.Errorf("%w: %w", errRow, err)
	}
	r := row{rest: value}
	a := content.Access{Limited: r.byte(1) == 1}
	if b := r.string(); b != "" {
		if a.Secret, err = content.ParseSecret([]byte(b)); err != nil {
			r.fail()
		}
	}
	if until := r.signed(); until > 0 {
		a.Until = time.Unix(until, 0)
	} else if until < 0 {
		r.fail()
	}
	for range r.count(min(len(value), math.MaxInt32)) {
		a.Peers = append(a.Peers, r.string())
		if r.bad {
			break
		}
	}
	if a.Open() {
		r.fail()
	}
	return root, a, r.end()
}
