//go:build linux

package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/shoal-p2p/shoal/content"
)

func TestSharedFilesAreServedFromWhereTheyLie(t *testing.T) {
	onEach(t, func(t *testing.T, dir string) {
		root := sample(t, dir)
		before := snapshot(t, root, true)
		s := open(t, dir)
		share := add(t, s, root)
		tr := tree(t, s, share.Root)
		for _, path := range []string{"empty", "small", "one", "more", "big", "sub/again", "sub/deep/er/file", "same"} {
			wantServed(t, s, share.Root, path, must(os.ReadFile(filepath.Join(root, path))))
		}
		if _, ok := tr.Find("bare/empty"); !ok {
			t.Error("an empty directory was lost")
		}
		if share.Files != 8 || share.Name != "sample" || share.Paths[0] != root || share.Bytes != tr.Size {
			t.Errorf("the share is %+v", share)
		}
		wantSame(t, "shared files were touched", snapshot(t, root, true), before)
		if damage := must(s.Check(context.Background(), share.Root, nil)); len(damage) > 0 {
			t.Errorf("check found %v", damage)
		}
	})
}

func TestShareIsThereAfterReopening(t *testing.T) {
	dir := t.TempDir()
	root := sample(t, dir)
	s := open(t, dir)
	share := add(t, s, root)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir)
	if got := shareOf(t, s, share.Root); got.Name != share.Name || got.Bytes != share.Bytes || !got.Added.Equal(share.Added) {
		t.Errorf("got %+v, want %+v", got, share)
	}
	wantServed(t, s, share.Root, "big", must(os.ReadFile(filepath.Join(root, "big"))))
}

func TestSingleFileIsARawLeafAndItsOwnNode(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "hello")
	write(t, path, []byte("hello world"))
	s := open(t, dir)
	share := add(t, s, path)
	if got := share.Root.String(); got != "bafkreifzjut3te2nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e" {
		t.Errorf("the root is %s", got)
	}
	if data := must(s.Node(share.Root)); string(data) != "hello world" {
		t.Errorf("the node of a bare leaf is %q", data)
	}
	if !s.Whole(share.Root) {
		t.Error("a shared file is not whole")
	}
}

func TestSeveralPathsBecomeOneDirectory(t *testing.T) {
	dir := t.TempDir()
	root := sample(t, dir)
	file := filepath.Join(dir, "other", "x.txt")
	write(t, file, []byte("x"))
	s := open(t, dir)
	share := add(t, s, root, file)
	wantServed(t, s, share.Root, "sample/sub/deep/er/file", noise(4, 1000))
	wantServed(t, s, share.Root, "x.txt", []byte("x"))
	_, _, err := s.Add(context.Background(), []string{file, file}, AddOptions{})
	if !errors.Is(err, ErrRefused) {
		t.Errorf("two paths of one name: %v, want ErrRefused", err)
	}
}

func TestHiddenFilesNeedAsking(t *testing.T) {
	dir := t.TempDir()
	root := filepath.Join(dir, "d")
	write(t, filepath.Join(root, "a"), []byte("a"))
	write(t, filepath.Join(root, ".hidden"), []byte("x"))
	write(t, filepath.Join(root, ".git", "config"), []byte("y"))
	s := open(t, dir)
	if got := add(t, s, root).Files; got != 1 {
		t.Errorf("%d files without asking, want 1", got)
	}
	share, _, err := s.Add(context.Background(), []string{root}, AddOptions{Hidden: true})
	if err != nil || share.Files != 3 {
		t.Errorf("%d files with asking (%v), want 3", share.Files, err)
	}
}

// The tree of PEERS.md, whose CID Kubo computes too.
func TestTreeHasTheCIDThatOthersGiveIt(t *testing.T) {
	dir := t.TempDir()
	root := filepath.Join(dir, "v")
	write(t, filepath.Join(root, "a.txt"), []byte("hello world"))
	write(t, filepath.Join(root, "zero"), nil)
	write(t, filepath.Join(root, "sub/b.txt"), []byte("b\n"))
	write(t, filepath.Join(root, ".hidden"), []byte("x"))
	must(0, os.Mkdir(filepath.Join(root, "empty"), 0o755))
	must(0, os.Symlink("a.txt", filepath.Join(root, "link")))
	s := open(t, dir)
	if got := add(t, s, root).Root.String(); got != "bafybeihlqdpddlveymbnu4pba27itr7b36howpvftvypymxmlbs3d4droy" {
		t.Errorf("without hidden files: %s", got)
	}
	share, _, err := s.Add(context.Background(), []string{root}, AddOptions{Hidden: true})
	if got := share.Root.String(); err != nil || got != "bafybeihk2umcjo33zvk7cljm7d4eleizx3ozzbosxbtvxrxdfox34hg5b4" {
		t.Errorf("with hidden files: %s, %v", got, err)
	}
}

func TestWhatIsNoContentIsRefused(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	fifo := filepath.Join(dir, "fifo")
	if err := syscall.Mkfifo(fifo, 0o644); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", filepath.Join(dir, "sock"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	loop := filepath.Join(dir, "loop")
	must(0, os.Symlink(loop, loop))
	part := filepath.Join(dir, content.StageName("x", content.Digest{}.CID()))
	write(t, part, []byte("half"))
	for path, why := range map[string]string{
		"/": "root of the file system", "/proc": "kernel", "/proc/self": "kernel", "/sys": "kernel", "/dev": "devices",
		"/dev/null": "device", s.home: "own home", filepath.Join(s.home, "lock"): "own home",
		fifo: "named pipe", filepath.Join(dir, "sock"): "socket", loop: "", filepath.Join(dir, "nothing"): "not there",
		part: "unfinished",
	} {
		_, _, err := s.Add(context.Background(), []string{path}, AddOptions{})
		if !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), why) {
			t.Errorf("share %s: %v, want ErrRefused that says %q", path, err, why)
		}
	}
	if n := len(must(s.Shares())); n != 0 {
		t.Errorf("%d shares were made", n)
	}
}

func TestWhatIsNoContentIsLeftOutOfADirectory(t *testing.T) {
	dir := t.TempDir()
	root := filepath.Join(dir, "d")
	write(t, filepath.Join(root, "a"), []byte("a"))
	write(t, filepath.Join(root, "bad\xff"), []byte("b"))
	must(0, syscall.Mkfifo(filepath.Join(root, "fifo"), 0o644))
	must(0, os.Symlink("..", filepath.Join(root, "up"))) // a loop, were it followed
	must(0, os.Symlink("/etc/passwd", filepath.Join(root, "out")))
	home := filepath.Join(root, "home")
	must(0, os.Mkdir(home, 0o700))
	s, err := Open(Config{Home: home})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	share, skipped, err := s.Add(context.Background(), []string{root}, AddOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, sk := range skipped {
		got = append(got, filepath.Base(sk.Path)+": "+sk.Reason)
	}
	want := []string{"bad\xff: its name is not UTF-8", "fifo: is a named pipe", "home: it is this node's own home, where its key lies"}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("left out %q, want %q", got, want)
	}
	tr := tree(t, s, share.Root)
	for path, kind := range map[string]content.Kind{"a": content.File, "up": content.Symlink, "out": content.Symlink} {
		if i, ok := tr.Find(path); !ok || tr.Entry(i).Kind != kind {
			t.Errorf("%s is not in the tree as what it is", path)
		}
	}
	if share.Files != 1 {
		t.Errorf("%d files, want 1", share.Files)
	}
}

// The kernel's own file systems can be mounted anywhere.
func TestShareDoesNotReachIntoKernelFileSystems(t *testing.T) {
	dir := t.TempDir()
	root := filepath.Join(dir, "d")
	write(t, filepath.Join(root, "a"), []byte("a"))
	must(0, os.Mkdir(filepath.Join(root, "p"), 0o755))
	if err := syscall.Mount("proc", filepath.Join(root, "p"), "proc", 0, ""); err != nil {
		missing(t, "cannot mount: "+err.Error())
	}
	defer syscall.Unmount(filepath.Join(root, "p"), 0)
	s := open(t, dir)
	share, skipped, err := s.Add(context.Background(), []string{root}, AddOptions{})
	if err != nil || share.Files != 1 || len(skipped) != 1 || !strings.Contains(skipped[0].Reason, "kernel") {
		t.Errorf("shared %d files, left out %v, %v; want 1 and the mount", share.Files, skipped, err)
	}
}

func TestHardLinksAreBothIndexed(t *testing.T) {
	dir := t.TempDir()
	root := filepath.Join(dir, "d")
	data := noise(7, 3*content.ChunkSize)
	write(t, filepath.Join(root, "a"), data)
	must(0, os.Link(filepath.Join(root, "a"), filepath.Join(root, "b")))
	s := open(t, dir)
	share := add(t, s, root)
	must(0, os.Remove(filepath.Join(root, "a")))
	wantServed(t, s, share.Root, "a", data) // from b
}

func TestSparseFileIsHashedWithoutReadingItsHoles(t *testing.T) {
	onEach(t, func(t *testing.T, dir string) {
		path := filepath.Join(dir, "sparse")
		const size = 100*content.ChunkSize + 77
		f := must(os.Create(path))
		must(0, f.Truncate(size))
		must(f.WriteAt([]byte("here"), 50*content.ChunkSize+5))
		must(0, f.Close())
		dense := filepath.Join(dir, "dense")
		write(t, dense, must(os.ReadFile(path)))
		s := open(t, dir)
		if a, b := add(t, s, path), add(t, s, dense); !a.Root.Equals(b.Root) {
			t.Errorf("with holes it is %s, without %s", a.Root, b.Root)
		}
	})
}

func TestHugeSparseFileTakesLittleTimeAndMemory(t *testing.T) {
	dir := memoryDir(t)
	path := filepath.Join(dir, "huge")
	f := must(os.Create(path))
	defer f.Close()
	if err := f.Truncate(64 << 30); err != nil {
		missing(t, err.Error())
	}
	s := open(t, dir)
	share := add(t, s, path)
	if share.Bytes != 64<<30 {
		t.Errorf("shared %d bytes", share.Bytes)
	}
	buf := make([]byte, content.ChunkSize)
	if n, err := s.ReadChunk(zeroChunk(), buf); n != content.ChunkSize || err != nil {
		t.Errorf("a chunk of zeros: %d bytes, %v", n, err)
	}
}

func TestFileThatChangesWhileItIsReadIsLeftOut(t *testing.T) {
	dir := memoryDir(t)
	root := filepath.Join(dir, "d")
	write(t, filepath.Join(root, "calm"), []byte("calm"))
	write(t, filepath.Join(root, "log"), noise(1, 64*content.ChunkSize))
	started, stop, stopped := make(chan struct{}), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		f := must(os.OpenFile(filepath.Join(root, "log"), os.O_WRONLY|os.O_APPEND, 0))
		defer f.Close()
		for first := true; ; first = false {
			select {
			case <-stop:
				return
			default:
				f.Write([]byte("more\n"))
				time.Sleep(time.Millisecond)
			}
			if first {
				close(started)
			}
		}
	}()
	<-started
	s := open(t, dir)
	share, skipped, err := s.Add(context.Background(), []string{root}, AddOptions{})
	close(stop)
	<-stopped
	if err != nil || share.Files != 1 || len(skipped) != 1 || filepath.Base(skipped[0].Path) != "log" {
		t.Errorf("shared %d files, left out %v, %v; want calm alone", share.Files, skipped, err)
	}
}

func TestAddStopsWhenAsked(t *testing.T) {
	dir := t.TempDir()
	root := sample(t, dir)
	s := open(t, dir)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, _, err := s.Add(ctx, []string{root}, AddOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want it cancelled", err)
	}
	if n := len(must(s.Shares())); n != 0 {
		t.Errorf("%d shares were made", n)
	}
}

func TestAddingAgainReadsOnlyWhatChanged(t *testing.T) {
	dir := t.TempDir()
	root := sample(t, dir)
	s := open(t, dir)
	first := add(t, s, root)
	// Only somebody who does not read the file can be deceived like this.
	big := filepath.Join(root, "big")
	row := rowOf(t, s, first, "big")
	corrupt(t, big, 5)
	setRow(t, s, first, "big", func(r *fileRow) { r.gen = generationOfPath(t, big) })
	if again := add(t, s, root); !again.Root.Equals(first.Root) {
		t.Error("a file whose generation is the indexed one was read again")
	}
	setRow(t, s, first, "big", func(r *fileRow) { *r = row })
	second := add(t, s, root)
	if second.Root.Equals(first.Root) {
		t.Fatal("a changed file was not read again")
	}
	if n := len(must(s.Shares())); n != 2 {
		t.Errorf("%d shares, want the former one to stay", n)
	}
	wantServed(t, s, first.Root, "one", noise(1, content.ChunkSize))
	wantServed(t, s, second.Root, "big", must(os.ReadFile(big)))
}

func TestProgressEndsAtTheTotal(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	var p Progress
	share, _, err := s.Add(context.Background(), []string{sample(t, dir)}, AddOptions{Progress: &p})
	if err != nil || p.Bytes.Load() != share.Bytes || p.Total.Load() != share.Bytes || p.Files.Load() != int64(share.Files) {
		t.Errorf("%d of %d bytes, %d files (%v); want %d bytes, %d files",
			p.Bytes.Load(), p.Total.Load(), p.Files.Load(), err, share.Bytes, share.Files)
	}
}

func TestRemoveLeavesNothingBehind(t *testing.T) {
	dir := t.TempDir()
	root := sample(t, dir)
	other := filepath.Join(dir, "other")
	write(t, filepath.Join(other, "one"), noise(1, content.ChunkSize))
	s := open(t, dir)
	share := add(t, s, root)
	sub := add(t, s, filepath.Join(root, "sub")) // its nodes are nodes of share, too
	kept := add(t, s, other)
	if err := s.Remove(share.Root); err != nil {
		t.Fatal(err)
	}
	if err := s.Remove(share.Root); !errors.Is(err, ErrNotFound) {
		t.Errorf("removed twice: %v, want ErrNotFound", err)
	}
	if _, err := s.Tree(context.Background(), share.Root); !errors.Is(err, ErrNotFound) {
		t.Errorf("its tree is still there: %v", err)
	}
	wantServed(t, s, sub.Root, "deep/er/file", noise(4, 1000))
	wantServed(t, s, kept.Root, "one", noise(1, content.ChunkSize))
	s.trees = newTrees() // read them from the index
	if _, err := s.Tree(context.Background(), sub.Root); err != nil {
		t.Errorf("a node that another share needs was removed: %v", err)
	}
	must(0, errors.Join(s.Remove(sub.Root), s.Remove(kept.Root)))
	wantEmptyIndex(t, s)
	if _, err := os.Stat(filepath.Join(root, "big")); err != nil {
		t.Errorf("a file went with its share: %v", err)
	}
}

// wantEmptyIndex checks that nothing but the count of shares is left in the index.
func wantEmptyIndex(t *testing.T, s *Store) {
	t.Helper()
	for c := byte(0); c < 255; c++ {
		n := 0
		must(0, s.index.scan([]byte{c}, func(_, _ []byte) (bool, error) { n++; return true, nil }))
		if n > 0 && c != rowNext {
			t.Errorf("%d rows of kind %q are left", n, c)
		}
	}
}

func TestAddAndRemoveOfOneShareAtOnce(t *testing.T) {
	dir := memoryDir(t)
	root := sample(t, dir)
	s := open(t, dir)
	share := add(t, s, root)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 10 {
				if _, _, err := s.Add(context.Background(), []string{root}, AddOptions{}); err != nil {
					t.Error(err)
				}
			}
		})
		wg.Go(func() {
			for range 20 {
				if err := s.Remove(share.Root); err != nil && !errors.Is(err, ErrNotFound) {
					t.Error(err)
				}
			}
		})
		wg.Go(func() {
			buf := make([]byte, content.ChunkSize)
			for range 200 {
				n, err := s.ReadChunk(content.Seal(noise(4, 1000)).Digest(), buf)
				if err == nil && !bytes.Equal(buf[:n], noise(4, 1000)) {
					t.Error("read other bytes")
				}
			}
		})
	}
	wg.Wait()
	add(t, s, root)
	wantServed(t, s, share.Root, "big", must(os.ReadFile(filepath.Join(root, "big"))))
	must(0, s.Remove(share.Root))
	wantEmptyIndex(t, s)
}

// What lies deeper than anybody would read back is left out, and the rest can be read back.
func TestDirectoriesThatLieTooDeepAreLeftOut(t *testing.T) {
	dir := t.TempDir()
	root := filepath.Join(dir, "d")
	deep := root
	for range 70 {
		deep = filepath.Join(deep, "d")
		write(t, filepath.Join(deep, "file"), []byte("x"))
	}
	s := open(t, dir)
	for _, paths := range [][]string{{root}, {root, filepath.Join(deep, "file")}} {
		share, skipped, err := s.Add(context.Background(), paths, AddOptions{})
		if err != nil || len(skipped) != 1 || !strings.Contains(skipped[0].Reason, "deep") {
			t.Fatalf("left out %v, %v; want the directory that lies too deep", skipped, err)
		}
		must(0, readAll(s, share))
	}
}
