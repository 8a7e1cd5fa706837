//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
)

// tmpfs is where the inner process mounts a file system of its own, which is gone when it is.
const tmpfs = "/dev/shm"

// apart runs the program again in network, mount and process namespaces of its own and waits for it; there it returns true.
// The inner process is the first of its process namespace, so the kernel ends all others with it, and the namespaces with
// them: nothing is left behind even when it is killed.
func apart(ctx context.Context) (inside bool, err error) {
	const mark = "SHOAL_SWARM_INSIDE"
	if os.Getenv(mark) != "" {
		return true, errors.Join(os.Unsetenv(mark), furnish())
	}
	if os.Getuid() != 0 {
		return false, errors.New("needs root, for network namespaces and shaped links: run it with sudo")
	}
	for _, tool := range []string{"ip", "tc"} {
		if _, err := exec.LookPath(tool); err != nil {
			return false, fmt.Errorf("there is no %q here: install iproute2", tool)
		}
	}
	self, err := os.Executable()
	if err != nil {
		return false, err
	}
	inner := exec.CommandContext(ctx, self, os.Args[1:]...)
	inner.Env = append(os.Environ(), mark+"=1")
	inner.Stdout, inner.Stderr = os.Stdout, os.Stderr
	inner.Cancel = func() error { return inner.Process.Signal(syscall.SIGTERM) }
	inner.WaitDelay = graceful * 2
	inner.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS | syscall.CLONE_NEWPID,
		Setpgid:    true, // ^C is for the outer process, which passes it on
		Pdeathsig:  syscall.SIGKILL,
	}
	runtime.LockOSThread() // the death of this thread is what Pdeathsig waits for
	return false, inner.Run()
}

// furnish makes the namespaces fit to live in.
func furnish() error {
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	if err := syscall.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		return fmt.Errorf("mount /proc: %w", err)
	}
	if err := syscall.Mount("shoal", tmpfs, "tmpfs", 0, "mode=0700"); err != nil {
		return fmt.Errorf("mount a tmpfs: %w", err)
	}
	return nil
}
