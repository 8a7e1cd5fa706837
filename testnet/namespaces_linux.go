package testnet

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"syscall"

	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/shoal-p2p/shoal/gateway"
)

// namespaces is the ground on which each node has a network namespace with links of its own. A process of the same program, the
// keeper, holds them all and lives as long as the Net.
type namespaces struct {
	processes
	mu     sync.Mutex // one keeper is started
	probed error
	probe  sync.Once
}

func newNamespaces(s *state) (ground, error) { return &namespaces{processes: processes{s}}, nil }

// suits implements ground.
func (g *namespaces) suits(s Spec) error {
	if err := placeOf(s, nil).check(); err != nil {
		return fmt.Errorf("node %s: %w", s.Name, err)
	}
	g.probe.Do(func() { g.probed = lackSpaces() })
	return g.probed
}

// lackSpaces says why there can be no network namespaces here, or returns nil.
func lackSpaces() error {
	s, err := newSpace()
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("%w: network namespaces and links need root, with CAP_SYS_ADMIN and CAP_NET_ADMIN: run it with sudo; without root there are nodes on loopback (up without --netns) and models of nodes (run --on simulated)", ErrGround)
	}
	if err != nil {
		return fmt.Errorf("%w: %w: run without --netns", ErrGround, err)
	}
	s.close()
	return nil
}

// start implements ground.
func (g *namespaces) start(n *Node, args []string) error {
	if err := g.keep(); err != nil {
		return err
	}
	if n.NAT != "" && !slices.ContainsFunc(g.net.Nodes, func(other *Node) bool { return other.NAT == "" && meet(n, other) }) {
		return fmt.Errorf("%w: all nodes of its network are behind NATs, and none can be reached: add one that is not", ErrRequest)
	}
	p := placeOf(n.Spec, g.net.Nodes)
	at, err := askKeeper[place, opening](g.net.dir, "put", p)
	if err != nil {
		return g.explain(err)
	}
	if p.Public {
		args = append(args, publicFlags(n)...)
	}
	return enter(at.Path, func() error { return g.launch(n, g.processes.command(n, args...)) })
}

// enter runs f on a thread in the namespace behind a path.
func enter(path string, f func() error) error {
	ns, err := netns.GetFromPath(path)
	if err != nil {
		return fmt.Errorf("open a network namespace: %w", err)
	}
	defer ns.Close()
	return inside(ns, f)
}

// command implements ground.
func (g *namespaces) command(n *Node, args ...string) *exec.Cmd {
	at, err := askKeeper[siteNamed, opening](g.net.dir, "find", siteNamed{n.Name})
	cmd := g.processes.command(n, args...)
	if err != nil {
		cmd.Err = g.explain(err)
		return cmd
	}
	cmd.Args = slices.Concat(cmd.Args[:1], []string{EnterVerb, at.Path, "--"}, cmd.Args[1:])
	return cmd
}

// shape implements linked.
func (g *namespaces) shape(n *Node, l Link) error {
	_, err := askKeeper[newShape, none](g.net.dir, "shape", newShape{n.Name, l})
	return g.explain(err)
}

// cut implements linked.
func (g *namespaces) cut(_ []*Node, sides [][]string) error {
	_, err := askKeeper[newSides, none](g.net.dir, "cut", newSides{sides})
	return g.explain(err)
}

// clear implements ground. The keeper was among the processes that were ended, and with it the kernel took away all the rest.
func (g *namespaces) clear(context.Context) error { return nil }

// explain says what it means that the keeper does not answer.
func (g *namespaces) explain(err error) error {
	if errors.Is(err, gateway.ErrNoNode) || errors.Is(err, gateway.ErrLost) {
		return fmt.Errorf("%w: the process that held the links of this network is gone, and the links with it: "+
			"take the network down (clean) and put it up again", ErrGround)
	}
	return err
}

// keeperNice is the priority of the keeper, as nice counts: what stands for a wire should not wait for the nodes at its ends.
const keeperNice = -10

// keep starts the keeper if there has been none.
func (g *namespaces) keep() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if err := os.Mkdir(filepath.Join(g.net.dir, linksName), 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("make a folder for the links: %w", err)
	}
	log, err := os.OpenFile(filepath.Join(g.net.dir, keeperLog), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("open the log of the links: %w", err)
	}
	defer log.Close()
	cmd := marked(exec.Command(g.net.Shoal, KeepVerb, g.net.dir), g.net.dir)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = detached(nil)
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start the keeper of the links: %w", err)
	}
	pid := cmd.Process.Pid
	_ = unix.Setpriority(unix.PRIO_PGRP, pid, keeperNice) // without the right to, delays are less exact on a busy machine
	gone := false
	late := until(context.Background(), startPatience, func() bool {
		if _, err := gateway.Dial(filepath.Join(g.net.dir, keeperSocket)); err == nil {
			return true
		}
		_, running := bornAt(pid)
		gone = !running
		return gone
	})
	switch {
	case gone:
		return fmt.Errorf("the keeper of the links ended: %s", lastWords(log.Name()))
	case late != nil:
		return fmt.Errorf("the keeper of the links does not answer after %v (%s): is the machine overloaded?", startPatience, lastWords(log.Name()))
	}
	return cmd.Process.Release()
}

// Enter turns this process into another program, inside a network namespace.
func Enter(path string, argv []string) error {
	program, err := os.Executable()
	if err != nil {
		return err
	}
	runtime.LockOSThread() // what is executed takes over the thread that asks for it
	ns, err := netns.GetFromPath(path)
	if err == nil {
		err = netns.Set(ns)
	}
	if err != nil {
		return fmt.Errorf("enter a network namespace: %w", err)
	}
	return syscall.Exec(program, append([]string{os.Args[0]}, argv...), os.Environ())
}
