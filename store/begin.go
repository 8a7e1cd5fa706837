package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/shoal-p2p/shoal/content"
)

// Dest says where a download goes.
type Dest struct {
	Path  string // absolute; its last part is the name of what is fetched
	Sub   string // of the tree what to fetch, as a path inside it; "" is all of it
	Force bool   // replace what is there: a file by a file, and in a directory those files that the tree has too
}

// Begin prepares a download: it looks at what lies at the destination, adopts an unfinished part, and makes room for the
// rest. Everything that it counts as present it has hashed.
//
// What is at the destination already and has the right content is a download with nothing wanted, and Commit just indexes
// it. Errors: ErrExists if something else is there and is not to be replaced; ErrRefused if the destination cannot be written
// to; ErrNoSpace; ErrNotFound if the tree has no such path.
//
// The caller ends a download with Commit or Close.
func (s *Store) Begin(ctx context.Context, t *content.Tree, dst Dest, p *Progress) (*Download, error) {
	if p == nil {
		p = new(Progress)
	}
	d := &Download{s: s, tree: t, path: filepath.Clean(dst.Path), force: dst.Force}
	err := d.begin(ctx, dst.Sub, p)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("fetch to %s: %w", dst.Path, err), d.Close())
	}
	return d, nil
}

func (d *Download) begin(ctx context.Context, sub string, p *Progress) error {
	if err := d.choose(sub); err != nil {
		return err
	}
	if err := d.s.touch(d.tree.Root); err != nil {
		return err
	}
	if err := d.enter(); err != nil {
		return err
	}
	there, err := d.look()
	if err != nil {
		return err
	}
	d.plan()
	if there {
		if err := d.compare(ctx, p); err != nil || d.complete {
			return err
		}
	} else if err := d.allowed(); err != nil {
		return err
	}
	adopt, err := d.openPart()
	if err != nil {
		return err
	}
	if adopt {
		err = d.adopt(ctx, p)
	}
	if err == nil {
		d.settle()
		err = d.reserve()
	}
	if err == nil {
		err = d.makeDirs()
	}
	if err != nil && !adopt {
		d.letGo()
		err = errors.Join(err, d.parent.RemoveAll(d.stage)) // there is nothing in it to go on with
	}
	return err
}

// choose finds the entry that is to be fetched.
func (d *Download) choose(sub string) error {
	i, ok := d.tree.Find(sub)
	if !ok {
		return fmt.Errorf("%w: there is no %s in it", ErrNotFound, content.Printable(sub))
	}
	e := d.tree.Entry(i)
	if e.Kind == content.Symlink {
		return fmt.Errorf("%w: it is a symbolic link to %s, which is not made", ErrRefused, content.Printable(e.Target))
	}
	d.entry, d.isDir, d.root = i, e.Kind == content.Dir, e.CID
	return nil
}

// enter opens the directory that the destination lies in.
func (d *Download) enter() error {
	d.name = filepath.Base(d.path)
	parent := filepath.Dir(d.path)
	switch {
	case !filepath.IsAbs(d.path), parent == d.path:
		return fmt.Errorf("%w: this is no path for a file", ErrRefused)
	case content.IsStageName(d.name):
		return fmt.Errorf("%w: this is a name for unfinished downloads", ErrRefused)
	}
	info, err := os.Stat(parent)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w: the directory %s does not exist", ErrRefused, parent)
	case err != nil:
		return fmt.Errorf("%w: %s", ErrRefused, reason(err))
	case !info.IsDir():
		return fmt.Errorf("%w: %s is not a directory", ErrRefused, parent)
	}
	if real, err := filepath.EvalSymlinks(parent); err == nil {
		parent = real
	}
	d.path = filepath.Join(parent, d.name)
	if within(d.s.home, parent) {
		return fmt.Errorf("%w: this is the node's own home", ErrRefused)
	}
	if d.parent, err = os.OpenRoot(parent); err == nil {
		d.parentDir, err = d.parent.Open(".")
	}
	if err != nil {
		return fmt.Errorf("%w: %s", ErrRefused, reason(err))
	}
	return nil
}

// allowed keeps a new file out of a directory that is shared: it would no longer be what its CID says.
func (d *Download) allowed() error {
	d.s.mu.RLock()
	defer d.s.mu.RUnlock()
	if _, err := d.parent.Lstat(d.name); err == nil {
		return nil
	}
	for _, h := range d.s.holdings {
		for _, b := range h.Bases {
			if h.Origin == Shared && b.Dir && b.Path != d.path && within(b.Path, d.path) {
				return fmt.Errorf("%w: %s is shared, and would no longer be what its CID says", ErrRefused, b.Path)
			}
		}
	}
	return nil
}

// target is one file to be written.
type target struct {
	entry  int // of the tree
	path   string
	dir    int   // of the download's directories
	size   int64 // bytes
	single bool  // all of it is one chunk, so it is made, written and closed at once
	final  bool  // it lies at the destination already

	gen  generation // once all of it is known to be right
	racy bool
}

// spot is where a piece of a chunk belongs.
type spot struct {
	target uint32
	offset int64
}

// plan lists the files and directories to make, and where each chunk belongs.
func (d *Download) plan() {
	top := d.tree.Entry(d.entry).Path
	dirs := map[string]int{".": 0}
	d.dirs = []string{"."}
	twins := d.twins()
	unsafe := "" // the entry that was left out last
	for i := d.entry; i < d.tree.Under(d.entry); i++ {
		e := d.tree.Entry(i)
		rel := strings.TrimPrefix(strings.TrimPrefix(e.Path, top), "/")
		path := filepath.FromSlash(rel)
		switch {
		case i == d.entry:
		case unsafe != "" && strings.HasPrefix(e.Path, unsafe+"/"):
			continue // its directory was left out
		case e.Unsafe != nil:
			d.leaveOut(e.Path, e.Unsafe.Error())
			unsafe = e.Path
			continue
		case twins != nil && !twins.first(e.Path):
			d.leaveOut(e.Path, "this file system cannot tell its name from that of a file beside it")
			unsafe = e.Path
			continue
		case d.merge && rel[0] == '.':
			d.leaveOut(e.Path, "a hidden name, which is not put into a directory that was there before")
			unsafe = e.Path
			continue
		}
		switch e.Kind {
		case content.Symlink:
			d.leaveOut(e.Path, "a symbolic link to "+content.Printable(e.Target)+", which is not made")
		case content.Dir:
			if i != d.entry {
				dirs[path] = len(d.dirs)
				d.dirs = append(d.dirs, path)
			}
		case content.File:
			if i == d.entry {
				path = d.name
			}
			d.targets = append(d.targets, target{
				entry: i, path: path, dir: dirs[filepath.Dir(path)], size: e.Size, single: len(d.tree.Pieces(i)) == 1,
			})
		}
	}
	d.placeChunks()
}

func (d *Download) leaveOut(path, why string) { d.skipped = append(d.skipped, Skipped{path, why}) }

// placeChunks makes the table of where each chunk belongs.
func (d *Download) placeChunks() {
	n := d.tree.NumChunks()
	d.selected, d.have = content.NewSet(n), content.NewSet(n)
	d.first = make([]uint32, n+1)
	for _, t := range d.targets {
		for _, p := range d.tree.Pieces(t.entry) {
			d.first[p.Chunk+1]++
			d.selected.Add(int(p.Chunk))
		}
	}
	for i := range n {
		d.first[i+1] += d.first[i]
	}
	d.spots, d.left = make([]spot, d.first[n]), make([]uint32, n)
	for i := range n {
		d.left[i] = d.first[i+1] - d.first[i]
	}
	used := make([]uint32, n)
	for i, t := range d.targets {
		for _, p := range d.tree.Pieces(t.entry) {
			d.spots[d.first[p.Chunk]+used[p.Chunk]] = spot{uint32(i), p.Offset}
			used[p.Chunk]++
		}
	}
	for i := d.selected.NextSet(0); i >= 0; i = d.selected.NextSet(i + 1) {
		d.size += int64(d.tree.ChunkLen(uint32(i)))
	}
}

func (d *Download) spotsOf(n uint32) []spot { return d.spots[d.first[n]:d.first[n+1]] }

// look says whether something lies at the destination whose content must be compared.
func (d *Download) look() (bool, error) {
	info, err := d.parent.Lstat(d.name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("%w: %s", ErrRefused, reason(err))
	case info.IsDir() && d.isDir:
		d.merge = d.force
		d.final, err = d.parent.OpenRoot(d.name)
		if err != nil {
			return false, fmt.Errorf("%w: %s", ErrRefused, reason(err))
		}
		return true, nil
	case info.Mode().IsRegular() && !d.isDir:
		return true, nil
	case info.Mode().IsRegular():
		return false, fmt.Errorf("%w: it is a file, and a directory is to be fetched", ErrExists)
	case info.Mode()&fs.ModeSymlink != 0 && !d.isDir && d.force:
		return false, nil // the link is replaced, not what it points to
	}
	return false, fmt.Errorf("%w: it %w", ErrExists, errKind(info.Mode()))
}
