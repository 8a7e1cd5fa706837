//go:build unix

package content

import (
	"syscall"
	"time"
)

// cpuTime returns what this process has used of its processors, which says more than the clock on a machine that does other
// things as well.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
