//go:build linux

package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/shoal-p2p/shoal/content"
)

// rowOf reads a file's row from the index.
func rowOf(t testing.TB, s *Store, share Share, path string) fileRow {
	t.Helper()
	return must(s.file(keyOf(t, s, share, path)))
}

func keyOf(t testing.TB, s *Store, share Share, path string) fileKey {
	t.Helper()
	no, ok := tree(t, s, share.Root).Find(path)
	if !ok {
		t.Fatalf("no %q in the tree", path)
	}
	return fileKey{s.holdingsOf(share.Root)[0].ID, uint32(no)}
}

// setRow changes a file's row in the index.
func setRow(t testing.TB, s *Store, share Share, path string, f func(*fileRow)) {
	t.Helper()
	k := keyOf(t, s, share, path)
	row := must(s.file(k))
	f(&row)
	b := s.index.db.NewBatch()
	b.Set(k.row(), row.value(), nil)
	must(0, s.index.commit(b))
	s.files.drop(k)
}

func generationOfPath(t testing.TB, path string) generation {
	t.Helper()
	f := must(os.Open(path))
	defer f.Close()
	return must(generationOf(f))
}

// corrupt flips a byte of a file.
func corrupt(t testing.TB, path string, off int64) {
	t.Helper()
	f := must(os.OpenFile(path, os.O_RDWR, 0))
	defer f.Close()
	b := make([]byte, 1)
	must(f.ReadAt(b, off))
	b[0] ^= 1
	must(f.WriteAt(b, off))
}

// secretly corrupts a file and puts its times back, as far as that can be done.
func secretly(t testing.TB, path string, off int64) {
	t.Helper()
	info := must(os.Stat(path))
	corrupt(t, path, off)
	must(0, os.Chtimes(path, info.ModTime(), info.ModTime()))
}

// Whatever happens to a shared file: no wrong byte leaves, and the share says which file it is.
func TestChangedFilesAreNotServed(t *testing.T) {
	const secret = "root:x:0:0: this must not leave"
	cases := map[string]func(t *testing.T, path string){
		"edited, with size and time put back": func(t *testing.T, path string) { secretly(t, path, 3) },
		"edited":                              func(t *testing.T, path string) { corrupt(t, path, 3) },
		"truncated":                           func(t *testing.T, path string) { must(0, os.Truncate(path, 100)) },
		"emptied":                             func(t *testing.T, path string) { must(0, os.Truncate(path, 0)) },
		"vanished":                            func(t *testing.T, path string) { must(0, os.Remove(path)) },
		"replaced by another file": func(t *testing.T, path string) {
			write(t, path+".new", noise(99, 1000))
			must(0, os.Rename(path+".new", path))
		},
		"replaced by a directory": func(t *testing.T, path string) {
			must(0, errors.Join(os.Remove(path), os.Mkdir(path, 0o755)))
		},
		"replaced by a named pipe": func(t *testing.T, path string) {
			must(0, errors.Join(os.Remove(path), syscall.Mkfifo(path, 0o644)))
		},
		"replaced by a link to a secret outside": func(t *testing.T, path string) {
			write(t, filepath.Join(filepath.Dir(filepath.Dir(path)), "secret"), []byte(secret))
			must(0, errors.Join(os.Remove(path), os.Symlink("../secret", path)))
		},
		"replaced by a link to a file inside": func(t *testing.T, path string) {
			must(0, errors.Join(os.Remove(path), os.Symlink("other", path)))
		},
	}
	for name, change := range cases {
		for _, open1st := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				dir := t.TempDir()
				path := filepath.Join(dir, "d", "file")
				write(t, path, noise(1, 1000))
				write(t, filepath.Join(dir, "d", "other"), noise(2, 1000))
				s := open(t, dir)
				share := add(t, s, filepath.Join(dir, "d"))
				if open1st { // and it stays open
					wantServed(t, s, share.Root, "file", noise(1, 1000))
				}
				time.Sleep(shortTick) // or the change could carry the time of the indexing
				change(t, path)
				wantStale(t, s, share.Root, "file", path)
				wantServed(t, s, share.Root, "other", noise(2, 1000))
				must(0, s.Rescan(context.Background()))
				wantMarked(t, s, share.Root, path)
				damage := must(s.Check(context.Background(), share.Root, nil))
				if len(damage) != 1 || damage[0].Path != path || len(damage[0].Chunks) != 1 {
					t.Errorf("check found %+v, want the file", damage)
				}
			})
		}
	}
}

// A file that is written to while a chunk of it is being read.
func TestChunkThatChangesWhileItIsReadIsNotServed(t *testing.T) {
	dir := memoryDir(t)
	s := open(t, dir)
	for i := range 30 {
		path := filepath.Join(dir, fmt.Sprint(i))
		data := noise(uint64(i), content.ChunkSize)
		write(t, path, data)
		d := content.Seal(data).Digest()
		add(t, s, path)
		reading, changed := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(changed)
			<-reading
			corrupt(t, path, content.ChunkSize-1)
		}()
		buf := make([]byte, content.ChunkSize)
		for n := 0; ; n++ {
			if n == 5 {
				close(reading)
			}
			if _, err := s.ReadChunk(d, buf); err != nil {
				break
			}
			if !bytes.Equal(buf, data) {
				t.Fatalf("round %d: wrong bytes were given out", i)
			}
		}
		<-changed
	}
}

func TestStaleFilesAreServedAgainWhenTheyAreBack(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "d", "file")
	write(t, path, noise(1, 1000))
	s := open(t, dir)
	share := add(t, s, filepath.Join(dir, "d"))
	must(0, os.Rename(path, filepath.Join(dir, "away")))
	wantStale(t, s, share.Root, "file", path)
	must(0, os.Rename(filepath.Join(dir, "away"), path))
	wantServed(t, s, share.Root, "file", noise(1, 1000))
	must(0, s.Rescan(context.Background()))
	wantMarked(t, s, share.Root)
}

// Only reading the file can tell that wrong bytes are gone.
func TestWrongBytesStayMarkedUntilACheck(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "d", "file")
	write(t, path, noise(1, 1000))
	s := open(t, dir)
	share := add(t, s, filepath.Join(dir, "d"))
	time.Sleep(shortTick)
	secretly(t, path, 7)
	wantStale(t, s, share.Root, "file", path)
	secretly(t, path, 7) // right again
	must(0, s.Rescan(context.Background()))
	wantMarked(t, s, share.Root, path)
	if damage := must(s.Check(context.Background(), share.Root, nil)); len(damage) > 0 {
		t.Errorf("check found %v", damage)
	}
	wantMarked(t, s, share.Root)
	wantServed(t, s, share.Root, "file", noise(1, 1000))
}

// The marks survive the process.
func TestStaleFilesAreKnownAfterReopening(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "d", "file")
	write(t, path, noise(1, 1000))
	s := open(t, dir)
	share := add(t, s, filepath.Join(dir, "d"))
	must(0, os.Remove(path))
	wantStale(t, s, share.Root, "file", path)
	must(0, s.Close())
	s = open(t, dir)
	wantMarked(t, s, share.Root, path)
}

func TestGrownFileStillGivesTheChunksThatItHas(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	data := noise(1, 3*content.ChunkSize)
	write(t, path, data)
	s := open(t, dir)
	share := add(t, s, path)
	f := must(os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0))
	must(f.Write([]byte("more")))
	must(0, f.Close())
	wantServed(t, s, share.Root, "", data)
	must(0, s.Rescan(context.Background()))
	wantMarked(t, s, share.Root, path)
	wantServed(t, s, share.Root, "", data)
}

// A rename or a chmod changes the inode's time alone: the bytes are probably right, so they are hashed each time.
func TestCertaintyEndsWithTheInodesTimeAndReturnsWithACheck(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	write(t, path, noise(1, 1000))
	s := open(t, dir)
	share := add(t, s, path)
	d := content.Seal(noise(1, 1000)).Digest()
	try := func() error {
		row := rowOf(t, s, share, "")
		k := keyOf(t, s, share, "")
		return s.readPlace(d, place{file: k, length: int(row.gen.size)}, make([]byte, 1000), certain)
	}
	if err := try(); err != nil {
		t.Fatalf("a file that was just shared is not certain: %v", err)
	}
	time.Sleep(shortTick)
	must(0, os.Chmod(path, 0o600))
	if err := try(); !errors.Is(err, errOtherEffort) {
		t.Errorf("after a change of the inode: %v, want it to be hashed", err)
	}
	wantServed(t, s, share.Root, "", noise(1, 1000))
	time.Sleep(shortTick)
	if damage := must(s.Check(context.Background(), share.Root, nil)); len(damage) > 0 {
		t.Fatalf("check found %v", damage)
	}
	if err := try(); err != nil {
		t.Errorf("after a check: %v, want it to be certain", err)
	}
}

func TestRacyTimesAreNotBelieved(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	write(t, path, noise(1, 1000))
	s := open(t, dir)
	share := add(t, s, path)
	// A file system whose clock moves every two seconds.
	setRow(t, s, share, "", func(r *fileRow) { r.racy = true })
	corrupt(t, path, 0)
	setRow(t, s, share, "", func(r *fileRow) { r.gen = generationOfPath(t, path) })
	wantStale(t, s, share.Root, "", path)
}

// After a power cut a generation can stand beside bytes that are not those that it stood beside before.
func TestFirstReadingAfterAStartIsHashed(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	write(t, path, noise(1, 2*content.ChunkSize+10))
	s := open(t, dir)
	share := add(t, s, path)
	must(0, s.Close())
	s = open(t, dir)
	chunks := tree(t, s, share.Root)
	read := func(n uint32) error {
		_, err := s.ReadChunk(chunks.Digest(n), make([]byte, content.MaxBlock))
		return err
	}
	must(0, read(0))
	corrupt(t, path, content.ChunkSize) // the second chunk
	setRow(t, s, share, "", func(r *fileRow) { r.gen = generationOfPath(t, path) })
	if err := read(1); !errors.Is(err, ErrStale) {
		t.Errorf("the first reading of a chunk: %v, want ErrStale", err)
	}
}

// What was hashed since the start is not hashed again, but for chunks that are too small to remember.
func TestHashedRemembersByPlace(t *testing.T) {
	h := newHashed()
	at := func(file uint32, offset int64, length int) place {
		return place{file: fileKey{1, file}, offset: offset, length: length}
	}
	const size = 10 * content.ChunkSize
	h.one(at(0, content.ChunkSize, content.ChunkSize), size)
	h.one(at(1, 0, 100), 100)
	h.one(at(2, 0, 100), size)
	h.all(fileKey{1, 900})
	for _, c := range []struct {
		place place
		want  bool
	}{
		{at(0, content.ChunkSize, content.ChunkSize), true},
		{at(0, 0, content.ChunkSize), false},
		{at(0, 2*content.ChunkSize, content.ChunkSize), false},
		{at(1, 0, 100), true},
		{at(2, 0, 100), false},
		{at(900, content.ChunkSize, 10), true},
		{at(899, 0, content.ChunkSize), false},
	} {
		if got := h.has(c.place); got != c.want {
			t.Errorf("%+v is hashed: %v, want %v", c.place, got, c.want)
		}
	}
	h.forget(1)
	if h.has(at(1, 0, 100)) || h.has(at(0, content.ChunkSize, content.ChunkSize)) {
		t.Error("a holding that was forgotten is remembered")
	}
}

func TestAGenerationIsRacyForATick(t *testing.T) {
	now := time.Unix(1000, 0)
	at := func(d time.Duration) int64 { return now.Add(-d).UnixNano() }
	for _, c := range []struct {
		name         string
		mtime, ctime time.Duration // ago
		want         bool
	}{
		{"long ago", time.Hour, time.Hour, false},
		{"a little more than a tick ago", shortTick + 1, shortTick + 1, false},
		{"a tick ago", shortTick, time.Hour, true},
		{"its inode a tick ago", time.Hour, shortTick, true},
		{"in the future", -time.Hour, time.Hour, true},
	} {
		g := generation{mtime: at(c.mtime), ctime: at(c.ctime)}
		if got := g.racy(now, shortTick); got != c.want {
			t.Errorf("changed %s: racy is %v, want %v", c.name, got, c.want)
		}
	}
}

func TestLosingOnePlaceOfManyLosesNothing(t *testing.T) {
	dir := t.TempDir()
	data := noise(1, 2*content.ChunkSize+5)
	var paths []string
	for _, name := range []string{"a", "b", "c"} {
		path := filepath.Join(dir, name, "file")
		write(t, path, data)
		paths = append(paths, path)
	}
	s := open(t, dir)
	share := add(t, s, paths[0])
	for _, p := range paths[1:] {
		if again := add(t, s, p); !again.Root.Equals(share.Root) {
			t.Fatal("equal files have different roots")
		}
	}
	if got := shareOf(t, s, share.Root).Paths; len(got) != 3 {
		t.Errorf("the share's paths are %q, want all three", got)
	}
	time.Sleep(shortTick)
	must(0, os.Remove(paths[0]))
	wantServed(t, s, share.Root, "", data)
	secretly(t, paths[1], content.ChunkSize+1)
	wantServed(t, s, share.Root, "", data)
	must(0, os.Truncate(paths[2], content.ChunkSize))
	if _, err := readFile(s, tree(t, s, share.Root), ""); !errors.Is(err, ErrStale) {
		t.Errorf("with no right place left: %v, want ErrStale", err)
	}
	if got, err := s.ReadChunk(content.Seal(data[2*content.ChunkSize:]).Digest(), make([]byte, 10)); err != nil || got != 5 {
		t.Errorf("the last chunk is still in one place: %d bytes, %v", got, err)
	}
}

func TestRescanFindsRenamedFilesWithoutReadingThem(t *testing.T) {
	onEach(t, func(t *testing.T, dir string) {
		root := sample(t, dir)
		s := open(t, dir)
		share := add(t, s, root)
		big := must(os.ReadFile(filepath.Join(root, "big")))
		must(0, os.MkdirAll(filepath.Join(root, "new/place"), 0o755))
		must(0, os.Rename(filepath.Join(root, "big"), filepath.Join(root, "new/place/large")))
		must(0, os.Rename(filepath.Join(root, "sub/deep"), filepath.Join(root, "shallow")))
		wantStale(t, s, share.Root, "big", filepath.Join(root, "big"))
		must(0, s.Rescan(context.Background()))
		wantMarked(t, s, share.Root)
		wantServed(t, s, share.Root, "big", big)
		wantServed(t, s, share.Root, "sub/deep/er/file", noise(4, 1000))
		if row := rowOf(t, s, share, "big"); row.path != filepath.Join("new", "place", "large") {
			t.Errorf("big is now at %s", row.path)
		}
		// Something else in its old place does not confuse.
		write(t, filepath.Join(root, "big"), []byte("another"))
		must(0, s.Rescan(context.Background()))
		wantMarked(t, s, share.Root)
		wantServed(t, s, share.Root, "big", big)
	})
}

func TestRescanFollowsARenamedShare(t *testing.T) {
	dir := t.TempDir()
	root := sample(t, dir)
	file := filepath.Join(dir, "single")
	write(t, file, noise(8, 5000))
	s := open(t, dir)
	share, single := add(t, s, root), add(t, s, file)
	must(0, os.Rename(root, filepath.Join(dir, "moved")))
	must(0, os.Rename(file, filepath.Join(dir, "named")))
	wantStale(t, s, share.Root, "big", filepath.Join(root, "big"))
	must(0, s.Rescan(context.Background()))
	wantMarked(t, s, share.Root)
	wantServed(t, s, share.Root, "sub/deep/er/file", noise(4, 1000))
	wantServed(t, s, single.Root, "", noise(8, 5000))
	if got := shareOf(t, s, share.Root).Paths[0]; got != filepath.Join(dir, "moved") {
		t.Errorf("the share is now at %s", got)
	}
	if got := shareOf(t, s, single.Root).Paths[0]; got != filepath.Join(dir, "named") {
		t.Errorf("the file is now at %s", got)
	}
}

// An unmounted disk leaves an empty directory: nothing is forgotten, and everything is back with the disk.
func TestShareWaitsForItsDisk(t *testing.T) {
	dir := t.TempDir()
	root := filepath.Join(dir, "mnt")
	must(0, os.Mkdir(root, 0o755))
	mount := func() {
		if err := syscall.Mount("tmpfs", root, "tmpfs", 0, "size=8m"); err != nil {
			missing(t, "cannot mount: "+err.Error())
		}
	}
	mount()
	write(t, filepath.Join(root, "a"), noise(1, 1000))
	write(t, filepath.Join(root, "b"), noise(2, 1000))
	s := open(t, dir)
	share := add(t, s, root)
	wantServed(t, s, share.Root, "a", noise(1, 1000))
	// The disk goes: what a bind mount keeps is what comes back.
	keep := filepath.Join(dir, "keep")
	must(0, os.Mkdir(keep, 0o755))
	must(0, syscall.Mount(root, keep, "", syscall.MS_BIND, ""))
	defer syscall.Unmount(keep, syscall.MNT_DETACH)
	must(0, syscall.Unmount(root, syscall.MNT_DETACH))
	s.files.dropIf(func(fileKey) bool { return true })
	s.dirs.dropIf(func(baseKey) bool { return true })
	must(0, s.Rescan(context.Background()))
	stale := shareOf(t, s, share.Root).Stale
	if len(stale) != 1 || stale[0].Path != root || !strings.Contains(stale[0].Reason, "mounted") {
		t.Errorf("stale are %v, want the share as a whole", stale)
	}
	must(0, syscall.Mount(keep, root, "", syscall.MS_BIND, ""))
	defer syscall.Unmount(root, syscall.MNT_DETACH)
	must(0, s.Rescan(context.Background()))
	wantMarked(t, s, share.Root)
	wantServed(t, s, share.Root, "b", noise(2, 1000))
}

func TestHandlesAreClosedWhenNobodyUsesThem(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	write(t, path, noise(1, 1000))
	s := open(t, dir)
	s.files.idle, s.dirs.idle = time.Millisecond, time.Millisecond
	share := add(t, s, path)
	wantServed(t, s, share.Root, "", noise(1, 1000))
	for range 1000 {
		s.files.mu.Lock()
		n := len(s.files.open)
		s.files.mu.Unlock()
		if n == 0 {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Error("a file is still open after a second of nothing")
}

func TestRepairWritesBackWhatTheDiskLost(t *testing.T) {
	dir := t.TempDir()
	from, tr, share := fetched(t, dir)
	s := open(t, dir)
	path := shareOf(t, s, share.Root).Paths[0]
	big := filepath.Join(path, "big")
	secretly(t, big, 3*content.ChunkSize+9)
	edited := filepath.Join(path, "more")
	time.Sleep(shortTick)
	corrupt(t, edited, 9)
	must(0, os.Remove(filepath.Join(path, "small")))
	fixed := 0
	for _, d := range must(s.Check(context.Background(), share.Root, nil)) {
		if d.Edited != (d.Path != big) {
			t.Errorf("%s: edited is %v", d.Path, d.Edited)
		}
		for _, n := range d.Chunks {
			buf := make([]byte, tr.ChunkLen(n))
			must(from.ReadChunk(tr.Digest(n), buf))
			err := s.Repair(tr, n, must(content.Verify(tr.Digest(n), buf)))
			if d.Edited != (err != nil) {
				t.Errorf("repair of %s: %v", d.Path, err)
			}
			if err == nil {
				fixed++
			}
		}
	}
	if fixed != 1 {
		t.Errorf("%d chunks were repaired, want the one that broke", fixed)
	}
	must(s.Check(context.Background(), share.Root, nil))
	wantMarked(t, s, share.Root, edited, filepath.Join(path, "small"))
	wantServed(t, s, share.Root, "big", noise(3, 20*content.ChunkSize+12345))
}

func TestRepairLeavesSharedFilesAlone(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	write(t, path, noise(1, 1000))
	s := open(t, dir)
	share := add(t, s, path)
	time.Sleep(shortTick)
	secretly(t, path, 1)
	broken := must(os.ReadFile(path))
	err := s.Repair(tree(t, s, share.Root), 0, content.Seal(noise(1, 1000)))
	if !errors.Is(err, ErrNotFound) || !bytes.Equal(must(os.ReadFile(path)), broken) {
		t.Errorf("repair of a shared file: %v, want ErrNotFound and no write", err)
	}
}
