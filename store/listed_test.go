//go:build linux

package store

import (
	"errors"
	"testing"
)

// A share is listed only because somebody said so, and that outlives the process but not the share.
func TestListedSharesStayListedUntilTheyAreRemoved(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	path := sample(t, dir)
	share := add(t, s, path)
	expect := func(when string, want bool) {
		t.Helper()
		for _, x := range must(s.Shares()) {
			if got := len(s.Listed()) == 1; x.Listed != want || got != want {
				t.Errorf("%s: listed is %v, want %v", when, x.Listed, want)
			}
		}
	}
	if share.Listed {
		t.Error("a share is listed although nobody said so")
	}
	expect("at first", false)
	must(0, s.List(share.Root, true))
	expect("when told", true)
	if again := add(t, s, path); !again.Listed {
		t.Error("sharing again took it from the list")
	}
	must(0, s.Close())
	s = open(t, dir)
	expect("after a restart", true)
	must(0, s.List(share.Root, false))
	expect("when told otherwise", false)
	must(0, s.List(share.Root, true))
	must(0, s.Remove(share.Root))
	if err := s.List(share.Root, true); !errors.Is(err, ErrNotFound) {
		t.Errorf("listing what is not shared: %v, want ErrNotFound", err)
	}
	must(0, s.Close())
	s = open(t, dir)
	add(t, s, path)
	expect("when removed and shared again", false)
}
