package store

import (
	"errors"
	"fmt"
	"testing"

	"github.com/ipfs/go-datastore"
	"github.com/ipfs/go-datastore/query"
)

func TestRecordsOutliveTheirDatastore(t *testing.T) {
	home := t.TempDir()
	key := datastore.NewKey("/a/b")
	for start := range 2 {
		s, err := Open(Config{Home: home})
		if err != nil {
			t.Fatal(err)
		}
		d, err := s.Datastore()
		if err != nil {
			t.Fatal(err)
		}
		if start == 0 {
			err = d.Put(t.Context(), key, []byte("c"))
		}
		if v, got := d.Get(t.Context(), key); err != nil || got != nil || string(v) != "c" {
			t.Errorf("start %d: got %q, %v, %v", start, v, got, err)
		}
		found, err := d.Query(t.Context(), query.Query{Prefix: "/a"})
		if err != nil {
			t.Fatal(err)
		}
		if all, err := found.Rest(); err != nil || len(all) != 1 {
			t.Errorf("start %d: a query finds %v, %v", start, all, err)
		}
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Shares(); err != nil {
			t.Errorf("the store after Close of its datastore: %v", err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestRecordsEndSomewhere(t *testing.T) {
	s, err := Open(Config{Home: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	made, err := s.Datastore()
	if err != nil {
		t.Fatal(err)
	}
	d := made.(*records)
	d.most, d.look = 64<<10, 16
	value := make([]byte, 16<<10)
	for i := range value {
		value[i] = byte(i * i >> 3)
	}
	for i := range 4096 {
		if err = d.Put(t.Context(), datastore.NewKey(fmt.Sprint("/", i)), value); err != nil {
			break
		}
	}
	if !errors.Is(err, ErrFull) {
		t.Fatalf("after 64 MiB: %v, want ErrFull", err)
	}
	b, err := d.Batch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(b.Put(t.Context(), datastore.NewKey("/x"), value), b.Commit(t.Context())); !errors.Is(err, ErrFull) {
		t.Errorf("a batch: %v, want ErrFull", err)
	}
	if err := d.Delete(t.Context(), datastore.NewKey("/1")); err != nil {
		t.Errorf("a full datastore must let records go: %v", err)
	}
}
