//go:build linux

package main

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestLeastTime(t *testing.T) {
	const file = 100 << 20
	second := func(bytes float64, r mbit) time.Duration { return time.Duration(bytes / r.bytes() * 1e9) }
	for _, c := range []struct {
		name               string
		n                  int
		up, down, returned mbit
		want               time.Duration
	}{
		{"the seeder's uplink", 8, 100 * megabit, 100 * megabit, 100 * megabit, second(file, 100*megabit)},
		{"the receivers' downlinks", 8, 1000 * megabit, 50 * megabit, 1000 * megabit, second(file, 50*megabit)},
		{"all uplinks together", 8, 100 * megabit, 1000 * megabit, 25 * megabit, second(8*file, 300*megabit)},
		{"receivers that give nothing", 4, 100 * megabit, 100 * megabit, 0, second(4*file, 100*megabit)},
	} {
		if got := leastTime(file, c.n, c.up, c.down, c.returned); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

func TestCountersLeaveHeadersOut(t *testing.T) {
	out := `[{"kind":"noqueue","bytes":1},{"kind":"tbf","handle":"8001:","root":true,"bytes":1514000,"packets":1000,"drops":3}]`
	c, err := parseCounters([]byte(out))
	if err != nil || c.payload() != 1448000 || c.Drops != 3 {
		t.Errorf("%+v with a payload of %d (%v), want 1448000", c, c.payload(), err)
	}
	if _, err := parseCounters([]byte(`[{"kind":"noqueue"}]`)); err == nil {
		t.Error("a link that is not shaped has no counters, but there was no error")
	}
}

func TestSameSeesEveryDifference(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	original := write("original", "some bytes")
	if err := same(original, write("equal", "some bytes")); err != nil {
		t.Error(err)
	}
	for name, text := range map[string]string{"other": "some bytez", "short": "some byte", "long": "some bytes.", "empty": ""} {
		if same(original, write(name, text)) == nil {
			t.Errorf("%q passes as %q", text, "some bytes")
		}
	}
}

// TestCarryDelays sends packets through a long way made of pipes.
func TestCarryDelays(t *testing.T) {
	const delay = 30 * time.Millisecond
	in, source, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	sink, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer sink.Close()
	defer out.Close()
	defer in.Close()
	go carry(in, out, delay)
	start := time.Now()
	if _, err := source.WriteString("packet"); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, mtu)
	n, err := sink.Read(buf)
	if took := time.Since(start); err != nil || string(buf[:n]) != "packet" || took < delay {
		t.Errorf("%q came after %v (%v), want the packet after %v", buf[:n], took, err, delay)
	}
	source.Close()
}

func TestReadTicks(t *testing.T) {
	before, err := readTicks()
	if err != nil {
		t.Fatal(err)
	}
	if before.all <= 0 || before.idle <= 0 || before.idle > before.all {
		t.Errorf("ticks %+v make no sense", before)
	}
	u := ticks{all: 200, idle: 130, ours: 40}.since(ticks{all: 100, idle: 80, ours: 10})
	if u.idle != 0.5 || u.ours != 0.3 {
		t.Errorf("usage %+v, want half idle and 0.3 ours", u)
	}
}
