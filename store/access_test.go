//go:build linux

package store

import (
	"context"
	"crypto/rand"
	"errors"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/shoal-p2p/shoal/content"
)

func private(t testing.TB) content.Access {
	t.Helper()
	return content.Access{Secret: must(content.NewSecret(rand.Reader)), Until: time.Unix(2_000_000_000, 0), Limited: true, Peers: []string{"\x00peer"}}
}

// keepTo is the option that gives a share to certain people.
func keepTo(a content.Access) AddOptions {
	return AddOptions{Access: func(content.Access, bool) content.Access { return a }}
}

// Who may have a share is there again after a restart, and with the share it goes.
func TestAccessStaysWithItsShare(t *testing.T) {
	onEach(t, func(t *testing.T, dir string) {
		a := private(t)
		s := open(t, dir)
		path := sample(t, dir)
		share, _, err := s.Add(context.Background(), []string{path}, keepTo(a))
		if err != nil {
			t.Fatal(err)
		}
		wantAccess := func(when string, want content.Access) {
			t.Helper()
			if got := s.Access(share.Root); !reflect.DeepEqual(got, want) {
				t.Errorf("%s: %+v, want %+v", when, got, want)
			}
			root, ok := s.Private(a.Secret.Alias(share.Root))
			if known := !want.Open() && want.Secret.Equal(a.Secret); ok != known || known && !root.Equals(share.Root) {
				t.Errorf("%s: the alias leads to %v, %v", when, root, ok)
			}
			if s.Public(share.Root) != want.Open() && s.Whole(share.Root) {
				t.Errorf("%s: public is %v", when, s.Public(share.Root))
			}
		}
		wantAccess("after the share", a)
		if !reflect.DeepEqual(share.Access, a) || !reflect.DeepEqual(must(s.Shares())[0].Access, a) {
			t.Errorf("the share says %+v", share.Access)
		}
		must(0, s.Close())
		s = open(t, dir)
		wantAccess("after a restart", a)
		add(t, s, path)
		wantAccess("after it was shared again", a)
		renewed := a
		renewed.Secret = must(content.NewSecret(rand.Reader))
		must(0, s.SetAccess(share.Root, renewed))
		wantAccess("with another secret", renewed)
		must(0, s.Close())
		s = open(t, dir)
		wantAccess("with another secret after a restart", renewed)
		must(0, s.SetAccess(share.Root, a))
		must(0, s.Remove(share.Root))
		wantAccess("after it was removed", content.Access{})
		if err := s.SetAccess(share.Root, a); !errors.Is(err, ErrNotFound) {
			t.Errorf("access to what is not here: %v", err)
		}
		must(0, s.Close())
		s = open(t, dir)
		wantAccess("after it was removed and a restart", content.Access{})
	})
}

// What lies inside a private root is no more public than the root, under its own CID or as a bare chunk, but for what a public
// root has as well.
func TestPartsOfAPrivateRootAreNotPublic(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	path := sample(t, dir)
	share, _, err := s.Add(context.Background(), []string{path}, keepTo(private(t)))
	if err != nil {
		t.Fatal(err)
	}
	tree := must(s.Tree(context.Background(), share.Root))
	for _, inside := range []string{"", "sub", "big", "small", "one", "sub/again"} {
		i, _ := tree.Find(inside)
		c := tree.Entries()[i].CID
		if !s.Whole(c) || s.Public(c) {
			t.Errorf("%q: whole %v, public %v; want it whole and not public", inside, s.Whole(c), s.Public(c))
		}
	}
	public := add(t, s, filepath.Join(path, "sub"))
	for inside, want := range map[string]bool{"": false, "big": false, "small": false, "sub": true, "one": true, "sub/again": true} {
		i, _ := tree.Find(inside)
		if c := tree.Entries()[i].CID; s.Public(c) != want {
			t.Errorf("with sub shared with everybody, %q: public %v, want %v", inside, s.Public(c), want)
		}
	}
	must(0, s.Remove(public.Root))
	if s.Public(public.Root) {
		t.Error("what was removed is public still")
	}
}

// A download keeps the secret from before its first byte, for all of the root and for a part of it that is fetched alone.
func TestFetchedRootsKeepTheirSecret(t *testing.T) {
	for _, sub := range []string{"", "sub", "big"} {
		dir := t.TempDir()
		from, tr := shared(t, dir)
		s := open(t, dir)
		a := private(t)
		must(0, s.Confine(tr.Root, a))
		must(0, s.SaveNodes(tr.Root, nodes(t, from, tr.Root)))
		must(0, s.Close())
		s = open(t, dir)
		if got := s.Access(tr.Root); !reflect.DeepEqual(got, a) {
			t.Fatalf("after a restart: %+v, want %+v", got, a)
		}
		d, err := s.Begin(context.Background(), tr, Dest{Path: filepath.Join(destIn(t, dir), "got"), Sub: sub}, nil)
		if err != nil {
			t.Fatal(err)
		}
		must(0, fetch(from, d, tr))
		share := must(d.Commit(context.Background()))
		if got := s.Access(share.Root); !reflect.DeepEqual(got, a) || s.Public(share.Root) {
			t.Errorf("%q: access %+v, public %v; want %+v", sub, got, s.Public(share.Root), a)
		}
	}
}

// What is here for everybody does not become private because somebody fetches it with a secret, and what was fetched with one
// goes with the next.
func TestConfineLeavesAloneWhatIsHere(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	share := add(t, s, sample(t, dir))
	must(0, s.Confine(share.Root, private(t)))
	if !s.Access(share.Root).Open() {
		t.Error("a share became private")
	}
	mine := private(t)
	must(0, s.SetAccess(share.Root, mine))
	must(0, s.Confine(share.Root, private(t)))
	if !s.Access(share.Root).Secret.Equal(mine.Secret) {
		t.Error("a private share got the secret of another one")
	}
	must(0, s.Remove(share.Root))
	must(0, s.Confine(share.Root, mine))
	other := private(t)
	must(0, s.Confine(share.Root, other))
	if !s.Access(share.Root).Secret.Equal(other.Secret) {
		t.Error("a download did not go over to the new ticket")
	}
	must(0, s.Forgive(share.Root))
	if !s.Access(share.Root).Open() {
		t.Error("a download that came to nothing left its secret")
	}
	must(0, s.Confine(share.Root, mine))
	must(0, s.Close())
	s = open(t, dir)
	if !s.Access(share.Root).Open() {
		t.Error("a download that died before it had a tree left its secret")
	}
}
