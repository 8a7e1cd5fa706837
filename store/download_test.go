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
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoal-p2p/shoal/content"
)

// shared returns a store that shares the sample, and its tree.
func shared(t testing.TB, dir string) (*Store, *content.Tree) {
	t.Helper()
	root := sample(t, dir)
	from := open(t, filepath.Join(dir, "from"))
	return from, tree(t, from, add(t, from, root).Root)
}

// fetched lets a store at dir fetch the sample to dir/dest/got, closes it, and returns where it came from.
func fetched(t testing.TB, dir string) (*Store, *content.Tree, Share) {
	t.Helper()
	from, tr := shared(t, dir)
	s := open(t, dir)
	defer s.Close()
	must(0, s.SaveNodes(tr.Root, nodes(t, from, tr.Root)))
	dest := filepath.Join(dir, "dest", "got")
	must(0, os.MkdirAll(filepath.Dir(dest), 0o755))
	d, err := s.Begin(context.Background(), tr, Dest{Path: dest}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	must(0, fetch(from, d, tr))
	return from, tr, must(d.Commit(context.Background()))
}

func TestDownloadLandsWholeAndIsServed(t *testing.T) {
	onEach(t, func(t *testing.T, dir string) {
		from, tr := shared(t, dir)
		s := open(t, dir)
		must(0, s.SaveNodes(tr.Root, nodes(t, from, tr.Root)))
		dest := destIn(t, dir)
		path := filepath.Join(dest, "got")
		d, err := s.Begin(context.Background(), tr, Dest{Path: path}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if w := d.Wanted(); !w.Full() || w.Len() != tr.NumChunks() {
			t.Errorf("%d of %d chunks are wanted at the start", w.Count(), tr.NumChunks())
		}
		wantOnly(t, dest, content.StageName("got", tr.Root))
		if s.Whole(tr.Root) || len(must(s.Shares())) != 0 {
			t.Error("a root that is being fetched counts as held")
		}
		must(0, fetch(from, d, tr))
		if d.Wanted().Count() != 0 || !d.Present().Full() {
			t.Error("chunks are still wanted")
		}
		share, err := d.Commit(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		wantOnly(t, dest, "got")
		wantSame(t, "what was fetched", snapshot(t, path, false), snapshot(t, filepath.Join(dir, "sample"), false))
		if !share.Root.Equals(tr.Root) || share.Origin != Fetched || share.Paths[0] != path || share.Bytes != tr.Size || !s.Whole(tr.Root) {
			t.Errorf("the share is %+v", share)
		}
		wantServed(t, s, tr.Root, "big", noise(3, 20*content.ChunkSize+12345))
		if damage := must(s.Check(context.Background(), tr.Root, nil)); len(damage) > 0 {
			t.Errorf("check found %v", damage)
		}
		// Nothing is kept twice, and nothing of the download is left in the index when it is removed.
		must(0, s.Remove(tr.Root))
		wantEmptyIndex(t, s)
	})
}

func TestFetchedFilesAreCertain(t *testing.T) {
	dir := memoryDir(t)
	from, tr, share := fetched(t, dir)
	s := open(t, dir)
	d := must(s.Begin(context.Background(), tr, Dest{Path: filepath.Join(dir, "dest", "single"), Sub: "big"}, nil))
	must(0, fetch(from, d, tr))
	single := must(d.Commit(context.Background()))
	if row := rowOf(t, s, single, ""); row.racy || row.gen != generationOfPath(t, single.Paths[0]) {
		t.Error("a single file is not certain right after it was fetched")
	}
	k, p := keyOf(t, s, single, ""), tree(t, s, single.Root).Pieces(0)[0]
	at := place{file: k, offset: p.Offset, length: content.ChunkSize}
	if err := s.readPlace(tree(t, s, single.Root).Digest(p.Chunk), at, make([]byte, at.length), certain); err != nil {
		t.Errorf("a single file is hashed again right after it was fetched: %v", err)
	}
	for _, path := range []string{"small", "big", "sub/deep/er/file"} {
		k := keyOf(t, s, share, path)
		i, _ := tr.Find(path)
		p := tr.Pieces(i)[0]
		at := place{file: k, offset: p.Offset, length: tr.ChunkLen(p.Chunk)}
		try := func(e effort) error { return s.readPlace(tr.Digest(p.Chunk), at, make([]byte, at.length), e) }
		if err := errors.Join(try(hashing), try(certain)); err != nil { // an earlier process fetched it
			t.Errorf("%s is not certain after it was fetched: %v", path, err)
		}
	}
}

func TestSingleFileDownload(t *testing.T) {
	onEach(t, func(t *testing.T, dir string) {
		for name, data := range map[string][]byte{
			"empty": nil, "small": []byte("hello world"), "one": noise(1, content.ChunkSize), "big": noise(2, 3*content.ChunkSize+7),
			"zeros": make([]byte, 2*content.ChunkSize+9),
		} {
			t.Run(name, func(t *testing.T) {
				dir := filepath.Join(dir, name)
				file := filepath.Join(dir, "src", "file")
				write(t, file, data)
				from := open(t, filepath.Join(dir, "from"))
				tr := tree(t, from, add(t, from, file).Root)
				s := open(t, dir)
				must(0, s.SaveNodes(tr.Root, nodes(t, from, tr.Root)))
				path := filepath.Join(destIn(t, dir), "file")
				d := must(s.Begin(context.Background(), tr, Dest{Path: path}, nil))
				must(0, fetch(from, d, tr))
				share := must(d.Commit(context.Background()))
				if got := must(os.ReadFile(path)); !bytes.Equal(got, data) {
					t.Errorf("fetched %d other bytes", len(got))
				}
				wantServed(t, s, share.Root, "", data)
				wantOnly(t, filepath.Dir(path), "file")
			})
		}
	})
}

func TestSelectionOfATree(t *testing.T) {
	dir := t.TempDir()
	from, tr := shared(t, dir)
	s := open(t, dir)
	must(0, s.SaveNodes(tr.Root, nodes(t, from, tr.Root)))
	dest := destIn(t, dir)
	for sub, name := range map[string]string{"sub": "sub", "big": "big", "sub/deep/er/file": "file", "small": "small"} {
		d := must(s.Begin(context.Background(), tr, Dest{Path: filepath.Join(dest, name), Sub: sub}, nil))
		if w := d.Wanted().Count(); w == 0 || w == tr.NumChunks() {
			t.Errorf("%s: %d of %d chunks are wanted", sub, w, tr.NumChunks())
		}
		must(0, fetch(from, d, tr))
		share := must(d.Commit(context.Background()))
		i, _ := tr.Find(sub)
		if !share.Root.Equals(tr.Entry(i).CID) {
			t.Errorf("%s is held as %s, want its own CID", sub, share.Root)
		}
		if damage := must(s.Check(context.Background(), share.Root, nil)); len(damage) > 0 {
			t.Errorf("check found %v", damage)
		}
	}
	if s.Whole(tr.Root) {
		t.Error("a part of a tree counts as the whole")
	}
	wantSame(t, "sub", snapshot(t, filepath.Join(dest, "sub"), false), snapshot(t, filepath.Join(dir, "sample", "sub"), false))
	if _, err := s.Begin(context.Background(), tr, Dest{Path: filepath.Join(dest, "x"), Sub: "nope"}, nil); !errors.Is(err, ErrNotFound) {
		t.Errorf("a path that the tree does not have: %v, want ErrNotFound", err)
	}
}

func TestPartIsAdopted(t *testing.T) {
	onEach(t, func(t *testing.T, dir string) {
		from, tr := shared(t, dir)
		s := open(t, dir)
		must(0, s.SaveNodes(tr.Root, nodes(t, from, tr.Root)))
		to := Dest{Path: filepath.Join(destIn(t, dir), "got")}
		d := must(s.Begin(context.Background(), tr, to, nil))
		for n := 0; n < tr.NumChunks(); n += 2 {
			must(0, fetchChunk(from, d, tr, uint32(n)))
		}
		want := d.Present()
		must(0, d.Close())
		d = must(s.Begin(context.Background(), tr, to, nil))
		defer d.Close()
		if got := d.Present(); fmt.Sprint(got.Ranges()) != fmt.Sprint(want.Ranges()) {
			t.Errorf("adopted %v, want %v", got.Ranges(), want.Ranges())
		}
		must(0, fetch(from, d, tr))
		must(d.Commit(context.Background()))
		wantSame(t, "what was fetched", snapshot(t, to.Path, false), snapshot(t, filepath.Join(dir, "sample"), false))
	})
}

// A hole is as good as the zeros that belong there.
func TestZerosNeedNoFetching(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "src", "file")
	write(t, file, append(make([]byte, 2*content.ChunkSize), noise(1, 9)...))
	from := open(t, filepath.Join(dir, "from"))
	tr := tree(t, from, add(t, from, file).Root)
	s := open(t, dir)
	to := Dest{Path: filepath.Join(destIn(t, dir), "got")}
	must(0, must(s.Begin(context.Background(), tr, to, nil)).Close())
	d := must(s.Begin(context.Background(), tr, to, nil))
	defer d.Close()
	if w := d.Wanted(); w.Count() != 1 || w.Has(0) {
		t.Errorf("wanted are %v, want the last chunk alone", w.Ranges())
	}
}

// What the user shared stays untouched even if the same root is fetched to the same place.
func TestFetchingWhatIsSharedDoesNotMakeItRepairable(t *testing.T) {
	dir := t.TempDir()
	from, tr := shared(t, dir)
	path := filepath.Join(dir, "sample")
	s := open(t, filepath.Join(dir, "own"))
	add(t, s, path)
	d := must(s.Begin(context.Background(), tr, Dest{Path: path}, nil))
	if d.Wanted().Count() != 0 {
		t.Error("what is there already is to be fetched")
	}
	if share := must(d.Commit(context.Background())); share.Origin != Shared {
		t.Error("a share became a download")
	}
	must(0, from.Close())
}

// Nothing that lies in a part is believed, and nothing in it can keep a download from succeeding.
func TestAdoptedPartIsNotBelieved(t *testing.T) {
	cases := map[string]func(t *testing.T, part string){
		"wrong bytes": func(t *testing.T, part string) {
			corrupt(t, filepath.Join(part, "small"), 1)
			corrupt(t, filepath.Join(part, "big"), 5*content.ChunkSize+1)
		},
		"too long": func(t *testing.T, part string) {
			must(0, os.WriteFile(filepath.Join(part, "small"), []byte("hello world, and more"), 0o644))
			must(0, os.Truncate(filepath.Join(part, "big"), 99*content.ChunkSize))
		},
		"too short": func(t *testing.T, part string) {
			must(0, os.Truncate(filepath.Join(part, "small"), 0))
			must(0, os.Truncate(filepath.Join(part, "big"), content.ChunkSize))
		},
		"gone": func(t *testing.T, part string) {
			must(0, os.RemoveAll(filepath.Join(part, "sub")))
			must(0, os.Remove(filepath.Join(part, "big")))
		},
		"a link": func(t *testing.T, part string) {
			must(0, os.Remove(filepath.Join(part, "small")))
			must(0, os.Symlink("more", filepath.Join(part, "small")))
		},
		"a link instead of a directory": func(t *testing.T, part string) {
			must(0, os.RemoveAll(filepath.Join(part, "sub")))
			must(0, os.Symlink("bare", filepath.Join(part, "sub")))
		},
		"a second name of a file elsewhere": func(t *testing.T, part string) {
			other := filepath.Join(filepath.Dir(part), "precious")
			must(0, os.WriteFile(other, []byte("precious!!!"), 0o644))
			must(0, os.Remove(filepath.Join(part, "small")))
			must(0, os.Link(other, filepath.Join(part, "small")))
		},
		"a directory": func(t *testing.T, part string) {
			must(0, os.Remove(filepath.Join(part, "small")))
			must(0, os.MkdirAll(filepath.Join(part, "small", "x"), 0o755))
		},
		"a named pipe": func(t *testing.T, part string) {
			must(0, os.Remove(filepath.Join(part, "small")))
			must(0, syscall.Mkfifo(filepath.Join(part, "small"), 0o644))
		},
	}
	for name, spoil := range cases {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			from, tr := shared(t, dir)
			s := open(t, dir)
			must(0, s.SaveNodes(tr.Root, nodes(t, from, tr.Root)))
			dest := destIn(t, dir)
			to := Dest{Path: filepath.Join(dest, "got")}
			d := must(s.Begin(context.Background(), tr, to, nil))
			must(0, fetch(from, d, tr))
			must(0, d.Close())
			spoil(t, filepath.Join(dest, content.StageName("got", tr.Root)))
			d, err := s.Begin(context.Background(), tr, to, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer d.Close()
			if d.Wanted().Count() == 0 {
				t.Error("a spoilt part counts as whole")
			}
			must(0, fetch(from, d, tr))
			must(d.Commit(context.Background()))
			wantSame(t, "what was fetched", snapshot(t, to.Path, false), snapshot(t, filepath.Join(dir, "sample"), false))
			if b, err := os.ReadFile(filepath.Join(dest, "precious")); err == nil && string(b) != "precious!!!" {
				t.Errorf("a file elsewhere was written to: %q", b)
			}
		})
	}
}

// T22: somebody who can write to the directory plants something where the part will be.
func TestPlantedPartIsRefused(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "src", "file")
	write(t, file, noise(1, 2*content.ChunkSize))
	from := open(t, filepath.Join(dir, "from"))
	tr := tree(t, from, add(t, from, file).Root)
	victim := filepath.Join(dir, "victim")
	for name, plant := range map[string]func(part string) error{
		"symlink": func(part string) error { return os.Symlink(victim, part) },
		"link":    func(part string) error { return os.Link(victim, part) },
		"pipe":    func(part string) error { return syscall.Mkfifo(part, 0o666) },
		"dir":     func(part string) error { return os.Mkdir(part, 0o777) },
	} {
		t.Run(name, func(t *testing.T) {
			write(t, victim, []byte("victim"))
			s := open(t, filepath.Join(dir, name))
			dest := destIn(t, filepath.Join(dir, name))
			must(0, plant(filepath.Join(dest, content.StageName("got", tr.Root))))
			_, err := s.Begin(context.Background(), tr, Dest{Path: filepath.Join(dest, "got")}, nil)
			if !errors.Is(err, ErrRefused) {
				t.Errorf("got %v, want ErrRefused", err)
			}
			if b := must(os.ReadFile(victim)); string(b) != "victim" {
				t.Errorf("the victim now holds %q", b)
			}
		})
	}
}

func TestWhatLiesAtTheDestination(t *testing.T) {
	type state struct {
		there  func(path string) error
		force  bool
		err    error // of Begin
		wanted bool  // whether anything has to be fetched
	}
	data := noise(1, 2*content.ChunkSize+5)
	same := func(path string) error { return os.WriteFile(path, data, 0o600) }
	other := func(path string) error { return os.WriteFile(path, noise(2, len(data)), 0o600) }
	shorter := func(path string) error { return os.WriteFile(path, data[:100], 0o600) }
	link := func(path string) error { return os.Symlink("elsewhere", path) }
	mkdir := func(path string) error { return os.Mkdir(path, 0o755) }
	for name, c := range map[string]state{
		"nothing":             {wanted: true},
		"the same":            {there: same},
		"the same, forced":    {there: same, force: true},
		"another file":        {there: other, err: ErrExists},
		"a shorter file":      {there: shorter, err: ErrExists},
		"another, forced":     {there: other, force: true, wanted: true},
		"a link":              {there: link, err: ErrExists},
		"a link, forced":      {there: link, force: true, wanted: true},
		"a directory":         {there: mkdir, err: ErrExists},
		"a directory, forced": {there: mkdir, force: true, err: ErrExists},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			file := filepath.Join(dir, "src", "file")
			write(t, file, data)
			from := open(t, filepath.Join(dir, "from"))
			tr := tree(t, from, add(t, from, file).Root)
			s := open(t, dir)
			must(0, s.SaveNodes(tr.Root, nodes(t, from, tr.Root)))
			path := filepath.Join(destIn(t, dir), "got")
			if c.there != nil {
				must(0, c.there(path))
			}
			before := snapshot(t, filepath.Dir(path), true)
			d, err := s.Begin(context.Background(), tr, Dest{Path: path, Force: c.force}, nil)
			if !errors.Is(err, c.err) {
				t.Fatalf("got %v, want %v", err, c.err)
			}
			if err != nil {
				if !strings.Contains(err.Error(), path) {
					t.Errorf("%q does not name the path", err)
				}
				wantSame(t, "the destination was touched", snapshot(t, filepath.Dir(path), true), before)
				return
			}
			defer d.Close()
			if got := d.Wanted().Count() > 0; got != c.wanted {
				t.Errorf("wanted %v, want %v", got, c.wanted)
			}
			must(0, fetch(from, d, tr))
			share := must(d.Commit(context.Background()))
			wantServed(t, s, share.Root, "", data)
			wantOnly(t, filepath.Dir(path), "got")
			if info := must(os.Lstat(path)); !info.Mode().IsRegular() {
				t.Errorf("the destination is %v", info.Mode())
			}
		})
	}
}

func TestExistingDirectory(t *testing.T) {
	dir := t.TempDir()
	from, tr := shared(t, dir)
	s := open(t, dir)
	must(0, s.SaveNodes(tr.Root, nodes(t, from, tr.Root)))
	path := filepath.Join(destIn(t, dir), "got")
	must(0, os.CopyFS(path, os.DirFS(filepath.Join(dir, "sample"))))
	write(t, filepath.Join(path, "mine"), []byte("mine"))
	d := must(s.Begin(context.Background(), tr, Dest{Path: path}, nil))
	if d.Wanted().Count() != 0 {
		t.Error("an identical directory is to be fetched")
	}
	must(d.Commit(context.Background()))
	wantServed(t, s, tr.Root, "big", noise(3, 20*content.ChunkSize+12345))

	corrupt(t, filepath.Join(path, "big"), 3)
	must(0, os.RemoveAll(filepath.Join(path, "sub")))
	before := snapshot(t, path, true)
	if _, err := s.Begin(context.Background(), tr, Dest{Path: path}, nil); !errors.Is(err, ErrExists) {
		t.Fatalf("another directory: %v, want ErrExists", err)
	}
	wantSame(t, "the destination was touched", snapshot(t, path, true), before)

	// With force what differs is replaced, and everything else stays.
	d = must(s.Begin(context.Background(), tr, Dest{Path: path, Force: true}, nil))
	if w := d.Wanted(); w.Count() == 0 || w.Full() {
		t.Errorf("%d of %d chunks are wanted, want those of the files that differ", w.Count(), w.Len())
	}
	must(0, fetch(from, d, tr))
	must(d.Commit(context.Background()))
	want := snapshot(t, filepath.Join(dir, "sample"), false)
	want["mine"] = snapshot(t, path, false)["mine"]
	wantSame(t, "after force", snapshot(t, path, false), want)
	wantOnly(t, filepath.Dir(path), "got")
	if damage := must(s.Check(context.Background(), tr.Root, nil)); len(damage) > 0 {
		t.Errorf("check found %v", damage)
	}
}

// B33: a tree cannot put files like .bashrc into a directory that was there before.
func TestHiddenNamesAreNotMergedIntoADirectory(t *testing.T) {
	dir := t.TempDir()
	src := filepath.Join(dir, "src")
	write(t, filepath.Join(src, ".ssh/authorized_keys"), []byte("evil"))
	write(t, filepath.Join(src, ".bashrc"), []byte("evil"))
	write(t, filepath.Join(src, "a/.hidden"), []byte("fine"))
	from := open(t, filepath.Join(dir, "from"))
	share, _, err := from.Add(context.Background(), []string{src}, AddOptions{Hidden: true})
	must(0, err)
	tr := tree(t, from, share.Root)
	s := open(t, dir)
	must(0, s.SaveNodes(tr.Root, nodes(t, from, tr.Root)))
	home := filepath.Join(destIn(t, dir), "me")
	must(0, os.Mkdir(home, 0o755))
	d := must(s.Begin(context.Background(), tr, Dest{Path: home, Force: true}, nil))
	must(0, fetch(from, d, tr))
	if got := len(d.Skipped()); got != 2 {
		t.Errorf("left out %v, want the two hidden names", d.Skipped())
	}
	must(d.Commit(context.Background()))
	wantOnly(t, home, "a")
	// In a directory of its own, it is all there.
	d = must(s.Begin(context.Background(), tr, Dest{Path: filepath.Join(filepath.Dir(home), "new")}, nil))
	must(0, fetch(from, d, tr))
	must(d.Commit(context.Background()))
	wantOnly(t, filepath.Join(filepath.Dir(home), "new"), ".bashrc", ".ssh", "a")
}

func TestDestinationsThatCannotBe(t *testing.T) {
	dir := t.TempDir()
	_, tr := shared(t, dir)
	s := open(t, dir)
	add(t, s, filepath.Join(dir, "sample"))
	dest := destIn(t, dir)
	file := filepath.Join(dest, "file")
	write(t, file, []byte("x"))
	for path, why := range map[string]string{
		filepath.Join(dir, "no", "such", "x"):    "does not exist",
		filepath.Join(file, "x"):                 "not a directory",
		filepath.Join(s.home, "x"):               "own home",
		filepath.Join(dir, "sample", "x"):        "is shared",
		filepath.Join(dir, "sample", "sub", "x"): "is shared",
		"relative":                               "no path",
		"/":                                      "no path",
		filepath.Join(dest, content.StageName("got", tr.Root)): "unfinished",
	} {
		_, err := s.Begin(context.Background(), tr, Dest{Path: path}, nil)
		if !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), why) {
			t.Errorf("fetch to %s: %v, want ErrRefused that says %q", path, err, why)
		}
	}
	wantOnly(t, dest, "file")
}

func TestPutChecksWhatItIsGiven(t *testing.T) {
	dir := t.TempDir()
	_, tr := shared(t, dir)
	s := open(t, dir)
	d := must(s.Begin(context.Background(), tr, Dest{Path: filepath.Join(destIn(t, dir), "got")}, nil))
	defer d.Close()
	if err := d.Put(0, content.Seal([]byte("something else"))); !errors.Is(err, content.ErrMismatch) {
		t.Errorf("another chunk: %v, want ErrMismatch", err)
	}
	if err := d.Put(uint32(tr.NumChunks()), content.Seal(nil)); !errors.Is(err, ErrNotFound) {
		t.Errorf("a chunk that is none: %v, want ErrNotFound", err)
	}
	if _, err := d.ReadChunk(0, make([]byte, content.MaxBlock)); !errors.Is(err, ErrNotFound) {
		t.Errorf("read of a missing chunk: %v, want ErrNotFound", err)
	}
	if _, err := d.Commit(context.Background()); !errors.Is(err, ErrIncomplete) {
		t.Errorf("commit: %v, want ErrIncomplete", err)
	}
}

func TestPartialDownloadIsServedOnlyAsFarAsItIsRight(t *testing.T) {
	dir := t.TempDir()
	from, tr := shared(t, dir)
	s := open(t, dir)
	dest := destIn(t, dir)
	d := must(s.Begin(context.Background(), tr, Dest{Path: filepath.Join(dest, "got")}, nil))
	defer d.Close()
	must(0, fetch(from, d, tr))
	i, _ := tr.Find("big")
	buf := make([]byte, content.MaxBlock)
	for _, p := range tr.Pieces(i) {
		n, err := d.ReadChunk(p.Chunk, buf)
		if err != nil || content.Seal(buf[:n]).Digest() != tr.Digest(p.Chunk) {
			t.Fatalf("chunk %d: %d bytes, %v", p.Chunk, n, err)
		}
	}
	corrupt(t, filepath.Join(dest, content.StageName("got", tr.Root), "big"), 7)
	first := tr.Pieces(i)[0].Chunk
	if _, err := d.ReadChunk(first, buf); !errors.Is(err, ErrNotFound) {
		t.Errorf("a broken chunk: %v, want ErrNotFound", err)
	}
	if w := d.Wanted(); w.Count() != 1 || !w.Has(int(first)) {
		t.Errorf("wanted are %v, want the broken chunk", w.Ranges())
	}
}

func TestConcurrentPutsOfTheSameChunks(t *testing.T) {
	dir := memoryDir(t)
	from, tr := shared(t, dir)
	s := open(t, dir)
	must(0, s.SaveNodes(tr.Root, nodes(t, from, tr.Root)))
	d := must(s.Begin(context.Background(), tr, Dest{Path: filepath.Join(destIn(t, dir), "got")}, nil))
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for n := range tr.NumChunks() {
				if err := fetchChunk(from, d, tr, uint32(n)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	must(d.Commit(context.Background()))
	wantSame(t, "what was fetched", snapshot(t, filepath.Join(dir, "dest", "got"), false), snapshot(t, filepath.Join(dir, "sample"), false))
}

func TestOneDownloadAtATimePerDestination(t *testing.T) {
	dir := t.TempDir()
	_, tr := shared(t, dir)
	s, other := open(t, dir), open(t, filepath.Join(dir, "other"))
	to := Dest{Path: filepath.Join(destIn(t, dir), "got")}
	for _, sub := range []string{"", "big"} {
		to.Sub = sub
		d := must(s.Begin(context.Background(), tr, to, nil))
		if _, err := s.Begin(context.Background(), tr, to, nil); !errors.Is(err, ErrRefused) {
			t.Errorf("in one process: %v, want ErrRefused", err)
		}
		if _, err := other.Begin(context.Background(), tr, to, nil); !errors.Is(err, ErrRefused) {
			t.Errorf("from another home: %v, want ErrRefused", err)
		}
		must(0, d.Close())
		d = must(other.Begin(context.Background(), tr, to, nil))
		must(0, d.Close())
	}
}

func TestNothingIsReplacedThatAppearsMeanwhile(t *testing.T) {
	dir := t.TempDir()
	from, tr := shared(t, dir)
	s := open(t, dir)
	must(0, s.SaveNodes(tr.Root, nodes(t, from, tr.Root)))
	for _, sub := range []string{"", "big"} {
		to := Dest{Path: filepath.Join(destIn(t, dir), "got"+sub), Sub: sub}
		d := must(s.Begin(context.Background(), tr, to, nil))
		must(0, fetch(from, d, tr))
		write(t, to.Path, []byte("mine"))
		if _, err := d.Commit(context.Background()); !errors.Is(err, ErrExists) {
			t.Errorf("commit: %v, want ErrExists", err)
		}
		must(0, d.Close())
		if b := must(os.ReadFile(to.Path)); string(b) != "mine" {
			t.Errorf("it was replaced with %q", b)
		}
		must(0, os.Remove(to.Path))
		d = must(s.Begin(context.Background(), tr, to, nil))
		if d.Wanted().Count() != 0 {
			t.Error("the part was lost")
		}
		must(d.Commit(context.Background()))
	}
}

// B107
func TestPartThatIsDeletedMeanwhile(t *testing.T) {
	dir := t.TempDir()
	from, tr := shared(t, dir)
	s := open(t, dir)
	must(0, s.SaveNodes(tr.Root, nodes(t, from, tr.Root)))
	for _, sub := range []string{"", "big"} {
		dest := destIn(t, filepath.Join(dir, "x"+sub))
		to := Dest{Path: filepath.Join(dest, "got"), Sub: sub}
		d := must(s.Begin(context.Background(), tr, to, nil))
		must(0, fetch(from, d, tr))
		for _, e := range must(os.ReadDir(dest)) {
			must(0, os.RemoveAll(filepath.Join(dest, e.Name())))
		}
		if _, err := d.Commit(context.Background()); err == nil {
			t.Error("a download whose part was deleted was committed")
		}
		must(0, d.Close())
		wantOnly(t, dest)
		d = must(s.Begin(context.Background(), tr, to, nil))
		must(0, fetch(from, d, tr))
		must(d.Commit(context.Background()))
	}
}

// B102: what the disk did not take is an error that names the cause, what is there is kept, and goes on with more room.
func TestFullDisk(t *testing.T) {
	dir := t.TempDir()
	from, tr := shared(t, dir)
	small := filepath.Join(dir, "small")
	must(0, os.Mkdir(small, 0o755))
	if err := syscall.Mount("tmpfs", small, "tmpfs", 0, "size=48m"); err != nil {
		missing(t, "cannot mount: "+err.Error())
	}
	defer syscall.Unmount(small, syscall.MNT_DETACH)
	s := open(t, dir)
	must(0, s.SaveNodes(tr.Root, nodes(t, from, tr.Root)))
	to := Dest{Path: filepath.Join(small, "got")}
	ballast := filepath.Join(small, "ballast")
	must(0, os.WriteFile(ballast, make([]byte, 30<<20), 0o644))
	if _, err := s.Begin(context.Background(), tr, to, nil); !errors.Is(err, ErrNoSpace) {
		t.Fatalf("begin on a full disk: %v, want ErrNoSpace", err)
	}
	wantOnly(t, small, "ballast")
	must(0, os.Remove(ballast))
	d := must(s.Begin(context.Background(), tr, to, nil))
	must(0, os.WriteFile(ballast, make([]byte, 30<<20), 0o644))
	if err := fetch(from, d, tr); !errors.Is(err, ErrNoSpace) || !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("put on a full disk: %v, want ErrNoSpace", err)
	}
	had := d.Present().Count()
	must(0, d.Close())
	must(0, os.Remove(ballast))
	d = must(s.Begin(context.Background(), tr, to, nil))
	if got := d.Present().Count(); got < had {
		t.Errorf("%d chunks were kept of %d", got, had)
	}
	must(0, fetch(from, d, tr))
	must(d.Commit(context.Background()))
	wantSame(t, "what was fetched", snapshot(t, to.Path, false), snapshot(t, filepath.Join(dir, "sample"), false))
}

// B103: no room for names rather than for bytes.
func TestDiskWithoutInodes(t *testing.T) {
	dir := t.TempDir()
	_, tr := shared(t, dir)
	small := filepath.Join(dir, "small")
	must(0, os.Mkdir(small, 0o755))
	if err := syscall.Mount("tmpfs", small, "tmpfs", 0, "size=64m,nr_inodes=4"); err != nil {
		missing(t, "cannot mount: "+err.Error())
	}
	defer syscall.Unmount(small, syscall.MNT_DETACH)
	s := open(t, dir)
	if _, err := s.Begin(context.Background(), tr, Dest{Path: filepath.Join(small, "got")}, nil); !errors.Is(err, ErrNoSpace) {
		t.Errorf("got %v, want ErrNoSpace", err)
	}
}

// B104: what the disk did not confirm is not there, whatever a later sync says.
func TestFailedSyncIsNotForgiven(t *testing.T) {
	dir := t.TempDir()
	from, tr := shared(t, dir)
	broken := errors.New("input/output error")
	for _, sub := range []string{"", "big"} {
		s := open(t, filepath.Join(dir, "home"+sub))
		must(0, s.SaveNodes(tr.Root, nodes(t, from, tr.Root)))
		s.maxLoss = 1 << 40 // so that nothing is synced before the end
		fails := true
		s.sync = func(f *os.File) error {
			if fails {
				return broken
			}
			return syncFile(f)
		}
		to := Dest{Path: filepath.Join(destIn(t, filepath.Join(dir, "x"+sub)), "got"), Sub: sub}
		d := must(s.Begin(context.Background(), tr, to, nil))
		must(0, fetch(from, d, tr))
		if _, err := d.Commit(context.Background()); !errors.Is(err, broken) {
			t.Fatalf("commit: %v, want the disk's error", err)
		}
		fails = false
		if _, err := d.Commit(context.Background()); err == nil {
			t.Error("a second try was believed")
		}
		must(0, d.Close())
		wantOnly(t, filepath.Dir(to.Path), content.StageName("got", d.root))
		d = must(s.Begin(context.Background(), tr, to, nil))
		must(0, fetch(from, d, tr))
		must(d.Commit(context.Background()))
	}
}

// A slow download loses at most a few seconds' worth.
func TestWhatIsWrittenReachesTheDiskInTheBackground(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "src", "file")
	write(t, file, noise(1, syncBytes+10*content.ChunkSize))
	from := open(t, filepath.Join(dir, "from"))
	tr := tree(t, from, add(t, from, file).Root)
	s := open(t, dir)
	synced := make(chan int64, 10)
	s.sync = func(f *os.File) error {
		synced <- time.Now().UnixNano()
		return syncFile(f)
	}
	d := must(s.Begin(context.Background(), tr, Dest{Path: filepath.Join(destIn(t, dir), "got")}, nil))
	must(0, fetch(from, d, tr))
	select {
	case <-synced:
	case <-time.After(20 * time.Second):
		t.Error("nothing was synced")
	}
	must(0, d.Close())
}

// A merge that was killed after its last rename leaves a part that nobody will go on with.
func TestPartOfACompleteDownloadIsRemoved(t *testing.T) {
	for _, sub := range []string{"", "big"} {
		dir := t.TempDir()
		from, tr := shared(t, dir)
		s := open(t, dir)
		must(0, s.SaveNodes(tr.Root, nodes(t, from, tr.Root)))
		to := Dest{Path: filepath.Join(destIn(t, dir), "got"), Sub: sub}
		d := must(s.Begin(context.Background(), tr, to, nil))
		must(0, d.Close())
		source := filepath.Join(dir, "sample", sub)
		if sub == "" {
			must(0, os.CopyFS(to.Path, os.DirFS(source)))
		} else {
			must(0, os.WriteFile(to.Path, must(os.ReadFile(source)), 0o644))
		}
		d = must(s.Begin(context.Background(), tr, to, nil))
		must(d.Commit(context.Background()))
		wantOnly(t, filepath.Dir(to.Path), "got")
	}
}

func TestTwinNamesAreLeftOutWhereTheyAreOne(t *testing.T) {
	dir := t.TempDir()
	src := filepath.Join(dir, "src")
	for _, p := range []string{"a", "A", "dir/x", "DIR/y", "é", "e\u0301", "other"} {
		write(t, filepath.Join(src, p), []byte(p))
	}
	from := open(t, filepath.Join(dir, "from"))
	tr := tree(t, from, add(t, from, src).Root)
	s := open(t, dir)
	must(0, s.SaveNodes(tr.Root, nodes(t, from, tr.Root)))
	if s.folds(must(os.OpenRoot(dir)), content.StageName("é", tr.Root)) {
		t.Skip("this file system folds names by itself")
	}
	s.folds = func(*os.Root, string) bool { return true }
	to := Dest{Path: filepath.Join(destIn(t, dir), "got")}
	d := must(s.Begin(context.Background(), tr, to, nil))
	if n := len(d.Skipped()); n != 3 {
		t.Errorf("left out %v, want one of each pair", d.Skipped())
	}
	must(0, fetch(from, d, tr))
	must(d.Commit(context.Background()))
	if n := len(must(os.ReadDir(to.Path))); n != 4 {
		t.Errorf("%d names were made, want 4", n)
	}
	wantOnly(t, filepath.Dir(to.Path), "got")
}

func TestTreesOfAbandonedDownloadsExpire(t *testing.T) {
	dir := t.TempDir()
	from, tr := shared(t, dir)
	s := open(t, dir)
	must(0, s.SaveNodes(tr.Root, nodes(t, from, tr.Root)))
	must(0, s.Rescan(context.Background()))
	if _, err := s.Tree(context.Background(), tr.Root); err != nil {
		t.Fatalf("the tree went too early: %v", err)
	}
	h := s.holdingsOf(tr.Root)[0]
	h.Added = time.Now().Add(-pendingLife)
	s.remember(h)
	must(0, s.Rescan(context.Background()))
	wantEmptyIndex(t, s)
}

func TestDestinationThatCannotBeWrittenTo(t *testing.T) {
	dir := t.TempDir()
	from, tr := shared(t, dir)
	dest := destIn(t, dir)
	if err := syscall.Mount("tmpfs", dest, "tmpfs", syscall.MS_RDONLY, "size=1m"); err != nil {
		missing(t, "cannot mount: "+err.Error())
	}
	defer syscall.Unmount(dest, syscall.MNT_DETACH)
	s := open(t, dir)
	for _, sub := range []string{"", "big"} {
		_, err := s.Begin(context.Background(), tr, Dest{Path: filepath.Join(dest, "got"), Sub: sub}, nil)
		if !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "read-only") {
			t.Errorf("got %v, want ErrRefused that says why", err)
		}
	}
	must(0, from.Close())
}

// A large file that differs in its first chunk is not read to its end.
func TestOtherContentIsNoticedEarly(t *testing.T) {
	dir := memoryDir(t)
	file := filepath.Join(dir, "src", "file")
	write(t, file, noise(1, 256*content.ChunkSize))
	from := open(t, filepath.Join(dir, "from"))
	tr := tree(t, from, add(t, from, file).Root)
	s := open(t, dir)
	path := filepath.Join(destIn(t, dir), "got")
	must(0, os.Rename(file, path))
	corrupt(t, path, 0)
	var p Progress
	if _, err := s.Begin(context.Background(), tr, Dest{Path: path}, &p); !errors.Is(err, ErrExists) {
		t.Fatalf("got %v, want ErrExists", err)
	}
	if read := p.Bytes.Load(); read > 128*content.ChunkSize {
		t.Errorf("%d bytes were read", read)
	}
}

// The user takes the root out of the index while it is being fetched: nothing gets a name that the index will not know.
func TestRootIsRemovedMeanwhile(t *testing.T) {
	dir := t.TempDir()
	from, tr := shared(t, dir)
	s := open(t, dir)
	must(0, s.SaveNodes(tr.Root, nodes(t, from, tr.Root)))
	to := Dest{Path: filepath.Join(destIn(t, dir), "got")}
	d := must(s.Begin(context.Background(), tr, to, nil))
	must(0, fetch(from, d, tr))
	must(0, s.Remove(tr.Root))
	if _, err := d.Commit(context.Background()); !errors.Is(err, ErrNotFound) {
		t.Errorf("commit: %v, want ErrNotFound", err)
	}
	must(0, d.Close())
	wantOnly(t, filepath.Dir(to.Path), content.StageName("got", tr.Root))
	must(0, s.SaveNodes(tr.Root, nodes(t, from, tr.Root)))
	d = must(s.Begin(context.Background(), tr, to, nil))
	if d.Wanted().Count() != 0 {
		t.Error("the part was lost")
	}
	must(d.Commit(context.Background()))
}

// However slow the disk is, there is never more on its way to it than a power cut may take.
func TestDownloadWaitsForTheDisk(t *testing.T) {
	for _, name := range []string{"file", "folder"} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, filepath.Join(dir, "src", "folder", "file"), noise(1, 20*content.ChunkSize))
			from := open(t, filepath.Join(dir, "from"))
			path := filepath.Join(dir, "src", "folder")
			if name == "file" {
				path = filepath.Join(path, name)
			}
			tr := tree(t, from, add(t, from, path).Root)
			s := open(t, dir)
			s.maxLoss = 8 * content.ChunkSize
			to := Dest{Path: filepath.Join(destIn(t, dir), "got")}
			chunks := make([]content.Chunk, tr.NumChunks())
			for n := range chunks {
				buf := make([]byte, tr.ChunkLen(uint32(n)))
				must(from.ReadChunk(tr.Digest(uint32(n)), buf))
				chunks[n] = content.Seal(buf)
			}
			synctest.Test(t, func(t *testing.T) {
				synced := make(chan struct{})
				s.sync = func(*os.File) error { synced <- struct{}{}; return nil }
				d := must(s.Begin(t.Context(), tr, to, nil))
				go func() {
					for n, c := range chunks {
						must(0, d.Put(uint32(n), c))
					}
				}()
				for _, want := range []int{8, 12, 16, 20, 20} {
					synctest.Wait()
					if n := d.Present().Count(); n != want {
						t.Errorf("%d chunks were written while the disk was busy, want %d", n, want)
					}
					<-synced
				}
				must(0, d.Close())
			})
		})
	}
}
