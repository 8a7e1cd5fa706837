package store

import (
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
		device: s.Dev, inode: s.Ino, size: s.Size, mtime: s.Mtim.Nano(), ctime: s.Ctim.Nano(),
	}
}

// sparse says that the disk has less data for a file than it is long.
func sparse(info os.FileInfo) bool {
	s := info.Sys().(*syscall.Stat_t)
	return s.Blocks*512 < s.Size
}

// tickOf is the granularity of times where f lies. Disks and memory of this machine take the kernel's clock; what comes over
// a network, or was written for other systems, may count in seconds.
func tickOf(f *os.File) time.Duration {
	var s unix.Statfs_t
	if err := unix.Fstatfs(int(f.Fd()), &s); err != nil {
		return longTick
	}
	switch uint32(s.Type) {
	case unix.EXT4_SUPER_MAGIC, unix.XFS_SUPER_MAGIC, unix.BTRFS_SUPER_MAGIC, unix.TMPFS_MAGIC, unix.F2FS_SUPER_MAGIC,
		unix.OVERLAYFS_SUPER_MAGIC, unix.BCACHEFS_SUPER_MAGIC, zfsMagic:
		return shortTick
	}
	return longTick
}

const zfsMagic = 0x2fc12fc1

// pseudo names the file system of f if it is one that the kernel makes up.
func pseudo(f *os.File) string {
	var s unix.Statfs_t
	if err := unix.Fstatfs(int(f.Fd()), &s); err != nil {
		return ""
	}
	switch uint32(s.Type) {
	case unix.PROC_SUPER_MAGIC:
		return "proc"
	case unix.SYSFS_MAGIC:
		return "sysfs"
	case unix.DEVPTS_SUPER_MAGIC:
		return "devpts"
	case unix.DEBUGFS_MAGIC:
		return "debugfs"
	case unix.TRACEFS_MAGIC:
		return "tracefs"
	case unix.SECURITYFS_MAGIC:
		return "securityfs"
	case unix.CGROUP_SUPER_MAGIC, unix.CGROUP2_SUPER_MAGIC:
		return "cgroup"
	case unix.BPF_FS_MAGIC:
		return "bpf"
	case unix.EFIVARFS_MAGIC:
		return "efivarfs"
	case unix.NSFS_MAGIC:
		return "nsfs"
	case unix.BINFMTFS_MAGIC:
		return "binfmt_misc"
	}
	return ""
}

// renameNew renames within a directory, and fails with fs.ErrExist rather than replace anything.
func renameNew(dir *os.File, from, to string) error {
	fd := int(dir.Fd())
	err := unix.Renameat2(fd, from, fd, to, unix.RENAME_NOREPLACE)
	if err == nil || !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOSYS) {
		return err
	}
	// The file system cannot do that. A second name does not replace anything either; directories cannot have one, but
	// neither does a rename put one over anything but an empty one.
	if err := unix.Linkat(fd, from, fd, to, 0); err == nil {
		return unix.Unlinkat(fd, from, 0)
	} else if !errors.Is(err, unix.EPERM) && !errors.Is(err, unix.EISDIR) {
		return err
	}
	var s unix.Stat_t
	if unix.Fstatat(fd, to, &s, unix.AT_SYMLINK_NOFOLLOW) == nil {
		return unix.EEXIST
	}
	return unix.Renameat(fd, from, fd, to)
}

// syncFile writes a file's data, and what is needed to read it again, to the disk.
func syncFile(f *os.File) error {
	for {
		if err := unix.Fdatasync(int(f.Fd())); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// syncAll writes everything of the file system that f lies on to the disk, or returns errors.ErrUnsupported.
func syncAll(f *os.File) error { return unix.Syncfs(int(f.Fd())) }

// forget drops what the system caches of a file, so that the next read comes from the disk.
func forget(f *os.File) { unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED) }
