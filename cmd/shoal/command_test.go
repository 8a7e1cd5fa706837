package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/shoal-p2p/shoal/node"
)

// fetching returns a script that fails with err.
func failing(err error) func(context.Context, node.FetchRequest, func(node.Event)) (node.Event, error) {
	return func(context.Context, node.FetchRequest, func(node.Event)) (node.Event, error) {
		return node.Event{}, err
	}
}

func TestExitCodes(t *testing.T) {
	for _, c := range []struct {
		err  error
		exit int
		code string
	}{
		{nil, 0, ""},
		{errScripted, 1, "internal"},
		{wrapped(node.ErrUsage), 2, "usage"},
		{wrapped(node.ErrNotFound), 3, "not_found"},
		{wrapped(node.ErrNoPeer), 4, "no_peer"},
		{wrapped(node.ErrVerify), 5, "verify"},
		{wrapped(node.ErrDisk), 6, "disk"},
		{wrapped(node.ErrExists), 7, "exists"},
		{wrapped(node.ErrBusy), 8, "busy"},
	} {
		for _, where := range []string{"in this process", "through the socket"} {
			t.Run(fmt.Sprintf("%v %s", c.err, where), func(t *testing.T) {
				w := newWorld(t)
				w.node.fetch = failing(c.err)
				if c.err == nil {
					w.node.fetch = nil
				}
				if where == "through the socket" {
					w.serve(t)
				}
				dest := filepath.Join(t.TempDir(), "x")
				exit, out, errs := w.run(t, "get", aCID, "-o", dest, "--json")
				if exit != c.exit {
					t.Errorf("exit code %d, want %d; it printed\n%s%s", exit, c.exit, out, errs)
				}
				if c.err == nil {
					return
				}
				var last struct{ Error failure }
				if err := json.Unmarshal([]byte(lastLine(out)), &last); err != nil || last.Error.Code != c.code {
					t.Errorf("the last line is %q, want an error with code %q", lastLine(out), c.code)
				}
				if !strings.Contains(last.Error.Message, errScripted.Error()) {
					t.Errorf("the message %q lacks the cause", last.Error.Message)
				}
				if c.exit > 1 && last.Error.Hint == "" {
					t.Error("there is no hint")
				}
			})
		}
	}
}

func lastLine(s string) string {
	s = strings.TrimSpace(s)
	return s[strings.LastIndexByte(s, '\n')+1:]
}

// TestErrorsForPeople has the message and the next step on standard error, and nothing on standard output.
func TestErrorsForPeople(t *testing.T) {
	w := newWorld(t)
	w.node.fetch = failing(fmt.Errorf("%w: asked 2 peers\x1b[2J", node.ErrNotFound))
	exit, out, errs := w.run(t, "get", aCID, "-o", filepath.Join(t.TempDir(), "x"))
	if exit != 3 || out != "" {
		t.Errorf("exit %d, standard output %q", exit, out)
	}
	if !strings.HasPrefix(errs, "shoal: not found: asked 2 peers") || strings.Count(errs, "\n") != 2 || strings.Contains(errs, "\x1b") {
		t.Errorf("standard error is\n%q", errs)
	}
}

func TestUsageErrors(t *testing.T) {
	for _, c := range []struct {
		args []string
		says string
	}{
		{[]string{"nonsense"}, "unknown command"},
		{[]string{"gte", "x"}, "did you mean 'shoal get'?"},
		{[]string{"share"}, "PATH is missing"},
		{[]string{"get"}, "REF is missing"},
		{[]string{"get", aCID, "b"}, `"b" is one argument too many`},
		{[]string{"get", "--nonsense", aCID}, "unknown flag"},
		{[]string{"get", "not-a-cid"}, ""},
		{[]string{"get", ""}, ""},
		{[]string{"get", "-"}, "nothing came on standard input"},
		{[]string{"get", aCID, "-o", "-"}, "shoal cat"},
		{[]string{"get", aCID, "-o", "no/such/place"}, "there is no directory"},
		{[]string{"get", aCID, "-o", "new/"}, "there is no directory"},
		{[]string{"get", aCID, "--timeout", "soon"}, "invalid argument"},
		{[]string{"cat", aCID, "--offset", "-1"}, "--offset"},
		{[]string{"cat", aCID, "--offset", "1e18"}, "invalid argument"},
		{[]string{"cat", aCID, "--length", "0"}, "--length"},
		{[]string{"cat", aCID, "--length", "99999999999999999999"}, "invalid argument"},
		{[]string{"ls", strings.Repeat("b", 1<<20)}, ""},
		{[]string{"check", "a", "b"}, "at most 1"},
		{[]string{"status", "x"}, "unknown command"},
		{[]string{"status", "--network", "wan"}, "isolated, lan, public"},
		{[]string{"unshare"}, "REF is missing"},
	} {
		t.Run(strings.Join(c.args, " ")[:min(60, len(strings.Join(c.args, " ")))], func(t *testing.T) {
			w := newWorld(t)
			exit, out, errs := w.run(t, c.args...)
			if exit != 2 || out != "" || !strings.Contains(errs, c.says) {
				t.Errorf("exit %d, %q on standard output, want 2, nothing, and %q in\n%s", exit, out, c.says, errs)
			}
			if len(errs) > 2000 {
				t.Errorf("%d bytes on standard error", len(errs))
			}
			exit, out, errs = w.run(t, append(c.args, "--json")...)
			var last struct{ Error failure }
			if err := json.Unmarshal([]byte(out), &last); exit != 2 || err != nil && c.args[0] != "cat" || last.Error.Code != "usage" && c.args[0] != "cat" {
				t.Errorf("with --json: exit %d and %q, %q", exit, out, errs)
			}
			select {
			case <-w.node.opened:
				t.Error("a node was opened for a command that makes no sense")
			default:
			}
		})
	}
}

func TestHelp(t *testing.T) {
	w := newWorld(t)
	for _, args := range [][]string{{}, {"help"}, {"--help"}, {"get", "--help"}, {"help", "exit-codes"}, {"completion", "bash"}} {
		exit, out, errs := w.run(t, args...)
		if exit != 0 || len(out) < 100 || errs != "" {
			t.Errorf("%q: exit %d, %q, %q", args, exit, out, errs)
		}
	}
	_, out, _ := w.run(t, "help", "exit-codes")
	for _, o := range outcomes {
		if !strings.Contains(out, o.code) {
			t.Errorf("the table of exit codes lacks %s:\n%s", o.code, out)
		}
	}
}

func TestShareServesUntilInterrupted(t *testing.T) {
	w := newWorld(t)
	sent := make(chan int64, 1)
	w.node.peers = func() ([]node.PeerStatus, error) {
		select {
		case n := <-sent:
			return []node.PeerStatus{{ID: "12D3KooWabcdefgh", Addrs: []string{"/ip4/10.0.0.7/tcp/4001"}, Up: n}}, nil
		default:
			return nil, nil
		}
	}
	c := w.start("share", "file.txt", "--network", "isolated", "--listen", "/ip4/127.0.0.1/tcp/0")
	c.err.await(t, "serving until")
	if got, want := c.out.String(), "cid     "+aCID+"\nticket  shoal1aaaa\n"; got != want {
		t.Errorf("printed %q, want %q", got, want)
	}
	if n := w.node.config; n.Home != w.home || n.Network != node.Isolated || len(n.Listen) != 1 {
		t.Errorf("the node was opened with %+v", n)
	}
	sent <- 5000
	c.err.await(t, "…abcdefgh fetches from /ip4/10.0.0.7/tcp/4001")
	c.err.await(t, "…abcdefgh has fetched 4.88 KiB")
	c.signals <- os.Interrupt
	if exit := c.ends(t); exit != 0 {
		t.Errorf("exit %d after an interruption, want 0: the share was made", exit)
	}
	<-w.node.closed
}

func TestShareReturnsWhenANodeServes(t *testing.T) {
	w := newWorld(t)
	asked := make(chan node.ShareRequest, 1)
	w.node.share = func(_ context.Context, r node.ShareRequest, emit func(node.Event)) (node.Shared, error) {
		asked <- r
		return node.Shared{CID: aCID, Ticket: "shoal1aaaa", Name: "a\u202eb", Files: 2, Skipped: []node.Skipped{{Path: "p\x07", Reason: "a pipe"}}}, nil
	}
	w.serve(t)
	exit, out, errs := w.run(t, "share", "--hidden", "a", "/b", "--json")
	if exit != 0 || strings.Count(out, "\n") != 1 {
		t.Errorf("exit %d, %q, %q", exit, out, errs)
	}
	var s node.Shared
	if err := json.Unmarshal([]byte(out), &s); err != nil || s.CID != aCID || s.Name != "a\u202eb" || s.Ticket == "" || s.Files != 2 {
		t.Errorf("got %+v, %v", s, err)
	}
	if strings.ContainsAny(out, "\u202e\x07") {
		t.Errorf("raw control characters in %q", out)
	}
	here, _ := filepath.Abs("a")
	if r := <-asked; !r.Hidden || len(r.Paths) != 2 || r.Paths[0] != here || r.Paths[1] != "/b" {
		t.Errorf("the node was asked for %+v", r)
	}
	select {
	case <-w.node.opened:
		t.Error("a second node was opened")
	default:
	}
}

// TestTakeoverWaitsForTheHome has a node leave its guest at once and its home only later.
func TestTakeoverWaitsForTheHome(t *testing.T) {
	w := newWorld(t)
	free := time.Now().Add(1500 * time.Millisecond)
	w.open = func(context.Context, node.Config) (ownNode, error) {
		if time.Now().Before(free) {
			return nil, wrapped(node.ErrBusy)
		}
		return w.node, nil
	}
	begun := make(chan struct{})
	lent := newFake()
	lent.fetch = func(ctx context.Context, _ node.FetchRequest, _ func(node.Event)) (node.Event, error) {
		close(begun)
		<-ctx.Done()
		return node.Event{}, wrapped(node.ErrStopped)
	}
	stop := w.lend(t, lent)
	c := w.start("get", aCID, "-o", filepath.Join(t.TempDir(), "x"))
	<-begun
	stop()
	if exit := c.ends(t); exit != 0 {
		t.Errorf("exit %d:\n%s", exit, c.err)
	}
}

// TestShareOutlivesALentNode shares through the node of another command, which then ends.
func TestShareOutlivesALentNode(t *testing.T) {
	w := newWorld(t)
	stop := w.lend(t, newFake())
	c := w.start("share", "x")
	c.err.await(t, "served by process 4242")
	stop()
	<-w.node.opened
	c.err.await(t, "serving until")
	if n := strings.Count(c.out.String(), "cid"); n != 1 {
		t.Errorf("the CID was printed %d times", n)
	}
	c.signals <- os.Interrupt
	if exit := c.ends(t); exit != 0 {
		t.Errorf("exit %d", exit)
	}
}

func TestGetGoesOnWhenALentNodeEnds(t *testing.T) {
	w := newWorld(t)
	begun := make(chan struct{})
	lent := newFake()
	lent.fetch = func(ctx context.Context, _ node.FetchRequest, emit func(node.Event)) (node.Event, error) {
		emit(node.Event{Kind: "fetching", Bytes: 1, Total: 2})
		close(begun)
		<-ctx.Done()
		return node.Event{}, wrapped(node.ErrStopped)
	}
	stop := w.lend(t, lent)
	c := w.start("get", aCID, "-o", filepath.Join(t.TempDir(), "x"))
	<-begun
	stop()
	if exit := c.ends(t); exit != 0 {
		t.Errorf("exit %d:\n%s", exit, c.err)
	}
	select {
	case <-w.node.closed:
	default:
		t.Error("the command's own node was not used, or not closed")
	}
}

func TestCatGoesOnWhereALentNodeStopped(t *testing.T) {
	text := []byte("0123456789")
	script := func(until int64) func(context.Context, node.CatRequest, io.Writer, func(node.Event)) error {
		return func(ctx context.Context, r node.CatRequest, w io.Writer, _ func(node.Event)) error {
			end := min(until, r.Offset+r.Length)
			if _, err := w.Write(text[r.Offset:end]); err != nil {
				return err
			}
			if end < r.Offset+r.Length {
				<-ctx.Done()
				return wrapped(node.ErrStopped)
			}
			return nil
		}
	}
	w := newWorld(t)
	lent := newFake()
	lent.cat = script(5)
	stop := w.lend(t, lent)
	w.node.cat = script(10)
	c := w.start("cat", aCID, "--offset", "2", "--length", "7")
	c.out.await(t, "234")
	stop()
	if exit := c.ends(t); exit != 0 || c.out.String() != "2345678" {
		t.Errorf("exit %d, got %q, want %q", exit, c.out, "2345678")
	}
}

func TestCatKeepsProgressOutOfTheOutput(t *testing.T) {
	for _, where := range []string{"in this process", "through the socket"} {
		t.Run(where, func(t *testing.T) {
			w := newWorld(t)
			data := bytes.Repeat([]byte{0, 1, 2, 255}, 500_000)
			w.node.cat = func(_ context.Context, _ node.CatRequest, out io.Writer, emit func(node.Event)) error {
				emit(node.Event{Kind: "finding", Message: "looking around"})
				if _, err := out.Write(data[:1000]); err != nil {
					return err
				}
				emit(node.Event{Kind: "waiting", Message: "for the rest"})
				_, err := out.Write(data[1000:])
				return err
			}
			if where == "through the socket" {
				w.serve(t)
			}
			exit, out, errs := w.run(t, "cat", aCID, "--json")
			if exit != 0 || out != string(data) {
				t.Errorf("exit %d, %d bytes, want %d", exit, len(out), len(data))
			}
			if !strings.Contains(errs, "looking around") || !strings.Contains(errs, "for the rest") {
				t.Errorf("standard error lacks what was going on: %q", errs)
			}
		})
	}
}

func TestCatJSONErrorIsOnStandardError(t *testing.T) {
	w := newWorld(t)
	w.node.cat = func(context.Context, node.CatRequest, io.Writer, func(node.Event)) error {
		return wrapped(node.ErrNoPeer)
	}
	exit, out, errs := w.run(t, "cat", aCID, "--json")
	if exit != 4 || out != "" || !strings.HasPrefix(lastLine(errs), `{"error":{"code":"no_peer"`) {
		t.Errorf("exit %d, %q, %q", exit, out, errs)
	}
}

// closedPipe is an output whose reader has left.
type closedPipe struct{}

func (closedPipe) Write([]byte) (int, error) {
	return 0, &os.PathError{Op: "write", Path: "/dev/stdout", Err: syscall.EPIPE}
}

func TestReaderOfTheOutputLeaves(t *testing.T) {
	w := newWorld(t)
	w.node.cat = func(_ context.Context, _ node.CatRequest, out io.Writer, _ func(node.Event)) error {
		_, err := out.Write([]byte("x"))
		return fmt.Errorf("%w: the reader went away: %w", node.ErrStopped, err)
	}
	w.node.list = func(context.Context, node.ListRequest, func(node.Event)) ([]node.Entry, error) {
		return []node.Entry{{Path: "a"}}, nil
	}
	open := func(context.Context, node.Config) (ownNode, error) {
		n := newFake()
		n.cat, n.list = w.node.cat, w.node.list
		return n, nil
	}
	for _, verb := range []string{"cat", "ls"} {
		var errs terminal
		a := &app{in: w.in, out: closedPipe{}, err: &errs, getenv: func(string) string { return "" }, open: open}
		if exit := a.execute([]string{verb, aCID, "--home", w.home}); exit != 141 || errs.String() != "" {
			t.Errorf("%s: exit %d, %q; want 141 and silence", verb, exit, errs.String())
		}
	}
}

func TestInterruptedGet(t *testing.T) {
	for _, where := range []string{"in this process", "through the socket"} {
		t.Run(where, func(t *testing.T) {
			w := newWorld(t)
			begun, over := make(chan struct{}), make(chan struct{})
			w.node.fetch = func(ctx context.Context, _ node.FetchRequest, _ func(node.Event)) (node.Event, error) {
				close(begun)
				<-ctx.Done()
				close(over)
				return node.Event{}, wrapped(node.ErrNoPeer) // what it fails with is no longer of interest
			}
			if where == "through the socket" {
				w.serve(t)
			}
			c := w.start("get", aCID, "-o", filepath.Join(t.TempDir(), "x"))
			<-begun
			c.signals <- os.Interrupt
			if exit := c.ends(t); exit != 130 || !strings.Contains(c.err.String(), "the same command goes on") {
				t.Errorf("exit %d, %q", exit, c.err)
			}
			<-over
		})
	}
}

func TestSecondInterruptEndsAtOnce(t *testing.T) {
	w := newWorld(t)
	begun, let := make(chan struct{}), make(chan struct{})
	w.node.fetch = func(context.Context, node.FetchRequest, func(node.Event)) (node.Event, error) {
		close(begun)
		<-let // does not listen to its context
		return node.Event{}, wrapped(node.ErrStopped)
	}
	c := w.start("get", aCID, "-o", filepath.Join(t.TempDir(), "x"))
	<-begun
	c.signals <- os.Interrupt
	c.signals <- syscall.SIGTERM
	if exit := <-c.exits; exit != 130 {
		t.Errorf("exit %d, want 130", exit)
	}
	close(let)
	c.ends(t)
}

func TestGetReadsTheReferenceFromStandardInput(t *testing.T) {
	w := newWorld(t)
	w.in = strings.NewReader("  " + aCID + "/inside/it.txt \nnothing else\n")
	w.node.fetch = func(_ context.Context, r node.FetchRequest, _ func(node.Event)) (node.Event, error) {
		return node.Event{Kind: "done", Path: r.Dest, Message: r.Ref}, nil
	}
	dir := t.TempDir()
	exit, out, errs := w.run(t, "get", "-", "-o", dir, "--json")
	var e node.Event
	if err := json.Unmarshal([]byte(lastLine(out)), &e); exit != 0 || err != nil || e.Message != aCID+"/inside/it.txt" || e.Path != filepath.Join(dir, "it.txt") {
		t.Errorf("exit %d, got %+v (%v) %s", exit, e, err, errs)
	}
}

// TestGetPassesOnItsFlags also has the timeout that means for ever.
func TestGetPassesOnItsFlags(t *testing.T) {
	for timeout, want := range map[string]float64{"90s": 90, "0": -1} {
		w := newWorld(t)
		asked := make(chan node.FetchRequest, 1)
		w.node.fetch = func(_ context.Context, r node.FetchRequest, _ func(node.Event)) (node.Event, error) {
			asked <- r
			return node.Event{Kind: "done"}, nil
		}
		dest := filepath.Join(t.TempDir(), "x")
		exit, _, errs := w.run(t, "get", aCID, "-o", dest, "--force", "--peer", "/p/a", "--peer", "/p/b,c", "--timeout", timeout)
		r := <-asked
		if exit != 0 || r.Dest != dest || !r.Force || len(r.Peers) != 2 || r.Peers[1] != "/p/b,c" || r.Timeout != want {
			t.Errorf("exit %d, the node was asked for %+v; %s", exit, r, errs)
		}
	}
}

func TestDestination(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	if err := errors.Join(os.Mkdir("sub", 0o700), os.WriteFile("file", nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	ref := func(path, name string) typedRef { return typedRef{Ref: node.Ref{CID: aCID, Path: path, Name: name}} }
	for _, c := range []struct {
		ref    typedRef
		output string
		want   string // relative to dir; empty: refused
	}{
		{ref("", ""), "", aCID},
		{ref("", "holiday"), "", "holiday"},
		{ref("a/b.txt", ""), "", "b.txt"},
		{ref("a/b.txt", "holiday"), "", "b.txt"},
		{ref("", "../../etc/passwd"), "", aCID},
		{ref("", ".."), "", aCID},
		{ref("", ".bashrc"), "", aCID},
		{ref("", "a\x1b[2J"), "", aCID},
		{ref("", "holiday"), "sub", "sub/holiday"},
		{ref("", "holiday"), "sub/", "sub/holiday"},
		{ref("", "holiday"), ".", "holiday"},
		{ref("", "holiday"), "new", "new"},
		{ref("", "holiday"), "sub/new", "sub/new"},
		{ref("", "holiday"), "file", "file"},
		{ref("", "holiday"), "new/", ""},
		{ref("", "holiday"), "new/x", ""},
		{ref("", "holiday"), "file/x", ""},
		{ref("", "holiday"), "-", ""},
	} {
		got, err := destination(c.ref, c.output)
		want := c.want
		if want != "" {
			want = filepath.Join(dir, want)
		}
		if got != want || (err != nil) != (c.want == "") {
			t.Errorf("%+v to %q: got %q, %v; want %q", c.ref.Ref, c.output, got, err, want)
		}
	}
}

func TestServe(t *testing.T) {
	w := newWorld(t)
	w.node.status = func() (node.Status, error) {
		return node.Status{ID: "12D3KooWx", Network: node.Isolated, Addrs: []string{"/ip4/1.2.3.4/tcp/5"}, PID: 7}, nil
	}
	first := w.node
	c := w.serve(t, "--network", "isolated", "--peer", "/ip4/1.2.3.4/tcp/5/p2p/x", "--json")
	if len(first.config.Peers) != 1 || first.config.Network != node.Isolated {
		t.Errorf("the node was opened with %+v", first.config)
	}
	var s node.Status
	if err := json.Unmarshal([]byte(c.out.String()), &s); err != nil || s.ID != "12D3KooWx" {
		t.Errorf("serve printed %q", c.out)
	}
	exit, out, _ := w.run(t, "status", "--json")
	if err := json.Unmarshal([]byte(out), &s); exit != 0 || err != nil || s.PID != 7 {
		t.Errorf("status: exit %d, %q", exit, out)
	}
	for _, args := range [][]string{{"ls", aCID, "--network", "lan"}, {"shares", "--listen", "/ip4/127.0.0.1/tcp/1"}} {
		if exit, _, errs := w.run(t, args...); exit != 2 || !strings.Contains(errs, "end that node first") {
			t.Errorf("%q with a node that has other flags: exit %d, %s", args, exit, errs)
		}
	}
	if exit, _, errs := w.run(t, "ls", aCID, "--network", "isolated"); exit != 0 {
		t.Errorf("with the same network: exit %d, %s", exit, errs)
	}
}

func TestServeEndsWhenItsNodeBreaks(t *testing.T) {
	w := newWorld(t)
	w.node.run = func(context.Context) error { return wrapped(node.ErrDisk) }
	if exit, _, errs := w.run(t, "serve"); exit != 6 || !strings.Contains(errs, errScripted.Error()) {
		t.Errorf("exit %d, %s", exit, errs)
	}
}

func TestCommandsThatNeedARunningNode(t *testing.T) {
	for _, verb := range []string{"status", "peers"} {
		w := newWorld(t)
		exit, out, errs := w.run(t, verb, "--json")
		if exit != 1 || !strings.Contains(out, `"code":"no_node"`) || errs != "" {
			t.Errorf("%s: exit %d, %q, %q", verb, exit, out, errs)
		}
		if _, err := os.Stat(w.home); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s made a home", verb)
		}
	}
}

// TestBusyHome has a process that holds the home without answering, and one that answers after a moment.
func TestBusyHome(t *testing.T) {
	w := newWorld(t)
	w.open = func(context.Context, node.Config) (ownNode, error) {
		return nil, fmt.Errorf("%w: process 4242 has it", node.ErrBusy)
	}
	start := time.Now()
	exit, _, errs := w.run(t, "shares")
	if took := time.Since(start); exit != 8 || !strings.Contains(errs, "process 4242") || took > time.Second {
		t.Errorf("exit %d after %v, %s", exit, took, errs)
	}
	w.open = func(context.Context, node.Config) (ownNode, error) {
		w.lend(t, newFake())
		return nil, wrapped(node.ErrBusy)
	}
	if exit, _, errs := w.run(t, "shares"); exit != 0 {
		t.Errorf("a node that answers late: exit %d, %s", exit, errs)
	}
}

func TestHomeIsClosedToOthers(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("permissions are inherited there")
	}
	w := newWorld(t)
	if err := os.Mkdir(w.home, 0o755); err != nil {
		t.Fatal(err)
	}
	if exit, _, errs := w.run(t, "shares"); exit != 0 {
		t.Errorf("exit %d, %s", exit, errs)
	}
	if info, _ := os.Stat(w.home); info.Mode().Perm() != 0o700 {
		t.Errorf("the home has mode %v", info.Mode())
	}
	if err := os.Chmod(w.home, 0o777|os.ModeSticky); err != nil {
		t.Fatal(err)
	}
	if exit, _, errs := w.run(t, "shares"); exit == 0 {
		t.Errorf("a directory for everybody is taken as home; %s", errs)
	}
	if info, _ := os.Stat(w.home); info.Mode().Perm() != 0o777 {
		t.Errorf("the mode of a directory for everybody was changed to %v", info.Mode())
	}
}

func TestDefaultHome(t *testing.T) {
	env := map[string]string{"HOME": "/home/u", "XDG_DATA_HOME": "", "LocalAppData": `C:\Users\u\AppData\Local`}
	getenv := func(k string) string { return env[k] }
	want := map[string]string{
		"linux":   "/home/u/.local/share/shoal",
		"darwin":  "/home/u/Library/Application Support/shoal",
		"windows": `C:\Users\u\AppData\Local\shoal`,
	}[runtime.GOOS]
	if got, err := defaultHome(getenv); got != want || err != nil {
		t.Errorf("got %q, %v; want %q", got, err, want)
	}
	if runtime.GOOS == "linux" {
		env["XDG_DATA_HOME"] = "relative"
		if got, _ := defaultHome(getenv); got != want {
			t.Errorf("a relative XDG_DATA_HOME leads to %q", got)
		}
		env["XDG_DATA_HOME"] = "/data"
		if got, _ := defaultHome(getenv); got != "/data/shoal" {
			t.Errorf("XDG_DATA_HOME leads to %q", got)
		}
	}
	clear(env)
	if got, err := defaultHome(getenv); err == nil {
		t.Errorf("without an environment, the home is %q", got)
	}
}

func TestCheckEndsWithFiveWhenSomethingIsBad(t *testing.T) {
	for _, args := range [][]string{{"check"}, {"check", "--json"}} {
		w := newWorld(t)
		w.node.check = func(context.Context, node.CheckRequest, func(node.Event)) (node.Checked, error) {
			return node.Checked{Shares: 1, Bad: []node.Broken{{CID: aCID, Path: "a", Reason: "truncated"}}}, nil
		}
		exit, out, errs := w.run(t, args...)
		if exit != 5 || !strings.Contains(out, "truncated") || strings.Contains(out+errs, "error") {
			t.Errorf("%q: exit %d, %q, %q", args, exit, out, errs)
		}
	}
}

func TestLongListing(t *testing.T) {
	w := newWorld(t)
	w.node.list = func(_ context.Context, r node.ListRequest, _ func(node.Event)) ([]node.Entry, error) {
		out := make([]node.Entry, 12_345)
		for i := range out {
			out[i] = node.Entry{Path: fmt.Sprint(i), Kind: "file", CID: aCID}
		}
		return out, nil
	}
	w.serve(t)
	exit, out, errs := w.run(t, "ls", "-r", aCID, "--json")
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if exit != 0 || len(lines) != 12_345 || !strings.Contains(lines[12_344], `"path":"12344"`) {
		t.Errorf("exit %d, %d lines, %s", exit, len(lines), errs)
	}
}

// Whoever is named at once is shown at once, and the rest of the search is not silent.
func TestFindTellsThatItGoesOn(t *testing.T) {
	w := newWorld(t)
	more := make(chan struct{})
	w.node.find = func(ctx context.Context, _ node.FindRequest, emit func(node.Event)) (node.Found, error) {
		emit(node.Event{Kind: "provider", Peer: "12D3KooWPeer", Route: "dht-lan"})
		select {
		case <-more:
		case <-ctx.Done():
		}
		return node.Found{CID: aCID, Providers: make([]node.Provider, 1)}, nil
	}
	c := w.start("find", aCID)
	c.out.await(t, "12D3KooWPeer")
	c.err.await(t, "asking whether others have it")
	close(more)
	if exit := c.ends(t); exit != 0 {
		t.Errorf("exit %d: %s", exit, c.err)
	}
}

// The next step is one that helps with what was asked for.
func TestHintsFitTheCommand(t *testing.T) {
	for _, c := range []struct {
		args []string
		hint string
	}{
		{[]string{"ticket", aCID}, "'shoal shares' lists what is here"},
		{[]string{"get", "shoal1abc"}, "copy the ticket again"},
		{[]string{"inspect", "bafynonsense"}, "copy the CID again"},
	} {
		w := newWorld(t)
		w.node.ticket = func(node.TicketRequest) (node.Ticketed, error) { return node.Ticketed{}, wrapped(node.ErrNotFound) }
		if _, _, errs := w.run(t, c.args...); !strings.Contains(errs, c.hint) {
			t.Errorf("%q says %q, want the hint %q", c.args, errs, c.hint)
		}
	}
}
