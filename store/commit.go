package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/shoal-p2p/shoal/content"
	"github.com/shoal-p2p/shoal/store/fault"
)

// Commit makes a download final: all of it to the disk, then its name, then the name to the disk, then the index. When it
// returns an error nothing is lost, and the next attempt goes on from there. Errors: ErrIncomplete; ErrExists if something
// appeared at the destination meanwhile; those of the disk. After it, without an error, the download is closed.
func (d *Download) Commit(ctx context.Context) (Share, error) {
	share, err := d.commit(ctx)
	if err != nil {
		return Share{}, fmt.Errorf("fetch to %s: %w", d.path, err)
	}
	return share, d.Close()
}

func (d *Download) commit(ctx context.Context) (Share, error) {
	if err := d.quiesce(); err != nil {
		return Share{}, err
	}
	if err := ctx.Err(); err != nil {
		return Share{}, err
	}
	tree, nodes, err := d.shape(ctx)
	if err != nil {
		return Share{}, err
	}
	if !d.complete {
		if err := d.land(); err != nil {
			return Share{}, err
		}
	}
	share, err := d.enroll(tree, nodes)
	if err == nil && d.complete {
		d.clear()
	}
	return share, err
}

// clear removes the part of a former attempt that ended when everything had its final name. It takes nothing but room: if it
// cannot be removed it stays.
func (d *Download) clear() {
	stage := content.StageName(d.name, d.root)
	if _, err := d.parent.Lstat(stage); err != nil {
		return
	}
	if _, err := d.openPart(); err != nil {
		return // another process is at it, or it is not ours
	}
	if d.letGo() == nil {
		_ = d.parent.RemoveAll(stage)
	}
}

// quiesce waits for what is still being written to the disk, and makes sure that all is there.
func (d *Download) quiesce() error {
	d.mu.Lock()
	missing := 0
	for n := d.selected.NextSet(0); n >= 0; n = d.selected.NextSet(n + 1) {
		if !d.have.Has(n) {
			missing++
		}
	}
	err := d.failed
	switch {
	case d.closed || d.ending:
		err = ErrClosed
	case err == nil && missing > 0:
		err = fmt.Errorf("%w: %d of them", ErrIncomplete, missing)
	}
	if err != nil {
		d.mu.Unlock()
		return err
	}
	d.ending = true // no more syncs in the background
	if d.timer != nil {
		d.timer.Stop()
	}
	d.mu.Unlock()
	d.syncing.Wait()
	return d.usable()
}

// land brings a whole download to its destination.
func (d *Download) land() error {
	fault.Point("K9")
	if err := d.sync(true); err != nil {
		return err
	}
	if err := d.vouch(); err != nil {
		return err
	}
	if runtime.GOOS == "windows" {
		d.letGo() // what is open cannot be renamed there
	}
	fault.Point("K10")
	var err error
	switch {
	case d.merge:
		err = d.mergeAll()
	case d.force:
		err = d.parent.Rename(d.stage, d.name)
	default:
		err = renameNew(d.parentDir, d.stage, d.name)
	}
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%w: something else is there by now", ErrExists)
	}
	if err != nil {
		return diskError(err)
	}
	fault.Point("K11")
	if err := syncDir(d.parentDir); err != nil {
		return diskError(err)
	}
	return d.revouch()
}

// vouch takes down the generation of every file that was written, before it gets its name. Nobody but us has a reason to
// touch it until then. Its bytes were hashed before they were written or when they were adopted.
func (d *Download) vouch() error {
	d.mu.Lock()
	last := d.last
	d.mu.Unlock()
	if wait := shortTick - time.Since(last); wait > 0 {
		time.Sleep(wait) // so that a later change has another time
	}
	tick := shortTick
	if d.part != nil {
		tick = tickOf(d.part)
	} else {
		tick = tickOf(d.stagedDir)
	}
	var near nearby
	defer near.close()
	for i := range d.targets {
		t := &d.targets[i]
		if t.final {
			continue
		}
		now := time.Now()
		var err error
		if d.part != nil {
			t.gen, err = generationOf(d.part)
		} else {
			t.gen, _, err = near.generation(d.staged, 0, t.path)
		}
		if err == nil && t.gen.size != t.size {
			err = errSize
		}
		if err != nil {
			return fmt.Errorf("%s: %w", t.path, cmp.Or(err, errSize))
		}
		t.racy = t.gen.racy(now, tick)
	}
	return nil
}

// revouch looks again at files that were renamed one by one, which changes the time of their inode. One that was also changed
// otherwise is not certain.
func (d *Download) revouch() error {
	if d.isDir && !d.merge {
		return nil
	}
	dir := d.parent
	if d.isDir {
		dir = d.final
	}
	var near nearby
	defer near.close()
	for i := range d.targets {
		t := &d.targets[i]
		if t.final {
			continue
		}
		gen, _, err := near.generation(dir, 0, t.path)
		if err != nil {
			return err
		}
		if gen.sameData(t.gen) {
			t.gen = gen
		} else {
			t.racy = true
		}
	}
	return nil
}

// mergeAll moves the files of a tree into a directory that was there before, one by one.
func (d *Download) mergeAll() error {
	for _, p := range d.dirs[1:] {
		err := d.final.Mkdir(p, 0o777)
		if err == nil || !errors.Is(err, fs.ErrExist) {
			if err != nil {
				return err
			}
			continue
		}
		if info, err := d.final.Lstat(p); err != nil || !info.IsDir() {
			return cmp.Or(err, fmt.Errorf("%w: %s is no directory", ErrExists, filepath.Join(d.path, p)))
		}
	}
	for _, t := range d.targets {
		if t.final {
			continue
		}
		if err := d.parent.Rename(filepath.Join(d.stage, t.path), filepath.Join(d.name, t.path)); err != nil {
			return err
		}
		fault.Point("K11")
	}
	for _, p := range d.dirs {
		if err := syncDirAt(d.final, p); err != nil {
			return err
		}
	}
	return d.parent.RemoveAll(d.stage)
}

func syncDirAt(root *os.Root, path string) error {
	dir, err := root.Open(path)
	if err != nil {
		return err
	}
	return cmp.Or(syncDir(dir), dir.Close())
}

// fewFiles is how many files are written to the disk one by one, which spares others on the same disk the wait for theirs.
const fewFiles = 16

// sync writes what the download has so far to the disk. With all, every last byte and name of it.
func (d *Download) sync(all bool) (err error) {
	defer func() {
		if err != nil {
			// What the disk did not take it may never get. The next attempt must see what is on it, not what was meant to be.
			d.eachFile(func(f *os.File) error { forget(f); return nil })
			err = fmt.Errorf("write to disk: %w", diskError(err))
		}
	}()
	if d.part != nil {
		return d.s.sync(d.part)
	}
	if len(d.targets) > fewFiles {
		err := d.s.syncAll(d.stagedDir)
		if !errors.Is(err, errors.ErrUnsupported) {
			return err
		}
	}
	if err := d.eachFile(d.s.sync); err != nil || !all {
		return err
	}
	for _, p := range d.dirs {
		if err := syncDirAt(d.staged, p); err != nil {
			return err
		}
	}
	return nil
}

// eachFile calls f with every file that was written, open.
func (d *Download) eachFile(f func(*os.File) error) error {
	if d.part != nil {
		return f(d.part)
	}
	for _, t := range d.targets {
		if t.final {
			continue
		}
		file, err := d.staged.OpenFile(t.path, os.O_RDWR|openFlags, 0)
		if errors.Is(err, fs.ErrNotExist) {
			continue // it has yet to come
		}
		if err != nil {
			return err
		}
		err = f(file)
		if err := cmp.Or(err, file.Close()); err != nil {
			return err
		}
	}
	return nil
}

// shape returns the tree of what was fetched, and its nodes.
func (d *Download) shape(ctx context.Context) (tree *content.Tree, nodes []content.Block, err error) {
	tree, err = walk(ctx, d.root, func(c cid.Cid) ([]byte, error) {
		data, err := d.node(c)
		nodes = append(nodes, content.Block{CID: c, Data: data})
		return data, err
	})
	return tree, nodes, err
}

// enroll puts the files, which lie at their destination, into the index.
func (d *Download) enroll(tree *content.Tree, nodes []content.Block) (Share, error) {
	b := base{Path: d.path, Dir: d.isDir}
	dir, err := os.OpenRoot(b.dir())
	if err == nil {
		b.device, b.inode, err = identify(dir)
		dir.Close()
	}
	if err != nil {
		return Share{}, err
	}
	h := holding{
		Root: d.root, Origin: Fetched, Name: d.name, Added: time.Now(), Bytes: tree.Size, Files: tree.Files, Bases: []base{b},
	}
	files := make([]indexed, 0, len(d.targets))
	for _, t := range d.targets {
		inTree := ""
		if d.isDir {
			inTree = path.Clean(filepath.ToSlash(t.path))
		}
		no, ok := tree.Find(inTree)
		if !ok {
			return Share{}, fmt.Errorf("%w: %s", ErrNotFound, inTree)
		}
		files = append(files, indexed{uint32(no), fileRow{path: t.path, gen: t.gen, racy: t.racy}, true})
	}
	var access func(content.Access, bool) content.Access
	if !d.root.Equals(d.tree.Root) {
		access = d.s.inherit(d.tree.Root)
	}
	fault.Point("K12")
	if h, err = d.s.install(h, inventory{tree, files, nodes, access}); err != nil {
		return Share{}, err
	}
	return d.s.shareOf([]holding{h}), nil
}

// node finds an inner node in the index, and a root that is a bare leaf in what was fetched.
func (d *Download) node(c cid.Cid) ([]byte, error) {
	data, err := d.s.Node(c)
	digest, ok := content.DigestOf(c)
	if err == nil || !ok || c.Prefix().Codec != cid.Raw {
		return data, err
	}
	for n := d.selected.NextSet(0); n >= 0; n = d.selected.NextSet(n + 1) {
		if d.tree.Digest(uint32(n)) == digest {
			buf := make([]byte, d.tree.ChunkLen(uint32(n)))
			got, err := d.readHeld(uint32(n), buf)
			return buf[:got], err
		}
	}
	return nil, err
}
