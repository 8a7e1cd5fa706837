package content

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"strings"
	"testing"
)

func TestOnlyMatchingBytesMakeAChunk(t *testing.T) {
	for _, data := range []string{"", "hello", strings.Repeat("x", MaxBlock)} {
		d := Digest(sha256.Sum256([]byte(data)))
		for by, c := range map[string]Chunk{"Seal": Seal([]byte(data)), "Verify": must(Verify(d, []byte(data)))(t)} {
			if c.Digest() != d || string(c.Bytes()) != data {
				t.Errorf("%s of %d bytes: %d bytes under %x", by, len(data), len(c.Bytes()), c.Digest())
			}
		}
		for _, wrong := range []string{data + "x", strings.TrimSuffix(data+"y", "xy"), "y" + data} {
			if c, err := Verify(d, []byte(wrong)); !errors.Is(err, ErrMismatch) || c.Bytes() != nil {
				t.Errorf("%d bytes for %d others: %v, and a chunk of %d", len(wrong), len(data), err, len(c.Bytes()))
			}
		}
	}
	hello := []byte("hello")
	for i := range hello {
		changed := bytes.Clone(hello)
		changed[i] ^= 1
		if _, err := Verify(Seal(hello).Digest(), changed); !errors.Is(err, ErrMismatch) {
			t.Errorf("byte %d changed: %v", i, err)
		}
	}
	large := make([]byte, MaxBlock+1)
	if _, err := Verify(Seal(large).Digest(), large); !errors.Is(err, ErrMismatch) {
		t.Errorf("a chunk larger than blocks can be: %v", err)
	}
}

func must[T any](v T, err error) func(t *testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func TestSpansOfAFileHashToItsChunks(t *testing.T) {
	data := bytes.Repeat([]byte("0123456789abcde"), 3*ChunkSize/15+1000)
	for _, size := range []int{0, 1, ChunkSize, ChunkSize + 1, 3*ChunkSize + 7} {
		file := data[:size]
		want := make([]Digest, ChunkCount(int64(size)))
		for i := range want {
			want[i] = Seal(file[i*ChunkSize : min((i+1)*ChunkSize, size)]).Digest()
		}
		for _, buf := range []int{1000, 128 << 10, ChunkSize, 2 * ChunkSize} {
			for first := range want {
				for count := 0; first+count <= len(want); count++ {
					got := make([]Digest, count)
					err := HashSpan(bytes.NewReader(file), int64(size), first, count, got, make([]byte, buf))
					if err != nil {
						t.Fatalf("chunks %d to %d of %d bytes: %v", first, first+count, size, err)
					}
					for i, d := range got {
						if d != want[first+i] {
							t.Fatalf("chunk %d of %d bytes through %d is wrong", first+i, size, buf)
						}
					}
				}
			}
		}
	}
}

func TestAShortenedFileIsNoticed(t *testing.T) {
	data := make([]byte, 2*ChunkSize)
	for _, size := range []int{0, 1, ChunkSize - 1, ChunkSize, 2*ChunkSize - 1} {
		err := HashSpan(bytes.NewReader(data[:size]), int64(len(data)), 0, 2, make([]Digest, 2), make([]byte, 4096))
		if !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%d bytes of %d: %v", size, len(data), err)
		}
	}
	broken := errors.New("broken disk")
	if err := HashSpan(failing{broken}, 1, 0, 1, make([]Digest, 1), make([]byte, 10)); !errors.Is(err, broken) {
		t.Errorf("got %v, want %v", err, broken)
	}
	// A reader may say EOF together with the last bytes.
	if err := HashSpan(eager("0123456789"), 10, 0, 1, make([]Digest, 1), make([]byte, 5)); err != nil {
		t.Error(err)
	}
}

type eager string

func (e eager) ReadAt(p []byte, at int64) (int, error) { return copy(p, e[at:]), io.EOF }

type failing struct{ err error }

func (f failing) ReadAt([]byte, int64) (int, error) { return 0, f.err }
