package gateway

import (
	"errors"
	"net"
	"os"

	"golang.org/x/sys/windows"
)

// MakePrivate makes a directory if there is none. Below a user's own data directory, it inherits that no other user gets in.
func MakePrivate(dir string) error { return os.MkdirAll(dir, 0o700) }

func bind(path string) (*net.UnixListener, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	return net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
}

func dialSocket(path string) (net.Conn, error) { return net.Dial("unix", path) }

func nobody(err error) bool {
	return errors.Is(err, os.ErrNotExist) || errors.Is(err, windows.WSAECONNREFUSED) || errors.Is(err, windows.WSAEINVAL) ||
		errors.Is(err, windows.ERROR_PATH_NOT_FOUND)
}

func crowded(error) bool { return false }
