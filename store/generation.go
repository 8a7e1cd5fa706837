package store

import (
	"io/fs"
	"os"
	"time"
)

// generation tells one state of a file from another, as far as a file system can.
type generation struct {
	device, inode uint64
	size          int64 // bytes
	mtime, ctime  int64 // nanoseconds since 1970, of the data's and the inode's last change
}

// sameData says that nothing but the inode's own times tells the two apart: the file was renamed, or its mode changed, or
// somebody wrote to it and set the time back.
func (g generation) sameData(o generation) bool {
	o.ctime = g.ctime
	return g == o
}

// racy says that the file changed so shortly before now that a change after now could carry the same times.
func (g generation) racy(now time.Time, tick time.Duration) bool {
	return max(g.mtime, g.ctime)+int64(tick) >= now.UnixNano()
}

// A tick is the granularity of a file system's times: how long after a change another one can look the same.
const (
	shortTick = 20 * time.Millisecond // file systems of this machine take the kernel's clock, which moves every 1 to 10 ms
	longTick  = 2500 * time.Millisecond
)

// settle waits until a file's last change is a tick ago, where that is soon, and returns the time to judge it by. Times in
// the future are not waited for.
func settle(g generation, tick time.Duration) time.Time {
	now := time.Now()
	wait := time.Duration(max(g.mtime, g.ctime) + int64(tick) - now.UnixNano() + 1)
	if tick > shortTick || wait <= 0 || wait > tick+time.Millisecond {
		return now
	}
	time.Sleep(wait)
	return time.Now()
}

// openShared opens a file for reading only. It does not wait for the other end of a named pipe, and refuses all but
// regular files. path is below root, with the system's separators.
func openShared(root *os.Root, path string) (*os.File, error) {
	f, err := root.OpenFile(path, os.O_RDONLY|openFlags, 0)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = &fs.PathError{Op: "open", Path: path, Err: errKind(info.Mode())}
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// errKind is why something cannot be shared: what it is.
type errKind fs.FileMode

func (k errKind) Error() string {
	switch m := fs.FileMode(k); {
	case m.IsDir():
		return "is a directory"
	case m&fs.ModeSymlink != 0:
		return "is a symbolic link"
	case m&fs.ModeNamedPipe != 0:
		return "is a named pipe"
	case m&fs.ModeSocket != 0:
		return "is a socket"
	case m&fs.ModeDevice != 0:
		return "is a device"
	}
	return "is no regular file"
}
