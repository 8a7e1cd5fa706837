package testnet

import (
	"errors"
	"os"
	"strconv"
	"syscall"

	"golang.org/x/sys/windows"
)

// detached has a process go on when the console closes, and not hear its ^C.
func detached(a *syscall.SysProcAttr) *syscall.SysProcAttr {
	if a == nil {
		a = &syscall.SysProcAttr{}
	}
	a.CreationFlags |= windows.CREATE_NEW_PROCESS_GROUP | windows.DETACHED_PROCESS
	return a
}

// askToEnd cannot be done: a process without a console hears nothing.
func askToEnd(*os.Process) error { return errors.ErrUnsupported }

func reap(int) {}

// bornAt returns when a process began.
func bornAt(pid int) (string, bool) {
	h, err := windows.OpenProcess(windows.PROCESS_QUERY_LIMITED_INFORMATION, false, uint32(pid))
	if err != nil {
		return "", false
	}
	defer windows.CloseHandle(h)
	var code uint32
	const stillActive = 259
	if err := windows.GetExitCodeProcess(h, &code); err != nil || code != stillActive {
		return "", false
	}
	var born, exit, kernel, user windows.Filetime
	if err := windows.GetProcessTimes(h, &born, &exit, &kernel, &user); err != nil {
		return "", false
	}
	return strconv.FormatInt(born.Nanoseconds(), 10), true
}

// markedProcesses finds none: what a process was started with is not told here.
func markedProcesses(string) []process { return nil }

func strayProcesses(string) map[string][]process { return nil }
