//go:build linux

package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
)

// usage is how the processors' time was spent, in parts of one. What is neither idle nor ours is the kernel's share of the
// network and other programs.
type usage struct{ idle, ours float64 }

// ticks is a reading of the kernel's clocks.
type ticks struct{ all, idle, ours int64 }

// since is the usage between two readings.
func (t ticks) since(before ticks) usage {
	all := float64(max(t.all-before.all, 1))
	return usage{float64(t.idle-before.idle) / all, float64(t.ours-before.ours) / all}
}

func readTicks() (t ticks, err error) {
	stat, err := os.ReadFile("/proc/stat")
	if err != nil {
		return t, err
	}
	line, _, _ := bytes.Cut(stat, []byte("\n"))
	// user nice system idle iowait irq softirq steal; what follows is counted in user already.
	for i, n := range numbers(bytes.Fields(line)[1:9]) {
		t.all += n
		if i == 3 || i == 4 {
			t.idle += n
		}
	}
	// The process namespace holds nobody but us.
	paths, err := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range paths {
		stat, err := os.ReadFile(path)
		if err != nil {
			continue // has ended
		}
		// Fields 14 and 15 count from 1; 16 and 17 are of children that have ended, of which this process has all.
		for _, n := range numbers(bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])[11:15]) {
			t.ours += n
		}
	}
	return t, err
}

func numbers(fields [][]byte) []int64 {
	out := make([]int64, len(fields))
	for i, f := range fields {
		out[i], _ = strconv.ParseInt(string(f), 10, 64) // the kernel prints numbers there
	}
	return out
}
