package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/shoal-p2p/shoal/node"
)

// openTerminal returns the two ends of a pseudo terminal of 100 columns.
func openTerminal(t *testing.T) (keyboard, screen *os.File) {
	t.Helper()
	keyboard, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip("needs pseudo terminals: ", err)
	}
	t.Cleanup(func() { keyboard.Close() })
	fd := int(keyboard.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	screen, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { screen.Close() })
	if err := unix.IoctlSetWinsize(int(screen.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: 100}); err != nil {
		t.Fatal(err)
	}
	return keyboard, screen
}

func TestProgressOnATerminal(t *testing.T) {
	keyboard, screen := openTerminal(t)
	seen := &terminal{}
	copied := make(chan struct{})
	go func() {
		defer close(copied)
		_, _ = io.Copy(seen, keyboard) // ends with an error when the screen is closed
	}()
	a := &app{err: screen, getenv: func(string) string { return "xterm" }}
	p := a.progress("starting")
	p.event(node.Event{Kind: "finding", Message: "asking \x1b]0;owned\x07 the neighbours"})
	seen.await(t, "the neighbours")
	seen.await(t, "(for 2.") // the line moves while nothing happens
	p.event(node.Event{Kind: "note", Message: "by the way"})
	p.event(node.Event{Kind: "fetching", Bytes: 5 << 20, Total: 10 << 20, Rate: 1 << 20, Peers: 3, ETA: 5})
	seen.await(t, "5.00 MiB of 10.0 MiB, 1.00 MiB/s, 3 peers, 5.0 s to go")
	p.event(node.Event{Kind: "syncing"})
	seen.await(t, "making sure that the disk holds it")
	start := time.Now()
	p.stop()
	if took := time.Since(start); took > time.Second {
		t.Errorf("stopping took %v", took)
	}
	screen.Close()
	<-copied
	text := seen.String()
	for _, want := range []string{"by the way", "[====", "fetching "} {
		if !strings.Contains(text, want) {
			t.Errorf("%q was never on the screen:\n%q", want, text)
		}
	}
	if strings.Contains(text, "owned\x07") {
		t.Errorf("a raw escape sequence from a peer reached the terminal:\n%q", text)
	}
	if rest := text[strings.LastIndex(text, "\x1b[J")+3:]; rest != "" {
		t.Errorf("the bar is left on the screen: %q", rest)
	}
}

// TestDumbTerminal gets lines, as a pipe does.
func TestDumbTerminal(t *testing.T) {
	_, screen := openTerminal(t)
	a := &app{err: screen, getenv: func(string) string { return "dumb" }}
	p := a.progress("starting")
	defer p.stop()
	if p.screen != nil {
		t.Error("a bar on a dumb terminal")
	}
}
