package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/shoal-p2p/shoal/gateway"
	"github.com/shoal-p2p/shoal/node"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The parts of the world that tests need: a CID that parses, and a node that does as it is told.
const aCID = "bafkreifzjut3te7nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e"

// fake is a node whose answers are scripted. A nil field answers with nothing.
type fake struct {
	share    func(context.Context, node.ShareRequest, func(node.Event)) (node.Shared, error)
	fetch    func(context.Context, node.FetchRequest, func(node.Event)) (node.Event, error)
	cat      func(context.Context, node.CatRequest, io.Writer, func(node.Event)) error
	list     func(context.Context, node.ListRequest, func(node.Event)) ([]node.Entry, error)
	check    func(context.Context, node.CheckRequest, func(node.Event)) (node.Checked, error)
	doctor   func(node.DoctorRequest, func(node.Event)) (node.Diagnosis, error)
	find     func(context.Context, node.FindRequest, func(node.Event)) (node.Found, error)
	shares   func() ([]node.Share, error)
	unshare  func(ref string) error
	unlist   func(ref string) error
	nearby   func(func(node.Event)) ([]node.Neighbour, error)
	ticket   func(node.TicketRequest) (node.Ticketed, error)
	inspect  func(node.InspectRequest) (node.Inspected, error)
	peers    func() ([]node.PeerStatus, error)
	status   func() (node.Status, error)
	identity func() (node.Identity, error)
	run      func(context.Context) error

	config node.Config // that it was opened with
	opened chan struct{}
	closed chan struct{}
}

func newFake() *fake { return &fake{opened: make(chan struct{}), closed: make(chan struct{})} }

func (f *fake) Share(ctx context.Context, r node.ShareRequest, emit func(node.Event)) (node.Shared, error) {
	if f.share == nil {
		return node.Shared{CID: aCID, Ticket: "shoal1aaaa", Name: filepath.Base(r.Paths[0]), Bytes: 12, Files: 1}, nil
	}
	return f.share(ctx, r, emit)
}

func (f *fake) Fetch(ctx context.Context, r node.FetchRequest, emit func(node.Event)) (node.Event, error) {
	if f.fetch == nil {
		return node.Event{Kind: "done", CID: aCID, Path: r.Dest}, nil
	}
	return f.fetch(ctx, r, emit)
}

func (f *fake) Cat(ctx context.Context, r node.CatRequest, w io.Writer, emit func(node.Event)) error {
	if f.cat == nil {
		return nil
	}
	return f.cat(ctx, r, w, emit)
}

func (f *fake) List(ctx context.Context, r node.ListRequest, emit func(node.Event)) ([]node.Entry, error) {
	if f.list == nil {
		return nil, nil
	}
	return f.list(ctx, r, emit)
}

func (f *fake) Check(ctx context.Context, r node.CheckRequest, emit func(node.Event)) (node.Checked, error) {
	if f.check == nil {
		return node.Checked{}, nil
	}
	return f.check(ctx, r, emit)
}

func (f *fake) Doctor(_ context.Context, r node.DoctorRequest, emit func(node.Event)) (node.Diagnosis, error) {
	if f.doctor == nil {
		return node.Diagnosis{OK: true}, nil
	}
	return f.doctor(r, emit)
}

func (f *fake) Find(ctx context.Context, r node.FindRequest, emit func(node.Event)) (node.Found, error) {
	if f.find == nil {
		return node.Found{CID: aCID}, nil
	}
	return f.find(ctx, r, emit)
}

func (f *fake) Shares(context.Context) ([]node.Share, error) {
	if f.shares == nil {
		return nil, nil
	}
	return f.shares()
}

func (f *fake) Unshare(_ context.Context, ref string) error {
	if f.unshare == nil {
		return nil
	}
	return f.unshare(ref)
}

func (f *fake) Unlist(_ context.Context, ref string) error {
	if f.unlist == nil {
		return nil
	}
	return f.unlist(ref)
}

func (f *fake) Nearby(_ context.Context, emit func(node.Event)) ([]node.Neighbour, error) {
	if f.nearby == nil {
		return nil, nil
	}
	return f.nearby(emit)
}

func (f *fake) Ticket(_ context.Context, r node.TicketRequest) (node.Ticketed, error) {
	if f.ticket == nil {
		return node.Ticketed{CID: aCID, Ticket: "shoal1aaaa"}, nil
	}
	return f.ticket(r)
}

func (f *fake) Inspect(_ context.Context, r node.InspectRequest, _ func(node.Event)) (node.Inspected, error) {
	if f.inspect == nil {
		return node.Inspected{CID: aCID}, nil
	}
	return f.inspect(r)
}

func (f *fake) Peers(context.Context) ([]node.PeerStatus, error) {
	if f.peers == nil {
		return nil, nil
	}
	return f.peers()
}

func (f *fake) Status(context.Context) (node.Status, error) {
	if f.status == nil {
		return node.Status{}, nil
	}
	return f.status()
}

func (f *fake) Identity(context.Context) (node.Identity, error) {
	if f.identity == nil {
		return node.Identity{}, nil
	}
	return f.identity()
}

func (f *fake) Run(ctx context.Context) error {
	if f.run != nil {
		return f.run(ctx)
	}
	<-ctx.Done()
	return nil
}

func (f *fake) Close() error {
	close(f.closed)
	return nil
}

// terminal collects what a command prints.
type terminal struct {
	mu   sync.Mutex // guards the rest
	text bytes.Buffer
	wait chan struct{} // closed and replaced at each write
}

func (b *terminal) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.wait != nil {
		close(b.wait)
		b.wait = nil
	}
	return b.text.Write(p)
}

func (b *terminal) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// await returns once text has been printed.
func (b *terminal) await(t *testing.T, text string) {
	t.Helper()
	late := time.After(30 * time.Second)
	for {
		b.mu.Lock()
		if strings.Contains(b.text.String(), text) {
			b.mu.Unlock()
			return
		}
		if b.wait == nil {
			b.wait = make(chan struct{})
		}
		wait := b.wait
		b.mu.Unlock()
		select {
		case <-wait:
		case <-late:
			t.Fatalf("%q was not printed within 30 s, but\n%s", text, b)
		}
	}
}

// command is one run of the program in this process.
type command struct {
	*app
	out, err *terminal
	signals  chan os.Signal
	exits    chan int // codes of exits that did not wait
	code     chan int
}

// world is a home, and the node that commands open on it.
type world struct {
	home           string
	node           *fake
	env            map[string]string
	in             io.Reader
	stdout, stderr io.Writer                                           // instead of the command's terminals
	open           func(context.Context, node.Config) (ownNode, error) // instead of node
}

func newWorld(t *testing.T) *world {
	return &world{home: filepath.Join(t.TempDir(), "home"), node: newFake(), env: map[string]string{}, in: strings.NewReader("")}
}

// start begins to run a command line.
func (w *world) start(args ...string) *command {
	c := &command{
		out: &terminal{}, err: &terminal{},
		signals: make(chan os.Signal, 2), exits: make(chan int, 2), code: make(chan int, 1),
	}
	open := w.open
	if open == nil {
		open = func(_ context.Context, config node.Config) (ownNode, error) {
			w.node.config = config
			close(w.node.opened)
			return w.node, nil
		}
	}
	c.app = &app{
		in: w.in, out: c.out, err: c.err, signals: c.signals, exit: func(code int) { c.exits <- code }, open: open,
		getenv: func(k string) string { return w.env[k] },
	}
	if w.stdout != nil {
		c.app.out = w.stdout
	}
	if w.stderr != nil {
		c.app.err = w.stderr
	}
	go func() { c.code <- c.execute(append([]string{"--home", w.home}, args...)) }()
	return c
}

// ends waits for a command's exit code.
func (c *command) ends(t *testing.T) int {
	t.Helper()
	select {
	case code := <-c.code:
		return code
	case <-time.After(time.Minute):
		t.Fatalf("the command still runs after a minute; it printed\n%s%s", c.out, c.err)
		return -1
	}
}

func (w *world) run(t *testing.T, args ...string) (code int, out, err string) {
	t.Helper()
	c := w.start(args...)
	code = c.ends(t)
	return code, c.out.String(), c.err.String()
}

// serve runs `shoal serve` with the world's node until the test ends; the world's next node is a new one.
func (w *world) serve(t *testing.T, args ...string) *command {
	t.Helper()
	c := w.start(append([]string{"serve"}, args...)...)
	if slices.Contains(args, "--json") {
		c.out.await(t, "\n")
	} else {
		c.err.await(t, "serving")
	}
	stop := sync.OnceFunc(func() {
		c.signals <- os.Interrupt
		if code := c.ends(t); code != 0 {
			t.Errorf("serve ended with %d:\n%s", code, c.err)
		}
	})
	t.Cleanup(stop)
	w.node = newFake()
	return c
}

// lend has a process other than `serve` answer on the world's home, until stop is called.
func (w *world) lend(t *testing.T, n *fake) (stop func()) {
	t.Helper()
	if err := makeHome(w.home); err != nil {
		t.Fatal(err)
	}
	c := gateway.NewControl(gateway.Config{Socket: socketPath(w.home), Code: codeOf})
	register(c, n, about{PID: 4242, Role: "lends", Network: node.LAN})
	if err := c.Listen(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return stop
}

var errScripted = errors.New("as the script has it")

func wrapped(err error) error { return fmt.Errorf("%w: %w", err, errScripted) }
