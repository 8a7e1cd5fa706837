package node

import (
	"net"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// limitSending tells the kernel how many bytes it may take beyond what TCP has sent already, while it keeps growing buffers for
// what is under way; and how many bytes a second it may send, 0 for no limit.
func limitSending(c net.Conn, unsent int, pace float64) {
	s, ok := c.(syscall.Conn)
	if !ok {
		return
	}
	raw, err := s.SyscallConn()
	if err != nil {
		return
	}
	most := -1 // which the kernel reads as no limit
	if pace > 0 {
		most = int(pace)
	}
	_ = raw.Control(func(fd uintptr) { // without it, small messages wait a little longer
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, unsent)
		_ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_MAX_PACING_RATE, most)
	})
}

// sending asks the kernel how far sending has come.
func sending(c net.Conn) (p progress, ok bool) {
	s, ok := c.(syscall.Conn)
	if !ok {
		return p, false
	}
	raw, err := s.SyscallConn()
	if err != nil {
		return p, false
	}
	var said *unix.TCPInfo
	asked := raw.Control(func(fd uintptr) { said, err = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO) })
	if asked != nil || err != nil {
		return p, false
	}
	return progress{
		at: time.Now(), busy: time.Duration(said.Busy_time) * time.Microsecond,
		acked: said.Bytes_acked, trip: time.Duration(said.Min_rtt) * time.Microsecond,
	}, true
}
