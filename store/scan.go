package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"unicode/utf8"

	"golang.org/x/sync/errgroup"

	"github.com/shoal-p2p/shoal/content"
)

// source is one path that a user shares.
type source struct {
	base base
	name string // in the tree, if the path is one of several
	tree *directory
	file *regular // instead of tree
}

// directory is what a scan found in one directory.
type directory struct {
	path  string // below the base's directory, "." for that itself
	dirs  []*directory
	files []*regular
	links []symlink
}

type symlink struct{ name, target string }

// regular is one file to be hashed.
type regular struct {
	path string // below the base's directory
	size int64  // bytes, when it was last looked at

	gen    generation
	racy   bool
	known  bool // from an earlier share, not read now
	made   content.Made
	pieces []content.Digest // of files with more than one chunk, until they are made
	failed error            // why it is left out
}

func (d *directory) name() string { return filepath.Base(d.path) }
func (f *regular) name() string   { return filepath.Base(f.path) }

// scanner walks shared directories.
type scanner struct {
	home   string
	hidden bool
	pseudo uint64 // device of /dev, which no share may reach into
	p      *Progress
	group  *errgroup.Group
	ctx    context.Context

	mu      sync.Mutex // guards what follows
	skipped []Skipped
}

// maxDepth is how many directories may lie in each other below a path, so that with a file's name, and the path's own name
// where there are several paths, nobody's content.Budget is exceeded.
const maxDepth = 62

func (s *Store) newScanner(ctx context.Context, o AddOptions, p *Progress) *scanner {
	sc := &scanner{home: s.home, hidden: o.Hidden, p: p}
	sc.group, sc.ctx = errgroup.WithContext(ctx)
	sc.group.SetLimit(s.workers)
	if dev, err := os.OpenRoot("/dev"); err == nil {
		sc.pseudo, _, _ = identify(dev)
		dev.Close()
	}
	if root, err := os.OpenRoot("/"); err == nil {
		if d, _, _ := identify(root); d == sc.pseudo {
			sc.pseudo = 0
		}
		root.Close()
	}
	return sc
}

// scan finds everything below the paths. It reads directories and looks at sizes, and opens no file.
func (sc *scanner) scan(paths []string) ([]*source, error) {
	var all []*source
	for _, p := range paths {
		src, dir, err := sc.open(p)
		if err != nil {
			return nil, err
		}
		all = append(all, src)
		if src.tree == nil {
			dir.Close()
			continue
		}
		sc.group.Go(func() error {
			defer dir.Close()
			return sc.read(dir, src.tree, src.base.Path, 0)
		})
	}
	if err := sc.group.Wait(); err != nil {
		return nil, err
	}
	return all, nil
}

// open looks at a path that a user named, and refuses what must not be shared. Symbolic links in the path itself are
// followed: a user means what they point to.
func (sc *scanner) open(path string) (*source, *os.Root, error) {
	named, err := filepath.Abs(path)
	if err != nil {
		return nil, nil, fmt.Errorf("share %s: %w", path, err)
	}
	real, err := filepath.EvalSymlinks(named)
	if err != nil {
		return nil, nil, fmt.Errorf("share %s: %w: %s", path, ErrRefused, reason(err))
	}
	info, err := os.Lstat(real)
	if err != nil {
		return nil, nil, fmt.Errorf("share %s: %w: %s", path, ErrRefused, reason(err))
	}
	src := &source{base: base{Path: real, Dir: info.IsDir()}, name: filepath.Base(named)}
	refuse := func(why string) (*source, *os.Root, error) {
		return nil, nil, fmt.Errorf("share %s: %w: %s", path, ErrRefused, why)
	}
	if !info.IsDir() && !info.Mode().IsRegular() {
		return refuse("it " + errKind(info.Mode()).Error())
	}
	if within(sc.home, real) {
		return refuse("it is this node's own home, where its key lies")
	}
	if why := forbidden(real); why != "" {
		return refuse(why)
	}
	if !utf8.ValidString(src.name) {
		return refuse("its name is not UTF-8")
	}
	if content.IsStageName(src.name) {
		return refuse("it is an unfinished download")
	}
	dir, err := os.OpenRoot(src.base.dir())
	if err != nil {
		return refuse(reason(err))
	}
	if why := sc.unreal(dir, 0); why != "" {
		dir.Close()
		return refuse(why)
	}
	if src.base.device, src.base.inode, err = identify(dir); err != nil {
		dir.Close()
		return refuse(reason(err))
	}
	if info.IsDir() {
		src.tree = &directory{path: "."}
	} else {
		src.file = &regular{path: filepath.Base(real), size: info.Size()}
		sc.p.Total.Add(info.Size())
	}
	return src, dir, nil
}

// within says that path is dir or lies in it.
func within(dir, path string) bool {
	rel, err := filepath.Rel(dir, path)
	return err == nil && rel != ".." && !strings.HasPrefix(rel, ".."+string(filepath.Separator))
}

// forbidden says why a path must not be shared, by its name alone.
func forbidden(path string) string {
	if filepath.Dir(path) == path {
		return "it is the root of the file system"
	}
	for _, p := range []string{"/proc", "/sys"} {
		if within(p, path) {
			return "the kernel makes up what is in " + p
		}
	}
	if path == "/dev" {
		return "it holds devices"
	}
	return ""
}

// unreal says why what is in a directory is no content. above is the device of the directory above, where it is known.
func (sc *scanner) unreal(dir *os.Root, above uint64) string {
	device, _, err := identify(dir)
	if err != nil || device == above {
		return ""
	}
	if device == sc.pseudo && sc.pseudo != 0 {
		return "it holds devices"
	}
	f, err := dir.Open(".")
	if err != nil {
		return ""
	}
	defer f.Close()
	if name := pseudo(f); name != "" {
		return "the kernel makes up what is in a file system of type " + name
	}
	return ""
}

func (sc *scanner) skip(base, path string, why string) {
	sc.mu.Lock()
	defer sc.mu.Unlock()
	sc.skipped = append(sc.skipped, Skipped{Path: filepath.Join(base, path), Reason: why})
}

// read reads one directory and everything below it. A symbolic link is content, and never followed, so there are no loops.
func (sc *scanner) read(dir *os.Root, d *directory, base string, depth int) error {
	if err := sc.ctx.Err(); err != nil {
		return err
	}
	entries, err := readDir(dir)
	if err != nil {
		if depth == 0 {
			return fmt.Errorf("share %s: %w: %s", base, ErrRefused, reason(err))
		}
		sc.skip(base, d.path, reason(err))
	}
	device, _, _ := identify(dir)
	for _, e := range entries {
		name := e.Name()
		path := filepath.Join(d.path, name)
		switch why := sc.leaveOut(base, path, name, depth); {
		case why == silent:
			continue
		case why != "":
			sc.skip(base, path, why)
			continue
		}
		switch e.Type() {
		case 0:
			info, err := dir.Lstat(name)
			if err != nil {
				sc.skip(base, path, reason(err))
				continue
			}
			sc.p.Total.Add(info.Size())
			d.files = append(d.files, &regular{path: path, size: info.Size()})
		case fs.ModeSymlink:
			target, err := dir.Readlink(name)
			if err != nil {
				sc.skip(base, path, reason(err))
				continue
			}
			d.links = append(d.links, symlink{name, target})
		case fs.ModeDir:
			if err := sc.descend(dir, d, base, path, device, depth); err != nil {
				return err
			}
		default:
			sc.skip(base, path, errKind(e.Type()).Error())
		}
	}
	return nil
}

func readDir(dir *os.Root) ([]fs.DirEntry, error) {
	f, err := dir.Open(".")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return f.ReadDir(-1)
}

// silent is the reason of what is left out without a word: that is what was asked for.
const silent = "hidden"

// leaveOut says why a name is not shared, or "" if it is.
func (sc *scanner) leaveOut(base, path, name string, depth int) string {
	switch {
	case content.IsStageName(name):
		if sc.hidden {
			return "it is an unfinished download"
		}
		return silent
	case name[0] == '.' && !sc.hidden:
		return silent
	case !utf8.ValidString(name):
		return "its name is not UTF-8"
	case filepath.Join(base, path) == sc.home:
		return "it is this node's own home, where its key lies"
	}
	return ""
}

// descend reads a directory below d, in another goroutine if one is free.
func (sc *scanner) descend(dir *os.Root, d *directory, base, path string, device uint64, depth int) error {
	if depth >= maxDepth {
		sc.skip(base, path, "it lies too deep for anybody to read it back")
		return nil
	}
	child, err := dir.OpenRoot(filepath.Base(path))
	if err != nil {
		sc.skip(base, path, reason(err))
		return nil
	}
	if why := sc.unreal(child, device); why != "" {
		child.Close()
		sc.skip(base, path, why)
		return nil
	}
	sub := &directory{path: path}
	d.dirs = append(d.dirs, sub)
	read := func() error {
		defer child.Close()
		return sc.read(child, sub, base, depth+1)
	}
	if sc.group.TryGo(read) {
		return nil
	}
	return read()
}

var errNames = errors.New("two of the paths have the same name")
