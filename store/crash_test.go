//go:build linux

package store

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/shoal-p2p/shoal/content"
)

// runChild is what the test binary does instead of testing, when a test starts it again.
func runChild(what, dir string) {
	switch what {
	case "hold":
		childHold(dir)
	case "work":
		childWork(dir)
	case "shortage":
		childShortage(dir)
	case "workload":
		childWorkload(dir)
	}
}

// childHold keeps a home until it is killed.
func childHold(dir string) {
	s := must(Open(Config{Home: filepath.Join(dir, "home")}))
	fmt.Println("held")
	os.Stdin.Read(make([]byte, 1))
	s.Close()
}

// childWork shares, fetches and removes, over and over, until it is killed.
func childWork(dir string) {
	s := must(Open(Config{Home: filepath.Join(dir, "home")}))
	from := must(Open(Config{Home: filepath.Join(dir, "from")}))
	ctx := context.Background()
	share := must(from.Shares())[0]
	tr := must(from.Tree(ctx, share.Root))
	must(0, os.RemoveAll(filepath.Join(dir, "trash")))
	fmt.Println("ready")
	for {
		local, _, err := s.Add(ctx, []string{filepath.Join(dir, "local")}, AddOptions{})
		must(0, err)
		must(0, s.SaveNodes(tr.Root, must(childNodes(from, tr))))
		d := must(s.Begin(ctx, tr, Dest{Path: filepath.Join(dir, "dest", "got")}, nil))
		must(0, fetch(from, d, tr))
		must(d.Commit(ctx))
		must(0, s.Rescan(ctx))
		must(0, s.Remove(local.Root))
		must(0, s.Remove(tr.Root))
		must(0, os.Rename(filepath.Join(dir, "dest", "got"), filepath.Join(dir, "trash")))
		must(0, os.RemoveAll(filepath.Join(dir, "trash")))
	}
}

// childShortage reads a chunk when there are no more file descriptors, and when there are some again.
func childShortage(dir string) {
	var limit syscall.Rlimit
	must(0, syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit))
	limit.Cur = 64
	must(0, syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit))
	s := must(Open(Config{Home: filepath.Join(dir, "home")}))
	share := must(s.Shares())[0]
	must(s.Tree(context.Background(), share.Root))
	var files []*os.File
	for {
		f, err := os.Open(os.DevNull)
		if err != nil {
			break
		}
		files = append(files, f)
	}
	full := readAll(s, share)
	rescan := s.Rescan(context.Background())
	for _, f := range files {
		f.Close()
	}
	fmt.Printf("%v %v %v %v\n", full != nil, rescan != nil, len(must(s.Shares())[0].Stale), readAll(s, share))
	must(0, s.Close())
}

// B105: that this process can open no more files says nothing about the files.
func TestShortageOfFileDescriptorsMarksNothing(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	add(t, s, sample(t, dir))
	must(0, s.Close())
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "SHOAL_STORE_CHILD=shortage", "SHOAL_STORE_DIR="+dir)
	out, err := cmd.CombinedOutput()
	if got := string(out); got != "true true 0 <nil>\n" || err != nil {
		t.Errorf("got %q, %v; want two errors, nothing stale, and no error in the end", got, err)
	}
}

func childNodes(s *Store, tr *content.Tree) ([]content.Block, error) {
	var out []content.Block
	w, err := content.NewWalk(tr.Root, content.Budget{})
	if err != nil {
		return nil, err
	}
	for {
		c, more := w.Next()
		if !more {
			return out, nil
		}
		data, err := s.Node(c)
		if err != nil {
			return nil, err
		}
		if err := w.Add(data); err != nil {
			return nil, err
		}
		out = append(out, content.Block{CID: c, Data: data})
	}
}

// child starts the test binary as another process and waits for its first line.
func child(t testing.TB, what, dir string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "SHOAL_STORE_CHILD="+what, "SHOAL_STORE_DIR="+dir)
	cmd.Stderr = os.Stderr
	out := must(cmd.StdoutPipe())
	must(cmd.StdinPipe())
	must(0, cmd.Start())
	if _, err := out.Read(make([]byte, 16)); err != nil {
		t.Fatalf("the other process said nothing: %v", err)
	}
	return cmd
}

// However a process dies, the next one starts by itself, has the whole share or nothing of it, goes on with the download, and
// finds nothing partial under a final name.
func TestKilledAtAnyMoment(t *testing.T) {
	onEach(t, func(t *testing.T, dir string) {
		root := sample(t, dir)
		write(t, filepath.Join(dir, "local", "x"), noise(11, 3*content.ChunkSize))
		write(t, filepath.Join(dir, "local", "y"), noise(12, 100))
		localBefore := snapshot(t, filepath.Join(dir, "local"), true)
		sharedBefore := snapshot(t, root, true)
		from := open(t, filepath.Join(dir, "f"))
		tr := tree(t, from, add(t, from, root).Root)
		must(0, from.Close())
		must(0, os.Rename(filepath.Join(dir, "f", "home"), filepath.Join(dir, "from")))
		must(0, os.Mkdir(filepath.Join(dir, "home"), 0o700))
		destIn(t, dir)
		wantTree := snapshot(t, root, false)
		for round := range 12 {
			cmd := child(t, "work", dir)
			time.Sleep(time.Duration(rand.N(120_000)) * time.Microsecond)
			must(0, cmd.Process.Kill())
			cmd.Wait()
			start := time.Now()
			s, err := Open(Config{Home: filepath.Join(dir, "home")})
			if err != nil {
				t.Fatalf("round %d: %v", round, err)
			}
			if took := time.Since(start); took > 5*time.Second {
				t.Errorf("round %d: it took %v to start", round, took)
			}
			afterKill(t, s, dir, wantTree)
			must(0, s.Close())
		}
		// The last state leads to a whole download.
		s := open(t, dir)
		from = must(Open(Config{Home: filepath.Join(dir, "from")}))
		defer from.Close()
		must(0, s.SaveNodes(tr.Root, must(childNodes(from, tr))))
		to := filepath.Join(dir, "dest", "got")
		d := must(s.Begin(context.Background(), tr, Dest{Path: to}, nil))
		must(0, fetch(from, d, tr))
		must(d.Commit(context.Background()))
		wantSame(t, "what was fetched", snapshot(t, to, false), wantTree)
		wantOnly(t, filepath.Dir(to), "got")
		wantSame(t, "shared files", snapshot(t, filepath.Join(dir, "local"), true), localBefore)
		wantSame(t, "shared files", snapshot(t, root, true), sharedBefore)
	})
}

// afterKill checks what must hold after any crash.
func afterKill(t *testing.T, s *Store, dir string, want map[string]string) {
	t.Helper()
	for _, share := range must(s.Shares()) {
		if share.Origin == Fetched {
			if _, err := os.Lstat(share.Paths[0]); err != nil {
				continue // the child was removing it
			}
		}
		tr := tree(t, s, share.Root)
		for i := range tr.Len() {
			e := tr.Entry(i)
			if e.Kind != content.File {
				continue
			}
			if _, err := readFile(s, tr, e.Path); err != nil && share.Origin == Shared {
				t.Errorf("%s of a share that is in the index: %v", e.Path, err)
			}
		}
	}
	got := filepath.Join(dir, "dest", "got")
	if _, err := os.Lstat(got); err != nil {
		return
	}
	for p, what := range snapshot(t, got, false) {
		if want[p] != what {
			t.Errorf("under its final name, %s is %q, want %q", p, what, want[p])
		}
	}
}

func TestSecondProcessIsToldWhoHasTheHome(t *testing.T) {
	dir := t.TempDir()
	must(0, os.Mkdir(filepath.Join(dir, "home"), 0o700))
	cmd := child(t, "hold", dir)
	start := time.Now()
	_, err := Open(Config{Home: filepath.Join(dir, "home")})
	took := time.Since(start)
	locked, ok := err.(*LockedError)
	if !ok || locked.PID != cmd.Process.Pid {
		t.Errorf("got %v, want a LockedError with process %d", err, cmd.Process.Pid)
	}
	if took > time.Second {
		t.Errorf("it took %v to say so", took)
	}
	must(0, cmd.Process.Kill()) // which leaves its number in the file
	cmd.Wait()
	s := must(Open(Config{Home: filepath.Join(dir, "home")}))
	must(0, s.Close())
}
