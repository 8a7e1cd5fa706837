//go:build unix

package testnet

import (
	"os"
	"syscall"
)

// detached has a process go on when the terminal closes, and not hear its ^C.
func detached(a *syscall.SysProcAttr) *syscall.SysProcAttr {
	if a == nil {
		a = &syscall.SysProcAttr{}
	}
	a.Setsid = true
	return a
}

func askToEnd(p *os.Process) error { return p.Signal(syscall.SIGTERM) }

// reap lays a child to rest that has ended. Other processes are not ours to reap.
func reap(pid int) {
	_, _ = syscall.Wait4(pid, nil, syscall.WNOHANG, nil)
}
