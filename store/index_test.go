//go:build linux

package store

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/shoal-p2p/shoal/content"
)

// B109
func TestIndexOfANewerVersionIsRefusedWithoutAWrite(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	add(t, s, sample(t, dir))
	must(0, s.Close())
	must(0, os.WriteFile(filepath.Join(s.home, "index.schema"), []byte(strconv.Itoa(schema+1)), 0o600))
	before := snapshot(t, filepath.Join(s.home, "index"), true)
	if _, err := Open(Config{Home: s.home}); !errors.Is(err, ErrNewer) {
		t.Errorf("got %v, want ErrNewer", err)
	}
	wantSame(t, "the index", snapshot(t, filepath.Join(s.home, "index"), true), before)
	must(0, os.WriteFile(filepath.Join(s.home, "index.schema"), []byte(strconv.Itoa(schema)), 0o600))
	s = open(t, dir)
	if n := len(must(s.Shares())); n != 1 {
		t.Errorf("%d shares, want the one from before", n)
	}
}

func TestIndexWithoutAVersionIsNotTouched(t *testing.T) {
	for _, text := range []string{"", "one", "-1", "0", "none"} {
		dir := t.TempDir()
		s := open(t, dir)
		must(0, s.Close())
		path := filepath.Join(s.home, "index.schema")
		if text == "none" {
			must(0, os.Remove(path))
		} else {
			must(0, os.WriteFile(path, []byte(text), 0o600))
		}
		if _, err := Open(Config{Home: s.home}); !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), "share again") {
			t.Errorf("version %q: %v, want ErrCorrupt and what to do", text, err)
		}
	}
}

// B108: whatever happens to the files of the index, the store says so or is right, and touches nothing else. It never makes a
// new index in silence.
func TestDamagedIndexIsNoticed(t *testing.T) {
	dir := memoryDir(t)
	root := sample(t, dir)
	s := open(t, dir)
	share := add(t, s, root)
	must(0, s.index.db.Flush())
	must(0, s.Close())
	whole := filepath.Join(dir, "whole")
	must(0, os.CopyFS(whole, os.DirFS(s.home)))
	noticed := 0
	try := func(what string) {
		t.Helper()
		s, err := Open(Config{Home: s.home})
		if err != nil {
			noticed++
			return
		}
		defer s.Close()
		err = readAll(s, share)
		if err != nil {
			noticed++
		}
		if err != nil && !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrNotFound) {
			t.Errorf("%s: %v, want it to be ErrCorrupt", what, err)
		}
	}
	var files []string
	filepath.WalkDir(filepath.Join(whole, "index"), func(p string, e fs.DirEntry, err error) error {
		if rel, _ := filepath.Rel(whole, p); err == nil && e.Type().IsRegular() {
			files = append(files, rel)
		}
		return err
	})
	rng := rand.New(rand.NewPCG(1, 2))
	for _, file := range files {
		data := must(os.ReadFile(filepath.Join(whole, file)))
		var spoilt [][]byte
		for n := 0; n < len(data); n += 4096 {
			spoilt = append(spoilt, data[:n])
		}
		for range min(6, len(data)) {
			b := bytes.Clone(data)
			b[rng.IntN(len(b))] ^= 1 << rng.IntN(8)
			spoilt = append(spoilt, b)
		}
		for i, b := range spoilt {
			must(0, os.RemoveAll(s.home))
			must(0, os.CopyFS(s.home, os.DirFS(whole)))
			must(0, os.WriteFile(filepath.Join(s.home, file), b, 0o600))
			try(fmt.Sprintf("%s, damage %d", file, i))
		}
	}
	if noticed == 0 {
		t.Error("no damage was ever noticed")
	}
	wantServedFiles(t, root)
}

func wantServedFiles(t *testing.T, root string) {
	t.Helper()
	if b := must(os.ReadFile(filepath.Join(root, "one"))); !bytes.Equal(b, noise(1, content.ChunkSize)) {
		t.Error("a shared file was touched")
	}
}

// readAll reads every chunk of a share through the index.
func readAll(s *Store, share Share) error {
	tr, err := s.Tree(context.Background(), share.Root)
	if err != nil {
		return err
	}
	buf := make([]byte, content.MaxBlock)
	for n := range tr.NumChunks() {
		got, err := s.ReadChunk(tr.Digest(uint32(n)), buf)
		if err != nil {
			return err
		}
		if content.Seal(buf[:got]).Digest() != tr.Digest(uint32(n)) {
			return errors.New("wrong bytes")
		}
	}
	return nil
}

// Every state that the disk may have after a power cut is a whole share or none: Pebble's file system for tests keeps any part
// of what was not synced.
func TestPowerCutLeavesWholeSharesOnly(t *testing.T) {
	dir := memoryDir(t)
	root := filepath.Join(dir, "root")
	for i := range 50 {
		write(t, filepath.Join(root, fmt.Sprint(i%5), fmt.Sprint(i)), noise(uint64(i), 50))
	}
	other := filepath.Join(dir, "other")
	write(t, other, noise(99, 2*content.ChunkSize))
	for seed := range uint64(64) {
		rng := rand.New(rand.NewPCG(seed, 0))
		disk := vfs.NewCrashableMem()
		home := filepath.Join(dir, fmt.Sprint("home", seed))
		must(0, os.MkdirAll(home, 0o700))
		must(0, disk.MkdirAll(home, 0o700))
		for p := home; p != "/"; p = filepath.Dir(p) {
			d := must(disk.OpenDir(filepath.Dir(p)))
			must(0, errors.Join(d.Sync(), d.Close()))
		}
		s := must(openOn(Config{Home: home}, disk))
		first := add(t, s, root)
		var images []vfs.FS
		cut := func() {
			images = append(images, disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: rng.IntN(101), RNG: rng}))
		}
		cut()
		second := add(t, s, other)
		cut()
		must(0, s.Remove(first.Root))
		cut()
		must(0, s.Close())
		want := [][]Share{{first}, {first, second}, {second}}
		for i, image := range images {
			must(0, os.RemoveAll(filepath.Join(home, "lock")))
			s, err := openOn(Config{Home: home}, image)
			if err != nil {
				t.Fatalf("seed %d, cut %d: %v", seed, i, err)
			}
			got := must(s.Shares())
			if len(got) != len(want[i]) {
				t.Errorf("seed %d, cut %d: %d shares, want %d: what was confirmed is not there", seed, i, len(got), len(want[i]))
			}
			for _, share := range got {
				if err := readAll(s, share); err != nil {
					t.Errorf("seed %d, cut %d: %v", seed, i, err)
				}
			}
			must(0, s.Close())
		}
	}
}

// B102: there is no room for the index itself. Pebble would end the process.
func TestIndexOnAFullDiskIsAnError(t *testing.T) {
	dir := t.TempDir()
	small := filepath.Join(dir, "small")
	must(0, os.Mkdir(small, 0o755))
	if err := syscall.Mount("tmpfs", small, "tmpfs", 0, "size=16m"); err != nil {
		missing(t, "cannot mount: "+err.Error())
	}
	defer syscall.Unmount(small, syscall.MNT_DETACH)
	root := sample(t, dir)
	s := open(t, small)
	ballast := filepath.Join(small, "ballast")
	must(0, os.WriteFile(ballast, make([]byte, 12<<20), 0o644))
	if _, _, err := s.Add(context.Background(), []string{root}, AddOptions{}); !errors.Is(err, ErrNoSpace) {
		t.Errorf("got %v, want ErrNoSpace", err)
	}
	must(0, os.Remove(ballast))
	share := add(t, s, root)
	must(0, s.Close())
	s = open(t, small)
	must(0, readAll(s, share))
	must(0, s.Close())
}

// Whatever Pebble would die for is an error, and the index is closed for writing.
func TestFatalErrorsOfTheIndexDoNotKill(t *testing.T) {
	_, err := guard(func() (any, error) { quiet{}.Fatalf("cannot write: %v", syscall.EIO); return nil, nil })
	if !errors.Is(err, errFatal) || !errors.Is(err, syscall.EIO) {
		t.Errorf("got %v, want errFatal with its cause", err)
	}
}

// B119
func TestIndexDoesNotGrowWithWhatCameAndWent(t *testing.T) {
	dir := memoryDir(t)
	root := filepath.Join(dir, "many")
	for i := range 2000 {
		write(t, filepath.Join(root, fmt.Sprint(i%20), fmt.Sprint(i)), noise(uint64(i), 50))
	}
	s := open(t, dir)
	size := func() (sum int64) {
		filepath.WalkDir(filepath.Join(s.home, "index"), func(p string, e fs.DirEntry, err error) error {
			if info, err := os.Lstat(p); err == nil {
				sum += info.Size()
			}
			return nil
		})
		return sum
	}
	var sizes []int64
	for range 30 {
		must(0, s.Remove(add(t, s, root).Root))
		sizes = append(sizes, size())
	}
	wantEmptyIndex(t, s)
	if most := sizes[5] + sizes[5]/2 + 4<<20; sizes[len(sizes)-1] > most {
		t.Errorf("the index grew: %d", sizes)
	}
}

func TestRowsReadBack(t *testing.T) {
	root := content.Seal([]byte("x")).Digest().CID()
	h := holding{
		ID: 7, Root: root, Origin: Fetched, Name: "näme", Added: time.Unix(5, 6), Bytes: 1 << 50, Files: 9,
		Bases: []base{{Path: "/a", Prefix: "p", Dir: true, device: 1, inode: 1 << 63}, {}},
	}
	if got, err := parseHolding(holdingKey(root, h.ID), h.value()); err != nil || !reflect.DeepEqual(got, h) {
		t.Errorf("got %+v, %v; want %+v", got, err, h)
	}
	f := fileRow{base: 3, path: "a/b", racy: true, gen: generation{1, 2, 3, -4, 5}}
	if got, err := parseFile(f.value()); err != nil || got != f {
		t.Errorf("got %+v, %v; want %+v", got, err, f)
	}
	p := place{file: fileKey{1, 2}, offset: 1 << 40, length: 5}
	if got, err := parsePlace(p.key(content.Digest{9}), p.value()); err != nil || got != p {
		t.Errorf("got %+v, %v; want %+v", got, err, p)
	}
	k, m := fileKey{3, 4 | baseMark}, mark{true, "gone"}
	if gotK, gotM, err := parseMark(k.mark(), m.value()); err != nil || gotK != k || gotM != m {
		t.Errorf("got %+v %+v, %v; want %+v %+v", gotK, gotM, err, k, m)
	}
}

func TestCutRowsAreErrors(t *testing.T) {
	root := content.Seal([]byte("x")).Digest().CID()
	h := holding{ID: 7, Root: root, Origin: Shared, Name: "name", Added: time.Unix(5, 6), Bases: []base{{Path: "/a", Prefix: "p"}}}
	f := fileRow{path: "a/b", gen: generation{1, 2, 3, -4, 5}}
	m := mark{true, "gone"}
	a := content.Access{Secret: must(content.ParseSecret([]byte("sixteen bytes..."))), Until: time.Unix(9, 0), Limited: true, Peers: []string{"a"}}
	for name, row := range map[string]struct {
		value []byte
		parse func([]byte) error
	}{
		"holding": {h.value(), func(b []byte) error { _, err := parseHolding(holdingKey(root, 7), b); return err }},
		"file":    {f.value(), func(b []byte) error { _, err := parseFile(b); return err }},
		"mark":    {m.value(), func(b []byte) error { _, _, err := parseMark(fileKey{}.mark(), b); return err }},
		"access":  {accessValue(a), func(b []byte) error { _, _, err := parseAccess(accessKey(root), b); return err }},
	} {
		for n := range row.value {
			if err := row.parse(row.value[:n]); !errors.Is(err, ErrCorrupt) {
				t.Errorf("%s cut to %d bytes: %v, want ErrCorrupt", name, n, err)
			}
		}
		if err := row.parse(append(bytes.Clone(row.value), 0)); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s with a byte too many: %v, want ErrCorrupt", name, err)
		}
	}
}

// FuzzRows reads rows that a broken disk could hold: never a panic, never more memory than the row has bytes for, and what
// reads well reads the same when it is written again.
func FuzzRows(f *testing.F) {
	root := content.Seal([]byte("x")).Digest().CID()
	h := holding{ID: 7, Root: root, Origin: Shared, Name: "name", Added: time.Unix(5, 6), Bases: []base{{Path: "/a", Prefix: "p"}, {Dir: true}}}
	p := place{file: fileKey{1, 2}, offset: 1 << 40, length: 5}
	f.Add(holdingKey(root, 7), h.value())
	f.Add(fileKey{1, 2}.row(), fileRow{path: "a/b", gen: generation{1, 2, 3, -4, 5}}.value())
	f.Add(p.key(content.Digest{9}), p.value())
	f.Add(fileKey{1, 2}.mark(), mark{true, "gone"}.value())
	secret := must(content.ParseSecret([]byte("sixteen bytes...")))
	f.Add(accessKey(root), accessValue(content.Access{Secret: secret, Until: time.Unix(9, 0), Limited: true, Peers: []string{"a", "b"}}))
	f.Add([]byte{rowHolding}, binary.AppendUvarint(nil, 1<<63))
	f.Fuzz(func(t *testing.T, key, value []byte) {
		if h, err := parseHolding(key, value); err == nil {
			if again, err := parseHolding(holdingKey(h.Root, h.ID), h.value()); err != nil || !reflect.DeepEqual(again, h) {
				t.Errorf("holding: %+v became %+v, %v", h, again, err)
			}
		}
		if row, err := parseFile(value); err == nil {
			if again, err := parseFile(row.value()); err != nil || again != row {
				t.Errorf("file: %+v became %+v, %v", row, again, err)
			}
		}
		if p, err := parsePlace(key, value); err == nil {
			if again, err := parsePlace(p.key(content.Digest(key[1:33])), p.value()); err != nil || again != p {
				t.Errorf("place: %+v became %+v, %v", p, again, err)
			}
		}
		if root, a, err := parseAccess(key, value); err == nil {
			if again, a2, err := parseAccess(accessKey(root), accessValue(a)); err != nil || again != root || !reflect.DeepEqual(a2, a) {
				t.Errorf("access: %v %+v became %v %+v, %v", root, a, again, a2, err)
			}
		}
		if k, m, err := parseMark(key, value); err == nil {
			if k2, m2, err := parseMark(k.mark(), m.value()); err != nil || k2 != k || m2 != m {
				t.Errorf("mark: %+v %+v became %+v %+v, %v", k, m, k2, m2, err)
			}
		}
	})
}

// A row that makes no sense is an error where it is met, and not a crash.
func TestRowsThatMakeNoSense(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	share := add(t, s, sample(t, dir))
	k := keyOf(t, s, share, "small")
	b := s.index.db.NewBatch()
	b.Set(k.row(), []byte{1, 2, 3}, nil)
	must(0, b.Commit(pebble.Sync))
	for name, err := range map[string]error{
		"rescan": s.Rescan(context.Background()),
		"check":  func() error { _, err := s.Check(context.Background(), share.Root, nil); return err }(),
	} {
		if !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v, want ErrCorrupt", name, err)
		}
	}
}
