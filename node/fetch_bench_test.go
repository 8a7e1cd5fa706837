package node

import (
	"crypto/rand"
	"io"
	"os"
	"path/filepath"
	"testing"
)

// BenchmarkFetch moves a file between two nodes of this process over loopback, from disk to disk: set TMPDIR to a tmpfs.
// BenchmarkBareStream in the same run says what the wire gives.
func BenchmarkFetch(b *testing.B) {
	const size = 1 << 30
	path := filepath.Join(b.TempDir(), "big")
	f, err := os.Create(path)
	if err != nil {
		b.Fatal(err)
	}
	if _, err := io.CopyN(f, rand.Reader, size); err != nil {
		b.Fatal(err)
	}
	if err := f.Close(); err != nil {
		b.Fatal(err)
	}
	from, to := start(b, "from"), start(b, "to")
	s := from.share(path)
	b.SetBytes(size)
	for b.Loop() {
		dest := filepath.Join(to.dir, "copy")
		to.fetch(FetchRequest{Ref: s.Ticket, Dest: dest})
		b.StopTimer()
		if err := to.Unshare(b.Context(), s.CID); err != nil {
			b.Fatal(err)
		}
		if err := os.Remove(dest); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}
