package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoal-p2p/shoal/node"
)

// stamped keeps the time at which each line was printed.
type stamped struct {
	start time.Time

	mu    sync.Mutex // guards the rest
	lines []stampedLine
}

type stampedLine struct {
	at   time.Duration
	text string
}

func (s *stamped) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lines = append(s.lines, stampedLine{time.Since(s.start), strings.TrimSuffix(string(p), "\n")})
	return len(p), nil
}

// rules checks what holds for all progress in lines.
func (s *stamped) rules(t *testing.T, total time.Duration) {
	t.Helper()
	var last time.Duration
	for i, l := range s.lines {
		switch {
		case i == 0 && l.at > time.Second:
			t.Errorf("the first line came after %v: %q", l.at, l.text)
		case i > 0 && l.at-last < time.Second:
			t.Errorf("%q came %v after the line before it", l.text, l.at-last)
		case i > 0 && l.at-last > 2*time.Second:
			t.Errorf("%v of silence before %q", l.at-last, l.text)
		}
		last = l.at
	}
	if total-last > 2*time.Second {
		t.Errorf("%v of silence at the end", total-last)
	}
}

func (s *stamped) text() string {
	var b strings.Builder
	for _, l := range s.lines {
		fmt.Fprintf(&b, "%4.2f %s\n", l.at.Seconds(), l.text)
	}
	return b.String()
}

// tells runs a script of events against the progress in a pipe and returns the lines.
func tells(t *testing.T, script func(p *progress)) *stamped {
	s := &stamped{start: time.Now()}
	a := &app{err: s, getenv: func(string) string { return "" }}
	p := a.progress("starting")
	script(p)
	total := time.Since(s.start)
	p.stop()
	s.rules(t, total)
	return s
}

func TestProgressIsSilentAboutWhatIsQuick(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := tells(t, func(p *progress) {
			p.event(node.Event{Kind: "hashing", Bytes: 1, Total: 2})
			time.Sleep(500 * time.Millisecond)
			p.event(node.Event{Kind: "hashing", Bytes: 2, Total: 2})
		})
		if len(s.lines) != 0 {
			t.Errorf("printed\n%s", s.text())
		}
	})
}

func TestProgressOfANodeThatSaysNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := tells(t, func(*progress) { time.Sleep(10 * time.Second) })
		if len(s.lines) < 5 || s.lines[0].text != "starting" {
			t.Errorf("printed\n%s", s.text())
		}
	})
}

func TestProgressOfAFetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := tells(t, func(p *progress) {
			p.event(node.Event{Kind: "finding", Message: "asking the neighbours"})
			time.Sleep(100 * time.Millisecond)
			p.event(node.Event{Kind: "connecting", Message: "connecting to a"})
			p.event(node.Event{Kind: "connecting", Message: "a has it"})
			for i := range int64(40) {
				p.event(node.Event{Kind: "fetching", Bytes: i << 20, Total: 40 << 20, Rate: 4 << 20, Peers: 2, ETA: float64(40-i) / 4})
				time.Sleep(250 * time.Millisecond)
			}
			for i := range 3 {
				p.event(node.Event{Kind: "waiting", Message: fmt.Sprintf("1 peer has it, but nothing has come for %d s", 2*i+2)})
				time.Sleep(2 * time.Second)
			}
			p.event(node.Event{Kind: "syncing"})
			time.Sleep(6 * time.Second)
		})
		if first := s.lines[0]; first.at > 100*time.Millisecond || first.text != "finding: asking the neighbours" {
			t.Errorf("the first line is %v", first)
		}
		for _, want := range []string{"fetching 19.0 MiB of 40.0 MiB (47 %), 4.00 MiB/s, 2 peers, 6.0 s to go", "waiting: 1 peer has it", "making sure that the disk holds it (for "} {
			if !strings.Contains(s.text(), want) {
				t.Errorf("%q is missing in\n%s", want, s.text())
			}
		}
	})
}

func TestProgressLosesNoNote(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stamped{start: time.Now()}
		a := &app{err: s, getenv: func(string) string { return "" }}
		p := a.progress("starting")
		for i := range 5 {
			p.event(node.Event{Kind: "note", Message: fmt.Sprintf("note %d", i)})
			p.event(node.Event{Kind: "fetching", Bytes: 1, Total: 2})
		}
		time.Sleep(2500 * time.Millisecond)
		p.stop()
		for i := range 5 {
			if n := strings.Count(s.text(), fmt.Sprintf("note %d", i)); n != 1 {
				t.Errorf("note %d was printed %d times:\n%s", i, n, s.text())
			}
		}
	})
}

// TestProgressReckonsRates has events without rates, as a share has them.
func TestProgressReckonsRates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := tells(t, func(p *progress) {
			for i := range int64(20) {
				p.event(node.Event{Kind: "hashing", Bytes: i * 25 << 20, Total: 1000 << 20, Files: int(i)})
				time.Sleep(250 * time.Millisecond)
			}
		})
		if want := "100 MiB/s"; !strings.Contains(s.text(), want) || !strings.Contains(s.text(), "to go") {
			t.Errorf("%q is missing in\n%s", want, s.text())
		}
	})
}

func TestProgressFloodIsThinned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tells(t, func(p *progress) {
			for i := range 10_000 {
				p.event(node.Event{Kind: "connecting", Message: fmt.Sprintf("connecting to %d", i)})
				time.Sleep(time.Millisecond)
			}
		})
	})
}

func TestEventLinesOfJSON(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stamped{start: time.Now()}
		l := newEventLines(s)
		l.event(node.Event{Kind: "finding", Message: "asking"})
		l.event(node.Event{Kind: "connecting", Message: "to a"})
		l.event(node.Event{Kind: "note", Message: "by the way"})
		for i := range int64(40) {
			l.event(node.Event{Kind: "fetching", Bytes: i, Total: 40})
			time.Sleep(250 * time.Millisecond)
		}
		time.Sleep(10 * time.Second) // and not a word from the node
		l.event(node.Event{Kind: "done"})
		l.stop()
		if last := s.lines[len(s.lines)-1].at; last < 18*time.Second {
			t.Errorf("silence from %v on, until 20 s", last)
		}
		counts := map[string]int{}
		var last time.Duration
		for _, x := range s.lines {
			var e node.Event
			if err := json.Unmarshal([]byte(x.text), &e); err != nil {
				t.Fatal(err)
			}
			counts[e.Kind]++
			if x.at-last > 2*time.Second {
				t.Errorf("%v of silence before %q", x.at-last, x.text)
			}
			last = x.at
		}
		if counts["finding"] != 1 || counts["connecting"] != 1 || counts["note"] != 1 || counts["done"] != 0 {
			t.Errorf("got %v:\n%s", counts, s.text())
		}
		if n := counts["fetching"]; n < 10 || n > 20 {
			t.Errorf("%d counts in 20 s", n)
		}
	})
}

func TestNumbersForPeople(t *testing.T) {
	for n, want := range map[int64]string{
		0: "0 B", 1: "1 B", 1023: "1023 B", 1024: "1.00 KiB", 10 * 1024: "10.0 KiB", 1023*1024 + 1000: "1.00 MiB", 1 << 20: "1.00 MiB",
		999 << 20: "999 MiB", 1000 << 20: "0.98 GiB", 1<<63 - 1: "8.00 EiB", -1: "-1 B",
	} {
		if got := size(n); got != want {
			t.Errorf("size(%d) = %q, want %q", n, got, want)
		}
	}
	for s, want := range map[float64]string{
		0: "0.0 s", 9.94: "9.9 s", 59: "59 s", 119: "119 s", 125: "2 min 05 s", 7300: "2 h 01 min", 1e6: "11 days", -1: "?", 1e300: "?",
	} {
		if got := span(s); got != want {
			t.Errorf("span(%v) = %q, want %q", s, got, want)
		}
	}
	for n, want := range map[int]string{0: "0 files", 1: "1 file", 999: "999 files", 1000: "1,000 files", 1234567: "1,234,567 files"} {
		if got := count(n, "file", "files"); got != want {
			t.Errorf("count(%d) = %q, want %q", n, got, want)
		}
	}
}
