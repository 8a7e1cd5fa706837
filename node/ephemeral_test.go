package node

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ipfs/go-datastore/query"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/multiformats/go-multiaddr"

	"github.com/shoal-p2p/shoal/content"
	"github.com/shoal-p2p/shoal/discovery"
)

// visit is what a node was like that ran once on a home.
type visit struct {
	id, name   string
	serves     bool // the DHT, for others
	announced  int  // rows that the disk has of what the DHT knows and has announced
	remembered int  // rows that it has of those who delivered
}

func visits(t *testing.T, home string, ephemeral bool) (v visit) {
	t.Helper()
	n, err := Open(t.Context(), Config{Home: home, Ephemeral: ephemeral, Listen: []string{"/ip4/127.0.0.1/tcp/0"}, Switches: Switches{NoMDNS: true}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	}()
	s, err := n.Status(t.Context())
	if err != nil || s.Ephemeral != ephemeral {
		t.Errorf("the status says ephemeral %v, %v; want %v", s.Ephemeral, err, ephemeral)
	}
	root := content.Seal([]byte("a root")).Digest().CID()
	if err := n.dhts[0].Announce(root); err != nil {
		t.Fatal(err)
	}
	giver, err := peer.IDFromPrivateKey(newKey(t, crypto.Ed25519))
	if err != nil {
		t.Fatal(err)
	}
	donor := discovery.Delivery{Peer: giver, Addrs: []multiaddr.Multiaddr{multiaddr.StringCast("/ip4/10.0.0.7/tcp/4747")}, Root: root, Bytes: 1}
	if err := n.finder.Delivered(donor); err != nil {
		t.Fatal(err)
	}
	records, err := n.store.Datastore()
	if err != nil {
		t.Fatal(err)
	}
	found, err := records.Query(t.Context(), query.Query{KeysOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	rows, err := found.Rest()
	if err != nil {
		t.Fatal(err)
	}
	donors, err := n.store.Shelf().Rows()
	if err != nil {
		t.Fatal(err)
	}
	serves := slices.ContainsFunc(n.host.Mux().Protocols(), func(p protocol.ID) bool { return strings.Contains(string(p), "/kad/") })
	return visit{s.ID, n.config.Name, serves, len(rows), len(donors)}
}

// T14: by its identity, its name, its place in the DHT and whom it remembers, nobody can tell that a node was here before, and the
// home does not tell either.
func TestEphemeralNodesAreStrangers(t *testing.T) {
	home := t.TempDir()
	first, second := visits(t, home, true), visits(t, home, true)
	if first.id == second.id {
		t.Error("two runs are the same peer")
	}
	for _, v := range []visit{first, second} {
		if want := (visit{id: v.id}); v != want {
			t.Errorf("an ephemeral node is %+v, want %+v", v, want)
		}
		notIn(t, home, v.id)
	}
	if _, err := os.Stat(filepath.Join(home, keyName)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("an ephemeral node left a key: %v", err)
	}

	lasting := visits(t, home, false)
	if host, _ := os.Hostname(); (lasting.name == "") != (host == "") || !lasting.serves || lasting.announced == 0 || lasting.remembered == 0 {
		t.Errorf("the home's own node is %+v; want one with a name, that serves and remembers", lasting)
	}
	if third := visits(t, home, true); third.id == lasting.id {
		t.Error("the ephemeral node is the peer of its home")
	}
	if again := visits(t, home, false); again.id != lasting.id {
		t.Errorf("the home's own identity changed from %s to %s", lasting.id, again.id)
	}
}

// notIn looks for an identity in all files of a home, in text and in bytes.
func notIn(t *testing.T, home, id string) {
	t.Helper()
	p, err := peer.Decode(id)
	if err != nil {
		t.Fatal(err)
	}
	err = filepath.WalkDir(home, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(path)
		if bytes.Contains(b, []byte(id)) || bytes.Contains(b, []byte(p)) {
			t.Errorf("%s holds the identity of an ephemeral node", path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}
