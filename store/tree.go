package store

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/ipfs/go-cid"

	"github.com/shoal-p2p/shoal/content"
)

// Node returns the bytes of an inner node, or of the only chunk of a root that is a bare leaf. They hash to c. The error is
// ErrNotFound if it is not known, and ErrStale if it is a leaf whose file changed.
func (s *Store) Node(c cid.Cid) ([]byte, error) {
	d, ok := content.DigestOf(c)
	if !ok {
		return nil, fmt.Errorf("node: %w", ErrNotFound)
	}
	data, err := s.index.get(nodeKey(d))
	if err != nil {
		return nil, err
	}
	if data != nil {
		if _, err := content.Verify(d, data); err != nil {
			return nil, fmt.Errorf("node %s: %w: %w; %s", c, ErrCorrupt, err, remedy(s.home))
		}
		return data, nil
	}
	if c.Prefix().Codec != cid.Raw {
		return nil, fmt.Errorf("node %s: %w", c, ErrNotFound)
	}
	n, err := s.chunkLength(d)
	if err != nil {
		return nil, err
	}
	buf := make([]byte, n)
	n, err = s.ReadChunk(d, buf)
	return buf[:n], err
}

// chunkLength is the length of a chunk by the first of its places.
func (s *Store) chunkLength(d content.Digest) (int, error) {
	length := -1
	err := s.index.scan(placePrefix(d), func(k, v []byte) (bool, error) {
		p, err := parsePlace(k, v)
		length = p.length
		return false, err
	})
	if err == nil && length < 0 {
		err = fmt.Errorf("chunk: %w", ErrNotFound)
	}
	return max(length, 0), err
}

// Whole says that everything below c is held here, as opposed to nothing or only its tree: c is a root that is shared or was
// fetched, or lies inside one. Files that changed since do not count against it.
func (s *Store) Whole(c cid.Cid) bool {
	return s.within(c, func(h holding) bool { return h.Origin != pending })
}

// Public is Whole for everybody: c lies inside a root that everybody may have.
func (s *Store) Public(c cid.Cid) bool {
	return s.within(c, func(h holding) bool { return h.Origin != pending && s.Access(h.Root).Open() })
}

// within says that c is the root of a holding that counts, or lies inside one.
func (s *Store) within(c cid.Cid, counts func(holding) bool) bool {
	d, ok := content.DigestOf(c)
	if !ok {
		return false
	}
	found := false
	look := func(id []byte) {
		h, ok := s.holding(holdingID(binary.BigEndian.Uint32(id)))
		found = ok && counts(h)
	}
	err := s.index.scan(refPrefix(d), func(k, _ []byte) (bool, error) {
		look(k[len(k)-4:])
		return !found, nil
	})
	if err != nil || found || c.Prefix().Codec != cid.Raw {
		return found && err == nil
	}
	err = s.index.scan(placePrefix(d), func(k, _ []byte) (bool, error) {
		if len(k) != placeKeySize {
			return false, errRow
		}
		look(k[1+len(d):])
		return !found, nil
	})
	return found && err == nil
}

// Tree returns the shape of a root whose inner nodes are all in the index: one that is shared or was fetched, one inside of
// these, or one that SaveNodes was given. The error is ErrNotFound if some are not.
func (s *Store) Tree(ctx context.Context, root cid.Cid) (*content.Tree, error) {
	if t := s.trees.get(root); t != nil {
		return t, nil
	}
	t, err := walk(ctx, root, s.Node)
	if err != nil {
		return nil, err
	}
	s.trees.put(t)
	return t, nil
}

// walk reads a tree, taking its inner nodes from node.
func walk(ctx context.Context, root cid.Cid, node func(cid.Cid) ([]byte, error)) (*content.Tree, error) {
	w, err := content.NewWalk(root, content.Budget{})
	if err != nil {
		return nil, fmt.Errorf("tree %s: %w", root, err)
	}
	for {
		c, more := w.Next()
		if !more {
			break
		}
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("tree %s: %w", root, err)
		}
		data, err := node(c)
		if err != nil {
			return nil, fmt.Errorf("tree %s: %w", root, err)
		}
		if err := w.Add(data); err != nil {
			return nil, fmt.Errorf("tree %s: %w", root, err)
		}
	}
	t, err := w.Tree()
	if err != nil {
		return nil, fmt.Errorf("tree %s: %w", root, err)
	}
	return t, nil
}

// SaveNodes keeps the inner nodes of a root that is about to be fetched, so that going on with it later needs no network to
// learn its shape. They stay until the root is removed, or was not asked for in a long time.
func (s *Store) SaveNodes(root cid.Cid, blocks []content.Block) error {
	s.write.Lock()
	defer s.write.Unlock()
	h := holding{Root: root, Origin: pending, Added: time.Now()}
	for _, old := range s.holdingsOf(root) {
		if old.Origin != pending {
			return nil // all of it is here
		}
		h.ID = old.ID
	}
	b := s.index.db.NewBatch()
	defer b.Close()
	if err := s.number(b, &h); err != nil {
		return err
	}
	if len(blocks) > 0 {
		if _, err := s.putNodes(b, h.ID, blocks); err != nil {
			return err
		}
	}
	b.Set(holdingKey(root, h.ID), h.value(), nil)
	if err := s.index.apply(b, pebble.NoSync); err != nil { // no harm if it is lost
		return err
	}
	s.remember(h)
	return nil
}

// pendingLife is how long the tree of a download that nobody goes on with is kept.
const pendingLife = 30 * 24 * time.Hour

// touch notes that somebody goes on with the download of a root.
func (s *Store) touch(root cid.Cid) error {
	for _, h := range s.holdingsOf(root) {
		if h.Origin == pending && time.Since(h.Added) > pendingLife/30 {
			return s.SaveNodes(root, nil)
		}
	}
	return nil
}

// number gives a holding that has none the next free number.
func (s *Store) number(b *pebble.Batch, h *holding) error {
	if h.ID != 0 {
		return nil
	}
	v, err := s.index.get([]byte{rowNext})
	if err != nil {
		return err
	}
	next := uint64(1)
	if v != nil {
		r := row{rest: v}
		next = r.unsigned()
		if err := r.end(); err != nil || next == 0 || next >= 1<<32-1 {
			return fmt.Errorf("%w: the count of shares", errRow)
		}
	}
	h.ID = holdingID(next)
	return b.Set([]byte{rowNext}, binary.AppendUvarint(nil, next+1), nil)
}

// putNodes records that a holding needs these nodes, and keeps those that are new. It returns which they were.
func (s *Store) putNodes(b *pebble.Batch, id holdingID, blocks []content.Block) (map[content.Digest]bool, error) {
	list := make([]byte, 0, len(blocks)*len(content.Digest{}))
	seen := make(map[content.Digest]bool, len(blocks))
	for _, n := range blocks {
		d, ok := content.DigestOf(n.CID)
		if !ok || n.CID.Prefix().Codec == cid.Raw || seen[d] {
			continue // a leaf is in no need of a second copy
		}
		seen[d] = true
		list = append(list, d[:]...)
		key := nodeKey(d)
		old, err := s.index.get(key)
		if err != nil {
			return nil, err
		}
		if !bytes.Equal(old, n.Data) {
			b.Set(key, n.Data, nil)
		}
		b.Set(refKey(d, id), nil, nil)
	}
	return seen, b.Set(nodesKey(id), list, nil)
}

// dropNodes removes a holding's need of its nodes, and those that no other holding needs and that are not to be kept.
func (s *Store) dropNodes(b *pebble.Batch, id holdingID, keep map[content.Digest]bool) error {
	list, err := s.index.get(nodesKey(id))
	if err != nil {
		return err
	}
	for len(list) >= len(content.Digest{}) {
		d := content.Digest(list[:len(content.Digest{})])
		list = list[len(d):]
		others := false
		err := s.index.scan(refPrefix(d), func(k, _ []byte) (bool, error) {
			others = !bytes.Equal(k, refKey(d, id))
			return !others, nil
		})
		if err != nil {
			return err
		}
		b.Delete(refKey(d, id), nil)
		if !others && !keep[d] {
			b.Delete(nodeKey(d), nil)
		}
	}
	return b.Delete(nodesKey(id), nil)
}

// trees keeps the trees that were asked for last, up to a total weight, and at least the last one.
type trees struct {
	mu     sync.Mutex // guards what follows
	recent []*content.Tree
	timer  *time.Timer // forgets all of them; an idle node has better use for the memory
}

const (
	// maxTreeWeight bounds the chunks and entries of all trees that are kept for the next who asks.
	maxTreeWeight = 1 << 18
	treeIdle      = time.Minute
)

func newTrees() *trees { return &trees{} }

func weight(t *content.Tree) int { return t.NumChunks() + t.Len() }

func (l *trees) get(root cid.Cid) *content.Tree {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, t := range l.recent {
		if t.Root.Equals(root) {
			l.timer.Reset(treeIdle)
			l.recent = slices.Insert(slices.Delete(l.recent, i, i+1), 0, t)
			return t
		}
	}
	return nil
}

func (l *trees) put(t *content.Tree) {
	l.drop(t.Root)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.timer == nil {
		l.timer = time.AfterFunc(treeIdle, l.clear)
	}
	l.timer.Reset(treeIdle)
	l.recent = slices.Insert(l.recent, 0, t)
	sum := 0
	for i, t := range l.recent {
		if sum += weight(t); i > 0 && sum > maxTreeWeight {
			clear(l.recent[i:])
			l.recent = l.recent[:i]
			return
		}
	}
}

func (l *trees) drop(root cid.Cid) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.recent = slices.DeleteFunc(l.recent, func(t *content.Tree) bool { return t.Root.Equals(root) })
}

// close keeps no timer waiting for a store that is gone.
func (l *trees) close() {
	l.clear()
	if l.timer != nil {
		l.timer.Stop()
	}
}

func (l *trees) clear() {
	l.mu.Lock()
	defer l.mu.Unlock()
	clear(l.recent)
	l.recent = nil
}
