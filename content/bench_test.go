package content

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"runtime"
	"testing"

	"github.com/ipfs/go-cid"
)

// sourceTree makes as many files and directories as a large source tree has: 1,000 directories of 11 files.
func sourceTree(t testing.TB, s shelf) cid.Cid {
	t.Helper()
	root := []Link{}
	for i := range 1000 {
		links := make([]Link, 11)
		for j := range links {
			var d Digest
			binary.BigEndian.PutUint32(d[:], uint32(i*len(links)+j))
			links[j] = Link{fmt.Sprintf("some_file_%d.go", j), d.CID(), uint64(10000 + j)}
		}
		m, err := MakeDir(links)
		if s != nil {
			s.put(t, m, err)
		}
		root = append(root, Link{fmt.Sprintf("directory%d", i), m.CID, m.Tsize})
	}
	m, err := MakeDir(root)
	if s != nil {
		s.put(t, m, err)
	}
	return m.CID
}

// hugeFile makes a file of so many chunks, all different.
func hugeFile(t testing.TB, s shelf, chunks int) cid.Cid {
	t.Helper()
	leaves := make([]Digest, chunks)
	for i := range leaves {
		binary.BigEndian.PutUint32(leaves[i][:], uint32(i))
	}
	m, err := MakeFile(int64(chunks)*ChunkSize, leaves)
	s.put(t, m, err)
	return m.CID
}

func BenchmarkMakeSourceTree(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		sourceTree(b, nil)
	}
}

func BenchmarkWalkSourceTree(b *testing.B) {
	s := shelf{}
	root := sourceTree(b, s)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.walk(root, Budget{}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEntriesOfSourceTree(b *testing.B) {
	s := shelf{}
	tree, err := s.walk(sourceTree(b, s), Budget{})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		for i := range tree.Len() {
			tree.Entry(i)
		}
	}
}

func BenchmarkMakeShardedDirectory(b *testing.B) {
	links := make([]Link, 100_000)
	for i := range links {
		links[i] = Link{fmt.Sprintf("some_file_%d.go", i), Digest{}.CID(), 5}
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := MakeDir(links); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkWalkFileOf1TiB(b *testing.B) {
	s := shelf{}
	root := hugeFile(b, s, 1<<20)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.walk(root, Budget{}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkHash compares the hashing of a file through buffers of several sizes with that of bytes which are there already.
func BenchmarkHash(b *testing.B) {
	const size = 32 << 20
	data := bytes.Repeat([]byte("shoal"), size/5+1)[:size]
	out := make([]Digest, ChunkCount(size))
	b.Run("in place", func(b *testing.B) {
		b.SetBytes(size)
		for b.Loop() {
			for i := range out {
				out[i] = Seal(data[i*ChunkSize:][:ChunkSize]).Digest()
			}
		}
	})
	for _, kib := range []int{32, 128, 256, 1024} {
		b.Run(fmt.Sprintf("through %d KiB", kib), func(b *testing.B) {
			buf := make([]byte, kib<<10)
			b.SetBytes(size)
			for b.Loop() {
				if err := HashSpan(bytes.NewReader(data), size, 0, len(out), out, buf); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// What a tree of a million chunks takes: under 100 bytes for each.
func TestTreeOfALargeFileIsSmall(t *testing.T) {
	s := shelf{}
	root := hugeFile(t, s, 1<<20)
	before := heap()
	tree, err := s.walk(root, Budget{})
	if err != nil {
		t.Fatal(err)
	}
	used := heap() - before
	t.Logf("%d MiB", used>>20)
	if used > 60<<20 {
		t.Errorf("the tree of a file of 1 TiB takes %d MiB, want at most 60", used>>20)
	}
	if tree.NumChunks() != 1<<20 || tree.Size != 1<<40 {
		t.Errorf("it has %d chunks and %d bytes", tree.NumChunks(), tree.Size)
	}
	runtime.KeepAlive(s)
}

// heap returns how many bytes are alive.
func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
