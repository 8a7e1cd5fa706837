package main

import (
	"io"
	"sync"
	"time"

	"github.com/shoal-p2p/shoal/node"
)

// eventLines prints the events of a fetch as JSON. Counts come at most once a second; everything else comes as it happens.
// When the node has nothing to say, what is being waited for is said again, so that a program can tell waiting from death.
type eventLines struct {
	w    io.Writer
	quit chan struct{}
	done chan struct{}
	once sync.Once

	mu    sync.Mutex // guards the rest, and whole lines
	last  node.Event
	began time.Time
	spoke time.Time
}

func newEventLines(w io.Writer) *eventLines {
	now := time.Now()
	l := &eventLines{w: w, quit: make(chan struct{}), done: make(chan struct{}), began: now, spoke: now}
	l.last = node.Event{Kind: "waiting", Message: "the node is starting"}
	go l.run()
	return l
}

func (l *eventLines) run() {
	defer close(l.done)
	t := time.NewTicker(progressTick)
	defer t.Stop()
	for {
		select {
		case now := <-t.C:
			l.mu.Lock()
			if now.Sub(l.spoke) >= progressQuiet {
				e := l.last
				e.Seconds = now.Sub(l.began).Seconds()
				l.print(e, now)
			}
			l.mu.Unlock()
		case <-l.quit:
			return
		}
	}
}

func (l *eventLines) event(e node.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e.Kind == "done" {
		return // comes as the result, too
	}
	now := time.Now()
	fresh := e.Kind != l.last.Kind || e.Message != l.last.Message
	if e.Kind != "note" {
		if fresh {
			l.began = now
		}
		l.last = e
	}
	if !fresh && now.Sub(l.spoke) < progressGap {
		return
	}
	l.print(e, now)
}

func (l *eventLines) print(e node.Event, now time.Time) {
	l.spoke = now
	_ = printJSON(l.w, e)
}

func (l *eventLines) stop() {
	l.once.Do(func() { close(l.quit) })
	<-l.done
}
