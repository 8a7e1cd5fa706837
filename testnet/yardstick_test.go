package testnet

import (
	"context"
	"crypto/sha256"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestFillFileWritesChunksThatDiffer(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	written, took, err := FillFile(t.Context(), path, 3*block+5, time.Minute)
	if err != nil || written != 3*block || took <= 0 {
		t.Fatalf("wrote %d bytes in %v, %v; want three whole chunks", written, took, err)
	}
	text, err := os.ReadFile(path)
	if err != nil || len(text) != 3*block {
		t.Fatalf("the file has %d bytes, %v", len(text), err)
	}
	seen := map[[sha256.Size]byte]bool{}
	for at := 0; at < len(text); at += block {
		seen[sha256.Sum256(text[at:at+block])] = true
	}
	if len(seen) != 3 {
		t.Errorf("%d of 3 chunks differ", len(seen))
	}
	if _, _, err := FillFile(t.Context(), path, block, time.Minute); !errors.Is(err, os.ErrExist) {
		t.Errorf("over a file: %v, want that it stays", err)
	}
	for name, f := range map[string]func() (time.Duration, error){
		"read": func() (time.Duration, error) { took, _, err := ReadFile(t.Context(), path); return took, err },
		"hash": func() (time.Duration, error) { return HashFile(t.Context(), path) },
	} {
		if took, err := f(); err != nil || took <= 0 {
			t.Errorf("%s: took %v, %v", name, took, err)
		}
	}
}

func TestYardsticksEndEarly(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if written, _, err := FillFile(t.Context(), path, 1<<40, 0); err != nil || written != block {
		t.Fatalf("without time it wrote %d bytes, %v; want one chunk", written, err)
	}
	cause := errors.New("enough")
	ctx, stop := context.WithCancelCause(t.Context())
	stop(cause)
	_, _, filled := FillFile(ctx, path+"2", 1<<40, time.Hour)
	_, _, read := ReadFile(ctx, path)
	_, hashed := HashFile(ctx, path)
	for name, err := range map[string]error{"fill": filled, "read": read, "hash": hashed} {
		if !errors.Is(err, cause) {
			t.Errorf("%s goes on after its end: %v", name, err)
		}
	}
}

func TestBenchJudgesByWhatLiesBelow(t *testing.T) {
	var b Benched
	b.judge([]Figure{{Name: BenchTransfer, Rate: 90}, {Name: BenchStream, Rate: 600}, {Name: BenchWrite, Rate: 100}, {Name: BenchRead, Rate: 50}, {Name: BenchHash, Rate: 500}})
	if b.Bottleneck != BenchWrite || b.Reached != 0.9 {
		t.Errorf("held up by %s, of which %v is reached; want %s and 0.9", b.Bottleneck, b.Reached, BenchWrite)
	}
	var fast Benched
	fast.judge([]Figure{{Name: BenchTransfer, Rate: 148}, {Name: BenchStream, Rate: 600}, {Name: BenchWrite, Rate: 100}, {Name: BenchRead, Rate: 50}, {Name: BenchHash, Rate: 500}})
	if fast.Bottleneck != "" || fast.Reached != 0 {
		t.Errorf("held up by %q, of which %v is reached; want nothing of what was measured, for the transfer was faster", fast.Bottleneck, fast.Reached)
	}
	if got := [...]float64{b.Figures[0].Ratio, b.Figures[1].Ratio, b.Figures[2].Ratio, b.Figures[3].Ratio, b.Figures[4].Ratio}; got != [...]float64{0.15, 6, 2, 0.1, 0} {
		t.Errorf("the ratios are %v", got)
	}
	if _, err := (Bench{Dir: t.TempDir(), Size: MinBench - 1}).Run(t.Context(), func(string) {}); !errors.Is(err, ErrRequest) {
		t.Errorf("a file that is too small: %v", err)
	}
}
