package testnet

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
)

// makeContent writes a content: a file at path, or a folder of files. What is in it depends on the seed and its name alone.
func makeContent(path string, c Content, seed uint64) error {
	h := fnv.New64a()
	_, _ = h.Write([]byte(c.Name)) // cannot fail
	var key [32]byte
	for i := range 8 {
		key[i], key[8+i] = byte(seed>>(8*i)), byte(h.Sum64()>>(8*i))
	}
	chance := rand.NewChaCha8(key)
	if c.Files == 1 {
		return makeFile(path, c.Size, chance)
	}
	if err := os.Mkdir(path, 0o755); err != nil {
		return err
	}
	for i, size := range c.Sizes() {
		if err := makeFile(filepath.Join(path, fmt.Sprintf("%06d.bin", i+1)), size, chance); err != nil {
			return err
		}
	}
	return nil
}

func makeFile(path string, size int64, from io.Reader) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = io.CopyBuffer(struct{ io.Writer }{f}, io.LimitReader(from, size), make([]byte, 1<<20))
	return errors.Join(err, f.Close())
}

// linkContent gives a node a content without a second copy of its bytes, where the file system can.
func linkContent(from, to string) error {
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		dest := to + path[len(from):]
		if d.IsDir() {
			return os.MkdirAll(dest, 0o755)
		}
		if err := os.Link(path, dest); err == nil {
			return nil
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		info, err := f.Stat()
		if err != nil {
			return err
		}
		return makeFile(dest, info.Size(), f)
	})
}

// digest tells files, and folders of files, apart by what they hold: bytes, and names inside.
func digest(path string) ([]byte, error) {
	h := sha256.New()
	err := filepath.WalkDir(path, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		fmt.Fprintf(h, "%q %d\n", p[len(path):], info.Size())
		f, err := os.Open(p)
		if err != nil {
			return err
		}
		defer f.Close()
		_, err = io.Copy(h, f)
		return err
	})
	return h.Sum(nil), err
}
