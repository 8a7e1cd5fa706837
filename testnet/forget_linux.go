package testnet

import (
	"os"

	"golang.org/x/sys/unix"
)

// forget makes the system forget what it has of a file in memory. On a tmpfs it forgets nothing.
func forget(f *os.File) error {
	return unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED)
}
