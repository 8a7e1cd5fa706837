//go:build unix

package virtual

import (
	"runtime"
	"syscall"
	"time"
)

// resources are the processor time that this process has taken, and the bytes of memory that it held at most.
func resources() (processor time.Duration, memory int64) {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		return 0, 0
	}
	memory = int64(r.Maxrss)
	if runtime.GOOS != "darwin" {
		memory <<= 10 // there it is in kilobytes
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano()), memory
}
