package store

import (
	"errors"
	"os"
	"path/filepath"
	"time"
	"unsafe"

	"golang.org/x/sys/windows"
)

const openFlags = 0

// basicInfo is FILE_BASIC_INFO: times in units of 100 ns since 1601.
type basicInfo struct {
	creation, access, write, change int64
	attributes                      uint32
	_                               uint32
}

// generationOf is the generation of an open file.
func generationOf(f *os.File) (generation, error) {
	h := windows.Handle(f.Fd())
	var id windows.ByHandleFileInformation
	if err := windows.GetFileInformationByHandle(h, &id); err != nil {
		return generation{}, &os.PathError{Op: "stat", Path: f.Name(), Err: err}
	}
	var times basicInfo
	err := windows.GetFileInformationByHandleEx(h, windows.FileBasicInfo, (*byte)(unsafe.Pointer(&times)), uint32(unsafe.Sizeof(times)))
	if err != nil {
		return generation{}, &os.PathError{Op: "stat", Path: f.Name(), Err: err}
	}
	return generation{
		device: uint64(id.VolumeSerialNumber),
		inode:  uint64(id.FileIndexHigh)<<32 | uint64(id.FileIndexLow),
		size:   int64(id.FileSizeHigh)<<32 | int64(id.FileSizeLow),
		mtime:  unixNano(times.write), ctime: unixNano(times.change),
	}, nil
}

func unixNano(t int64) int64 { return (t - 116444736000000000) * 100 }

// generationAt is the generation of what lies at a path, which is not followed if it is a symbolic link.
func generationAt(root *os.Root, path string) (generation, os.FileMode, error) {
	info, err := root.Lstat(path)
	if err != nil || !info.Mode().IsRegular() {
		var mode os.FileMode
		if info != nil {
			mode = info.Mode()
		}
		return generation{}, mode, err
	}
	f, err := root.Open(path)
	if err != nil {
		return generation{}, 0, err
	}
	defer f.Close()
	g, err := generationOf(f)
	return g, info.Mode(), err
}

// identify returns the volume and index of a directory.
func identify(root *os.Root) (device, inode uint64, err error) {
	f, err := root.Open(".")
	if err != nil {
		return 0, 0, err
	}
	defer f.Close()
	g, err := generationOf(f)
	return g.device, g.inode, err
}

// lockFile takes an open file for this process alone. Directories cannot be locked here, and open files not be replaced.
func lockFile(f *os.File) error {
	info, err := f.Stat()
	if err != nil || info.IsDir() {
		return err
	}
	const beyond = 1 << 30 // high half of an offset that no file reaches
	return windows.LockFileEx(windows.Handle(f.Fd()), windows.LOCKFILE_EXCLUSIVE_LOCK|windows.LOCKFILE_FAIL_IMMEDIATELY,
		0, 1, 0, &windows.Overlapped{OffsetHigh: beyond})
}

// links is the number of names that a file has, and whether it belongs to the user of this process; neither is asked here.
func links(os.FileInfo) (n int, ours bool) { return 1, true }

// sparse says that the disk has less data for a file than it is long; nobody asks here.
func sparse(os.FileInfo) bool { return false }

// seekData returns the first offset from off on that the disk has data for: everything may be data here.
func seekData(_ *os.File, off, _ int64) int64 { return off }

func tickOf(*os.File) time.Duration { return longTick }

func pseudo(*os.File) string { return "" }

// renameNew renames within a directory, and fails with fs.ErrExist rather than replace anything.
func renameNew(dir *os.File, from, to string) error {
	old, err := windows.UTF16PtrFromString(filepath.Join(dir.Name(), from))
	if err != nil {
		return err
	}
	name, err := windows.UTF16PtrFromString(filepath.Join(dir.Name(), to))
	if err != nil {
		return err
	}
	return windows.MoveFileEx(old, name, windows.MOVEFILE_WRITE_THROUGH)
}

func syncFile(f *os.File) error { return f.Sync() }

// syncAll writes everything of the file system that f lies on to the disk, or returns errors.ErrUnsupported.
func syncAll(*os.File) error { return errors.ErrUnsupported }

// syncDir has nothing to do: renameNew returns when the disk knows the new name.
func syncDir(*os.File) error { return nil }

func forget(*os.File) {}

// space is room on a file system, in bytes.
type space struct{ available, total int64 }

func freeSpace(path string) (space, error) {
	p, err := windows.UTF16PtrFromString(path)
	if err != nil {
		return space{}, err
	}
	var available, total, free uint64
	if err := windows.GetDiskFreeSpaceEx(p, &available, &total, &free); err != nil {
		return space{}, err
	}
	return space{available: int64(available), total: int64(total)}, nil
}

// isFull says that an error means that the disk is full.
func isFull(err error) bool {
	return errors.Is(err, windows.ERROR_DISK_FULL) || errors.Is(err, windows.ERROR_HANDLE_DISK_FULL)
}

// isReadOnly says that an error means that nothing can be written to a disk.
func isReadOnly(err error) bool { return errors.Is(err, windows.ERROR_WRITE_PROTECT) }

// isShortage says that an error is about this process rather than about the file: it may go away by itself.
func isShortage(err error) bool {
	return errors.Is(err, windows.ERROR_TOO_MANY_OPEN_FILES) || errors.Is(err, windows.ERROR_NOT_ENOUGH_MEMORY)
}

// makeSparse lets a file have holes, so that writing its end first does not fill it with zeros. Where it cannot, that is slow.
func makeSparse(f *os.File) {
	var n uint32
	windows.DeviceIoControl(windows.Handle(f.Fd()), windows.FSCTL_SET_SPARSE, nil, 0, nil, 0, &n, nil)
}
