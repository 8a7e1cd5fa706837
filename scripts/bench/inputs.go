//go:build linux

package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"

	"github.com/shoal-p2p/shoal/testnet"
)

// random writes a file whose bytes repeat nowhere.
func (b *bench) random(ctx context.Context, name string, size int64) (string, error) {
	path := filepath.Join(b.work, name)
	written, _, err := testnet.FillFile(ctx, path, size, math.MaxInt64)
	if err == nil && written < size {
		err = fmt.Errorf("%d bytes are no whole number of chunks", size)
	}
	return path, err
}

// warm touches as much fresh memory as a copy will take, and gives it back. Virtual machines hand free memory back to their
// host, and the first to touch it again waits for that, which says nothing about whoever it is.
func (b *bench) warm(size int64) error {
	path := filepath.Join(b.work, "warm")
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	_, err = io.CopyN(f, zeros{}, size)
	return errors.Join(err, f.Close(), os.Remove(path))
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// sparse writes a file of which every chunk is another one, though only one page of each takes space.
func sparse(path string, size int64) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	for at := int64(0); at < size; at += chunk {
		if _, err := f.WriteAt(binary.BigEndian.AppendUint64(nil, uint64(at)+1), at); err != nil {
			return err
		}
	}
	return errors.Join(f.Truncate(size), f.Close())
}
