package testnet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/gofrs/flock"
)

// What a Net's folder holds. Nothing else is removed with it.
const (
	stateName = "net.json"
	lockName  = "lock"
	nodesName = "nodes" // the homes
	linksName = "links" // what the ground of namespaces needs
)

func homeOf(dir, name string) string { return filepath.Join(dir, nodesName, name) }
func socketOf(home string) string    { return filepath.Join(home, "control.sock") }
func logOf(home string) string       { return filepath.Join(home, "serve.log") }

// state is a Net as it is written down, for other processes of the program and for after a crash.
type state struct {
	Format int        `json:"format"`
	Ground string     `json:"ground"`
	Shoal  string     `json:"shoal"`
	Begun  time.Time  `json:"begun"`
	Owner  process    `json:"owner,omitzero"` // that takes it down when it ends; none: it stays
	Usual  Spec       `json:"usual"`
	Sides  [][]string `json:"sides,omitempty"` // of a partition
	Nodes  []*Node    `json:"nodes"`

	dir string
}

const (
	stateFormat = 1
	maxState    = 16 << 20 // bytes
)

// readState returns ErrNone if the folder holds no Net.
func readState(dir string) (*state, error) {
	f, err := os.Open(filepath.Join(dir, stateName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNone
	}
	if err != nil {
		return nil, fmt.Errorf("read the state of a test network: %w", err)
	}
	defer f.Close()
	s := &state{dir: dir}
	if err := json.NewDecoder(io.LimitReader(f, maxState)).Decode(s); err != nil {
		return nil, fmt.Errorf("%w: %s: %w", errBroken, f.Name(), err)
	}
	if s.Format != stateFormat {
		return nil, fmt.Errorf("%w: %s has format %d, and this program knows %d", errBroken, f.Name(), s.Format, stateFormat)
	}
	return s, nil
}

// save replaces what is written down.
func (s *state) save() error {
	text, err := json.MarshalIndent(s, "", " ")
	if err != nil {
		return err
	}
	path := filepath.Join(s.dir, stateName)
	if err := os.WriteFile(path+".new", append(text, '\n'), 0o600); err != nil {
		return fmt.Errorf("write the state of the test network: %w", err)
	}
	return os.Rename(path+".new", path)
}

// node finds a node, or says which there are.
func (s *state) node(name string) (*Node, error) {
	for _, n := range s.Nodes {
		if n.Name == name {
			return n, nil
		}
	}
	return nil, fmt.Errorf("%w: there is no node %q here, but %s", ErrRequest, name, s.list())
}

const listed = 12 // names in an error

func (s *state) list() string {
	var names []string
	for _, n := range s.Nodes[:min(len(s.Nodes), listed)] {
		names = append(names, n.Name)
	}
	text := strings.Join(names, ", ")
	if more := len(s.Nodes) - len(names); more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// lockPatience is how long a command waits for another one on the same Net: longer than many nodes take to start.
const lockPatience = time.Minute

// lock lets one process at a time change a Net; it makes the folder if it is not there. The lock lies in the folder, and goes with it.
func lock(ctx context.Context, dir string) (*flock.Flock, error) {
	ctx, cancel := context.WithTimeout(ctx, lockPatience)
	defer cancel()
	for {
		l, err := lockOnce(ctx, dir)
		switch {
		case errors.Is(err, context.DeadlineExceeded):
			return nil, fmt.Errorf("another command has been at work on this test network for %v: wait for it, or end it", lockPatience)
		case err != nil && !errors.Is(err, fs.ErrNotExist): // as when somebody removes the folder in between
			return nil, fmt.Errorf("lock the test network: %w", err)
		case err == nil && l != nil:
			return l, nil
		}
	}
}

// lockOnce returns nothing if the lock was removed with its folder while it waited.
func lockOnce(ctx context.Context, dir string) (*flock.Flock, error) {
	if err := errors.Join(ctx.Err(), os.MkdirAll(dir, 0o700)); err != nil {
		return nil, err
	}
	path := filepath.Join(dir, lockName)
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	defer f.Close() // while it is open, no other file can be taken for it
	l := flock.New(path, flock.SetPermissions(0o600))
	if _, err := l.TryLockContext(ctx, 20*time.Millisecond); err != nil {
		return nil, err
	}
	mine, err := f.Stat()
	now, gone := os.Stat(path)
	if err != nil || gone != nil || !os.SameFile(mine, now) {
		return nil, l.Close()
	}
	return l, nil
}

// removeFolder removes what Up made, and the folder if nothing else is in it. The lock goes last.
func removeFolder(dir string, l *flock.Flock) error {
	for _, name := range []string{nodesName, linksName, stateName, stateName + ".new"} {
		if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
			return fmt.Errorf("remove the test network: %w", err)
		}
	}
	err := os.Remove(filepath.Join(dir, lockName))
	if closed := l.Close(); err != nil { // a system that cannot remove what is open
		err = errors.Join(closed, os.Remove(filepath.Join(dir, lockName)))
	}
	if err == nil {
		err = os.Remove(dir)
	}
	if err != nil {
		return fmt.Errorf("remove the folder of the test network: %w", err)
	}
	return nil
}

// Ours reports whether a folder holds nothing but what a Net puts there.
func Ours(dir string) (bool, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil
	}
	known := []string{stateName, stateName + ".new", lockName, nodesName, linksName}
	return err == nil && !slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return !slices.Contains(known, e.Name()) }), err
}
