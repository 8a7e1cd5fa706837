package engine

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/shoal-p2p/shoal/content"
)

var update = flag.Bool("update", false, "write what happens into the scripts as what is expected")

// TestScripts plays testdata/*.txt, which tell what the engine does, case by case. A script is a list of blocks, parted by
// empty lines: lines of input, a line of dashes, and the actions that follow from the input. The input is
//
//	engine 8x1M 100x10k window=4M   a new engine with these chunks; inflight=, gives=, giving=, takeonly=yes
//	want 0-7; want inorder 0-7      Interest
//	local 0-7                       Local
//	join 1; leave 1; has 1 0-7      Joined, Left, Has: the first number is the peer
//	asks 1 0-7; withdraws 1 0-7     Asked, Withdrawn
//	refuses 1 0-7; bad 1 3          Refused, Bad
//	sends 1 256k; stored 1 0-3      Progress, Stored
//	seeks 1 0-7; coming 1 3         Seeks, Coming
//	offers 1 3; got 1 256k          Offered, Got
//	far 1 100ms                     Far
//	fails 1 3; gave 1 0-3           Failed, Gave
//	tick                            Tick
//	wait 20s                        time goes by, with a tick at every deadline; what these bring is shown with its time
//	status                          shows the status
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := play(t, string(want))
			if got == string(want) {
				return
			}
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			t.Errorf("%s does not happen as written (-update rewrites it):\n%s", file, firstDifference(string(want), got))
		})
	}
}

func firstDifference(want, got string) string {
	w, g := strings.Split(want, "\n"), strings.Split(got, "\n")
	for i := range min(len(w), len(g)) {
		if w[i] != g[i] {
			return fmt.Sprintf("line %d: want %q, got %q", i+1, w[i], g[i])
		}
	}
	return fmt.Sprintf("want %d lines, got %d", len(w), len(g))
}

// script plays one file.
type script struct {
	t   *testing.T
	w   *watch
	out []string // of the block
}

func play(t *testing.T, text string) string {
	s := &script{t: t}
	var result []string
	for _, block := range strings.Split(strings.TrimRight(text, "\n"), "\n\n") {
		s.out = nil
		dashes := false
		for _, line := range strings.Split(block, "\n") {
			if line == "----" {
				dashes = true
				result = append(result, line)
				break
			}
			result = append(result, line)
			s.line(line)
		}
		if !dashes && len(s.out) > 0 {
			result = append(result, "----")
		}
		result = append(result, s.out...)
		result = append(result, "")
	}
	return strings.Join(result[:len(result)-1], "\n") + "\n"
}

func (s *script) line(line string) {
	s.t.Helper()
	words := strings.Fields(line)
	if len(words) == 0 || strings.HasPrefix(line, "#") {
		return
	}
	verb, rest := words[0], words[1:]
	switch verb {
	case "engine":
		s.w = newWatch(s.t, s.config(rest))
	case "wait":
		d, err := time.ParseDuration(rest[0])
		s.check(err, line)
		s.w.pass(d, func(as []Action) { s.say(as, fmt.Sprintf("%v ", s.w.now.Sub(zero))) })
	case "status":
		s.status()
	default:
		s.say(s.w.step(s.event(verb, rest, line)), "")
	}
}

func (s *script) say(as []Action, prefix string) {
	for _, a := range as {
		s.out = append(s.out, prefix+line1(a))
	}
}

func (s *script) status() {
	st := s.w.e.Status()
	s.out = append(s.out, fmt.Sprintf("missing %d of %d, in flight %d, wasted %d: %v", st.MissingChunks, st.Chunks, st.InFlight, st.Wasted, st.Stalled))
	for _, p := range st.Peers {
		slow := ""
		if p.Slow {
			slow = ", slow"
		}
		s.out = append(s.out, fmt.Sprintf("  peer %d: has %d, useful %d, window %d, in flight %d, bad %d%s", p.Peer, p.Has, p.Useful, p.Window, p.InFlight, p.Bad, slow))
	}
}

func (s *script) event(verb string, rest []string, line string) Event {
	if verb == "want" {
		order := len(rest) > 0 && rest[0] == "inorder"
		if order {
			rest = rest[1:]
		}
		return Interest{s.ranges(rest), order}
	}
	switch verb {
	case "local":
		return Local{s.ranges(rest)}
	case "tick":
		return Tick{}
	}
	n, err := strconv.Atoi(rest[0])
	s.check(err, line)
	p, rest := Peer(n), rest[1:]
	switch verb {
	case "join":
		return Joined{p}
	case "leave":
		return Left{p}
	case "has":
		return Has{p, s.ranges(rest)}
	case "asks":
		return Asked{p, s.ranges(rest)}
	case "withdraws":
		return Withdrawn{p, s.ranges(rest)}
	case "refuses":
		return Refused{p, s.ranges(rest)}
	case "sends":
		return Progress{p, s.size(rest[0])}
	case "stored":
		return Stored{p, s.chunks(rest)}
	case "bad":
		return Bad{p, s.chunks(rest)[0]}
	case "fails":
		return Failed{p, s.chunks(rest)[0]}
	case "gave":
		ev := Gave{Peer: p, Chunks: s.chunks(rest)}
		for _, c := range ev.Chunks {
			ev.Bytes += int(s.w.e.cfg.Sizes[c])
		}
		return ev
	case "seeks":
		return Seeks{p, s.ranges(rest)}
	case "coming":
		return Coming{p, s.ranges(rest)}
	case "got":
		return Got{p, s.size(rest[0])}
	case "offers":
		return Offered{p, s.ranges(rest)}
	case "far":
		trip, err := time.ParseDuration(rest[0])
		s.check(err, line)
		return Far{p, trip}
	}
	s.t.Fatalf("what does %q mean?", line)
	return nil
}

func (s *script) config(words []string) Config {
	var c Config
	for _, w := range words {
		name, value, named := strings.Cut(w, "=")
		if !named {
			count, size, _ := strings.Cut(w, "x")
			n, err := strconv.Atoi(count)
			s.check(err, w)
			for range n {
				c.Sizes = append(c.Sizes, uint32(s.size(size)))
			}
			continue
		}
		switch name {
		case "window":
			c.Window = s.size(value)
		case "inflight":
			c.MaxInFlight = s.size(value)
		case "gives":
			c.MaxGives = s.size(value)
		case "giving":
			c.MaxGiving = s.size(value)
		case "takeonly":
			c.TakeOnly = value == "yes"
		default:
			s.t.Fatalf("what does %q mean?", w)
		}
	}
	return c
}

func (s *script) size(w string) int {
	unit := 1
	switch {
	case strings.HasSuffix(w, "k"):
		unit = 1 << 10
	case strings.HasSuffix(w, "M"):
		unit = 1 << 20
	}
	n, err := strconv.Atoi(strings.TrimRight(w, "kM"))
	s.check(err, w)
	return n * unit
}

func (s *script) ranges(words []string) []content.Range {
	var out []content.Range
	for _, w := range words {
		first, last, _ := strings.Cut(w, "-")
		if last == "" {
			last = first
		}
		a, err := strconv.Atoi(first)
		s.check(err, w)
		b, err := strconv.Atoi(last)
		s.check(err, w)
		out = append(out, content.Range{First: uint32(a), Count: uint32(b - a + 1)})
	}
	return out
}

func (s *script) chunks(words []string) []uint32 {
	var out []uint32
	for _, r := range s.ranges(words) {
		for c := r.First; c < r.First+r.Count; c++ {
			out = append(out, c)
		}
	}
	return out
}

func (s *script) check(err error, line string) {
	s.t.Helper()
	if err != nil {
		s.t.Fatalf("%q: %v", line, err)
	}
}
