package main

import (
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"github.com/shoal-p2p/shoal/node"
)

// onScreen is a pseudo terminal of so many columns, and what appeared on it.
func onScreen(t *testing.T, columns uint16) (keyboard, screen *os.File, seen *terminal, end func()) {
	t.Helper()
	keyboard, screen = openTerminal(t)
	if err := unix.IoctlSetWinsize(int(screen.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: columns}); err != nil {
		t.Fatal(err)
	}
	seen = &terminal{}
	copied := make(chan struct{})
	go func() {
		defer close(copied)
		_, _ = io.Copy(seen, keyboard) // ends with an error when the screen is closed
	}()
	return keyboard, screen, seen, func() { screen.Close(); <-copied }
}

var sequences = regexp.MustCompile("\x1b\\[[0-9;]*[A-Za-z]")

// within checks that no line is wider than the terminal.
func within(t *testing.T, text string, columns int) {
	t.Helper()
	for line := range strings.Lines(sequences.ReplaceAllString(text, "")) {
		line = strings.TrimRight(line, "\r\n")
		if utf8.RuneCountInString(line) > columns {
			t.Errorf("%q is wider than %d columns", line, columns)
		}
	}
}

func TestSourcesBelowTheBar(t *testing.T) {
	for _, c := range []struct {
		columns uint16
		want    []string
	}{
		{100, []string{
			"  …peer0000  3.00 KiB/s  3.00 MiB  relayed  /ip4/10.0.0.0/tcp/4747\r\n",
			"  …peer0002  1.00 KiB/s  1.00 MiB  direct   /ip4/10.0.0.2/tcp/4747\r\n", "  3.00 MiB came twice\r\n",
		}},
		{40, []string{"  …peer0000  3.00 KiB/s  3.00 MiB  rel…\r\n", "50 %, 1.00 MiB/s, 5.0 s to go", "  3.00 MiB came twice\r\n"}},
	} {
		_, screen, seen, end := onScreen(t, c.columns)
		a := &app{err: screen, getenv: func(string) string { return "xterm" }}
		p := a.progress("starting")
		e := fromMany(3)
		e.Sources = append(e.Sources, node.Source{Peer: "\x1b]0;owned\x07", Addr: "/dns/\x1b[2Jx"})
		p.event(e)
		for _, want := range c.want {
			seen.await(t, want)
		}
		p.stop()
		end()
		text := seen.String()
		if strings.Contains(text, "\x07") || strings.Contains(text, "\x1b[2J") {
			t.Errorf("a raw escape sequence from a peer reached the terminal:\n%q", text)
		}
		if rest := text[strings.LastIndex(text, "\x1b[J")+3:]; rest != "" {
			t.Errorf("something is left on the screen: %q", rest)
		}
		within(t, text, int(c.columns))
	}
}

// TestSeedingOnATerminal shows who takes below a line that changes.
func TestSeedingOnATerminal(t *testing.T) {
	_, screen, seen, end := onScreen(t, 100)
	w := newWorld(t)
	w.env["TERM"] = "xterm"
	w.node.status = taken
	w.stderr = screen
	c := w.start("get", aCID, "-o", filepath.Join(t.TempDir(), "x"), "--seed", "1h")
	seen.await(t, "seeding: 0 B given, 2.00 KiB/s, 1 peer, ")
	seen.await(t, "  …abcdefgh  2.00 KiB/s  4.88 KiB  direct   /ip4/10.0.0.7/tcp/4001\r\n")
	c.signals <- os.Interrupt
	if exit := c.ends(t); exit != 0 {
		t.Errorf("exit %d", exit)
	}
	end()
	if text := seen.String(); !strings.Contains(text[strings.LastIndex(text, "\x1b[J")+3:], "seeded for ") {
		t.Errorf("the last of it is not a summary: %q", text)
	}
}

// TestWatchOnATerminal draws in place and ends with q; the terminal is as it was before.
func TestWatchOnATerminal(t *testing.T) {
	for _, key := range []string{"q", "^C"} {
		keyboard, screen, seen, end := onScreen(t, 40)
		before, err := unix.IoctlGetTermios(int(screen.Fd()), unix.TCGETS)
		if err != nil {
			t.Fatal(err)
		}
		w := newWorld(t)
		w.node.status = counting()
		w.serve(t)
		w.env["TERM"], w.in, w.stdout = "xterm", screen, screen
		c := w.start("status", "--watch")
		seen.await(t, "traffic  2 B received") // of which the first was for serve
		seen.await(t, "A\x1b[J")               // up, and over what was there
		seen.await(t, "traffic  3 B received")
		if now, err := unix.IoctlGetTermios(int(screen.Fd()), unix.TCGETS); err != nil || now.Lflag&unix.ICANON != 0 {
			t.Errorf("keys are not had one by one (%v)", err)
		}
		if key == "q" {
			if _, err := keyboard.WriteString("xq"); err != nil {
				t.Fatal(err)
			}
		} else {
			c.signals <- os.Interrupt
		}
		if exit := c.ends(t); exit != 0 {
			t.Errorf("%s: exit %d\n%s", key, exit, c.err)
		}
		if after, err := unix.IoctlGetTermios(int(screen.Fd()), unix.TCGETS); err != nil || *after != *before {
			t.Errorf("%s: the terminal is %+v, and was %+v (%v)", key, after, before, err)
		}
		end()
		if text := seen.String(); strings.Contains(text, "\x1b[2J") || !strings.Contains(text, `a\x1b[2Jname`) {
			t.Errorf("the name of a transfer shows as %q", text)
		}
		within(t, seen.String(), 40)
	}
}
