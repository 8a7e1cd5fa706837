//go:build linux

package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// node is one running `shoal serve`.
type node struct {
	shoal, home string
	cmd         *exec.Cmd
	log         *bytes.Buffer
}

// node starts a node with a fresh home and waits until it answers.
func (b *bench) node(ctx context.Context, network string) (*node, error) {
	home, err := os.MkdirTemp(b.work, "home.")
	if err != nil {
		return nil, err
	}
	n := &node{shoal: b.shoal, home: home, log: &bytes.Buffer{}}
	n.cmd = exec.CommandContext(ctx, b.shoal, "--home", home, "serve", "--network", network)
	n.cmd.Cancel = func() error { return n.cmd.Process.Signal(syscall.SIGTERM) }
	n.cmd.WaitDelay = 10 * time.Second
	n.cmd.Stdout, n.cmd.Stderr = n.log, n.log
	if err := n.cmd.Start(); err != nil {
		return nil, err
	}
	for range 200 {
		if err := n.call(ctx, nil, "status"); err == nil {
			return n, nil
		}
		time.Sleep(20 * time.Millisecond)
	}
	return nil, errors.Join(fmt.Errorf("the node does not answer: %s", n.log), n.stop())
}

// call runs one verb against the node and decodes the last line of its answer into into, unless that is nil.
func (n *node) call(ctx context.Context, into any, args ...string) error {
	cmd := exec.CommandContext(ctx, n.shoal, append([]string{"--home", n.home, "--json"}, args...)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("shoal %s: %w: %s%s", args[0], err, lastLine(out), stderr.String())
	}
	if into == nil {
		return nil
	}
	if err := json.Unmarshal(out, into); err == nil {
		return nil // one object, maybe over several lines
	}
	return json.Unmarshal(lastLine(out), into)
}

func lastLine(out []byte) []byte {
	out = bytes.TrimSpace(out)
	return out[bytes.LastIndexByte(out, '\n')+1:]
}

// stop ends the node and removes its home.
func (n *node) stop() error {
	err := n.cmd.Process.Signal(syscall.SIGTERM)
	if waited := n.cmd.Wait(); waited != nil {
		err = errors.Join(err, fmt.Errorf("serve: %w: %s", waited, n.log))
	}
	return errors.Join(err, os.RemoveAll(n.home))
}

// shared is the part of `shoal share --json` that is used here; done, of the last event of a get.
type (
	shared struct {
		CID   string `json:"cid"`
		Bytes int64  `json:"bytes"`
		Files int    `json:"files"`
	}
	done struct {
		Event   string  `json:"event"`
		Bytes   int64   `json:"bytes"`
		Present int64   `json:"present"`
		Seconds float64 `json:"seconds"`
	}
)

// share lets the node share a path, and says how long the command took.
func (n *node) share(ctx context.Context, path string) (shared, time.Duration, error) {
	var s shared
	start := time.Now()
	err := n.call(ctx, &s, "share", "--hidden", path)
	return s, time.Since(start), err
}

// get lets the node fetch into dest from a peer, and says how long the command took. It must have come over the network.
func (n *node) get(ctx context.Context, cid, peer, dest string) (time.Duration, error) {
	var d done
	start := time.Now()
	err := n.call(ctx, &d, "get", cid, "-o", dest, "--peer", peer)
	took := time.Since(start)
	if err == nil && (d.Event != "done" || d.Present > 0) {
		err = fmt.Errorf("get ended with %+v", d)
	}
	return took, err
}

// addr is where the node listens with TCP on loopback.
func (n *node) addr(ctx context.Context) (string, error) {
	var id struct {
		Addrs []string `json:"addrs"`
	}
	if err := n.call(ctx, &id, "id"); err != nil {
		return "", err
	}
	for _, a := range id.Addrs {
		if strings.HasPrefix(a, "/ip4/127.0.0.1/tcp/") {
			return a, nil
		}
	}
	return "", fmt.Errorf("no TCP address on loopback among %q", id.Addrs)
}

// firstCID starts a share without a daemon and returns how long it takes until a line with a CID stands on standard output.
func (b *bench) firstCID(ctx context.Context, home, path, network string) (time.Duration, error) {
	cmd := exec.CommandContext(ctx, b.shoal, "--home", home, "share", "--network", network, path)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return 0, err
	}
	start := time.Now()
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	var took time.Duration
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if strings.Contains(lines.Text(), "bafk") {
			took = time.Since(start)
			break
		}
	}
	err = cmd.Process.Signal(os.Interrupt)
	waited := cmd.Wait() // ends with the exit code of an interruption
	if took == 0 {
		return 0, errors.Join(fmt.Errorf("no CID on screen: %s", stderr.String()), err, waited)
	}
	return took, err
}
