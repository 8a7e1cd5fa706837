package node

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
)

const (
	keyName    = "identity.key" // the private key in libp2p's own encoding
	peerIDName = "peer-id"      // the peer ID in plain text: which peer this home has been, even if the key is lost
	maxKey     = 1 << 10        // bytes; an ed25519 key takes 68
)

// loadIdentity returns the key of the peer that lives in home, and makes one when the home is new.
//
// A key is made once. Every other surprise is an error that says what to do: a key that is gone, empty, damaged, of another
// type, of another peer, or readable by others. None of them is repaired, because a new key means a new peer, whom nobody knows.
func loadIdentity(home string) (crypto.PrivKey, error) {
	path := filepath.Join(home, keyName)
	was, idErr := readPeerID(filepath.Join(home, peerIDName)) // first: it is written after the key, so that if it is there, so is the key
	key, err := readKey(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if idErr != nil {
		return nil, idErr
	}
	if key == nil {
		if was != "" {
			return nil, fmt.Errorf("identity: %s is gone, and this home belongs to peer %s: put the key back, or delete %s to become a new peer",
				path, was, filepath.Join(home, peerIDName))
		}
		if key, err = createKey(path); err != nil {
			return nil, err
		}
	}
	return key, checkPeerID(home, key, was)
}

// identity is the key of the peer that the node is.
func (c *Config) identity() (crypto.PrivKey, error) {
	if !c.Ephemeral {
		return loadIdentity(c.Home)
	}
	key, _, err := crypto.GenerateEd25519Key(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("identity: make a key: %w", err)
	}
	return key, nil
}

// readKey returns fs.ErrNotExist when there is nothing at path, and refuses what it cannot trust.
func readKey(path string) (crypto.PrivKey, error) {
	before, err := os.Lstat(path)
	if err != nil {
		return nil, fmt.Errorf("identity: %w", err)
	}
	if !before.Mode().IsRegular() { // checked before it is opened: a pipe would hold the node for ever
		return nil, fmt.Errorf("identity: %s is not a regular file but %s", path, fileKind(before.Mode()))
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("identity: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("identity: %w", err)
	}
	if !os.SameFile(before, info) {
		return nil, fmt.Errorf("identity: %s was replaced while it was opened", path)
	}
	if others := info.Mode().Perm() & 0o077; others != 0 && runtime.GOOS != "windows" {
		return nil, fmt.Errorf("identity: others may use %s (mode %04o): whoever read it can pose as this peer; run chmod 600 on it if you are sure that nobody did",
			path, info.Mode().Perm())
	}
	data, err := io.ReadAll(io.LimitReader(f, maxKey+1))
	if err != nil {
		return nil, fmt.Errorf("identity: %w", err)
	}
	return parseKey(path, data)
}

func parseKey(path string, data []byte) (crypto.PrivKey, error) {
	if len(data) == 0 {
		return nil, fmt.Errorf("identity: %s is empty: put the key back from a copy, or delete the file to become a new peer", path)
	}
	if len(data) > maxKey {
		return nil, fmt.Errorf("identity: %s holds more than %d bytes, so it is not a key", path, maxKey)
	}
	key, err := crypto.UnmarshalPrivateKey(data)
	if err != nil {
		return nil, fmt.Errorf("identity: %s does not hold a libp2p private key: %w", path, err)
	}
	if key.Type() != crypto.Ed25519 {
		return nil, fmt.Errorf("identity: %s holds a key of type %s; only Ed25519 is used here", path, key.Type())
	}
	return key, nil
}

// createKey makes a key and puts it at path, whole and on disk, or not at all. It never replaces anything: when another
// process was quicker, that one's key is returned.
func createKey(path string) (crypto.PrivKey, error) {
	key, _, err := crypto.GenerateEd25519Key(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("identity: make a key: %w", err)
	}
	data, err := crypto.MarshalPrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("identity: encode the key: %w", err)
	}
	err = writeOnce(path, data)
	if errors.Is(err, fs.ErrExist) {
		return readKey(path)
	}
	if err != nil {
		return nil, fmt.Errorf("identity: save the key: %w", err)
	}
	return key, nil
}

// checkPeerID records whose home this is, and refuses a key of somebody else.
func checkPeerID(home string, key crypto.PrivKey, was string) error {
	id, err := peer.IDFromPrivateKey(key)
	if err != nil {
		return fmt.Errorf("identity: %w", err)
	}
	path := filepath.Join(home, peerIDName)
	switch was {
	case id.String():
		return nil
	case "":
		if err := writeOnce(path, []byte(id.String()+"\n")); err != nil && !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("identity: save the peer ID: %w", err)
		}
		return nil
	default:
		return fmt.Errorf("identity: %s is the key of peer %s, and this home belongs to peer %s: put the right key back, or delete %s if the change is meant",
			filepath.Join(home, keyName), id, was, path)
	}
}

// readPeerID returns "" when there is no record, or an empty one.
func readPeerID(path string) (string, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("identity: %w", err)
	}
	text := strings.TrimSpace(string(data))
	if text == "" {
		return "", nil
	}
	id, err := peer.Decode(text)
	if err != nil {
		return "", fmt.Errorf("identity: %s does not hold a peer ID; delete it, and it is written again from the key", path)
	}
	return id.String(), nil
}

// writeOnce creates path with data, readable by the owner alone, and returns when the disk has it. The bytes are
// complete before the name exists, so that a crash leaves no empty key behind. It returns fs.ErrExist, and changes nothing,
// when path is taken.
func writeOnce(path string, data []byte) error {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, "."+filepath.Base(path)+".*") // O_EXCL, 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Link(f.Name(), path); errors.Is(err, fs.ErrExist) {
		return err
	} else if err != nil { // a file system without hard links
		if err := createWith(path, data); err != nil {
			return err
		}
	}
	return syncDir(dir)
}

func createWith(path string, data []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// syncDir makes new names in dir survive a power cut. Windows has no such call for directories.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func fileKind(m fs.FileMode) string {
	switch {
	case m.IsDir():
		return "a directory"
	case m&fs.ModeSymlink != 0:
		return "a symbolic link"
	case m&fs.ModeNamedPipe != 0:
		return "a pipe"
	case m&fs.ModeSocket != 0:
		return "a socket"
	default:
		return "a device"
	}
}

// PeerOf returns the ID of the peer that lives in a home, without a node. A new home is made, with a new peer in it.
func PeerOf(home string) (peer.ID, error) {
	if err := makeHome(home); err != nil {
		return "", err
	}
	key, err := loadIdentity(home)
	if err != nil {
		return "", err
	}
	return peer.IDFromPrivateKey(key)
}
