package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"

	"golang.org/x/text/unicode/norm"

	"github.com/shoal-p2p/shoal/content"
	"github.com/shoal-p2p/shoal/store/fault"
)

var errSize = errors.New("has another size")

// compare finds out which files at the destination are what is to be fetched. If all are, the download is complete. Otherwise
// that is ErrExists, or with Force the others are to be replaced.
func (d *Download) compare(ctx context.Context, p *Progress) error {
	dir := d.parent
	whole := true
	if d.final != nil {
		dir = d.final
		var err error
		if whole, err = d.finalDirs(); err != nil {
			return err
		}
	}
	v := &verifier{tree: d.tree, p: p}
	for i, t := range d.targets {
		p.Total.Add(t.size)
		v.files = append(v.files, &suspect{id: i, pieces: d.tree.Pieces(t.entry), open: func() (*os.File, error) {
			return openSized(dir, t.path, t.size)
		}})
	}
	var mu sync.Mutex
	v.wrong = func(f *suspect) error {
		var kind errKind
		if d.force && !(errors.As(f.err, &kind) && fs.FileMode(kind).IsDir()) {
			return nil
		}
		return fmt.Errorf("%w: %s is not what is to be fetched", ErrExists, d.targets[f.id].path)
	}
	v.ended = func(f *suspect, in *os.File) error {
		now, err := f.gen, f.err
		if err == nil {
			now, err = generationOf(in)
		}
		mu.Lock()
		defer mu.Unlock()
		if err != nil || len(f.bad) > 0 || now != f.gen {
			whole = false
			return v.wrong(f)
		}
		t := &d.targets[f.id]
		t.final, t.gen, t.racy = true, now, f.racy(in)
		d.found(f)
		return nil
	}
	if err := v.run(ctx, d.s.workers); err != nil {
		return err
	}
	if whole {
		d.complete = true
		d.settle()
	}
	return nil
}

// finalDirs says whether the destination has all directories of the tree. Something else in the place of one is an error.
func (d *Download) finalDirs() (bool, error) {
	for _, p := range d.dirs[1:] {
		info, err := d.final.Lstat(p)
		switch {
		case err == nil && !info.IsDir():
			return false, fmt.Errorf("%w: %s is no directory", ErrExists, filepath.Join(d.path, p))
		case errors.Is(err, fs.ErrNotExist) && d.force:
			return false, nil
		case err != nil:
			return false, fmt.Errorf("%w: %s %s", ErrExists, filepath.Join(d.path, p), reason(err))
		}
	}
	return true, nil
}

// openSized opens a file for reading that must have a size in bytes and a path without symbolic links.
func openSized(dir *os.Root, path string, size int64) (*os.File, error) {
	if err := unlinked(dir, path); err != nil {
		return nil, err
	}
	in, err := openShared(dir, path)
	if err != nil {
		return nil, err
	}
	if info, err := in.Stat(); err != nil || info.Size() != size {
		in.Close()
		return nil, cmp.Or(err, errSize)
	}
	return in, nil
}

// found counts the pieces of a file that were hashed and are right.
func (d *Download) found(f *suspect) {
	bad := make(map[int]bool, len(f.bad))
	for _, i := range f.bad {
		bad[i] = true
	}
	for i, p := range f.pieces {
		if !bad[i] {
			d.left[p.Chunk]--
		}
	}
}

// settle turns the count of pieces that are there into the set of chunks that are.
func (d *Download) settle() {
	for n := d.selected.NextSet(0); n >= 0; n = d.selected.NextSet(n + 1) {
		if d.left[n] == 0 {
			d.have.Add(n)
		}
	}
	d.left = nil
}

// openPart opens the unfinished part of a former attempt, or makes a new one, and keeps all others away from it.
func (d *Download) openPart() (adopt bool, err error) {
	d.stage = content.StageName(d.name, d.root)
	key := filepath.Join(filepath.Dir(d.path), d.stage)
	if _, busy := d.s.downloads.LoadOrStore(key, nil); busy {
		return false, fmt.Errorf("%w: it is being fetched already", ErrRefused)
	}
	d.key = key
	if d.isDir {
		adopt, err = d.openStage()
	} else {
		adopt, err = d.openFile()
	}
	if errors.Is(err, fs.ErrPermission) || isReadOnly(err) {
		err = fmt.Errorf("%w: %s cannot be written to: %s", ErrRefused, filepath.Dir(d.path), reason(err))
	}
	return adopt, diskError(err)
}

// openFile opens the part of a single file, which has the file's length from the start.
func (d *Download) openFile() (adopt bool, err error) {
	d.part, err = d.parent.OpenFile(d.stage, os.O_RDWR|os.O_CREATE|os.O_EXCL|openFlags, 0o666)
	if adopt = errors.Is(err, fs.ErrExist); adopt {
		var before, info fs.FileInfo
		if before, err = d.parent.Lstat(d.stage); err != nil {
			return adopt, err
		}
		if err := d.acceptable(before, before.Mode().IsRegular()); err != nil {
			return adopt, err
		}
		if d.part, err = d.parent.OpenFile(d.stage, os.O_RDWR|openFlags, 0); err != nil {
			return adopt, err
		}
		if info, err = d.part.Stat(); err == nil && !os.SameFile(before, info) {
			err = fmt.Errorf("%w: %s is being exchanged", ErrRefused, d.stage)
		}
	}
	if err != nil {
		return adopt, err
	}
	if err := d.own(d.part); err != nil {
		return adopt, err
	}
	fault.Point("K5")
	makeSparse(d.part)
	return adopt, d.part.Truncate(d.targets[0].size)
}

// openStage opens the directory in which a tree is collected.
func (d *Download) openStage() (adopt bool, err error) {
	err = d.parent.Mkdir(d.stage, 0o777)
	if adopt = errors.Is(err, fs.ErrExist); !adopt && err != nil {
		return false, err
	}
	fault.Point("K5")
	before, err := d.parent.Lstat(d.stage)
	if err != nil {
		return adopt, err
	}
	if err := d.acceptable(before, before.IsDir()); err != nil {
		return adopt, err
	}
	if d.staged, err = d.parent.OpenRoot(d.stage); err != nil {
		return adopt, err
	}
	if d.stagedDir, err = d.staged.Open("."); err != nil {
		return adopt, err
	}
	if info, err := d.stagedDir.Stat(); err != nil || !os.SameFile(before, info) {
		return adopt, cmp.Or(err, fmt.Errorf("%w: %s is being exchanged", ErrRefused, d.stage))
	}
	d.openDirs = newHandles[int, *os.Root](openDirs, openIdle)
	d.openFiles = newHandles[int, *os.File](openDirs, openIdle)
	return adopt, d.own(d.stagedDir)
}

// acceptable refuses a part that this program did not leave there: writing to it could write to something else.
func (d *Download) acceptable(info fs.FileInfo, kind bool) error {
	n, ours := links(info)
	switch {
	case !kind:
		return fmt.Errorf("%w: %s is in the way", ErrRefused, d.stage)
	case !ours:
		return fmt.Errorf("%w: %s belongs to another user", ErrRefused, d.stage)
	case n != 1 && !info.IsDir():
		return fmt.Errorf("%w: %s has a second name somewhere", ErrRefused, d.stage)
	}
	return nil
}

// own keeps other processes, which may have another home, from the part.
func (d *Download) own(f *os.File) error {
	if err := lockFile(f); err != nil {
		return fmt.Errorf("%w: another process is fetching it", ErrRefused)
	}
	return nil
}

// adopt hashes what the disk has of an unfinished part. Files that cannot be what is left of one are removed.
func (d *Download) adopt(ctx context.Context, p *Progress) error {
	v := &verifier{tree: d.tree, p: p, holes: true}
	for i, t := range d.targets {
		if t.final {
			continue
		}
		f := &suspect{id: i, pieces: d.tree.Pieces(t.entry)}
		if d.isDir {
			f.open = func() (*os.File, error) { return d.leftover(t) }
		} else {
			f.open = func() (*os.File, error) { return d.parent.OpenFile(d.stage, os.O_RDONLY|openFlags, 0) }
		}
		v.files = append(v.files, f)
		p.Total.Add(t.size)
	}
	var mu sync.Mutex
	v.ended = func(f *suspect, _ *os.File) error {
		mu.Lock()
		defer mu.Unlock()
		if f.err == nil {
			d.found(f)
		}
		return nil
	}
	return v.run(ctx, d.s.workers)
}

// leftover opens a file of an unfinished tree.
func (d *Download) leftover(t target) (*os.File, error) {
	info, err := d.staged.Lstat(t.path)
	if err != nil {
		return nil, err
	}
	n, _ := links(info)
	if info.Mode().IsRegular() && n == 1 && info.Size() == t.size {
		return openSized(d.staged, t.path, t.size)
	}
	if err := d.staged.RemoveAll(t.path); err != nil {
		return nil, err
	}
	return nil, fs.ErrNotExist
}

// makeDirs makes the directories of a tree in its stage.
func (d *Download) makeDirs() error {
	if !d.isDir {
		return nil
	}
	for _, p := range d.dirs[1:] {
		err := d.staged.Mkdir(p, 0o777)
		if !errors.Is(err, fs.ErrExist) {
			if err != nil {
				return diskError(err)
			}
			continue
		}
		if info, err := d.staged.Lstat(p); err != nil || info.IsDir() {
			if err != nil {
				return err
			}
			continue
		}
		if err := cmp.Or(d.staged.Remove(p), d.staged.Mkdir(p, 0o777)); err != nil {
			return diskError(err)
		}
	}
	return nil
}

// minReserve is what a download leaves free on its disk, where that is not too much for a small one.
const minReserve = 512 << 20 // bytes

// reserve refuses what would fill the disk.
func (d *Download) reserve() error {
	need := int64(0)
	for n := d.selected.NextSet(0); n >= 0; n = d.selected.NextSet(n + 1) {
		if !d.have.Has(n) {
			need += int64(d.tree.ChunkLen(uint32(n))) * int64(len(d.spotsOf(uint32(n))))
		}
	}
	free, err := freeSpace(filepath.Dir(d.path))
	if err != nil {
		return nil // then the disk itself says when it is full
	}
	keep := min(max(free.total/100, minReserve), free.total/10)
	if free.available-keep < need {
		return fmt.Errorf("%w: %d MiB are needed, %d MiB are free, of which %d MiB stay free", ErrNoSpace,
			need>>20, free.available>>20, keep>>20)
	}
	return nil
}

// diskError says of an error that the disk is full, if it is that.
func diskError(err error) error {
	if isFull(err) {
		return fmt.Errorf("%w: %w", ErrNoSpace, err)
	}
	return err
}

// twins finds names that a file system takes for one, because it does not tell large letters from small ones, or one way to
// write an accent from another.
type twins map[string]bool

// first says that no path before this one was its twin.
func (t twins) first(p string) bool {
	key := fold(p)
	if t[key] {
		return false
	}
	t[key] = true
	return true
}

func fold(s string) string { return strings.ToLower(strings.ToUpper(norm.NFC.String(s))) }

// twins returns nil where the file system tells all names apart.
func (d *Download) twins() twins {
	if !d.isDir || !d.s.folds(d.parent, content.StageName("é", d.root)) {
		return nil
	}
	return make(twins)
}

// folds tries with a name that nobody else uses whether a directory tells similar names apart.
func folds(dir *os.Root, probe string) bool {
	f, err := dir.OpenFile(probe, os.O_CREATE|os.O_WRONLY|openFlags, 0o600)
	if err != nil {
		return runtime.GOOS == "darwin" || runtime.GOOS == "windows"
	}
	f.Close()
	defer dir.Remove(probe)
	for _, other := range []string{strings.ToUpper(probe), norm.NFD.String(probe)} {
		if _, err := dir.Lstat(other); err == nil {
			return true
		}
	}
	return false
}
