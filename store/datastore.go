package store

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/ipfs/go-datastore"
	pebbleds "github.com/ipfs/go-ds-pebble"
)

const (
	// maxRecords is how much of the disk the records of a Datastore may take, in bytes: strangers write some of them.
	maxRecords = 256 << 20
	// recordsLook is how many writes pass before somebody looks how much that is.
	recordsLook = 1024
)

// ErrFull says that a Datastore holds as much as it may.
var ErrFull = errors.New("no more room for records")

// Datastore is room in the index for the records of others, which the store does not look into: those of a DHT. Writes wait for
// no disk, so a power cut may take the last ones. Closing it does nothing, because the database is the store's; nobody may use
// it after Close of the store.
func (s *Store) Datastore() (datastore.Batching, error) {
	d, err := pebbleds.NewDatastore("", pebbleds.WithPebbleDB(s.index.db))
	if err != nil {
		return nil, fmt.Errorf("open datastore: %w", err)
	}
	return &records{Datastore: d, index: s.index, most: maxRecords, look: recordsLook}, nil
}

// records keep what others write within the rules for the index. Their keys begin with a slash, as no row of the index does.
type records struct {
	*pebbleds.Datastore
	index  *index
	most   uint64
	look   int64
	writes atomic.Int64
	full   atomic.Bool
}

func (r *records) Close() error { return nil }

func (r *records) Put(ctx context.Context, k datastore.Key, v []byte) error {
	if err := r.room(1); err != nil {
		return err
	}
	return r.index.write(int64(len(v)), func() error { return r.Datastore.Put(ctx, k, v) })
}

func (r *records) Delete(ctx context.Context, k datastore.Key) error {
	return r.index.write(0, func() error { return r.Datastore.Delete(ctx, k) })
}

func (r *records) Sync(ctx context.Context, k datastore.Key) error {
	return r.index.write(0, func() error { return r.Datastore.Sync(ctx, k) })
}

func (r *records) Batch(ctx context.Context) (datastore.Batch, error) {
	b, err := r.Datastore.Batch(ctx)
	return &recordBatch{Batch: b, records: r}, err
}

// room counts writes, and refuses them while there are too many records.
func (r *records) room(n int64) error {
	if before := r.writes.Add(n) - n; before/r.look != (before+n)/r.look {
		used, err := r.index.db.EstimateDiskUsage([]byte("/"), after([]byte("/")))
		r.full.Store(err == nil && used > r.most)
	}
	if r.full.Load() {
		return ErrFull
	}
	return nil
}

type recordBatch struct {
	datastore.Batch
	records *records
	puts    int64
	bytes   int64
}

func (b *recordBatch) Put(ctx context.Context, k datastore.Key, v []byte) error {
	b.puts++
	b.bytes += int64(len(k.String()) + len(v))
	return b.Batch.Put(ctx, k, v)
}

func (b *recordBatch) Commit(ctx context.Context) error {
	if err := b.records.room(b.puts); b.puts > 0 && err != nil {
		return err
	}
	return b.records.index.write(b.bytes, func() error { return b.Batch.Commit(ctx) })
}
