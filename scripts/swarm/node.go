//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// graceful is how long a process that was asked to end may take.
const graceful = 5 * time.Second

// process is one program on one machine.
type process struct {
	cmd    *exec.Cmd
	out    output
	log    output
	ended  chan struct{} // closed when it has
	err    error         // how, once it has
	killed bool          // on purpose
}

// output is what a program has written so far.
type output struct {
	mu   sync.Mutex // guards text
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) bytes() []byte {
	o.mu.Lock()
	defer o.mu.Unlock()
	return bytes.Clone(o.text.Bytes())
}

// line is the first one, once it is there.
func (o *output) line() (line []byte, whole bool) {
	line, _, whole = bytes.Cut(o.bytes(), []byte("\n"))
	return line, whole
}

// launch starts a program on a machine. It ends with ctx.
func (m *machine) launch(ctx context.Context, name string, args ...string) (*process, error) {
	p := &process{cmd: exec.CommandContext(ctx, name, args...), ended: make(chan struct{})}
	p.cmd.Cancel = func() error { return p.cmd.Process.Signal(syscall.SIGTERM) }
	p.cmd.WaitDelay = graceful
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.log
	if err := m.start(p.cmd); err != nil {
		return nil, err
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.ended)
	}()
	return p, nil
}

// wait returns how the program ended.
func (p *process) wait() error {
	<-p.ended
	if p.err != nil {
		return fmt.Errorf("%s: %w: %s%s", strings.Join(p.cmd.Args[1:], " "), p.err, lastLine(p.out.bytes()), lastLine(p.log.bytes()))
	}
	return nil
}

func (p *process) running() bool {
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// stop asks the program to end, and makes it if it does not. A program that was killed before is fine.
func (p *process) stop() error {
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	select {
	case <-p.ended:
	case <-time.After(graceful):
		_ = p.cmd.Process.Kill()
		<-p.ended
		return fmt.Errorf("%s does not end: %s", strings.Join(p.cmd.Args[1:], " "), lastLine(p.log.bytes()))
	}
	if p.killed {
		return nil
	}
	return p.wait()
}

// kill ends the program as a power cut would.
func (p *process) kill() {
	p.killed = true
	_ = p.cmd.Process.Kill() // it may have ended
	<-p.ended
}

// node is one running `shoal serve`.
type node struct {
	*machine
	shoal, home string
	serve       *process
}

// node starts a node with a fresh home on a machine and waits until it answers.
func (a *arena) node(ctx context.Context, m *machine, args ...string) (*node, error) {
	n := &node{machine: m, shoal: a.bench.shoal, home: filepath.Join(a.dir, "home"+m.ip)}
	var err error
	if n.serve, err = m.launch(ctx, n.shoal, append([]string{"--home", n.home, "serve"}, args...)...); err != nil {
		return nil, err
	}
	a.nodes = append(a.nodes, n)
	return n, until(ctx, 10*time.Second, "the node on "+m.ip+" does not answer", func() (bool, error) {
		if !n.serve.running() {
			return false, errors.Join(n.serve.wait(), errors.New("serve has ended"))
		}
		_, err := n.status(ctx)
		return err == nil, nil
	})
}

// until asks again and again, and fails with what it waits for when that takes too long.
func until(ctx context.Context, patience time.Duration, otherwise string, done func() (bool, error)) error {
	for end := time.Now().Add(patience); time.Now().Before(end); {
		if ok, err := done(); ok || err != nil {
			return err
		}
		if err := pause(ctx, 20*time.Millisecond); err != nil {
			return err
		}
	}
	return fmt.Errorf("%s after %v", otherwise, patience)
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(d):
		return nil
	}
}

// begin starts a verb of the program against the node.
func (n *node) begin(ctx context.Context, args ...string) (*process, error) {
	return n.launch(ctx, n.shoal, append([]string{"--home", n.home, "--json"}, args...)...)
}

// call runs a verb and decodes the last line of its answer into into.
func (n *node) call(ctx context.Context, into any, args ...string) error {
	p, err := n.begin(ctx, args...)
	if err != nil {
		return err
	}
	if err := p.wait(); err != nil {
		return err
	}
	return p.answer(into)
}

// answer decodes what the program printed: one object, or an object a line, of which the last counts.
func (p *process) answer(into any) error {
	if err := json.Unmarshal(p.out.bytes(), into); err == nil {
		return nil
	}
	return json.Unmarshal(lastLine(p.out.bytes()), into)
}

func lastLine(out []byte) []byte {
	out = bytes.TrimSpace(out)
	return out[bytes.LastIndexByte(out, '\n')+1:]
}

// status is the part of `shoal status --json` that is used here.
type status struct {
	Peers int   `json:"peers"`
	Down  int64 `json:"down"` // chunk bytes
	Up    int64 `json:"up"`

	Background struct {
		DownRate float64 `json:"down_rate"`
		UpRate   float64 `json:"up_rate"`
	} `json:"background"`
}

func (n *node) status(ctx context.Context) (s status, err error) {
	err = n.call(ctx, &s, "status")
	return s, err
}

// share lets the node share a path and returns its CID.
func (n *node) share(ctx context.Context, path string) (string, error) {
	var s struct {
		CID string `json:"cid"`
	}
	err := n.call(ctx, &s, "share", path)
	return s.CID, err
}

// addr is where the node listens with TCP on its interface.
func (n *node) addr(ctx context.Context) (string, error) {
	var id struct {
		Addrs []string `json:"addrs"`
	}
	if err := n.call(ctx, &id, "id"); err != nil {
		return "", err
	}
	for _, a := range id.Addrs {
		if strings.HasPrefix(a, "/ip4/"+n.ip+"/tcp/") {
			return a, nil
		}
	}
	return "", fmt.Errorf("no TCP address on %s among %q", n.ip, id.Addrs)
}

// fetch is one `shoal get` under way.
type fetch struct {
	node *node
	run  *process
	dest string
}

// done is the part of the last event of `shoal get --json` that is used here.
type done struct {
	Event   string `json:"event"`
	Bytes   int64  `json:"bytes"`
	Present int64  `json:"present"`
	Sources []struct {
		Peer  string `json:"peer"`
		Bytes int64  `json:"bytes"`
		Bad   int    `json:"bad"`
	} `json:"sources"`
}

// get starts to fetch a root, from whomever the node knows and the given peers.
func (n *node) get(ctx context.Context, cid string, peers ...string) (*fetch, error) {
	f := &fetch{node: n, dest: filepath.Join(filepath.Dir(n.home), "got"+n.ip+"."+cid)}
	args := []string{"get", cid, "-o", f.dest}
	for _, p := range peers {
		args = append(args, "--peer", p)
	}
	var err error
	f.run, err = n.begin(ctx, args...)
	return f, err
}

// wait returns what the command said when it had ended well. All of it must have come over the network.
func (f *fetch) wait() (d done, err error) {
	if err := f.run.wait(); err != nil {
		return d, err
	}
	if err := f.run.answer(&d); err != nil {
		return d, err
	}
	if d.Event != "done" || d.Present > 0 {
		return d, fmt.Errorf("get ended with %+v", d)
	}
	return d, nil
}

// check compares what came with the original.
func (f *fetch) check(original string) error {
	if err := same(original, f.dest); err != nil {
		return fmt.Errorf("%s: %w", f.node.ip, err)
	}
	return os.Remove(f.dest)
}

// all waits for several fetches. The first failure counts.
func all(fetches []*fetch) (ends []done, err error) {
	for _, f := range fetches {
		d, failed := f.wait()
		ends, err = append(ends, d), errors.Join(err, failed)
	}
	return ends, err
}
