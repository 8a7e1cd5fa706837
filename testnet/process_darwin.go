package testnet

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// bornAt returns when a process began. One that has ended and waits for its parent is not there.
func bornAt(pid int) (string, bool) {
	const zombie = 5 // SZOMB of sys/proc.h
	k, err := unix.SysctlKinfoProc("kern.proc.pid", pid)
	if err != nil || k.Proc.P_pid != int32(pid) || k.Proc.P_stat == zombie {
		return "", false
	}
	return fmt.Sprintf("%d.%06d", k.Proc.P_starttime.Sec, k.Proc.P_starttime.Usec), true
}

// markedProcesses finds none: what a process was started with is not told here.
func markedProcesses(string) []process { return nil }

func strayProcesses(string) map[string][]process { return nil }
