package node

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// limitUnsent tells the kernel how many bytes it may take beyond what TCP has sent already. It keeps growing buffers for what is
// under way.
func limitUnsent(c net.Conn, bytes int) {
	s, ok := c.(syscall.Conn)
	if !ok {
		return
	}
	raw, err := s.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) { // without it, small messages wait a little longer
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, bytes)
	})
}
