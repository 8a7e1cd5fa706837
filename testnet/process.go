package testnet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"
)

// process is one of this machine's, and never another that came to have its number.
type process struct {
	PID  int    `json:"pid"`
	Born string `json:"born"` // when, as the system counts
}

// self is the process that asks.
func self() process {
	born, _ := bornAt(os.Getpid()) // whoever runs can be looked at
	return process{os.Getpid(), born}
}

// alive reports whether the process is still there. A child of ours that has ended is laid to rest.
func (p process) alive() bool {
	if p.PID <= 0 {
		return false
	}
	reap(p.PID)
	born, ok := bornAt(p.PID)
	return ok && born == p.Born
}

const (
	endPatience = 8 * time.Second       // a node gives itself five to put things in order
	pace        = 10 * time.Millisecond // of looking whether something has happened of which nothing tells
)

// end makes a process end, and returns when it has.
func (p process) end(ctx context.Context, how Ending) error {
	// The handle is taken before the look: it stays with the process even if the number changes hands.
	handle, err := os.FindProcess(p.PID)
	if err != nil || !p.alive() {
		return nil
	}
	defer handle.Release()
	if how == Stopped && askToEnd(handle) == nil {
		if err := until(ctx, endPatience, func() bool { return !p.alive() }); !errors.Is(err, errLate) {
			return err
		}
	}
	if err := handle.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("kill process %d: %w", p.PID, err)
	}
	if err := until(ctx, endPatience, func() bool { return !p.alive() }); err != nil {
		return fmt.Errorf("process %d does not end: %w", p.PID, err)
	}
	return nil
}

var errLate = errors.New("it takes too long")

// until looks again and again. It returns errLate when that takes longer than patience.
func until(ctx context.Context, patience time.Duration, done func() bool) error {
	late := time.After(patience)
	t := time.NewTicker(pace)
	defer t.Stop()
	for !done() {
		select {
		case <-t.C:
		case <-late:
			return errLate
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// markerName is the variable in the environment of each process of a Net; its value is the Net's folder.
const markerName = "SHOAL_TESTNET"

func marker(dir string) string { return markerName + "=" + dir }

// marked adds the marker to a command.
func marked(cmd *exec.Cmd, dir string) *exec.Cmd {
	cmd.Env = append(slices.DeleteFunc(os.Environ(), func(v string) bool {
		return strings.HasPrefix(v, markerName+"=") || strings.HasPrefix(v, "SHOAL_HOME=")
	}), marker(dir))
	return cmd
}

// processes runs nodes as processes of this machine, for the grounds where they are that.
type processes struct{ net *state }

func (p processes) running(n *Node) bool { return n.process.alive() }

func (p processes) end(ctx context.Context, n *Node, how Ending) error { return n.end(ctx, how) }

// command runs shoal beside the node as what it is for everybody on this machine.
func (p processes) command(n *Node, args ...string) *exec.Cmd {
	return marked(exec.Command(p.net.Shoal, append([]string{"--home", n.Home}, args...)...), p.net.dir)
}

// launch starts a node's process, which then outlives this one. What it prints goes to its log.
func (p processes) launch(n *Node, cmd *exec.Cmd) error {
	log, err := os.OpenFile(n.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("open the log: %w", err)
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = detached(cmd.SysProcAttr)
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start: %w", err)
	}
	n.PID = cmd.Process.Pid
	n.Born, _ = bornAt(n.PID) // it cannot be looked at if it has ended, and then it is not running
	return cmd.Process.Release()
}

const maxTail = 4 << 10 // bytes

// lastWords is the last line that a node printed, for errors.
func lastWords(log string) string {
	f, err := os.Open(log)
	if err != nil {
		return ""
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.Size() > maxTail {
		_, _ = f.Seek(-maxTail, io.SeekEnd) // or else the first lines are read
	}
	text, _ := io.ReadAll(io.LimitReader(f, maxTail)) // as much as there is
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	// shoal ends with the error, and below it the next step.
	for _, line := range slices.Backward(lines) {
		if cause, ok := strings.CutPrefix(line, "shoal: "); ok {
			return cause
		}
	}
	return lines[len(lines)-1]
}
