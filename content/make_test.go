package content

import (
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/ipfs/go-cid"
)

// digestsOf hashes a file on all cores, as the store does.
func digestsOf(t testing.TB, r io.ReaderAt, size int64) []Digest {
	t.Helper()
	out := make([]Digest, ChunkCount(size))
	const span = 16
	var group sync.WaitGroup
	next := make(chan int)
	for range runtime.GOMAXPROCS(0) {
		group.Go(func() {
			buf := make([]byte, 128<<10)
			for first := range next {
				n := min(span, len(out)-first)
				if err := HashSpan(r, size, first, n, out[first:], buf); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for first := 0; first < len(out); first += span {
		next <- first
	}
	close(next)
	group.Wait()
	return out
}

// shelf holds what was made, under the digest of each block.
type shelf map[Digest][]byte

func (s shelf) put(t testing.TB, m Made, err error) Made {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range m.Blocks {
		d, _ := DigestOf(b.CID)
		s[d] = b.Data
	}
	return m
}

func (s shelf) file(t testing.TB, data string) Made {
	t.Helper()
	leaves := digestsOf(t, strings.NewReader(data), int64(len(data)))
	if len(leaves) == 1 {
		s[leaves[0]] = []byte(data) // for roots that are bare chunks
	}
	m, err := MakeFile(int64(len(data)), leaves)
	return s.put(t, m, err)
}

func (s shelf) dir(t testing.TB, entries map[string]Made) Made {
	t.Helper()
	links := []Link{}
	for name, m := range entries {
		links = append(links, Link{name, m.CID, m.Tsize})
	}
	m, err := MakeDir(links)
	return s.put(t, m, err)
}

func (s shelf) symlink(t testing.TB, target string) Made {
	t.Helper()
	m, err := MakeSymlink(target)
	return s.put(t, m, err)
}

// walk reads a tree whose nodes are all on the shelf.
func (s shelf) walk(root cid.Cid, b Budget) (*Tree, error) { return s.walkOn(runtime.GOOS, root, b) }

func (s shelf) walkOn(system string, root cid.Cid, b Budget) (*Tree, error) {
	w, err := newWalk(root, b, system)
	if err != nil {
		return nil, err
	}
	for {
		c, more := w.Next()
		if !more {
			return w.Tree()
		}
		d, _ := DigestOf(c)
		data, ok := s[d]
		if !ok {
			return nil, fmt.Errorf("%s is not on the shelf", c)
		}
		if err := w.Add(data); err != nil {
			if strings.Contains(err.Error(), "panic") {
				err = fmt.Errorf("bad input is caught by nothing but a recover: %v", err)
			}
			return nil, err
		}
	}
}

func wantCID(t *testing.T, what string, got cid.Cid, want string) {
	t.Helper()
	if got.String() != want {
		t.Errorf("%s has the CID %s, want %s", what, got, want)
	}
}

// The vectors of the profile, most of which its specification gives.
func TestFilesHaveTheCIDsOfTheProfile(t *testing.T) {
	s := shelf{}
	wantCID(t, "an empty file", s.file(t, "").CID, "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku")
	wantCID(t, "hello world", s.file(t, "hello world").CID, "bafkreifzjut3te2nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e")
	for _, v := range []struct {
		seed keystream
		size int64
		want string
	}{
		{"chunk-v1-seed", 1 << 20, "bafkreiacndfy443ter6qr2tmbbdhadvxxheowwf75s6zehscklu6ezxmta"},
		{"chunk-v1-seed", 1<<20 + 1, "bafybeigmix7t42i6jacydtquhet7srwvgpizfg7gjbq7627d35mjomtu64"},
	} {
		m, err := MakeFile(v.size, digestsOf(t, v.seed, v.size))
		if err != nil {
			t.Fatal(err)
		}
		wantCID(t, fmt.Sprintf("a file of %d bytes", v.size), m.CID, v.want)
	}
}

// One pass over the bytes serves both large vectors, the second of which is one byte longer than a node has links for.
func TestLargeFilesHaveTheCIDsOfTheProfile(t *testing.T) {
	const size = 1 << 30
	leaves := digestsOf(t, keystream("v1-2025-seed"), size)
	m, err := MakeFile(size, leaves)
	if err != nil {
		t.Fatal(err)
	}
	wantCID(t, "a file of 1 GiB", m.CID, "bafybeihmf37wcuvtx4hpu7he5zl5qaf2ineo2lqlfrapokkm5zzw7zyhvm")
	last := make([]Digest, 1)
	if err := HashSpan(keystream("v1-2025-seed"), size+1, len(leaves), 1, last, make([]byte, 10)); err != nil {
		t.Fatal(err)
	}
	if m, err = MakeFile(size+1, append(leaves, last...)); err != nil {
		t.Fatal(err)
	}
	wantCID(t, "a file of 1 GiB and a byte", m.CID, "bafybeibdsi225ugbkmpbdohnxioyab6jsqrmkts3twhpvfnzp77xtzpyhe")
	if len(m.Blocks) != 3 {
		t.Errorf("a file of 1025 chunks has %d inner nodes, want two and one above them", len(m.Blocks))
	}
}

func TestDirectoriesHaveTheCIDsOfTheProfile(t *testing.T) {
	s := shelf{}
	wantCID(t, "an empty directory", s.dir(t, nil).CID, "bafybeiczsscdsbs7ffqz55asqdf3smv6klcw3gofszvwlyarci47bgf354")
	tree := map[string]Made{
		"a.txt": s.file(t, "hello world"),
		"zero":  s.file(t, ""),
		"link":  s.symlink(t, "a.txt"),
		"empty": s.dir(t, nil),
		"sub":   s.dir(t, map[string]Made{"b.txt": s.file(t, "b\n")}),
	}
	wantCID(t, "a tree", s.dir(t, tree).CID, "bafybeihlqdpddlveymbnu4pba27itr7b36howpvftvypymxmlbs3d4droy")
	tree[".hidden"] = s.file(t, "x")
	wantCID(t, "a tree with a hidden file", s.dir(t, tree).CID, "bafybeihk2umcjo33zvk7cljm7d4eleizx3ozzbosxbtvxrxdfox34hg5b4")
}

func TestDirectoriesAreShardedWhereTheProfileSaysSo(t *testing.T) {
	s := shelf{}
	x := s.file(t, "x")
	const alphabet = "abcdefghijklmnopqrstuvwxyz01234567890-_"
	for _, v := range []struct {
		last   int
		blocks int
		want   string
	}{
		{21, 1, "bafybeic3h7rwruealwxkacabdy45jivq2crwz6bufb5ljwupn36gicplx4"},
		{22, 0, "bafybeiegvuterwurhdtkikfhbxcldohmxp566vpjdofhzmnhv6o4freidu"},
	} {
		stream := make([]byte, 4765*11+v.last)
		if _, err := keystream("hamt-unixfs-v1-2025").ReadAt(stream, 0); err != nil {
			t.Fatal(err)
		}
		for i, b := range stream {
			stream[i] = alphabet[int(b)%len(alphabet)]
		}
		entries := map[string]Made{}
		for name := range slices.Chunk(stream[:4765*11], 11) {
			entries[string(name)] = x
		}
		entries[string(stream[4765*11:])] = x
		m := s.dir(t, entries)
		wantCID(t, fmt.Sprintf("a directory whose last name has %d characters", v.last), m.CID, v.want)
		if flat := len(m.Blocks) == 1; flat != (v.blocks == 1) {
			t.Errorf("a directory whose last name has %d characters has %d nodes", v.last, len(m.Blocks))
		}
		tree, err := s.walk(m.CID, Budget{})
		if err != nil {
			t.Fatal(err)
		}
		if tree.Len() != len(entries)+1 || tree.NumChunks() != 1 {
			t.Errorf("read back: %d entries, %d chunks; want %d and 1", tree.Len(), tree.NumChunks(), len(entries)+1)
		}
	}
}
