package store

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/gofrs/flock"
)

// lockPatience is how long to wait for a process that is just ending.
const lockPatience = 300 * time.Millisecond

// lockHome makes this process the only owner of a home. The lock is the kernel's and ends with the process, so the number
// in the file is a courtesy and never believed. It stands after the first byte, which Windows keeps others from reading.
func lockHome(home string) (*flock.Flock, error) {
	path := filepath.Join(home, "lock")
	lock := flock.New(path, flock.SetPermissions(0o600))
	for start := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		ok, err := lock.TryLock()
		if err != nil {
			return nil, fmt.Errorf("lock %s: %w", home, err)
		}
		if ok {
			break
		}
		if time.Since(start) > lockPatience {
			return nil, &LockedError{Home: home, PID: lockOwner(path)}
		}
	}
	if err := os.WriteFile(path, fmt.Appendf(nil, "\n%d\n", os.Getpid()), 0o600); err != nil {
		lock.Unlock()
		return nil, fmt.Errorf("lock %s: %w", home, err)
	}
	return lock, nil
}

func lockOwner(path string) int {
	f, err := os.Open(path)
	if err != nil {
		return 0
	}
	defer f.Close()
	var b [24]byte
	n, _ := f.ReadAt(b[:], 1)
	pid, err := strconv.Atoi(string(bytes.TrimSpace(b[:n])))
	if err != nil {
		return 0
	}
	return pid
}
