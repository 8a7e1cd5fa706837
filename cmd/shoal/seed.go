package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/shoal-p2p/shoal/content"
	"github.com/shoal-p2p/shoal/node"
)

const (
	seedAgain   = 10 * time.Second // between two events of --json while nothing changes
	seedPlainly = time.Minute      // between two lines that say that it goes on
)

// seedTime is the value of --seed: how long a get goes on serving what it has fetched.
type seedTime struct {
	length  time.Duration // zero: not at all
	forever bool
}

func (s *seedTime) String() string {
	if s.forever {
		return "forever"
	}
	return s.length.String()
}

func (s *seedTime) Type() string { return "duration" }

func (s *seedTime) Set(text string) error {
	if text == "forever" {
		*s = seedTime{forever: true}
		return nil
	}
	d, err := time.ParseDuration(text)
	if err != nil && text == "0" {
		d, err = 0, nil
	}
	if err != nil || d < 0 {
		return errors.New("neither a time such as 10m or 1h30m nor 'forever'")
	}
	*s = seedTime{length: d}
	return nil
}

func (s *seedTime) wanted() bool { return s.forever || s.length > 0 }

// seed goes on serving what was fetched until then, or for ever if that is zero, unless a node does so anyway.
func (a *app) seed(ctx context.Context, s *session, done node.Event, until time.Time) error {
	s.tell.stop()
	if !until.IsZero() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, until)
		defer cancel()
	}
	if s.remote == nil {
		x := a.newSeeding(done, until)
		defer x.end()
		return x.run(ctx, s)
	}
	if s.remote.about.Role == serves {
		a.remark("the node that runs on this home (process %d) goes on serving it, for as long as it runs", s.remote.about.PID)
		return nil
	}
	a.remark("served by process %d for as long as it runs, and by this one afterwards, %s", s.remote.about.PID, untilText(until))
	err := s.remote.stay(ctx)
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return nil
	}
	return err
}

func untilText(until time.Time) string {
	if until.IsZero() {
		return "until it is interrupted (^C)"
	}
	return fmt.Sprintf("for %s or until it is interrupted (^C)", span(time.Until(until).Seconds()))
}

// seeding is a get that goes on serving, and tells of it: on a terminal in a line that changes, with --json in events, and
// elsewhere in lines about each peer that fetches.
type seeding struct {
	app    *app
	done   node.Event
	begun  time.Time
	until  time.Time // zero: for ever
	base   int64     // bytes that the node had sent before
	known  bool      // base is
	peers  uploads
	screen screen // nil where there is no terminal
	last   node.Event
	told   time.Time
}

func (a *app) newSeeding(done node.Event, until time.Time) *seeding {
	now := time.Now()
	x := &seeding{app: a, done: done, begun: now, until: until, told: now}
	x.peers = uploads{say: x.say, known: make(map[string]*upload)}
	if a.onTerminal(a.err) && !a.json {
		x.screen = newBar(a.err)
	}
	x.say("seeding %s", untilText(until))
	return x
}

// say prints a line that stays.
func (x *seeding) say(format string, args ...any) {
	switch {
	case x.screen != nil:
		x.screen.say(content.Printable(fmt.Sprintf(format, args...)))
	case !x.app.json:
		x.app.remark(format, args...)
	}
}

// run looks once a second, until ctx ends. That the time is over is no error.
func (x *seeding) run(ctx context.Context, p peer) error {
	t := time.NewTicker(uploadLook)
	defer t.Stop()
	for {
		x.look(ctx, p, time.Now())
		select {
		case <-t.C:
		case <-ctx.Done():
			if s, err := p.Status(context.WithoutCancel(ctx)); err == nil {
				x.last = x.event(s, time.Now())
			}
			if errors.Is(ctx.Err(), context.DeadlineExceeded) {
				return nil
			}
			return context.Cause(ctx)
		}
	}
}

func (x *seeding) look(ctx context.Context, p peer, now time.Time) {
	status, err := p.Status(ctx)
	if err != nil {
		return
	}
	if list, err := p.Peers(ctx); err == nil {
		x.peers.look(list, now)
	}
	if !x.known {
		x.base, x.known = status.Up, true
	}
	e := x.event(status, now)
	changed := e.Bytes != x.last.Bytes || x.last.Kind == ""
	x.last = e
	switch {
	case x.screen != nil:
		x.screen.show(e, 0)
	case x.app.json && (changed || now.Sub(x.told) >= seedAgain):
		x.told = now
		_ = printJSON(x.app.out, e) // nobody reads it: no reason to end
	case !x.app.json && now.Sub(x.told) >= seedPlainly:
		x.told = now
		x.say("%s", describe(e))
	}
}

// event is how far the seeding is.
func (x *seeding) event(s node.Status, now time.Time) node.Event {
	e := node.Event{Kind: "seeding", CID: x.done.CID, Path: x.done.Path, Bytes: s.Up - x.base, Seconds: now.Sub(x.begun).Seconds()}
	if !x.until.IsZero() {
		e.ETA = max(x.until.Sub(now).Seconds(), 0)
	}
	for _, t := range s.Transfers {
		e.Rate += t.UpRate
		for _, to := range t.Sources {
			if to.UpRate > 0 {
				e.Peers++
				e.Sources = append(e.Sources, to)
			}
		}
	}
	return e
}

// end says what became of it.
func (x *seeding) end() {
	if x.screen != nil {
		x.screen.close()
		x.screen = nil
	}
	e := x.last
	e.Kind, e.Rate, e.Peers, e.ETA, e.Sources, e.Seconds = "seeded", 0, 0, 0, nil, time.Since(x.begun).Seconds()
	e.CID, e.Path = x.done.CID, x.done.Path
	if x.app.json {
		_ = printJSON(x.app.out, e)
		return
	}
	x.app.remark("seeded for %s, gave %s", span(e.Seconds), size(e.Bytes))
}
