package testnet

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// What a machine does at best, beside which programs are judged.

// block is how much is written, read or hashed at once, in bytes: a chunk.
const block = 1 << 20

// FillFile makes a file, none of whose chunks comes twice or packs well, and sees that the disk has it. It writes no more than size
// bytes, in whole chunks, and takes not much longer than within. It returns what it wrote and how long that took.
func FillFile(ctx context.Context, path string, size int64, within time.Duration) (written int64, took time.Duration, err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	buf := make([]byte, block)
	_, _ = rand.NewChaCha8([32]byte{}).Read(buf) // never fails
	start := time.Now()
	for written+block <= size && (written == 0 || time.Since(start) < within) {
		if ctx.Err() != nil {
			return written, 0, context.Cause(ctx)
		}
		binary.BigEndian.PutUint64(buf, uint64(written)) // so that each is another one
		n, err := f.Write(buf)
		if written += int64(n); err != nil {
			return written, 0, err
		}
	}
	if err := f.Sync(); err != nil {
		return written, 0, err
	}
	return written, time.Since(start), nil
}

// ReadFile reads a file from one end to the other and says how long that takes: from the disk, where the system can be made to forget what it
// has in memory, and cold then is true.
func ReadFile(ctx context.Context, path string) (took time.Duration, cold bool, err error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, false, err
	}
	defer f.Close()
	cold = forget(f) == nil
	buf := make([]byte, block)
	start := time.Now()
	for ctx.Err() == nil {
		if _, err := f.Read(buf); errors.Is(err, io.EOF) {
			return time.Since(start), cold, nil
		} else if err != nil {
			return 0, cold, err
		}
	}
	return 0, cold, context.Cause(ctx)
}

// HashFile hashes each chunk of a file with SHA-256, on all cores, and does nothing else: the bound for a share.
func HashFile(ctx context.Context, path string) (took time.Duration, err error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	var (
		next   atomic.Int64
		wg     sync.WaitGroup
		failed = make([]error, runtime.GOMAXPROCS(0))
	)
	start := time.Now()
	for w := range failed {
		wg.Go(func() {
			buf := make([]byte, block)
			for at := (next.Add(1) - 1) * block; at < info.Size() && ctx.Err() == nil; at = (next.Add(1) - 1) * block {
				n, err := f.ReadAt(buf[:min(block, info.Size()-at)], at)
				if err != nil {
					failed[w] = fmt.Errorf("read: %w", err)
					return
				}
				sha256.Sum256(buf[:n])
			}
		})
	}
	wg.Wait()
	return time.Since(start), errors.Join(errors.Join(failed...), context.Cause(ctx))
}
