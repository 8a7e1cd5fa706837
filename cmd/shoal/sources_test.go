package main

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/shoal-p2p/shoal/node"
)

// fromMany is an event of a fetch from n peers, the first of them relayed.
func fromMany(n int) node.Event {
	e := node.Event{Kind: "fetching", Bytes: 5 << 20, Total: 10 << 20, Rate: 1 << 20, Peers: n, ETA: 5, Duplicate: 3 << 20}
	for i := range n {
		e.Sources = append(e.Sources, node.Source{
			Peer: fmt.Sprintf("12D3KooWpeer%04d", i), Addr: fmt.Sprintf("/ip4/10.0.0.%d/tcp/4747", i), Relayed: i == 0,
			Bytes: int64(n-i) << 20, Rate: float64(n-i) * 1024,
		})
	}
	return e
}

func TestSourceLines(t *testing.T) {
	for _, c := range []struct {
		peers, most, columns int
		want                 string
	}{
		{0, 8, 80, "  3.00 MiB came twice\n"},
		{2, 8, 80, "" +
			"  …peer0000  2.00 KiB/s  2.00 MiB  relayed  /ip4/10.0.0.0/tcp/4747\n" +
			"  …peer0001  1.00 KiB/s  1.00 MiB  direct   /ip4/10.0.0.1/tcp/4747\n" +
			"  3.00 MiB came twice\n"},
		{5, 4, 50, "" +
			"  …peer0000  5.00 KiB/s  5.00 MiB  relayed  /ip4/…\n" +
			"  …peer0001  4.00 KiB/s  4.00 MiB  direct   /ip4/…\n" +
			"  3 more     6.00 KiB/s  6.00 MiB\n" +
			"  3.00 MiB came twice\n"},
		{3, 2, 20, "  3 more     6.00 K…\n  3.00 MiB came twi…\n"},
		{3, 1, 10, "  3 more …\n"},
		{3, 0, 80, "\n"},
	} {
		got := strings.Join(sourceLines(fromMany(c.peers), c.most, c.columns), "\n") + "\n"
		if got != c.want {
			t.Errorf("%d peers, %d lines of %d columns: got\n%swant\n%s", c.peers, c.most, c.columns, got, c.want)
		}
	}
}

func TestSourceLinesFitAnyTerminal(t *testing.T) {
	for peers := range 20 {
		for most := -3; most < 10; most++ {
			for _, columns := range []int{-1, 0, 1, 2, 39, 79} {
				lines := sourceLines(fromMany(peers), most, columns)
				if len(lines) > max(most, 0) {
					t.Fatalf("%d lines of %d peers where %d fit", len(lines), peers, most)
				}
				for _, l := range lines {
					if utf8.RuneCountInString(l) > max(columns, 0) {
						t.Fatalf("%q does not fit %d columns", l, columns)
					}
				}
			}
		}
	}
}

func TestClip(t *testing.T) {
	for _, c := range []struct {
		line    string
		columns int
		want    string
	}{
		{"abc", 3, "abc"},
		{"abcd", 3, "ab…"},
		{"日本語", 6, "日本語"},
		{"日本語", 5, "日…"},
		{"日本語", 1, "…"},
		{"abc", 0, ""},
		{"", 0, ""},
	} {
		if got := clip(c.line, c.columns); got != c.want {
			t.Errorf("clip(%q, %d) = %q, want %q", c.line, c.columns, got, c.want)
		}
	}
}

func TestPortion(t *testing.T) {
	for _, c := range []struct {
		part, whole int64
		want        string
	}{{0, 0, "0 %"}, {0, 5, "0 %"}, {1, 1000, "<1 %"}, {1, 100, "1 %"}, {2, 3, "67 %"}, {999, 1000, "99 %"}, {3, 3, "100 %"}} {
		if got := portion(c.part, c.whole); got != c.want {
			t.Errorf("portion(%d, %d) = %q, want %q", c.part, c.whole, got, c.want)
		}
	}
}

// TestProgressNamesSourcesNowAndThen has a fetch of 30 s without a terminal.
func TestProgressNamesSourcesNowAndThen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := tells(t, func(p *progress) {
			for range 120 {
				p.event(fromMany(6))
				time.Sleep(250 * time.Millisecond)
			}
		})
		want := "from …peer0000 (relayed, 6.00 MiB, 6.00 KiB/s), …peer0001 (direct, 5.00 MiB, 5.00 KiB/s), " +
			"…peer0002 (direct, 4.00 MiB, 4.00 KiB/s), …peer0003 (direct, 3.00 MiB, 3.00 KiB/s) and 2 more, 3.00 MiB came twice"
		if n := strings.Count(s.text(), want); n < 2 || n > 4 {
			t.Errorf("the sources were named %d times in 30 s, expected about 3:\n%s", n, s.text())
		}
		if n := strings.Count(s.text(), "fetching 5.00 MiB of 10.0 MiB"); n < 20 {
			t.Errorf("only %d lines say how far it is:\n%s", n, s.text())
		}
	})
}
