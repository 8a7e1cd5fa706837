package node

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
)

func TestIdentityIsMadeOnceAndKept(t *testing.T) {
	home := t.TempDir()
	put(t, filepath.Join(home, ".identity.key.123"), []byte("left by a crash"), 0o600)
	first, err := loadIdentity(home)
	if err != nil {
		t.Fatal(err)
	}
	second, err := loadIdentity(home)
	if err != nil {
		t.Fatal(err)
	}
	if !first.Equals(second) {
		t.Error("the second start has another key than the first")
	}
	if first.Type() != crypto.Ed25519 {
		t.Errorf("the key is of type %s, not Ed25519", first.Type())
	}
	info, err := os.Stat(filepath.Join(home, keyName))
	if err != nil {
		t.Fatal(err)
	}
	if runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("the key has mode %04o, not 0600", info.Mode().Perm())
	}
	id, _ := peer.IDFromPrivateKey(first)
	if text, _ := os.ReadFile(filepath.Join(home, peerIDName)); strings.TrimSpace(string(text)) != id.String() {
		t.Errorf("%s holds %q, not %s", peerIDName, text, id)
	}
	if names := snapshot(t, home); len(names) != 3 {
		t.Errorf("home holds %d files, expected the key, the peer ID and the old one: %v", len(names), names)
	}
}

func TestIdentityHasOneWinner(t *testing.T) {
	home := t.TempDir()
	keys := make([]crypto.PrivKey, 16)
	var wg sync.WaitGroup
	for i := range keys {
		wg.Go(func() {
			key, err := loadIdentity(home)
			if err != nil {
				t.Error(err)
			}
			keys[i] = key
		})
	}
	wg.Wait()
	for _, key := range keys {
		if key == nil || !key.Equals(keys[0]) {
			t.Fatal("nodes that start together got different keys")
		}
	}
}

func TestIdentityWritesThePeerIDAgain(t *testing.T) {
	home := t.TempDir()
	key, err := loadIdentity(home)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"", " \n"} { // never written, or created and not written before a power cut
		os.Remove(filepath.Join(home, peerIDName))
		if text != "" {
			put(t, filepath.Join(home, peerIDName), []byte(text), 0o600)
		}
		again, err := loadIdentity(home)
		if err != nil || !again.Equals(key) {
			t.Fatalf("with %q for a peer ID: %v", text, err)
		}
	}
}

// B118: whatever stands in the key's place, it stays as it is and the sentence says what is wrong.
func TestIdentityRefuses(t *testing.T) {
	good := marshal(t, newKey(t, crypto.Ed25519))
	other, _ := peer.IDFromPrivateKey(newKey(t, crypto.Ed25519))
	key := func(data []byte, mode fs.FileMode) func(*testing.T, string) {
		return func(t *testing.T, home string) { put(t, filepath.Join(home, keyName), data, mode) }
	}
	tests := []struct {
		name string
		make func(t *testing.T, home string)
		says string
		unix bool
	}{
		{name: "empty", make: key(nil, 0o600), says: "is empty"},
		{name: "cut short", make: key(good[:len(good)-1], 0o600), says: "does not hold a libp2p private key"},
		{name: "text", make: key([]byte("hello\n"), 0o600), says: "does not hold a libp2p private key"},
		{name: "zeros", make: key(make([]byte, 68), 0o600), says: "does not hold a libp2p private key"},
		{name: "too long", make: key(append(bytes.Clone(good), make([]byte, maxKey)...), 0o600), says: "more than 1024 bytes"},
		{name: "readable by all", make: key(good, 0o644), says: "mode 0644", unix: true},
		{name: "readable by the group", make: key(good, 0o640), says: "mode 0640", unix: true},
		{name: "writable by others", make: key(good, 0o602), says: "mode 0602", unix: true},
		{name: "secp256k1", make: key(marshal(t, newKey(t, crypto.Secp256k1)), 0o600), says: "type Secp256k1"},
		{name: "ECDSA", make: key(marshal(t, newKey(t, crypto.ECDSA)), 0o600), says: "type ECDSA"},
		{name: "a directory", make: func(t *testing.T, home string) {
			if err := os.Mkdir(filepath.Join(home, keyName), 0o700); err != nil {
				t.Fatal(err)
			}
		}, says: "not a regular file but a directory"},
		{name: "a symbolic link", make: func(t *testing.T, home string) {
			put(t, filepath.Join(home, "elsewhere"), good, 0o600)
			if err := os.Symlink("elsewhere", filepath.Join(home, keyName)); err != nil {
				t.Skip(err)
			}
		}, says: "a symbolic link"},
		{name: "a pipe", make: func(t *testing.T, home string) { makePipe(t, filepath.Join(home, keyName)) }, says: "a pipe", unix: true},
		{name: "gone", make: func(t *testing.T, home string) {
			put(t, filepath.Join(home, peerIDName), []byte(other.String()+"\n"), 0o600)
		}, says: "belongs to peer " + other.String()},
		{name: "of another peer", make: func(t *testing.T, home string) {
			put(t, filepath.Join(home, keyName), good, 0o600)
			put(t, filepath.Join(home, peerIDName), []byte(other.String()), 0o600)
		}, says: "belongs to peer " + other.String()},
		{name: "beside nonsense", make: func(t *testing.T, home string) {
			put(t, filepath.Join(home, keyName), good, 0o600)
			put(t, filepath.Join(home, peerIDName), []byte("me"), 0o600)
		}, says: "does not hold a peer ID"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if test.unix && runtime.GOOS == "windows" {
				t.Skip("Windows has no such modes and files")
			}
			home := t.TempDir()
			test.make(t, home)
			before := snapshot(t, home)
			_, err := loadIdentity(home)
			if err == nil || !strings.Contains(err.Error(), test.says) {
				t.Errorf("error %v, expected one that says %q", err, test.says)
			}
			after := snapshot(t, home)
			if len(after) != len(before) {
				t.Errorf("home holds %v, before %v", after, before)
			}
			for name, data := range before {
				if after[name] != data {
					t.Errorf("%s was changed", name)
				}
			}
		})
	}
}

func TestWriteOnceNeverReplaces(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x")
	for name, write := range map[string]func(string, []byte) error{"link": writeOnce, "exclusive": createWith} {
		put(t, path, []byte("old"), 0o600)
		if err := write(path, []byte("new")); !errors.Is(err, fs.ErrExist) {
			t.Errorf("%s: error %v, expected %v", name, err, fs.ErrExist)
		}
		if data, _ := os.ReadFile(path); string(data) != "old" {
			t.Errorf("%s: the file holds %q", name, data)
		}
	}
}

func newKey(t testing.TB, kind int32) crypto.PrivKey {
	t.Helper()
	key, _, err := crypto.GenerateKeyPairWithReader(int(kind), 0, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func marshal(t testing.TB, key crypto.PrivKey) []byte {
	t.Helper()
	data, err := crypto.MarshalPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func put(t testing.TB, path string, data []byte, mode fs.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, data, mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil { // past the umask
		t.Fatal(err)
	}
}

// snapshot is what a directory holds: names, kinds and the bytes of regular files.
func snapshot(t testing.TB, dir string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	out := make(map[string]string)
	for _, e := range entries {
		out[e.Name()] = e.Type().String()
		if e.Type().IsRegular() {
			data, err := os.ReadFile(filepath.Join(dir, e.Name()))
			if err != nil {
				t.Fatal(err)
			}
			out[e.Name()] += string(data)
		}
	}
	return out
}
