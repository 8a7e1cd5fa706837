package node

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"
	"time"
)

func TestPathToAPeerIsMeasured(t *testing.T) {
	a, b := start(t, "a"), start(t, "b")
	ticket := a.ticketOf(t)
	for _, c := range []struct{ name, ref string }{
		{"by a ticket", ticket}, {"by an address", a.addr()}, {"by the ID of a peer that is known", a.host.ID().String()},
	} {
		t.Run(c.name, func(t *testing.T) {
			a.probes.since = time.Time{} // as if a minute had passed
			d, err := b.Doctor(t.Context(), DoctorRequest{Ref: c.ref}, ignore)
			if err != nil {
				t.Fatal(err)
			}
			p := d.Path
			if p == nil || p.Error != "" || p.RTT <= 0 || p.RTT > 1 || p.Down < 1e6 || p.Up < 1e6 || p.Relayed || p.Transport != "tcp" ||
				p.OurDisk <= 0 || p.TheirDisk <= 0 || p.Bottleneck == "" {
				t.Errorf("got %+v", p)
			}
		})
	}
}

func TestMeasuringSaysWhyItCannot(t *testing.T) {
	a, b := start(t, "a"), start(t, "b")
	measured := func(wait string) *Path {
		t.Helper()
		d, err := b.Doctor(t.Context(), DoctorRequest{Ref: a.addr()}, ignore)
		if err != nil || d.Path == nil || d.OK || !strings.Contains(d.Path.Error, wait) || d.Path.Next == "" {
			t.Fatalf("got %+v, %v, want a path with %q", d.Path, err, wait)
		}
		return d.Path
	}
	a.probes.mu.Lock()
	a.probes.busy = true
	a.probes.mu.Unlock()
	measured("somebody else")
	a.probes.end()
	a.config.Rates.Up = 1 << 20
	measured("limits")
	a.config.Rates = Rates{}
	c := newOutsider(t)
	d, err := b.Doctor(t.Context(), DoctorRequest{Ref: c.addr()}, ignore)
	if err != nil || d.Path.Error == "" || !strings.Contains(d.Path.Next, "another program") {
		t.Errorf("another program: %+v, %v", d.Path, err)
	}
	gone := c.addr()
	_ = c.host.Close()
	waitFor(t, "the end of the connection", func() bool { return len(b.host.Network().ConnsToPeer(c.host.ID())) == 0 })
	if d, err = b.Doctor(t.Context(), DoctorRequest{Ref: gone}, ignore); err != nil || !strings.Contains(d.Path.Error, "cannot be reached") {
		t.Errorf("nobody there: %+v, %v", d.Path, err)
	}
}

// One at a time, and so many in a minute.
func TestProbesAreFew(t *testing.T) {
	var p probes
	now := time.Unix(1e9, 0)
	for i := range maxProbes {
		if !p.begin(now) {
			t.Fatalf("measurement %d was refused", i+1)
		}
		if p.begin(now) {
			t.Fatal("two at a time")
		}
		p.end()
	}
	if p.begin(now) {
		t.Errorf("measurement %d in a minute was let in", maxProbes+1)
	}
	if !p.begin(now.Add(probesEvery)) {
		t.Error("still refused a minute later")
	}
}

// What is sent for no use ends at its limits, on both sides.
func TestProbesEnd(t *testing.T) {
	if testing.Short() {
		t.Skip("moves 128 MiB in memory")
	}
	var count counted
	sent, err := pump(&count)
	if err != nil || sent > probeBytes || sent == 0 {
		t.Errorf("sent %d, %v", sent, err)
	}
	pieces := func(n int64, size int) *bufio.Reader {
		head := binary.AppendUvarint(nil, uint64(size))
		var all []io.Reader
		for ; n > 0; n -= int64(size) {
			all = append(all, bytes.NewReader(head), io.LimitReader(zeroes{}, int64(size)))
		}
		return bufio.NewReader(io.MultiReader(append(all, bytes.NewReader([]byte{0}))...))
	}
	if got, err := drain(pieces(probeBytes, probePiece)); err != nil || got != probeBytes {
		t.Errorf("of what is allowed %d were read: %v", got, err)
	}
	if _, err := drain(pieces(probeBytes+1, probePiece)); !errors.Is(err, errProbe) {
		t.Errorf("a piece too many: %v", err)
	}
	if _, err := drain(pieces(1, probePiece+1)); !errors.Is(err, errProbe) {
		t.Errorf("a piece that is too long: %v", err)
	}
}

type counted int64

func (c *counted) Write(p []byte) (int, error) { *c += counted(len(p)); return len(p), nil }

type zeroes struct{}

func (zeroes) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func FuzzProbeReport(f *testing.F) {
	f.Add(probeReport{0.5, 1e9}.append(nil))
	f.Add(probeReport{-1, 0}.append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := readProbeReport(bytes.NewReader(b))
		if err == nil && (r.cpu < -0.0011 || r.cpu > 1000 || r.disk < 0 || r.disk > maxDiskRate) {
			t.Fatalf("got %+v", r)
		}
		_, _ = drain(bufio.NewReader(bytes.NewReader(b)))
	})
}

func TestBottlenecks(t *testing.T) {
	for _, c := range []struct {
		want string
		p    Path
		down streamed
	}{
		{"the wire", Path{Down: 11e6, OurDisk: 500e6, TheirDisk: 500e6}, streamed{ours: 0.1}},
		{"the wire", Path{Down: 11e6}, streamed{ours: -1, other: probeReport{cpu: -0.001}}},
		{"our disk", Path{Down: 110e6, OurDisk: 20e6, TheirDisk: 90e6}, streamed{ours: 0.3}},
		{"their disk", Path{Down: 110e6, OurDisk: 90e6, TheirDisk: 20e6}, streamed{ours: 0.3}},
		{"our disk", Path{Down: 900e6, OurDisk: 500e6, TheirDisk: 800e6}, streamed{ours: 1}},
		{"one core's TLS, on this side", Path{Down: 900e6, OurDisk: 2e9, TheirDisk: 2e9}, streamed{ours: 0.95, other: probeReport{cpu: 0.8}}},
		{"one core's TLS, on their side", Path{Down: 900e6, OurDisk: 2e9}, streamed{ours: 0.5, other: probeReport{cpu: 0.9}}},
		{"the relay", Path{Down: 1e6, OurDisk: 2e5, Relayed: true}, streamed{}},
	} {
		if got := bottleneck(c.p, c.down); got != c.want {
			t.Errorf("%+v, %+v: %s, want %s", c.p, c.down, got, c.want)
		}
	}
}
