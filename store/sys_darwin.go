package store

import (
	"bytes"
	"errors"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

type unixStat = syscall.Stat_t

func isENXIO(err error) bool { return errors.Is(err, unix.ENXIO) }

func generationFrom(info os.FileInfo) generation {
	s := info.Sys().(*syscall.Stat_t)
	return generation{
		device: uint64(uint32(s.Dev)), inode: s.Ino, size: s.Size, mtime: s.Mtimespec.Nano(), ctime: s.Ctimespec.Nano(),
	}
}

// sparse says that the disk has less data for a file than it is long.
func sparse(info os.FileInfo) bool {
	s := info.Sys().(*syscall.Stat_t)
	return s.Blocks*512 < s.Size
}

func fsName(f *os.File) string {
	var s unix.Statfs_t
	if err := unix.Fstatfs(int(f.Fd()), &s); err != nil {
		return ""
	}
	name := make([]byte, 0, len(s.Fstypename))
	for _, c := range s.Fstypename {
		name = append(name, byte(c))
	}
	name, _, _ = bytes.Cut(name, []byte{0})
	return string(name)
}

// tickOf is the granularity of times where f lies.
func tickOf(f *os.File) time.Duration {
	if fsName(f) == "apfs" {
		return shortTick
	}
	return longTick
}

// pseudo names the file system of f if it is one that the kernel makes up.
func pseudo(f *os.File) string {
	switch name := fsName(f); name {
	case "devfs", "autofs":
		return name
	}
	return ""
}

// renameNew renames within a directory, and fails with fs.ErrExist rather than replace anything.
func renameNew(dir *os.File, from, to string) error {
	fd := int(dir.Fd())
	return unix.RenameatxNp(fd, from, fd, to, unix.RENAME_EXCL)
}

// syncFile writes a file's data to the disk. Sync asks the drive itself for that here.
func syncFile(f *os.File) error { return f.Sync() }

// syncAll writes everything of the file system that f lies on to the disk, or returns errors.ErrUnsupported.
func syncAll(*os.File) error { return errors.ErrUnsupported }

// forget drops what the system caches of a file; there is no call for it here.
func forget(*os.File) {}
