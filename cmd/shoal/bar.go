package main

import (
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"github.com/shoal-p2p/shoal/content"
	"github.com/shoal-p2p/shoal/node"
)

// bar is a screen drawn with mpb. Nothing is drawn for requests that are over before the first tick.
type bar struct {
	w         io.Writer
	container *mpb.Progress
	line      *mpb.Bar

	mu    sync.Mutex // guards the rest
	event node.Event
	since time.Time
}

func newBar(w io.Writer) *bar { return &bar{w: w} }

func (b *bar) show(e node.Event, since time.Duration) {
	b.mu.Lock()
	b.event, b.since = e, time.Now().Add(-since)
	b.mu.Unlock()
	if b.container == nil {
		b.container = mpb.New(mpb.WithOutput(b.w), mpb.WithWidth(40))
		filler := mpb.BarStyle().Lbound("[").Rbound("]").Filler("=").Tip(">").Padding(" ").Build()
		b.line = b.container.MustAdd(0, mpb.BarFillerFunc(func(w io.Writer, s decor.Statistics) error {
			if e, _ := b.now(); e.Total <= 0 {
				return nil
			}
			return filler.Fill(w, s)
		}), mpb.PrependDecorators(decor.Any(b.left)), mpb.AppendDecorators(decor.Any(b.right)), mpb.BarExtender(mpb.BarFillerFunc(b.below), false))
	}
	b.line.SetTotal(max(e.Total, 0), false)
	b.line.SetCurrent(max(e.Bytes, 0))
}

func (b *bar) now() (node.Event, float64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.event, time.Since(b.since).Seconds()
}

// left is what is being done; all there is to say when it cannot be counted.
func (b *bar) left(decor.Statistics) string {
	e, seconds := b.now()
	if e.Total > 0 {
		return e.Kind + " "
	}
	text := content.Printable(describe(e))
	if seconds >= 2 {
		text += fmt.Sprintf(" (for %s)", span(seconds))
	}
	return text
}

// right is how far it is.
func (b *bar) right(decor.Statistics) string {
	e, _ := b.now()
	if e.Total <= 0 {
		return ""
	}
	if columns, _ := terminalSize(b.w); columns < 70 {
		return " " + join(portion(e.Bytes, e.Total), speed(e.Rate), eta(e.ETA)) // the peers are listed below
	}
	return " " + join(size(e.Bytes)+" of "+size(e.Total), speed(e.Rate), peers(e.Peers), eta(e.ETA))
}

// below lists the peers, as many as the terminal has room for.
func (b *bar) below(w io.Writer, s decor.Statistics) error {
	e, _ := b.now()
	_, rows := terminalSize(b.w)
	for _, line := range sourceLines(e, min(sourcesShown, rows-3), s.AvailableWidth-1) {
		if _, err := fmt.Fprintln(w, line); err != nil {
			return err
		}
	}
	return nil
}

func (b *bar) say(line string) {
	if b.container != nil {
		if _, err := fmt.Fprintln(b.container, line); err == nil {
			return
		}
	}
	fmt.Fprintln(b.w, line)
}

func (b *bar) close() {
	if b.container != nil {
		b.line.Abort(true)
		b.container.Wait()
	}
}
