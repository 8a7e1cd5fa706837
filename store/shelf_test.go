package store

import (
	"errors"
	"maps"
	"slices"
	"testing"
)

func TestShelfKeepsRows(t *testing.T) {
	home := t.TempDir()
	open := func() *Store {
		t.Helper()
		s, err := Open(Config{Home: home})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	s := open()
	for key, row := range map[string][]byte{"a": []byte("1"), "b": []byte("2"), "c": make([]byte, maxShelfRow), "": []byte("empty key")} {
		if err := s.Shelf().Put(key, row); err != nil {
			t.Fatalf("put %q: %v", key, err)
		}
	}
	if err := s.Shelf().Put("b", nil); err != nil {
		t.Fatal(err)
	}
	if err := s.Shelf().Put("d", make([]byte, maxShelfRow+1)); err == nil {
		t.Error("a row that is too large was taken")
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Shelf().Put("e", []byte("5")); !errors.Is(err, ErrClosed) {
		t.Errorf("put on a closed store: %v", err)
	}
	s = open()
	defer s.Close()
	rows, err := s.Shelf().Rows()
	if err != nil {
		t.Fatal(err)
	}
	if got := slices.Sorted(maps.Keys(rows)); !slices.Equal(got, []string{"", "a", "c"}) || string(rows["a"]) != "1" {
		t.Errorf("rows %q after a restart", got)
	}
}
