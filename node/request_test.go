package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// running is a node on loopback that lives as long as its test.
type running struct {
	*Node
	t   testing.TB
	dir string // for its files; the home lies beside it
}

func start(t testing.TB, name string, peers ...*running) *running {
	t.Helper()
	return startWith(t, name, func(*Node) {}, peers...)
}

// startWith lets a test change the node before it runs.
func startWith(t testing.TB, name string, change func(*Node), peers ...*running) *running {
	t.Helper()
	c := Config{Home: filepath.Join(t.TempDir(), name), Network: Isolated, Listen: []string{"/ip4/127.0.0.1/tcp/0"}}
	for _, p := range peers {
		c.Peers = append(c.Peers, p.addr())
	}
	return startAs(t, c, change)
}

// startAs starts a node that is like no other.
func startAs(t testing.TB, c Config, change func(*Node)) *running {
	t.Helper()
	n, err := Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	change(n)
	ctx, cancel := context.WithCancel(context.Background())
	var wait sync.WaitGroup
	wait.Go(func() {
		if err := n.Run(ctx); err != nil {
			t.Errorf("run: %v", err)
		}
	})
	t.Cleanup(func() {
		cancel()
		wait.Wait()
		if err := n.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return &running{n, t, t.TempDir()}
}

func (r *running) addr() string {
	id, err := r.Identity(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	return id.Addrs[0]
}

func (r *running) file(name string, size int) (path string, data []byte) {
	r.t.Helper()
	data = make([]byte, size)
	random := rand.New(rand.NewPCG(uint64(size), 9))
	for i := range data {
		data[i] = byte(random.Uint32())
	}
	path = filepath.Join(r.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		r.t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o644); err != nil {
		r.t.Fatal(err)
	}
	return path, data
}

func (r *running) share(paths ...string) Shared {
	r.t.Helper()
	s, err := r.Share(r.t.Context(), ShareRequest{Paths: paths}, ignore)
	if err != nil {
		r.t.Fatal(err)
	}
	return s
}

func (r *running) fetch(request FetchRequest) Event {
	r.t.Helper()
	e, err := r.Fetch(r.t.Context(), request, ignore)
	if err != nil {
		r.t.Fatal(err)
	}
	return e
}

func ignore(Event) {}

func same(t *testing.T, path string, want []byte) {
	t.Helper()
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Fatalf("%s: %d bytes that are not the %d that were shared", path, len(got), len(want))
	}
}

func TestFetchByTicketAndByPeer(t *testing.T) {
	a, b, c := start(t, "a"), start(t, "b"), start(t, "c")
	path, data := a.file("big", 5<<20+17)
	s := a.share(path)
	to := filepath.Join(b.dir, "copy")
	done := b.fetch(FetchRequest{Ref: s.Ticket, Dest: to})
	same(t, to, data)
	if done.Kind != "done" || done.Bytes != int64(len(data)) || len(done.Sources) != 1 || done.Sources[0].Bytes != int64(len(data)) {
		t.Errorf("last event %+v, expected all bytes from one source", done)
	}
	to = filepath.Join(c.dir, "copy")
	c.fetch(FetchRequest{Ref: s.CID, Dest: to, Peers: []string{a.addr()}})
	same(t, to, data)
}

func TestFetchedContentIsServedOn(t *testing.T) {
	a, b, c := start(t, "a"), start(t, "b"), start(t, "c")
	path, data := a.file("f", 3<<20)
	s := a.share(path)
	b.fetch(FetchRequest{Ref: s.Ticket, Dest: filepath.Join(b.dir, "f")})
	to := filepath.Join(c.dir, "f")
	c.fetch(FetchRequest{Ref: s.CID, Dest: to, Peers: []string{b.addr()}})
	same(t, to, data)
}

func TestFetchDirectoryAndPathInside(t *testing.T) {
	a, b := start(t, "a"), start(t, "b")
	_, one := a.file("tree/one", 10)
	_, two := a.file("tree/deep/two", 2<<20+1)
	a.file("tree/empty", 0)
	if err := os.MkdirAll(filepath.Join(a.dir, "tree/hollow"), 0o755); err != nil {
		t.Fatal(err)
	}
	s := a.share(filepath.Join(a.dir, "tree"))
	to := filepath.Join(b.dir, "all")
	b.fetch(FetchRequest{Ref: s.Ticket, Dest: to})
	same(t, filepath.Join(to, "one"), one)
	same(t, filepath.Join(to, "deep/two"), two)
	same(t, filepath.Join(to, "empty"), nil)
	if info, err := os.Stat(filepath.Join(to, "hollow")); err != nil || !info.IsDir() {
		t.Errorf("the empty directory: %v", err)
	}
	to = filepath.Join(b.dir, "part")
	done := b.fetch(FetchRequest{Ref: s.CID + "/deep/two", Dest: to})
	same(t, to, two)
	if len(done.Sources) > 0 {
		t.Errorf("sources %+v for what was on this machine already", done.Sources)
	}
}

func TestFetchOfWhatIsThereCostsNothing(t *testing.T) {
	a, b := start(t, "a"), start(t, "b")
	path, data := a.file("f", 3<<20)
	s := a.share(path)
	to := filepath.Join(b.dir, "f")
	if err := os.WriteFile(to, data, 0o644); err != nil {
		t.Fatal(err)
	}
	done := b.fetch(FetchRequest{Ref: s.Ticket, Dest: to})
	if len(done.Sources) > 0 || done.Present != int64(len(data)) {
		t.Errorf("last event %+v, expected no source and all bytes present", done)
	}
}

func TestFetchDoesNotOverwrite(t *testing.T) {
	a, b := start(t, "a"), start(t, "b")
	path, data := a.file("f", 1000)
	s := a.share(path)
	to := filepath.Join(b.dir, "f")
	if err := os.WriteFile(to, []byte("mine"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Fetch(t.Context(), FetchRequest{Ref: s.Ticket, Dest: to}, ignore); !errors.Is(err, ErrExists) {
		t.Fatalf("error %v, expected ErrExists", err)
	}
	same(t, to, []byte("mine"))
	b.fetch(FetchRequest{Ref: s.Ticket, Dest: to, Force: true})
	same(t, to, data)
}

func TestInterruptedFetchGoesOn(t *testing.T) {
	a, b := start(t, "a"), start(t, "b")
	path, data := a.file("f", 48<<20)
	s := a.share(path)
	for i, delay := range []time.Duration{20 * time.Millisecond, 5 * time.Millisecond, 0} { // the last one is always quicker than 48 MiB
		to := filepath.Join(b.dir, fmt.Sprint(i))
		ctx, cancel := context.WithCancel(t.Context())
		_, err := b.Fetch(ctx, FetchRequest{Ref: s.Ticket, Dest: to}, func(e Event) {
			if e.Kind == "finding" {
				time.AfterFunc(delay, cancel)
			}
		})
		cancel()
		if err == nil {
			continue
		}
		if !errors.Is(err, ErrStopped) {
			t.Fatalf("error %v, expected ErrStopped", err)
		}
		if _, err := os.Stat(to); !errors.Is(err, os.ErrNotExist) {
			t.Fatalf("something stands under the final name: %v", err)
		}
		b.fetch(FetchRequest{Ref: s.Ticket, Dest: to})
		same(t, to, data)
		return
	}
	t.Fatal("no fetch was interrupted")
}

func TestNobodyHasIt(t *testing.T) {
	a := start(t, "a")
	b := start(t, "b")
	path, _ := b.file("f", 10)
	s := b.share(path)
	if err := b.Unshare(t.Context(), s.CID); err != nil {
		t.Fatal(err)
	}
	c, d := start(t, "c", a), start(t, "d")
	for name, test := range map[string]struct {
		n    *running
		want error
	}{"a peer without it": {c, ErrNotFound}, "no peer": {d, ErrNoPeer}} {
		waiting := false
		_, err := test.n.Fetch(t.Context(), FetchRequest{Ref: s.CID, Dest: filepath.Join(test.n.dir, "f"), Timeout: 3}, func(e Event) {
			waiting = waiting || e.Kind == "waiting"
		})
		if !errors.Is(err, test.want) {
			t.Errorf("%s: error %v, expected %v", name, err, test.want)
		}
		if !waiting {
			t.Errorf("%s: nothing was said while it waited", name)
		}
	}
}

func TestTicketOfAPeerThatIsGone(t *testing.T) {
	a, b := start(t, "a"), start(t, "b")
	path, _ := a.file("f", 10)
	s := a.share(path)
	if err := a.host.Close(); err != nil {
		t.Fatal(err)
	}
	_, err := b.Fetch(t.Context(), FetchRequest{Ref: s.Ticket, Dest: filepath.Join(b.dir, "f"), Timeout: 2}, ignore)
	if !errors.Is(err, ErrNoPeer) {
		t.Fatalf("error %v, expected ErrNoPeer", err)
	}
}

func TestCat(t *testing.T) {
	a, b := start(t, "a"), start(t, "b")
	path, data := a.file("dir/f", 20<<20+5)
	s := a.share(filepath.Dir(path))
	small, text := a.file("small", 100)
	lone := a.share(small)
	for _, n := range []*running{a, b} { // from this node's own files, and from a peer
		for _, c := range []struct{ offset, length int64 }{{0, 0}, {0, 1}, {1 << 20, 1 << 20}, {1<<20 - 1, 2}, {20 << 20, 0}, {20<<20 + 5, 0}, {7, 1 << 40}} {
			var out bytes.Buffer
			r := CatRequest{Ref: s.Ticket + "/f", Offset: c.offset, Length: c.length}
			if err := n.Cat(t.Context(), r, &out, ignore); err != nil {
				t.Fatalf("%+v: %v", c, err)
			}
			end := int64(len(data))
			if c.length > 0 {
				end = min(end, c.offset+c.length)
			}
			if !bytes.Equal(out.Bytes(), data[c.offset:end]) {
				t.Errorf("offset %d, length %d: %d bytes that are not those of the file", c.offset, c.length, out.Len())
			}
		}
		var out bytes.Buffer
		if err := n.Cat(t.Context(), CatRequest{Ref: lone.Ticket}, &out, ignore); err != nil || !bytes.Equal(out.Bytes(), text) {
			t.Errorf("a file of one chunk: %v, %d bytes", err, out.Len())
		}
	}
	for _, r := range []CatRequest{{Ref: s.CID}, {Ref: s.CID + "/f", Offset: -1}, {Ref: s.CID + "/f", Offset: 20<<20 + 6}} {
		if err := a.Cat(t.Context(), r, new(bytes.Buffer), ignore); !errors.Is(err, ErrUsage) {
			t.Errorf("%+v: error %v, expected ErrUsage", r, err)
		}
	}
}

// A file that repeats one chunk in many places is read in order although the chunk comes only once.
func TestCatOfRepeats(t *testing.T) {
	a, b := start(t, "a"), start(t, "b")
	_, part := a.file("part", 1<<20)
	_, other := a.file("other", 1<<20-1)
	whole := bytes.Repeat(part, 40)
	whole = append(append(whole, other...), 1)
	whole = append(whole, part...)
	path := filepath.Join(a.dir, "whole")
	if err := os.WriteFile(path, whole, 0o644); err != nil {
		t.Fatal(err)
	}
	s := a.share(path)
	var out bytes.Buffer
	if err := b.Cat(t.Context(), CatRequest{Ref: s.Ticket}, &out, ignore); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(out.Bytes(), whole) {
		t.Fatalf("%d bytes that are not those of the file", out.Len())
	}
}

func TestList(t *testing.T) {
	a, b := start(t, "a"), start(t, "b")
	a.file("tree/one", 10)
	a.file("tree/deep/two", 20)
	s := a.share(filepath.Join(a.dir, "tree"))
	for path, want := range map[string]string{"": "[deep one]", "/deep": "[deep/two]", "/one": "[one]"} {
		list, err := b.List(t.Context(), ListRequest{Ref: s.Ticket + path}, ignore)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, e := range list {
			names = append(names, e.Path)
		}
		if got := fmt.Sprint(names); got != want {
			t.Errorf("%q lists %s, expected %s", path, got, want)
		}
	}
	list, err := b.List(t.Context(), ListRequest{Ref: s.Ticket, Recursive: true}, ignore)
	if err != nil || len(list) != 3 {
		t.Errorf("%d entries (%v), expected 3", len(list), err)
	}
}

func TestCheckFindsAndRepairsWhatBroke(t *testing.T) {
	a, b := start(t, "a"), start(t, "b")
	path, data := a.file("f", 4<<20)
	s := a.share(path)
	to := filepath.Join(b.dir, "f")
	b.fetch(FetchRequest{Ref: s.Ticket, Dest: to})
	info, err := os.Stat(to)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(to, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte("rot"), 2<<20+5); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f.Close(), os.Chtimes(to, info.ModTime(), info.ModTime())); err != nil {
		t.Fatal(err)
	}
	c, err := b.Check(t.Context(), CheckRequest{}, ignore)
	if err != nil || len(c.Bad) != 1 || c.Bad[0].Chunks != 1 {
		t.Fatalf("check %+v (%v), expected one bad chunk", c, err)
	}
	c, err = b.Check(t.Context(), CheckRequest{Repair: true, Peers: []string{a.addr()}}, ignore)
	if err != nil || len(c.Bad) != 0 || c.Repaired != 1 {
		t.Fatalf("repair %+v (%v), expected one chunk repaired", c, err)
	}
	same(t, to, data)
}

func TestSharedFileThatChangesIsNotServed(t *testing.T) {
	a, b := start(t, "a"), start(t, "b")
	path, _ := a.file("f", 3<<20)
	s := a.share(path)
	if err := os.WriteFile(path, []byte("something else"), 0o644); err != nil {
		t.Fatal(err)
	}
	to := filepath.Join(b.dir, "f")
	if _, err := b.Fetch(t.Context(), FetchRequest{Ref: s.Ticket, Dest: to, Timeout: 2}, ignore); err == nil {
		t.Fatal("the fetch succeeded")
	}
	if _, err := os.Stat(to); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("something stands under the final name: %v", err)
	}
	list, err := a.Shares(t.Context())
	if err != nil || len(list) != 1 || len(list[0].Stale) != 1 {
		t.Errorf("shares %+v (%v), expected the file marked stale", list, err)
	}
}

func TestHomeInUse(t *testing.T) {
	a := start(t, "a")
	began := time.Now()
	_, err := Open(t.Context(), Config{Home: a.config.Home, Network: Isolated})
	if !errors.Is(err, ErrBusy) || time.Since(began) > time.Second {
		t.Fatalf("error %v after %v, expected ErrBusy within a second", err, time.Since(began))
	}
	if want := fmt.Sprint(os.Getpid()); !bytes.Contains([]byte(err.Error()), []byte(want)) {
		t.Errorf("error %q does not name process %s", err, want)
	}
}

func TestOwnTicket(t *testing.T) {
	a := start(t, "a")
	path, _ := a.file("f", 10)
	s := a.share(path)
	if err := a.Unshare(t.Context(), s.Ticket); err != nil {
		t.Fatal(err)
	}
	_, err := a.Fetch(t.Context(), FetchRequest{Ref: s.Ticket, Dest: filepath.Join(a.dir, "g")}, ignore)
	if !errors.Is(err, ErrNotFound) {
		t.Fatalf("error %v, expected ErrNotFound at once", err)
	}
}

// Two requests for one destination do not get in each other's way: the second waits, and finds the work done.
func TestTwoFetchesToOneDestination(t *testing.T) {
	a, b := start(t, "a"), start(t, "b")
	path, data := a.file("f", 30<<20)
	s := a.share(path)
	to := filepath.Join(b.dir, "f")
	var wait sync.WaitGroup
	for range 2 {
		wait.Go(func() {
			if _, err := b.Fetch(t.Context(), FetchRequest{Ref: s.Ticket, Dest: to}, ignore); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	same(t, to, data)
	if v := a.transfer.Exchanged(b.host.ID()); v.Up != int64(len(data)) {
		t.Errorf("%d bytes were sent, expected %d", v.Up, len(data))
	}
}

// A file of one chunk comes with its tree, and counts like any other content.
func TestSmallFileIsAccountedFor(t *testing.T) {
	a, b := start(t, "a"), start(t, "b")
	path, data := a.file("small", 1234)
	to := filepath.Join(b.dir, "copy")
	done := b.fetch(FetchRequest{Ref: a.share(path).Ticket, Dest: to})
	same(t, to, data)
	if done.Present != 0 || len(done.Sources) != 1 || done.Sources[0].Bytes != int64(len(data)) {
		t.Errorf("last event %+v, want all %d bytes from one source, and none that were here already", done, len(data))
	}
	for who, of := range map[string]struct {
		n        *running
		down, up int64
	}{"the source": {a, 0, int64(len(data))}, "the receiver": {b, int64(len(data)), 0}} {
		s, err := of.n.Status(t.Context())
		if err != nil || s.Down != of.down || s.Up != of.up {
			t.Errorf("%s received %d and sent %d bytes, %v; want %d and %d", who, s.Down, s.Up, err, of.down, of.up)
		}
	}
}

// What another file of this node holds costs no transfer, and is said to have been here.
func TestCopiedFromAnotherFileWasHere(t *testing.T) {
	a := start(t, "a")
	path, data := a.file("f", 2<<20+5)
	to := filepath.Join(a.dir, "copy")
	done := a.fetch(FetchRequest{Ref: a.share(path).CID, Dest: to})
	same(t, to, data)
	if done.Present != int64(len(data)) || len(done.Sources) > 0 {
		t.Errorf("last event %+v, want %d bytes that were here already", done, len(data))
	}
}
