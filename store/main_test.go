//go:build linux

package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ipfs/go-cid"
	"go.uber.org/goleak"

	"github.com/shoal-p2p/shoal/content"
)

func TestMain(m *testing.M) {
	if child := os.Getenv("SHOAL_STORE_CHILD"); child != "" {
		runChild(child, os.Getenv("SHOAL_STORE_DIR"))
		return
	}
	goleak.VerifyTestMain(m)
}

// onEach runs a test on every file system that there is: a disk, and memory.
func onEach(t *testing.T, f func(t *testing.T, dir string)) {
	t.Helper()
	t.Run("disk", func(t *testing.T) { f(t, t.TempDir()) })
	t.Run("memory", func(t *testing.T) { f(t, memoryDir(t)) })
}

// memoryDir is a directory on a tmpfs.
func memoryDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "shoal-test-")
	if err != nil {
		missing(t, "no tmpfs at /dev/shm: "+err.Error())
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// missing skips a test that needs something which is not here, and fails it in continuous integration.
func missing(t testing.TB, what string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(what)
	}
	t.Skip(what)
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// open opens a store in dir/home, which it makes, and closes it at the end of the test.
func open(t testing.TB, dir string) *Store {
	t.Helper()
	home := filepath.Join(dir, "home")
	if err := os.MkdirAll(home, 0o700); err != nil {
		t.Fatal(err)
	}
	s, err := Open(Config{Home: home})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// noise is n bytes that depend on seed alone.
func noise(seed uint64, n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8(sha256.Sum256(fmt.Append(nil, seed))).Read(b)
	return b
}

func write(t testing.TB, path string, data []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

func add(t testing.TB, s *Store, paths ...string) Share {
	t.Helper()
	share, skipped, err := s.Add(context.Background(), paths, AddOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if len(skipped) > 0 {
		t.Fatalf("left out %v", skipped)
	}
	return share
}

func tree(t testing.TB, s *Store, root cid.Cid) *content.Tree {
	t.Helper()
	tr, err := s.Tree(context.Background(), root)
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

// readFile reads a file of a tree chunk by chunk from a store.
func readFile(s *Store, tr *content.Tree, path string) ([]byte, error) {
	i, ok := tr.Find(path)
	if !ok {
		return nil, ErrNotFound
	}
	var out []byte
	buf := make([]byte, content.MaxBlock)
	for _, p := range tr.Pieces(i) {
		n, err := s.ReadChunk(tr.Digest(p.Chunk), buf)
		if err != nil {
			return nil, fmt.Errorf("chunk %d: %w", p.Chunk, err)
		}
		if int64(len(out)) != p.Offset {
			return nil, fmt.Errorf("chunk %d lies at %d, want %d", p.Chunk, p.Offset, len(out))
		}
		out = append(out, buf[:n]...)
	}
	return out, nil
}

// wantServed checks that a store gives back exactly these bytes for a file of a tree.
func wantServed(t testing.TB, s *Store, root cid.Cid, path string, want []byte) {
	t.Helper()
	got, err := readFile(s, tree(t, s, root), path)
	if err != nil {
		t.Fatalf("read %q: %v", path, err)
	}
	if !bytes.Equal(got, want) {
		t.Fatalf("read %q: got %d other bytes, want %d", path, len(got), len(want))
	}
}

// wantStale checks that nothing of a file is given out, and that its share says so about the path.
func wantStale(t testing.TB, s *Store, root cid.Cid, path string, at string) {
	t.Helper()
	if got, err := readFile(s, tree(t, s, root), path); !errors.Is(err, ErrStale) {
		t.Errorf("read %q: %d bytes and error %v, want none and ErrStale", path, len(got), err)
	}
	wantMarked(t, s, root, at)
}

func wantMarked(t testing.TB, s *Store, root cid.Cid, paths ...string) {
	t.Helper()
	var got []string
	for _, m := range shareOf(t, s, root).Stale {
		got = append(got, m.Path)
	}
	if !slices.Equal(got, paths) {
		t.Errorf("stale are %q, want %q", got, paths)
	}
}

func shareOf(t testing.TB, s *Store, root cid.Cid) Share {
	t.Helper()
	for _, sh := range must(s.Shares()) {
		if sh.Root.Equals(root) {
			return sh
		}
	}
	t.Fatalf("%s is not among the shares", root)
	return Share{}
}

// source is where a test gets chunks from: another store that shares the same.
func fetch(from *Store, d *Download, tr *content.Tree) error {
	w := d.Wanted()
	for n := w.NextSet(0); n >= 0; n = w.NextSet(n + 1) {
		if err := fetchChunk(from, d, tr, uint32(n)); err != nil {
			return err
		}
	}
	return nil
}

func fetchChunk(from *Store, d *Download, tr *content.Tree, n uint32) error {
	buf := make([]byte, tr.ChunkLen(n))
	if _, err := from.ReadChunk(tr.Digest(n), buf); err != nil {
		return err
	}
	c, err := content.Verify(tr.Digest(n), buf)
	if err != nil {
		return err
	}
	return d.Put(n, c)
}

// nodes collects the inner nodes of a root.
func nodes(t testing.TB, s *Store, root cid.Cid) []content.Block {
	t.Helper()
	var out []content.Block
	_, err := walk(context.Background(), root, func(c cid.Cid) ([]byte, error) {
		data, err := s.Node(c)
		out = append(out, content.Block{CID: c, Data: data})
		return data, err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// snapshot maps every path below dir to what is there: content, kind and size. Times are in it with times.
func snapshot(t testing.TB, dir string, times bool) map[string]string {
	t.Helper()
	out := make(map[string]string)
	err := filepath.WalkDir(dir, func(p string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := os.Lstat(p)
		if err != nil {
			return err
		}
		what := info.Mode().String()
		switch {
		case info.Mode().IsRegular():
			data, err := os.ReadFile(p)
			if err != nil {
				return err
			}
			what += fmt.Sprintf(" %x", sha256.Sum256(data))
		case info.Mode()&fs.ModeSymlink != 0:
			target, _ := os.Readlink(p)
			what += " → " + target
		}
		if times && !info.IsDir() {
			what += " " + info.ModTime().String()
		}
		rel, _ := filepath.Rel(dir, p)
		out[rel] = what
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func wantSame(t testing.TB, what string, got, want map[string]string) {
	t.Helper()
	var diff []string
	for p, w := range want {
		if got[p] != w {
			diff = append(diff, fmt.Sprintf("%s: got %q, want %q", p, got[p], w))
		}
	}
	for p, g := range got {
		if _, ok := want[p]; !ok {
			diff = append(diff, fmt.Sprintf("%s: got %q, want nothing", p, g))
		}
	}
	slices.Sort(diff)
	if len(diff) > 0 {
		t.Errorf("%s:\n%s", what, strings.Join(diff, "\n"))
	}
}

// sample makes a directory with files of all kinds of sizes and returns it.
func sample(t testing.TB, dir string) string {
	t.Helper()
	root := filepath.Join(dir, "sample")
	write(t, filepath.Join(root, "empty"), nil)
	write(t, filepath.Join(root, "small"), []byte("hello world"))
	write(t, filepath.Join(root, "one"), noise(1, content.ChunkSize))
	write(t, filepath.Join(root, "more"), noise(2, content.ChunkSize+1))
	write(t, filepath.Join(root, "big"), noise(3, 20*content.ChunkSize+12345))
	write(t, filepath.Join(root, "sub/again"), noise(1, content.ChunkSize))
	write(t, filepath.Join(root, "sub/deep/er/file"), noise(4, 1000))
	write(t, filepath.Join(root, "same"), bytes.Repeat(noise(5, content.ChunkSize), 9))
	if err := os.MkdirAll(filepath.Join(root, "bare/empty"), 0o755); err != nil {
		t.Fatal(err)
	}
	return root
}

// destIn makes an empty directory for downloads.
func destIn(t testing.TB, dir string) string {
	t.Helper()
	dest := filepath.Join(dir, "dest")
	must(0, os.MkdirAll(dest, 0o755))
	return dest
}

// wantOnly checks which names there are in a directory.
func wantOnly(t testing.TB, dir string, names ...string) {
	t.Helper()
	var got []string
	for _, e := range must(os.ReadDir(dir)) {
		got = append(got, e.Name())
	}
	if fmt.Sprint(got) != fmt.Sprint(names) {
		t.Errorf("%s holds %q, want %q", dir, got, names)
	}
}
