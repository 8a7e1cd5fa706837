//go:build linux

package main

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"
)

// arena is what one run of a figure takes place in, gone before the next one: machines, nodes and files.
type arena struct {
	*lan
	bench *bench
	dir   string
	nodes []*node
	other []*process
}

// within runs f in a fresh arena.
func (b *bench) within(f func(*arena) error) (err error) {
	a := &arena{bench: b}
	if a.dir, err = os.MkdirTemp(b.work, "run."); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(a.dir)) }()
	if a.lan, err = newLAN(); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.close(err != nil && b.keep)) }()
	return f(a)
}

// close ends all processes at once, then takes the network away.
func (a *arena) close(logs bool) error {
	var group errgroup.Group
	for _, n := range a.nodes {
		group.Go(n.serve.stop)
	}
	for _, p := range a.other {
		group.Go(func() error { p.kill(); return nil })
	}
	err := group.Wait()
	for _, n := range a.nodes {
		if logs {
			fmt.Printf("-- %s\n%s", n.ip, n.serve.log.bytes())
		}
	}
	return errors.Join(err, a.lan.close())
}

// bytes is the size of a figure's file.
func (b *bench) bytes(prescribed int64) int64 {
	if b.size > 0 {
		return b.size << 20
	}
	return prescribed
}

// file writes a file in the arena whose bytes repeat nowhere, in it or in one of another number.
func (a *arena) file(number byte, size int64) (string, error) {
	path := filepath.Join(a.dir, fmt.Sprintf("file%d", number))
	f, err := os.Create(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	block, err := aes.NewCipher([]byte("no secret at all"))
	if err != nil {
		return "", err
	}
	start := make([]byte, aes.BlockSize)
	start[0] = number
	_, err = io.CopyN(f, cipher.StreamReader{S: cipher.NewCTR(block, start), R: zeros{}}, size)
	return path, errors.Join(err, f.Close())
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// same compares two files.
func same(a, b string) error {
	f, err := os.Open(a)
	if err != nil {
		return err
	}
	defer f.Close()
	g, err := os.Open(b)
	if err != nil {
		return err
	}
	defer g.Close()
	p, q := make([]byte, 1<<20), make([]byte, 1<<20)
	for at := 0; ; {
		n, err := io.ReadFull(f, p)
		k, other := io.ReadFull(g, q)
		if n != k || !bytes.Equal(p[:n], q[:k]) {
			return fmt.Errorf("%s is not what was shared, from byte %d on at the latest", filepath.Base(b), at+max(n, k))
		}
		at += n
		if err != nil || other != nil {
			return ended(errors.Join(err, other))
		}
	}
}

// ended is nil if the files were just read to their ends.
func ended(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil
	}
	return err
}

// measured is how long something took, and what the processors did meanwhile.
func measured(f func() error) (time.Duration, usage, error) {
	before, err := readTicks()
	if err != nil {
		return 0, usage{}, err
	}
	start := time.Now()
	if err := f(); err != nil {
		return 0, usage{}, err
	}
	took := time.Since(start)
	after, err := readTicks()
	return took, after.since(before), err
}

// acquaint makes every node connect to every other one that it can find, so that the clock does not measure mDNS. A root that
// nobody has makes a node ask all whom it knows.
func (a *arena) acquaint(ctx context.Context) error {
	const nowhere = "bafkreigaknpexyvxt76zgkitavbwx6ejgfheup5oybpm77f3pxzrvwpfdi"
	return until(ctx, 30*time.Second, "not all nodes have found each other", func() (bool, error) {
		var group errgroup.Group
		met := make([]bool, len(a.nodes))
		for i, n := range a.nodes {
			group.Go(func() error {
				s, err := n.status(ctx)
				if met[i] = s.Peers >= len(a.nodes)-1; err != nil || met[i] {
					return err
				}
				p, err := n.begin(ctx, "ls", nowhere, "--timeout", "500ms")
				if err == nil {
					<-p.ended // with "not found"
				}
				return err
			})
		}
		err := group.Wait()
		for _, ok := range met {
			if !ok {
				return false, err
			}
		}
		return true, err
	})
}
