//go:build linux || darwin

package gateway

import (
	"errors"
	"fmt"
	"net"
	"syscall"
)

// onSocket calls f with the descriptor of a connection.
func onSocket(c net.Conn, f func(fd int) error) error {
	s, ok := c.(syscall.Conn)
	if !ok {
		return fmt.Errorf("%w: it is no socket", ErrRefused)
	}
	raw, err := s.SyscallConn()
	if err != nil {
		return err
	}
	var asked error
	return errors.Join(raw.Control(func(fd uintptr) { asked = f(int(fd)) }), asked)
}
