package store

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"time"
)

// Disk is how the disk of the home does.
type Disk struct {
	Free   int64         // bytes that this user may still fill
	Write  float64       // bytes a second, with all of it made to reach the disk; 0 if nothing was written for want of room
	Sync   time.Duration // for a small write to reach the disk, the median of some
	Ahead  time.Duration // the file system's clock, ahead of this machine's
	Strewn int           // bytes that were written to find out
}

const (
	diskSample = 8 << 20         // bytes
	diskBlock  = 256 << 10       // bytes
	diskSyncs  = 5               // small writes
	diskWithin = 3 * time.Second // that writing may take; a slow disk is measured by less
	diskSpare  = 64 << 20        // bytes that must be free for it
)

// TryDisk measures the disk of the home, by a file of a few MiB that is gone afterwards.
func (s *Store) TryDisk(ctx context.Context) (d Disk, err error) {
	space, err := freeSpace(s.home)
	if err != nil {
		return d, fmt.Errorf("free space at %s: %w", s.home, err)
	}
	if d.Free = space.available; d.Free < diskSpare {
		return d, nil
	}
	f, err := os.CreateTemp(s.home, "disk-*.tmp")
	if err != nil {
		return d, fmt.Errorf("write at %s: %w", s.home, err)
	}
	defer func() { err = errors.Join(err, f.Close(), os.Remove(f.Name())) }()
	block := make([]byte, diskBlock)
	_, _ = rand.NewChaCha8([32]byte{}).Read(block) // never fails; a disk that packs zeros tightly is not fast
	began := time.Now()
	for d.Strewn < diskSample && time.Since(began) < diskWithin && ctx.Err() == nil {
		n, err := f.Write(block)
		if d.Strewn += n; err != nil {
			return d, fmt.Errorf("write at %s: %w", s.home, err)
		}
	}
	if err := f.Sync(); err != nil {
		return d, fmt.Errorf("sync at %s: %w", s.home, err)
	}
	d.Write = float64(d.Strewn) / time.Since(began).Seconds()
	var syncs []time.Duration
	for range diskSyncs {
		start := time.Now()
		if _, err := f.WriteAt(block[:4096], 0); err != nil {
			return d, fmt.Errorf("write at %s: %w", s.home, err)
		}
		if err := f.Sync(); err != nil {
			return d, fmt.Errorf("sync at %s: %w", s.home, err)
		}
		syncs = append(syncs, time.Since(start))
	}
	slices.Sort(syncs)
	d.Sync = syncs[len(syncs)/2]
	info, err := f.Stat()
	if err != nil {
		return d, fmt.Errorf("look at %s: %w", s.home, err)
	}
	d.Ahead = time.Until(info.ModTime())
	return d, ctx.Err()
}
