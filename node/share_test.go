package node

import (
	"context"
	"errors"
	"strings"
	"testing"
)

// What cannot be done with a share that is not here says which one, once.
func TestNotSharedHere(t *testing.T) {
	a, b := start(t, "a"), start(t, "b")
	path, _ := b.file("f", 1000)
	cid := b.share(path).CID
	for name, do := range map[string]func(context.Context, string) error{"unshare": a.Unshare, "unlist": a.Unlist} {
		err := do(t.Context(), cid)
		if !errors.Is(err, ErrNotFound) || strings.Count(err.Error(), "not found") != 1 || !strings.Contains(err.Error(), cid) {
			t.Errorf("%s: %v; expected that %s is not found, said once", name, err, cid)
		}
	}
}
