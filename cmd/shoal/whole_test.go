//go:build unix

package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/shoal-p2p/shoal/node"
)

// program is the built shoal, as users run it: every command a process of its own, on loopback.
type program struct {
	path string
	dir  string // of the homes
}

// process is a command that runs.
type process struct {
	*exec.Cmd
	t        *testing.T
	out, err *terminal
}

func (p program) start(t *testing.T, home string, args ...string) *process {
	t.Helper()
	x := &process{t: t, out: &terminal{}, err: &terminal{}}
	x.Cmd = exec.Command(p.path, append([]string{"--home", filepath.Join(p.dir, home)}, args...)...)
	x.Stdout, x.Stderr = x.out, x.err
	if err := x.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if x.ProcessState == nil {
			_ = x.Process.Kill()
			_ = x.Wait() // ends with the signal
		}
	})
	return x
}

// ends waits for the exit code.
func (x *process) ends() int {
	x.t.Helper()
	late := time.AfterFunc(time.Minute, func() { _ = x.Process.Kill() })
	defer late.Stop()
	err := x.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		x.t.Fatal(err)
	}
	if !late.Stop() {
		x.t.Errorf("%q still ran after a minute", x.Args)
	}
	return x.ProcessState.ExitCode()
}

func (x *process) signal(s syscall.Signal) {
	x.t.Helper()
	if err := x.Process.Signal(s); err != nil {
		x.t.Fatal(err)
	}
}

// run runs a command to its end, expects an exit code, and returns the last object on its standard output.
func (p program) run(t *testing.T, want int, home string, args ...string) map[string]any {
	t.Helper()
	x := p.start(t, home, append(args, "--json")...)
	if exit := x.ends(); exit != want {
		t.Fatalf("%q: exit %d, want %d\n%s%s", args, exit, want, x.out, x.err)
	}
	var last map[string]any
	if text := lastLine(x.out.String()); text != "" {
		if err := json.Unmarshal([]byte(text), &last); err != nil {
			t.Fatalf("%q: the last line is %q: %v", args, text, err)
		}
	}
	return last
}

// serve runs a node that finds nobody by itself, until the test ends.
func (p program) serve(t *testing.T, home string) *process {
	t.Helper()
	x := p.start(t, home, "serve", "--network", "isolated", "--listen", "/ip4/127.0.0.1/tcp/0")
	x.out.await(t, "listens")
	t.Cleanup(func() {
		if x.ProcessState != nil {
			return
		}
		x.signal(syscall.SIGTERM)
		if exit := x.ends(); exit != 0 {
			t.Errorf("serve: exit %d\n%s", exit, x.err)
		}
	})
	return x
}

func text(t *testing.T, m map[string]any, field string) string {
	t.Helper()
	s, ok := m[field].(string)
	if !ok || s == "" {
		t.Fatalf("%q is missing in %v", field, m)
	}
	return s
}

func TestWholeProgram(t *testing.T) {
	if testing.Short() {
		t.Skip("starts many processes")
	}
	p := program{dir: t.TempDir()}
	p.path = filepath.Join(p.dir, "shoal")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", p.path, ".").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	data := make([]byte, 3<<20+5)
	_, _ = rand.NewChaCha8([32]byte{}).Read(data) // never fails
	folder := filepath.Join(p.dir, "folder")
	if err := errors.Join(os.MkdirAll(filepath.Join(folder, "sub"), 0o755), os.WriteFile(filepath.Join(folder, "sub", "file.bin"), data, 0o600),
		os.WriteFile(filepath.Join(folder, "note.txt"), []byte("hello world"), 0o600)); err != nil {
		t.Fatal(err)
	}
	p.serve(t, "anna")
	shared := p.run(t, 0, "anna", "share", folder)
	cid, ticket := text(t, shared, "cid"), text(t, shared, "ticket")

	t.Run("get by ticket from standard input", func(t *testing.T) { p.getByTicket(t, ticket, folder) })
	t.Run("get through a node", func(t *testing.T) { p.getThroughNode(t, ticket, data) })
	t.Run("cat and ls", func(t *testing.T) { p.catAndLs(t, ticket, data) })
	t.Run("seeding", func(t *testing.T) { p.seeds(t, cid, ticket, folder) })
	t.Run("exit codes", func(t *testing.T) { p.exitCodes(t, cid, ticket) })
	t.Run("interrupted and resumed", func(t *testing.T) { p.interruptedGet(t, folder) })
	t.Run("two shares on one home", func(t *testing.T) { p.twoShares(t, folder) })
	t.Run("killed", func(t *testing.T) { p.killed(t, folder) })
	t.Run("signals", func(t *testing.T) { p.signals(t) })
	t.Run("bench", func(t *testing.T) { p.benches(t) })
	t.Run("bench on a full disk", func(t *testing.T) { p.benchesOnAFullDisk(t) })
	t.Run("bench of a peer", func(t *testing.T) { p.benchesAPeer(t, ticket) })
	t.Run("another user", func(t *testing.T) { p.anotherUser(t) })
}

func (p program) getByTicket(t *testing.T, ticket, folder string) {
	dest := filepath.Join(p.dir, "by-ticket")
	x := &process{t: t, out: &terminal{}, err: &terminal{}}
	x.Cmd = exec.Command(p.path, "--home", filepath.Join(p.dir, "one-shot"), "--network", "isolated", "get", "-", "-o", dest, "--json")
	x.Stdin, x.Stdout, x.Stderr = strings.NewReader(ticket+"\n"), x.out, x.err
	if err := x.Start(); err != nil {
		t.Fatal(err)
	}
	if exit := x.ends(); exit != 0 {
		t.Fatalf("exit %d\n%s%s", exit, x.out, x.err)
	}
	var kinds []string
	for line := range strings.Lines(x.out.String()) {
		var e node.Event
		if err := json.Unmarshal([]byte(line), &e); err != nil || e.Kind == "" {
			t.Fatalf("the line %q is no event: %v", line, err)
		}
		kinds = append(kinds, e.Kind)
	}
	if kinds[len(kinds)-1] != "done" || strings.Count(strings.Join(kinds, " "), "done") != 1 {
		t.Errorf("the events are %q", kinds)
	}
	if out, err := exec.Command("diff", "-r", folder, dest).CombinedOutput(); err != nil {
		t.Errorf("what came is not what was shared: %v\n%s", err, out)
	}
	// The node has it now, so that the same command is done without another.
	again := p.run(t, 0, "one-shot", "--network", "isolated", "get", ticket, "-o", dest)
	if text(t, again, "event") != "done" || again["sources"] != nil {
		t.Errorf("fetching again: %v", again)
	}
}

func (p program) getThroughNode(t *testing.T, ticket string, data []byte) {
	p.serve(t, "ben")
	into := filepath.Join(p.dir, "into")
	if err := os.Mkdir(into, 0o700); err != nil {
		t.Fatal(err)
	}
	done := p.run(t, 0, "ben", "get", ticket+"/sub/file.bin", "-o", into)
	path := filepath.Join(into, "file.bin")
	if text(t, done, "path") != path {
		t.Errorf("fetched to %v, want %s", done["path"], path)
	}
	if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, data) {
		t.Errorf("%d bytes came (%v), which are not those that were shared", len(got), err)
	}
	if s := p.run(t, 0, "ben", "status"); s["network"] != "isolated" || s["peers"] == 0.0 {
		t.Errorf("status: %v", s)
	}
	if c := p.run(t, 0, "ben", "check"); c["bad"] != nil || c["shares"] != 1.0 {
		t.Errorf("check: %v", c)
	}
	share := p.run(t, 0, "ben", "shares")
	p.run(t, 0, "ben", "unshare", text(t, share, "cid"))
	if left := p.run(t, 0, "ben", "shares"); left != nil {
		t.Errorf("after unshare: %v", left)
	}
}

func (p program) catAndLs(t *testing.T, ticket string, data []byte) {
	x := p.start(t, "reader", "--network", "isolated", "cat", ticket+"/sub/file.bin", "--offset", "1048570", "--length", "100")
	if exit := x.ends(); exit != 0 || x.out.String() != string(data[1048570:1048670]) {
		t.Errorf("cat: exit %d, %d bytes\n%s", exit, len(x.out.String()), x.err)
	}
	cmd := exec.Command(p.path, "--home", filepath.Join(p.dir, "reader"), "--network", "isolated", "cat", ticket+"/sub/file.bin")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(out, make([]byte, 10)); err != nil {
		t.Error(err)
	}
	out.Close()
	_ = cmd.Wait()
	if exit := cmd.ProcessState.ExitCode(); exit != 141 {
		t.Errorf("cat whose reader left: exit %d, want 141", exit)
	}
	x = p.start(t, "reader", "--network", "isolated", "ls", "-r", ticket)
	want := "      11 B  note.txt\n         -  sub/\n  3.00 MiB  sub/file.bin\n"
	if exit := x.ends(); exit != 0 || x.out.String() != want {
		t.Errorf("ls: exit %d, got\n%swant\n%s%s", exit, x.out, want, x.err)
	}
}

func (p program) exitCodes(t *testing.T, cid, ticket string) {
	id := p.run(t, 0, "anna", "id")
	addrs, _ := id["addrs"].([]any)
	if len(addrs) == 0 {
		t.Fatalf("id: %v", id)
	}
	addr, _ := addrs[0].(string)
	spoiled := []byte(ticket)
	if at := len(spoiled) / 2; spoiled[at] == 'x' {
		spoiled[at] = 'y'
	} else {
		spoiled[at] = 'x'
	}
	taken := filepath.Join(p.dir, "taken")
	if err := os.WriteFile(taken, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		want int
		args []string
	}{
		{2, []string{"get", "nonsense"}},
		{2, []string{"get", string(spoiled)}},
		{2, []string{"get", cid, "--peer", "nonsense", "-o", taken + "2"}},
		{3, []string{"get", aCID, "--peer", addr, "--timeout", "1s", "-o", taken + "2"}},
		{3, []string{"get", ticket + "/no/such", "-o", taken + "2"}},
		{4, []string{"get", aCID, "--timeout", "1s", "-o", taken + "2"}},
		{4, []string{"get", aCID, "--peer", "/ip4/127.0.0.1/tcp/1/p2p/" + text(t, id, "id"), "--timeout", "1s", "-o", taken + "2"}},
		{2, []string{"share", filepath.Join(p.dir, "not-there")}},
		{7, []string{"get", ticket, "-o", taken}},
		{3, []string{"unshare", aCID}},
	} {
		answer := p.run(t, c.want, "codes", append([]string{"--network", "isolated"}, c.args...)...)
		if e, ok := answer["error"].(map[string]any); !ok || e["code"] == "" || e["message"] == "" || e["hint"] == "" {
			t.Errorf("%q: %v", c.args, answer)
		}
	}
	if b, _ := os.ReadFile(taken); string(b) != "precious" {
		t.Errorf("what stood at the destination is now %q", b)
	}
}

// interruptedGet has a holder that is stopped, so that nothing comes, and then goes on.
func (p program) interruptedGet(t *testing.T, folder string) {
	holder := p.serve(t, "holder")
	ticket := text(t, p.run(t, 0, "holder", "share", folder), "ticket")
	holder.signal(syscall.SIGSTOP)
	dest := filepath.Join(p.dir, "resumed")
	args := []string{"--network", "isolated", "get", ticket, "-o", dest}
	x := p.start(t, "getter", args...)
	x.err.await(t, "\n")
	x.signal(syscall.SIGINT)
	if exit := x.ends(); exit != 130 || !strings.Contains(x.err.String(), "the same command goes on") {
		t.Errorf("exit %d\n%s", exit, x.err)
	}
	holder.signal(syscall.SIGCONT)
	p.run(t, 0, "getter", args...)
	if out, err := exec.Command("diff", "-r", folder, dest).CombinedOutput(); err != nil {
		t.Errorf("what came is not what was shared: %v\n%s", err, out)
	}
}

// twoShares has two shares in the foreground with one home: the second uses the first one's node, and takes its place.
func (p program) twoShares(t *testing.T, folder string) {
	network := []string{"--network", "isolated"}
	first := p.start(t, "both", append(network, "share", filepath.Join(folder, "note.txt"))...)
	first.err.await(t, "serving until")
	second := p.start(t, "both", append(network, "share", filepath.Join(folder, "sub"))...)
	second.err.await(t, "served by process")
	first.signal(syscall.SIGINT)
	if exit := first.ends(); exit != 0 {
		t.Errorf("the first: exit %d\n%s", exit, first.err)
	}
	second.err.await(t, "serving until")
	cid, _, _ := strings.Cut(strings.TrimPrefix(first.out.String(), "cid"), "\n")
	id := p.run(t, 0, "both", "id")
	var addr string
	for _, a := range id["addrs"].([]any) {
		if s := a.(string); strings.HasPrefix(s, "/ip4/127.0.0.1/tcp/") {
			addr = s
		}
	}
	x := p.start(t, "third", append(network, "cat", strings.TrimSpace(cid), "--peer", addr)...)
	if exit := x.ends(); exit != 0 || x.out.String() != "hello world" {
		t.Errorf("what the first shared, from the second: exit %d, %q\n%s", exit, x.out, x.err)
	}
	second.signal(syscall.SIGTERM)
	if exit := second.ends(); exit != 0 {
		t.Errorf("the second: exit %d\n%s", exit, second.err)
	}
}

// killed leaves a stale socket and a lock behind.
func (p program) killed(t *testing.T, folder string) {
	x := p.serve(t, "crash")
	cid := text(t, p.run(t, 0, "crash", "share", folder), "cid")
	id := p.run(t, 0, "crash", "id")["id"]
	x.signal(syscall.SIGKILL)
	x.ends()
	if _, err := os.Lstat(socketPath(filepath.Join(p.dir, "crash"))); err != nil {
		t.Fatalf("no stale socket to try with: %v", err)
	}
	start := time.Now()
	p.serve(t, "crash")
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("starting again took %v", took)
	}
	if again := p.run(t, 0, "crash", "id")["id"]; again != id {
		t.Errorf("the peer ID was %v and is %v", id, again)
	}
	if again := p.run(t, 0, "crash", "shares"); again["cid"] != cid {
		t.Errorf("the share is gone: %v", again)
	}
}

// signals ends nodes in the ways in which they are ended.
func (p program) signals(t *testing.T) {
	for _, s := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP} {
		x := p.serve(t, "signals")
		start := time.Now()
		x.signal(s)
		if exit := x.ends(); exit != 0 || time.Since(start) > 5*time.Second {
			t.Errorf("%v: exit %d after %v\n%s", s, exit, time.Since(start), x.err)
		}
		if _, err := os.Lstat(socketPath(filepath.Join(p.dir, "signals"))); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%v: the socket is left behind (%v)", s, err)
		}
	}
	// Nobody reads what it prints, and its input is closed: that is no reason to end.
	cmd := exec.Command(p.path, "--home", filepath.Join(p.dir, "signals"), "--network", "isolated", "share", p.path, "--json")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Error(err)
	}
	out.Close()
	p.run(t, 0, "signals", "status")
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Error(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("share without a reader: %v", err)
	}
}

// anotherUser tries a home that is not his.
func (p program) anotherUser(t *testing.T) {
	if os.Geteuid() != 0 {
		if os.Getenv("CI") == "true" {
			t.Fatal("needs root, to become another user")
		}
		t.Skip("needs root, to become another user")
	}
	home := filepath.Join(p.dir, "anna")
	for dir := p.dir; dir != filepath.Clean(os.TempDir()); dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	stranger := &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	for _, args := range [][]string{{"status"}, {"shares"}, {"id"}, {"serve"}} {
		cmd := exec.Command(p.path, append([]string{"--home", home}, args...)...)
		cmd.SysProcAttr = stranger
		out, err := cmd.CombinedOutput()
		if err == nil || !strings.Contains(string(out), "another user") {
			t.Errorf("%q of another user's home: %v\n%s", args, err, out)
		}
	}
	for _, what := range []string{".", "control.sock", "lock"} {
		cmd := exec.Command("cat", filepath.Join(home, what))
		cmd.SysProcAttr = stranger
		if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(out), "ermission denied") {
			t.Errorf("another user reads %s: %v\n%s", what, err, out)
		}
	}
}
