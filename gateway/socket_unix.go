//go:build unix

package gateway

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// MakePrivate makes a directory if there is none, and checks that nobody else can get into it: the least that Listen wants.
func MakePrivate(dir string) error {
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if s, ok := info.Sys().(*syscall.Stat_t); ok && int(s.Uid) != os.Geteuid() {
		return fmt.Errorf("%s: %w (uid %d)", dir, ErrRefused, s.Uid)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return fmt.Errorf("%s is open to other users (mode %#o): chmod 700 it", dir, mode)
	}
	return nil
}

// bind makes the socket under a name of its own, closes it to others and then puts it in place, over what was there.
func bind(path string) (*net.UnixListener, error) {
	fresh := path + "." + strconv.Itoa(os.Getpid())
	if err := os.Remove(fresh); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	var l *net.UnixListener
	err := within(fresh, func(short string) (err error) {
		l, err = net.ListenUnix("unix", &net.UnixAddr{Name: short, Net: "unix"})
		return err
	})
	if err != nil {
		return nil, err
	}
	if err := errors.Join(os.Chmod(fresh, 0o600), os.Rename(fresh, path)); err != nil {
		return nil, errors.Join(err, l.Close(), os.Remove(fresh))
	}
	return l, nil
}

func dialSocket(path string) (c net.Conn, err error) {
	err = within(path, func(short string) error {
		c, err = net.Dial("unix", short)
		return err
	})
	return c, err
}

// within calls f with a name for path that the kernel takes: those of sockets must be short.
func within(path string, f func(short string) error) error {
	if len(path) < len(syscall.RawSockaddrUnix{}.Path) {
		return f(path)
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer dir.Close()
	through := fmt.Sprintf("/proc/self/fd/%d", dir.Fd())
	if _, err := os.Stat(through); err != nil {
		return fmt.Errorf("the path is longer than a socket's may be on this system (%d bytes): choose a shorter home", len(path))
	}
	return f(filepath.Join(through, filepath.Base(path)))
}

func nobody(err error) bool {
	return errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ENOTSOCK) ||
		errors.Is(err, syscall.ENOTDIR)
}

func crowded(err error) bool { return errors.Is(err, syscall.EAGAIN) }
