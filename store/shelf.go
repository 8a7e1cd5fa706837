package store

import "github.com/cockroachdb/pebble/v2"

// Shelf keeps small rows for the rooms above, which alone know what they mean.
type Shelf struct{ s *Store }

// maxShelfRow is the largest row, in bytes: the index is made for many small ones.
const maxShelfRow = 64 << 10

// Shelf returns the one shelf of this store.
func (s *Store) Shelf() Shelf { return Shelf{s} }

// Rows returns all rows by their keys.
func (h Shelf) Rows() (map[string][]byte, error) {
	rows := make(map[string][]byte)
	err := h.s.index.scan([]byte{rowShelf}, func(k, v []byte) (bool, error) {
		rows[string(k[1:])] = append([]byte{}, v...)
		return true, nil
	})
	return rows, err
}

// Put writes a row; nil removes it. A power cut may undo it.
func (h Shelf) Put(key string, row []byte) error {
	if len(row) > maxShelfRow {
		return errRow
	}
	h.s.write.Lock()
	defer h.s.write.Unlock()
	if h.s.closed {
		return ErrClosed
	}
	b := h.s.index.db.NewBatch()
	defer b.Close()
	k := append([]byte{rowShelf}, key...)
	var err error
	if row == nil {
		err = b.Delete(k, nil)
	} else {
		err = b.Set(k, row, nil)
	}
	if err != nil {
		return h.s.index.explain("write", err)
	}
	return h.s.index.apply(b, pebble.NoSync)
}
