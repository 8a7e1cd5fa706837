//go:build linux

package store

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestTryDiskLeavesNothingBehind(t *testing.T) {
	onEach(t, func(t *testing.T, dir string) {
		s := open(t, dir)
		d := must(s.TryDisk(t.Context()))
		if d.Free <= 0 || d.Write <= 0 || d.Sync <= 0 || d.Strewn == 0 || d.Strewn > diskSample {
			t.Errorf("got %+v", d)
		}
		if d.Ahead > time.Minute || d.Ahead < -time.Minute {
			t.Errorf("the clock of a local disk is %v ahead", d.Ahead)
		}
		left := must(filepath.Glob(filepath.Join(s.home, "disk-*")))
		if len(left) > 0 {
			t.Errorf("left %v behind", left)
		}
	})
}

func TestTryDiskSaysWhatFails(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	home := s.home
	s.home = filepath.Join(dir, "not there")
	if _, err := s.TryDisk(t.Context()); err == nil {
		t.Error("no error without a directory")
	}
	s.home = home
	if _, err := os.Stat(home); err != nil {
		t.Fatal(err)
	}
}
