package testnet

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// bornAt returns when a process began, in ticks since the system did. One that has ended and waits for its parent is not there.
func bornAt(pid int) (string, bool) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "", false
	}
	return born(text)
}

// born reads when a process began from its line of proc_pid_stat(5). While a thread other than the first turns the process into another
// program, as all do that are written in Go, the process looks like one that has ended, but for its other threads.
func born(stat []byte) (string, bool) {
	// The second field is the program's name in brackets, and may hold any character.
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	const threadsField, bornField = 20 - 3, 22 - 3
	if len(fields) <= bornField || fields[0] == "X" || fields[0] == "Z" && slices.Contains([]string{"0", "1"}, fields[threadsField]) {
		return "", false
	}
	return fields[bornField], true
}

// markedProcesses are those that carry the marker of the Net in a folder; never the one that asks.
func markedProcesses(dir string) []process {
	return marks(func(of string) bool { return of == dir })[dir]
}

// strayProcesses are those that carry the marker of a Net in root whose folder is gone, by that folder.
func strayProcesses(root string) map[string][]process {
	return marks(func(dir string) bool {
		_, err := os.Lstat(dir)
		return filepath.Dir(dir) == root && errors.Is(err, fs.ErrNotExist)
	})
}

// marks finds processes that carry the marker of a Net whose folder is wanted, by that folder. It sees those of this user, and root those of all.
func marks(wanted func(dir string) bool) map[string][]process {
	out := make(map[string][]process)
	files, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		return out
	}
	for _, f := range files {
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(f)))
		if err != nil || pid == os.Getpid() {
			continue
		}
		env, err := os.ReadFile(f)
		_, rest, ok := bytes.Cut(append([]byte{0}, env...), []byte("\x00"+markerName+"="))
		if err != nil || !ok {
			continue
		}
		value, _, _ := bytes.Cut(rest, []byte{0})
		dir := string(value)
		if born, ok := bornAt(pid); ok && wanted(dir) {
			out[dir] = append(out[dir], process{pid, born})
		}
	}
	return out
}
