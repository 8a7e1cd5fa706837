//go:build linux || darwin

package store

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// openFlags keep an open from following a last symbolic link and from waiting for a named pipe's other end.
const openFlags = unix.O_NOFOLLOW | unix.O_NONBLOCK

// generationOf is the generation of an open file.
func generationOf(f *os.File) (generation, error) {
	info, err := f.Stat()
	if err != nil {
		return generation{}, err
	}
	return generationFrom(info), nil
}

// generationAt is the generation of what lies at a path, which is not followed if it is a symbolic link.
func generationAt(root *os.Root, path string) (generation, os.FileMode, error) {
	info, err := root.Lstat(path)
	if err != nil {
		return generation{}, 0, err
	}
	return generationFrom(info), info.Mode(), nil
}

// identify returns the device and inode of a directory.
func identify(root *os.Root) (device, inode uint64, err error) {
	info, err := root.Stat(".")
	if err != nil {
		return 0, 0, err
	}
	g := generationFrom(info)
	return g.device, g.inode, nil
}

// lockFile takes an open file or directory for this process alone, or says at once that another one has it.
func lockFile(f *os.File) error { return unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) }

// links is the number of names that a file has, and whether it belongs to the user of this process.
func links(info os.FileInfo) (n int, ours bool) {
	s, ok := info.Sys().(*unixStat)
	if !ok {
		return 1, true
	}
	return int(s.Nlink), int(s.Uid) == os.Geteuid()
}

// seekData returns the first offset from off on that the disk has data for, or size if there is none. It moves the file's
// own offset, which nothing here uses.
func seekData(f *os.File, off, size int64) int64 {
	at, err := f.Seek(off, unix.SEEK_DATA)
	switch {
	case err == nil:
		return min(at, size)
	case isENXIO(err):
		return size
	}
	return off // cannot tell: everything may be data
}

// space is room on a file system, in bytes.
type space struct{ available, total int64 }

func freeSpace(path string) (space, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(path, &s); err != nil {
		return space{}, err
	}
	return space{available: int64(s.Bavail) * int64(s.Bsize), total: int64(s.Blocks) * int64(s.Bsize)}, nil
}

func syncDir(dir *os.File) error { return dir.Sync() }

// isFull says that an error means that the disk, or this user's part of it, is full.
func isFull(err error) bool { return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) }

// isReadOnly says that an error means that nothing can be written to a disk.
func isReadOnly(err error) bool { return errors.Is(err, unix.EROFS) }

// isShortage says that an error is about this process rather than about the file: it may go away by itself.
func isShortage(err error) bool {
	return errors.Is(err, unix.EMFILE) || errors.Is(err, unix.ENFILE) || errors.Is(err, unix.ENOMEM)
}

// makeSparse is not needed: every file may have holes.
func makeSparse(*os.File) {}
