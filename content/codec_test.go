package content

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	dagpb "github.com/ipld/go-codec-dagpb"
)

// sameNode checks that go-codec-dagpb reads from a block what we do, and would write it the same, links first.
func sameNode(t *testing.T, b []byte, n pbNode) {
	t.Helper()
	builder := dagpb.Type.PBNode.NewBuilder()
	if err := dagpb.DecodeBytes(builder, b); err != nil {
		t.Fatalf("go-codec-dagpb refuses what we read: %v\n%x", err, b)
	}
	node := builder.Build().(dagpb.PBNode)
	if node.Data.Exists() != (n.data != nil) || n.data != nil && !bytes.Equal(node.Data.Must().Bytes(), n.data) {
		t.Fatalf("the data are not what go-codec-dagpb reads\n%x", b)
	}
	links := node.Links.Iterator()
	count := 0
	sorted := true
	last := ""
	err := n.each(func(l pbLink) error {
		if links.Done() {
			return fmt.Errorf("a link too many")
		}
		_, want := links.Next()
		count++
		if got := l.ref.cid().String(); want.Hash.Link().String() != got {
			return fmt.Errorf("link to %s, want %s", got, want.Hash.Link())
		}
		if want.Name.Exists() && want.Name.Must().String() != string(l.name) {
			return fmt.Errorf("name %q, want %q", l.name, want.Name.Must().String())
		}
		if want.Tsize.Exists() != l.hasTsize || l.hasTsize && want.Tsize.Must().Int() != int64(l.tsize) {
			return fmt.Errorf("size %d, want %v", l.tsize, want.Tsize)
		}
		sorted = sorted && last <= string(l.name)
		last = string(l.name)
		return nil
	})
	if err != nil || !links.Done() || count != n.count {
		t.Fatalf("not what go-codec-dagpb reads: %v\n%x", err, b)
	}
}

func TestNodesAreWhatTheCodecReadsAndWrites(t *testing.T) {
	s := shelf{}
	entries := map[string]Made{"a": s.file(t, "a"), "é": s.file(t, strings.Repeat("c", 3*ChunkSize)), "l": s.symlink(t, "a"), "d": s.dir(t, nil)}
	s.dir(t, entries)
	for i := range 1300 {
		entries[fmt.Sprintf("%0200d", i)] = s.file(t, "a")
	}
	s.dir(t, entries)
	checked := 0
	for d, b := range s {
		if slices.Contains([]int{0, 1}, len(b)) || d == Seal([]byte("a")).Digest() {
			continue // chunks
		}
		n, err := parseNode(b)
		if err != nil {
			t.Fatal(err)
		}
		sameNode(t, b, n)
		builder := dagpb.Type.PBNode.NewBuilder()
		if err := dagpb.DecodeBytes(builder, b); err != nil {
			t.Fatal(err)
		}
		again, err := dagpb.AppendEncode(nil, builder.Build())
		if err != nil || !bytes.Equal(again, b) {
			t.Fatalf("go-codec-dagpb writes it in another way: %v", err)
		}
		checked++
	}
	if checked < 200 {
		t.Errorf("%d nodes were checked, want more", checked)
	}
}

func TestMakeDirRefuses(t *testing.T) {
	x := Digest{}.CID()
	for name, links := range map[string][]Link{
		"a name twice":   {{"a", x, 1}, {"b", x, 1}, {"a", x, 1}},
		"no name":        {{"", x, 1}},
		"a dot":          {{".", x, 1}},
		"two dots":       {{"..", x, 1}},
		"a slash":        {{"a/b", x, 1}},
		"a NUL":          {{"a\x00", x, 1}},
		"a foreign CID":  {{Name: "a"}},
		"a giant's name": {{strings.Repeat("n", maxPath+1), x, 1}},
	} {
		if m, err := MakeDir(links); err == nil {
			t.Errorf("%s: made %s", name, m.CID)
		}
	}
	if _, err := MakeSymlink(strings.Repeat("t", maxPath+1)); err == nil {
		t.Error("a symbolic link with an endless target")
	}
	for size, chunks := range map[int64]int{-1: 1, 0: 0, 1: 2, ChunkSize: 2, ChunkSize + 1: 1} {
		if _, err := MakeFile(size, make([]Digest, chunks)); err == nil {
			t.Errorf("a file of %d bytes from %d chunks", size, chunks)
		}
	}
}

func TestChunkCount(t *testing.T) {
	for size, want := range map[int64]int{0: 1, 1: 1, ChunkSize - 1: 1, ChunkSize: 1, ChunkSize + 1: 2, 2 * ChunkSize: 2, 1 << 40: 1 << 20} {
		if got := ChunkCount(size); got != want {
			t.Errorf("ChunkCount(%d) = %d, want %d", size, got, want)
		}
	}
}
