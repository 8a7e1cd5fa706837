//go:build linux

package store

import (
	"context"
	"crypto/sha256"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/shoal-p2p/shoal/content"
)

// Every figure here is measured in turns with its yardstick: b.N rounds of each, and the ratio of their medians.

const benchBytes = 2 << 30

// turns runs two things by turns, each with something to tidy up after it, and reports the medians of their times, and the
// ratios of the second's to the first's: with 1 they are as fast, or take as much of the processors.
func turns(b *testing.B, bytes int64, ours, tidyOurs, yardstick, tidyYardstick func()) {
	b.Helper()
	var wall, cpu, wallY, cpuY []time.Duration
	timed := func(f, tidy func(), wall, cpu *[]time.Duration) {
		runtime.GC()
		start, used := time.Now(), usage()
		f()
		*wall, *cpu = append(*wall, time.Since(start)), append(*cpu, usage()-used)
		if tidy != nil {
			tidy()
		}
	}
	timed(yardstick, tidyYardstick, new([]time.Duration), new([]time.Duration)) // to warm up
	for b.Loop() {
		timed(yardstick, tidyYardstick, &wallY, &cpuY)
		timed(ours, tidyOurs, &wall, &cpu)
	}
	median := func(d []time.Duration) time.Duration { slices.Sort(d); return d[len(d)/2] }
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(median(wall).Milliseconds()), "ms")
	b.ReportMetric(float64(median(cpu).Milliseconds()), "cpu-ms")
	b.ReportMetric(float64(median(wallY).Milliseconds()), "yardstick-ms")
	b.ReportMetric(float64(bytes)/median(wall).Seconds()/1e9, "GB/s")
	b.ReportMetric(median(wallY).Seconds()/median(wall).Seconds(), "ratio")
	b.ReportMetric(median(cpuY).Seconds()/median(cpu).Seconds(), "cpu-ratio")
}

// usage is the processor time that this process used so far.
func usage() time.Duration {
	var r syscall.Rusage
	must(0, syscall.Getrusage(syscall.RUSAGE_SELF, &r))
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// sum hashes files on all cores: nothing but read and SHA-256.
func sum(b *testing.B, paths []string) {
	var next atomic.Int64
	var wg sync.WaitGroup
	type part struct {
		path string
		off  int64
	}
	const step = 16 << 20
	var parts []part
	for _, p := range paths {
		info := must(os.Stat(p))
		for off := int64(0); off == 0 || off < info.Size(); off += step {
			parts = append(parts, part{p, off})
		}
	}
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			buf := make([]byte, 256<<10)
			h := sha256.New()
			for {
				n := next.Add(1) - 1
				if n >= int64(len(parts)) {
					return
				}
				f := must(os.Open(parts[n].path))
				h.Reset()
				if _, err := io.CopyBuffer(h, io.NewSectionReader(f, parts[n].off, step), buf); err != nil {
					b.Error(err)
				}
				f.Close()
			}
		})
	}
	wg.Wait()
}

func bigFile(b *testing.B, dir string) string {
	path := filepath.Join(dir, "big")
	f := must(os.Create(path))
	data := noise(1, 64<<20)
	for off := int64(0); off < benchBytes; off += int64(len(data)) {
		data[0]++ // no two chunks of these are the same
		for i := 0; i < len(data); i += content.ChunkSize {
			data[i+1] += byte(off >> 26)
			data[i+2]++
		}
		must(f.WriteAt(data, off))
	}
	must(0, f.Close())
	return path
}

func sourceTree(b *testing.B) (root string, files []string, bytes int64) {
	out, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		missing(b, err.Error())
	}
	root = filepath.Join(strings.TrimSpace(string(out)), "src")
	filepath.WalkDir(root, func(p string, e fs.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() {
			info, _ := e.Info()
			files, bytes = append(files, p), bytes+info.Size()
		}
		return err
	})
	return root, files, bytes
}

// addAnew shares with an index that knows nothing.
func addAnew(b *testing.B, dir, path string) {
	home := must(os.MkdirTemp(dir, "home"))
	s := must(Open(Config{Home: home}))
	if _, _, err := s.Add(context.Background(), []string{path}, AddOptions{}); err != nil {
		b.Fatal(err)
	}
	must(0, s.Close())
	var kept int64
	filepath.WalkDir(home, func(p string, e fs.DirEntry, err error) error {
		if info, err := os.Lstat(p); err == nil {
			kept += info.Sys().(*syscall.Stat_t).Blocks * 512
		}
		return err
	})
	b.ReportMetric(float64(kept>>10), "index-KiB")
}

func BenchmarkAdd2GiB(b *testing.B) {
	dir := memoryDir(b)
	path := bigFile(b, dir)
	turns(b, benchBytes, func() { addAnew(b, dir, path) }, nil, func() { sum(b, []string{path}) }, nil)
}

func BenchmarkAddSourceTree(b *testing.B) {
	root, files, bytes := sourceTree(b)
	dir := b.TempDir()
	b.ReportMetric(float64(len(files)), "files")
	turns(b, bytes, func() { addAnew(b, dir, root) }, nil, func() { sum(b, files) }, nil)
}

func BenchmarkAddSourceTreeAgain(b *testing.B) {
	root, files, bytes := sourceTree(b)
	s := open(b, b.TempDir())
	add(b, s, root)
	turns(b, bytes, func() { add(b, s, root) }, nil, func() { sum(b, files) }, nil)
}

// BenchmarkPut2GiB writes chunks from two goroutines, as the workers of a session do; the yardstick writes as many bytes to a
// file.
func BenchmarkPut2GiB(b *testing.B) {
	dir := memoryDir(b)
	from := open(b, filepath.Join(dir, "from"))
	path := bigFile(b, dir)
	tr := tree(b, from, add(b, from, path).Root)
	chunks := make([]content.Chunk, tr.NumChunks())
	pieces := tr.Pieces(0)
	f := must(os.Open(path))
	for _, p := range pieces {
		buf := make([]byte, tr.ChunkLen(p.Chunk))
		must(f.ReadAt(buf, p.Offset))
		chunks[p.Chunk] = content.Seal(buf)
	}
	must(0, f.Close())
	must(0, os.Remove(path))
	s := open(b, dir)
	must(0, s.SaveNodes(tr.Root, benchNodes(from, tr)))
	each := func(write func(n uint32)) {
		var next atomic.Int64
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() {
				for n := next.Add(1) - 1; n < int64(len(chunks)); n = next.Add(1) - 1 {
					write(uint32(n))
				}
			})
		}
		wg.Wait()
	}
	to := filepath.Join(dir, "got")
	turns(b, benchBytes, func() {
		d := must(s.Begin(context.Background(), tr, Dest{Path: to}, nil))
		each(func(n uint32) { must(0, d.Put(n, chunks[n])) })
		must(d.Commit(context.Background()))
	}, func() { must(0, os.Remove(to)) }, func() {
		f := must(os.Create(to))
		must(0, f.Truncate(benchBytes))
		each(func(n uint32) { must(f.WriteAt(chunks[n].Bytes(), pieces[n].Offset)) })
		must(0, f.Close())
	}, func() { must(0, os.Remove(to)) })
}

func benchNodes(s *Store, tr *content.Tree) []content.Block {
	w := must(content.NewWalk(tr.Root, content.Budget{}))
	var out []content.Block
	for c, more := w.Next(); more; c, more = w.Next() {
		data := must(s.Node(c))
		must(0, w.Add(data))
		out = append(out, content.Block{CID: c, Data: data})
	}
	return out
}

// BenchmarkFetchSourceTree is Begin, Put and Commit of thousands of small files; the yardstick makes as many files with
// os.WriteFile, and has them written to the disk as a whole.
func BenchmarkFetchSourceTree(b *testing.B) {
	root, files, bytes := sourceTree(b)
	for _, where := range []string{"memory", "disk"} {
		b.Run(where, func(b *testing.B) {
			dir := b.TempDir()
			if where == "memory" {
				dir = memoryDir(b)
			}
			from := open(b, filepath.Join(dir, "from"))
			tr := tree(b, from, add(b, from, root).Root)
			chunks := make([]content.Chunk, tr.NumChunks())
			for n := range chunks {
				buf := make([]byte, tr.ChunkLen(uint32(n)))
				must(from.ReadChunk(tr.Digest(uint32(n)), buf))
				chunks[n] = content.Seal(buf)
			}
			data := make(map[string][]byte, len(files))
			for _, f := range files {
				data[f] = must(os.ReadFile(f))
			}
			s := open(b, dir)
			blocks := benchNodes(from, tr)
			to := filepath.Join(dir, "got")
			turns(b, bytes, func() {
				must(0, s.SaveNodes(tr.Root, blocks))
				d := must(s.Begin(context.Background(), tr, Dest{Path: to}, nil))
				for n, c := range chunks {
					must(0, d.Put(uint32(n), c))
				}
				must(d.Commit(context.Background()))
			}, func() {
				must(0, s.Remove(tr.Root))
				must(0, os.RemoveAll(to))
			}, func() {
				for _, f := range files {
					at := filepath.Join(to, strings.TrimPrefix(f, root))
					if err := os.WriteFile(at, data[f], 0o666); err != nil {
						must(0, os.MkdirAll(filepath.Dir(at), 0o777))
						must(0, os.WriteFile(at, data[f], 0o666))
					}
				}
				d := must(os.Open(to))
				must(0, syncAll(d))
				must(0, d.Close())
			}, func() { must(0, os.RemoveAll(to)) })
		})
	}
}

func BenchmarkReadChunk(b *testing.B) {
	root, files, bytes := sourceTree(b)
	s := open(b, b.TempDir())
	tr := tree(b, s, add(b, s, root).Root)
	buf := make([]byte, content.MaxBlock)
	turns(b, bytes, func() {
		for n := range tr.NumChunks() {
			must(s.ReadChunk(tr.Digest(uint32(n)), buf))
		}
	}, nil, func() {
		for _, f := range files {
			in := must(os.Open(f))
			io.ReadFull(in, buf)
			in.Close()
		}
	}, nil)
}

func BenchmarkOpen(b *testing.B) {
	dir := b.TempDir()
	root, _, _ := sourceTree(b)
	s := open(b, dir)
	add(b, s, root)
	must(0, s.Close())
	for b.Loop() {
		s := must(Open(Config{Home: s.home}))
		b.StopTimer()
		must(0, s.Close())
		b.StartTimer()
	}
}
