package content

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
)

// kubo returns the program that oracle/build.sh built, or ends the test.
func kubo(t *testing.T) string {
	t.Helper()
	binary := os.Getenv("SHOAL_KUBO")
	if binary == "" {
		mod, err := os.ReadFile(filepath.Join("oracle", "go.mod"))
		if err != nil {
			t.Fatal(err)
		}
		version := regexp.MustCompile(`(?m)^\s*github\.com/ipfs/kubo (v\S+)`).FindSubmatch(mod)
		if version == nil {
			t.Fatal("oracle/go.mod does not name the version of Kubo")
		}
		cache, err := os.UserCacheDir()
		if err != nil {
			t.Fatal(err)
		}
		binary = filepath.Join(cache, "shoal", "kubo-"+string(version[1]), "ipfs")
		if runtime.GOOS == "windows" {
			binary += ".exe"
		}
	}
	if _, err := os.Stat(binary); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("no Kubo to compare with: %v; content/oracle/build.sh builds it", err)
		}
		t.Skip("no Kubo to compare with; content/oracle/build.sh builds it")
	}
	return binary
}

func TestRandomTreesHaveTheCIDsThatKuboGivesThem(t *testing.T) {
	binary := kubo(t)
	repo := t.TempDir()
	run := func(args ...string) string {
		t.Helper()
		cmd := exec.Command(binary, args...)
		cmd.Env = append(os.Environ(), "IPFS_PATH="+repo, "IPFS_TELEMETRY=off")
		var errors bytes.Buffer
		cmd.Stderr = &errors
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("ipfs %s: %v\n%s", strings.Join(args, " "), err, &errors)
		}
		return strings.TrimSpace(string(out))
	}
	run("init", "--profile=test,unixfs-v1-2025")
	for seed := range uint64(8) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "tree")
			g := grower{t, rand.New(rand.NewPCG(seed, 2025)), 200}
			g.dir(dir, 0)
			if seed == 0 {
				g.many(filepath.Join(dir, "many"))
			}
			want := run("add", "-nQr", "--hidden", "--progress=false", dir)
			s := shelf{}
			m := s.disk(t, dir)
			if m.CID.String() != want {
				t.Fatalf("CID %s, Kubo says %s", m.CID, want)
			}
			tree, err := s.walk(m.CID, Budget{})
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range tree.Entries() {
				info, err := os.Lstat(filepath.Join(dir, filepath.FromSlash(e.Path)))
				if err != nil {
					t.Fatal(err)
				}
				if info.IsDir() != (e.Kind == Dir) || info.Mode().IsRegular() != (e.Kind == File) || e.Kind == File && info.Size() != e.Size {
					t.Errorf("%q is read back as kind %d of %d bytes, and is %v of %d", e.Path, e.Kind, e.Size, info.Mode(), info.Size())
				}
			}
		})
	}
}

// disk makes what lies at a path.
func (s shelf) disk(t *testing.T, path string) Made {
	t.Helper()
	info, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	switch {
	case info.IsDir():
		list, err := os.ReadDir(path)
		if err != nil {
			t.Fatal(err)
		}
		entries := map[string]Made{}
		for _, e := range list {
			entries[e.Name()] = s.disk(t, filepath.Join(path, e.Name()))
		}
		return s.dir(t, entries)
	case info.Mode().IsRegular():
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return s.file(t, string(data))
	}
	target, err := os.Readlink(path)
	if err != nil {
		t.Fatal(err)
	}
	return s.symlink(t, target)
}

// grower makes random trees on disk.
type grower struct {
	t    *testing.T
	rand *rand.Rand
	left int // entries
}

func (g *grower) do(err error) {
	g.t.Helper()
	if err != nil {
		g.t.Fatal(err)
	}
}

func (g *grower) dir(path string, depth int) {
	g.do(os.Mkdir(path, 0o700))
	for range g.rand.IntN(12) {
		if g.left--; g.left < 0 {
			return
		}
		child := filepath.Join(path, g.name())
		if _, err := os.Lstat(child); err == nil {
			continue
		}
		switch n := g.rand.IntN(10); {
		case n < 3 && depth < 6:
			g.dir(child, depth+1)
		case n == 3 && runtime.GOOS != "windows":
			g.do(os.Symlink(strings.Repeat("../", g.rand.IntN(3))+g.name(), child))
		default:
			g.file(child)
		}
	}
}

// many makes a directory that is sharded more than one layer deep.
func (g *grower) many(path string) {
	g.do(os.Mkdir(path, 0o700))
	for i := range 1200 {
		g.do(os.WriteFile(filepath.Join(path, fmt.Sprintf("%0200d", i)), []byte("x"), 0o600))
	}
}

func (g *grower) file(path string) {
	size := g.rand.IntN(5000)
	if g.rand.IntN(4) == 0 {
		sizes := []int{0, 1, ChunkSize - 1, ChunkSize, ChunkSize + 1, 2 * ChunkSize, 3*ChunkSize + 12345}
		size = sizes[g.rand.IntN(len(sizes))]
	}
	data := make([]byte, size)
	if g.rand.IntN(2) == 0 { // otherwise chunks of zeros, which are the same again and again
		for i := range data {
			data[i] = byte(g.rand.Uint32())
		}
	}
	g.do(os.WriteFile(path, data, 0o600))
}

func (g *grower) name() string {
	letters := []rune("abcXYZ019 .-_~äßé한字🐟é'$&")
	for {
		name := make([]rune, 1+g.rand.IntN(20))
		for i := range name {
			name[i] = letters[g.rand.IntN(len(letters))]
		}
		if s := strings.Trim(string(name), " ."); s != "" {
			return s
		}
	}
}
