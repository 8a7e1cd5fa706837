package main

import (
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/shoal-p2p/shoal/content"
	"github.com/shoal-p2p/shoal/node"
)

const (
	progressTick  = 250 * time.Millisecond
	progressGap   = time.Second             // between two lines, at least
	progressQuiet = 1500 * time.Millisecond // without news, then the last line is said again
	progressNames = 10 * time.Second        // between two lines that name the sources
)

// teller tells the user what goes on until it is stopped.
type teller interface {
	event(node.Event)
	stop() // may be called again
}

// teller begins to tell in the way that suits the command.
func (a *app) teller() teller {
	if a.verb == "get" {
		return a.fetchTeller()
	}
	return a.progress("starting")
}

// fetchTeller tells of a fetch, of which the events are the output.
func (a *app) fetchTeller() teller {
	if a.json {
		return newEventLines(a.out)
	}
	return a.progress("starting")
}

// progress tells the user what a request is doing, on standard error: with a bar on a terminal, and elsewhere in lines, at
// most one a second. It is never silent for two seconds, whatever the node says or does not say.
type progress struct {
	screen screen // nil where there is no terminal
	w      io.Writer
	quit   chan struct{}
	done   chan struct{}

	mu      sync.Mutex // guards the rest, and whole lines
	last    node.Event // what is going on
	began   time.Time  // since when it is that kind of event
	news    bool       // last has not been printed
	spoke   time.Time  // when a line was printed
	spoken  bool
	named   time.Time // when the sources were named, or nearly so
	notes   []string  // remarks that wait for their turn
	pace    pace
	stopped bool
}

// screen is a terminal that shows one changing line below those that stay.
type screen interface {
	show(e node.Event, since time.Duration) // what goes on now
	say(line string)                        // a line that stays
	close()
}

// progress starts to tell; stop must be called. doing is what to say before the first event.
func (a *app) progress(doing string) *progress {
	now := time.Now()
	p := &progress{
		w: a.err, quit: make(chan struct{}), done: make(chan struct{}),
		last: node.Event{Kind: "starting", Message: doing}, began: now,
		spoke: now.Add(-progressTick), // so that the first count comes within a second, and not at once
		news:  true,
	}
	if a.onTerminal(a.err) {
		p.screen = newBar(a.err)
	}
	go p.run()
	return p
}

func (p *progress) run() {
	defer close(p.done)
	t := time.NewTicker(progressTick)
	defer t.Stop()
	for {
		select {
		case now := <-t.C:
			p.mu.Lock()
			p.tell(now)
			p.mu.Unlock()
		case <-p.quit:
			return
		}
	}
}

// event takes note of what a node says.
func (p *progress) event(e node.Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if p.stopped || e.Kind == "done" {
		return
	}
	if e.Kind == "note" {
		p.notes = append(p.notes, describe(e))
		p.tell(now)
		return
	}
	if e.Kind != p.last.Kind || e.Message != p.last.Message {
		p.began = now
	}
	p.pace.fill(&e, now)
	p.last, p.news = e, true
	if e.Message != "" && p.screen == nil {
		if !p.spoken {
			p.spoke = time.Time{} // words need not wait as counts do
		}
		p.tell(now)
	}
}

// tell prints what is due. The caller holds mu.
func (p *progress) tell(now time.Time) {
	if p.screen != nil {
		for _, n := range p.notes {
			p.screen.say(content.Printable(n))
		}
		p.notes = nil
		p.screen.show(p.last, now.Sub(p.began))
		return
	}
	silent := now.Sub(p.spoke)
	switch {
	case silent < progressGap:
	case len(p.notes) > 0:
		p.line(now, p.notes[0])
		p.notes = p.notes[1:]
	case p.sourcesDue(now):
		p.named = now
		p.line(now, sourcesText(p.last))
	case p.news:
		p.news = false
		p.line(now, describe(p.last))
	case silent >= progressQuiet:
		p.line(now, fmt.Sprintf("%s (for %s)", describe(p.last), span(now.Sub(p.began).Seconds())))
	}
}

// sourcesDue reports whether it is time to say again who gives: first soon after it has begun, and then now and then.
func (p *progress) sourcesDue(now time.Time) bool {
	if p.last.Kind != "fetching" || len(p.last.Sources) == 0 {
		return false
	}
	if p.named.IsZero() {
		p.named = now.Add(2*time.Second - progressNames)
	}
	return now.Sub(p.named) >= progressNames
}

func (p *progress) line(now time.Time, text string) {
	p.spoke, p.spoken = now, true
	fmt.Fprintln(p.w, content.Printable(text))
}

// stop ends the telling, and the bar with it. Notes that have not had their turn are printed.
func (p *progress) stop() {
	p.mu.Lock()
	if p.stopped {
		p.mu.Unlock()
		return
	}
	p.stopped = true
	p.mu.Unlock()
	close(p.quit)
	<-p.done
	if p.screen != nil {
		p.screen.close()
	}
	for _, n := range p.notes {
		fmt.Fprintln(p.w, content.Printable(n))
	}
}

// pace reckons rate and remaining time for events that come without.
type pace struct {
	kind  string
	bytes int64
	since time.Time
	rate  float64 // bytes a second, smoothed
}

func (p *pace) fill(e *node.Event, now time.Time) {
	if e.Rate > 0 || e.Bytes == 0 || e.Kind == "syncing" {
		return
	}
	if e.Kind != p.kind || e.Bytes < p.bytes {
		*p = pace{kind: e.Kind, bytes: e.Bytes, since: now}
		return
	}
	if passed := now.Sub(p.since).Seconds(); passed >= 0.2 {
		fresh := float64(e.Bytes-p.bytes) / passed
		if p.rate == 0 {
			p.rate = fresh
		}
		p.rate += (fresh - p.rate) * min(1, passed/2)
		p.bytes, p.since = e.Bytes, now
	}
	e.Rate = p.rate
	if left := e.Total - e.Bytes; e.Rate > 0 && left > 0 {
		e.ETA = float64(left) / e.Rate
	}
}
