//go:build unix

package node

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// T8: what lies where a shared file was is not sent, whatever it is and however well it is disguised.
func TestSwappedFileDoesNotLeave(t *testing.T) {
	const size = 2 << 20
	secret := bytes.Repeat([]byte("secret! "), size/8)
	for name, swap := range map[string]func(t *testing.T, path, other string){
		"symlink to another file": func(t *testing.T, path, other string) {
			must(t, os.Remove(path), os.Symlink(other, path))
		},
		"symlink to what only root may read": func(t *testing.T, path, _ string) {
			must(t, os.Remove(path), os.Symlink("/etc/shadow", path))
		},
		"another file, same size and times": func(t *testing.T, path, other string) {
			info, err := os.Stat(path)
			must(t, err, os.Rename(other, path), os.Chtimes(path, info.ModTime(), info.ModTime()))
		},
		"other bytes in place, same size and times": func(t *testing.T, path, _ string) {
			info, err := os.Stat(path)
			must(t, err, os.WriteFile(path, secret, 0o644), os.Chtimes(path, info.ModTime(), info.ModTime()))
		},
		"directory above it a symlink": func(t *testing.T, path, other string) {
			must(t, os.Rename(filepath.Dir(path), filepath.Dir(path)+".old"), os.Symlink(filepath.Dir(other), filepath.Dir(path)))
		},
		"pipe": func(t *testing.T, path, _ string) {
			must(t, os.Remove(path), syscall.Mkfifo(path, 0o644))
		},
		"device": func(t *testing.T, path, _ string) {
			must(t, os.Remove(path), os.Symlink("/dev/zero", path))
		},
	} {
		t.Run(name, func(t *testing.T) {
			a := start(t, "a")
			path, _ := a.file("shared/file", size)
			g := a.goods(a.share(filepath.Dir(path)).CID)
			other := filepath.Join(t.TempDir(), filepath.Base(path))
			must(t, os.WriteFile(other, secret, 0o644))
			swap(t, path, other)
			l := newOutsider(t).greet(a, g.root)
			l.want(g.all())
			settled := map[uint32]bool{} // refused, or given from the file that was shared, where it is open still
			l.str.SetReadDeadline(time.Now().Add(patient))
			for len(settled) < len(g.chunks) {
				h, err := l.next()
				if err != nil {
					t.Fatalf("%d of %d chunks are settled: %v", len(settled), len(g.chunks), err)
				}
				switch h.kind {
				case kindData:
					head := h
					head.take()
					n, off, length := head.take(), head.take(), head.take()
					if part := h.body[len(h.body)-int(length):]; !bytes.Equal(part, g.chunks[n][off:off+length]) {
						t.Fatalf("%d bytes left the node that were never shared (the secret's: %v)", length, bytes.Contains(part, secret[:64]))
					}
					settled[uint32(n)] = settled[uint32(n)] || int(off+length) == len(g.chunks[n])
				case kindCannot:
					h.body = h.body[1:] // the code
					h.each(func(n uint32) { settled[n] = true })
				}
			}
		})
	}
}

func must(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}
