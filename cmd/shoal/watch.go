package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/vbauerster/mpb/v8/cwriter"
)

const (
	watchEvery       = time.Second
	watchNearbyEvery = 3 * time.Second // each look asks every neighbour
)

// view is something that is looked at again and again.
type view[T any] struct {
	every time.Duration
	look  func(context.Context) (T, error)
	text  func(T) string // for people; with --json, each look is a line
}

// watch shows a view until the user has seen enough or looking fails.
func watch[T any](ctx context.Context, a *app, v view[T]) error {
	show := blocks(a, v)
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
		show = redrawn(a, v)
	}
	t := time.NewTicker(v.every)
	defer t.Stop()
	for {
		now, err := v.look(ctx)
		if ctx.Err() != nil {
			return nil // that is how it ends
		}
		if err == nil {
			err = show(now)
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

// blocks prints each look below the one before: a paragraph, or a line of JSON.
func blocks[T any](a *app, v view[T]) func(T) error {
	first := true
	return func(now T) error {
		if a.json {
			return printJSON(a.out, now)
		}
		gap := "\n"
		if first {
			gap, first = "", false
		}
		_, err := fmt.Fprint(a.out, gap+v.text(now))
		return err
	}
}

// redrawn draws each look over the one before, as much of it as the terminal shows. The last one stays.
func redrawn[T any](a *app, v view[T]) func(T) error {
	w := cwriter.New(a.out)
	return func(now T) error {
		columns, rows := terminalSize(a.out)
		lines := fit(strings.Split(strings.TrimSuffix(v.text(now), "\n"), "\n"), columns, rows-1)
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
