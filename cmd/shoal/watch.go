package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/vbauerster/mpb/v8/cwriter"

	"github.com/shoal-p2p/shoal/node"
)

const watchEvery = time.Second

// watchStatus shows the status again and again, until the user has seen enough or the node goes away.
func (a *app) watchStatus(ctx context.Context, s *session, each bool) error {
	s.tell.stop()
	show := a.statusBlocks(each)
	if a.onTerminal(a.out) && !a.json {
		enough, restore := a.awaitQ()
		defer restore()
		var cancel context.CancelFunc
		ctx, cancel = context.WithCancel(ctx)
		defer cancel()
		go func() {
			select {
			case <-enough:
				cancel()
			case <-ctx.Done():
			}
		}()
		show = a.statusScreen(each)
	}
	t := time.NewTicker(watchEvery)
	defer t.Stop()
	for {
		status, err := s.Status(ctx)
		if ctx.Err() != nil {
			return nil // that is how it ends
		}
		if err == nil {
			err = show(status)
		}
		if err != nil {
			return err
		}
		select {
		case <-t.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// statusBlocks prints each status below the one before: a paragraph, or a line of JSON.
func (a *app) statusBlocks(each bool) func(node.Status) error {
	first := true
	return func(s node.Status) error {
		if a.json {
			return printJSON(a.out, s)
		}
		gap := "\n"
		if first {
			gap, first = "", false
		}
		_, err := fmt.Fprint(a.out, gap+statusText(s, each))
		return err
	}
}

// statusScreen draws each status over the one before, as much of it as the terminal shows. The last one stays.
func (a *app) statusScreen(each bool) func(node.Status) error {
	w := cwriter.New(a.out)
	return func(s node.Status) error {
		columns, rows := terminalSize(a.out)
		lines := fit(strings.Split(strings.TrimSuffix(statusText(s, each), "\n"), "\n"), columns, rows-1)
		for _, line := range lines {
			if _, err := io.WriteString(w, line+"\n"); err != nil {
				return err
			}
		}
		return w.Flush(len(lines))
	}
}

// fit cuts lines to what a terminal shows. The first ones, which say who and where the node is, give way to those about
// transfers at the end.
func fit(lines []string, columns, rows int) []string {
	if over := len(lines) - max(rows, 1); over > 0 {
		lines = lines[over:]
	}
	out := make([]string, len(lines))
	for i, line := range lines {
		out[i] = clip(line, columns-1)
	}
	return out
}

// awaitQ waits for the user to press q, where keys can be had one at a time. restore gives the terminal back as it was.
func (a *app) awaitQ() (enough <-chan struct{}, restore func()) {
	in, ok := a.in.(*os.File)
	if !ok || !a.onTerminal(in) {
		return nil, func() {}
	}
	return keyPressed(in, "qQ")
}
