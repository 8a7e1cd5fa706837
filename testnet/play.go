package testnet

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"golang.org/x/sync/errgroup"
)

// Stage says where a scenario is played with real nodes. All fields must be set.
type Stage struct {
	Dir    string // absolute; made for the run's record, must not be there yet
	Net    string // absolute; the folder of the Net, removed with it
	Ground string
	Shoal  string // path of the program
}

// What the folder of a run holds.
const (
	eventsName   = "events.jsonl"
	scenarioName = "scenario.yaml"
)

// Play puts up a Net, plays a scenario on it, compares every copy with the original, takes the Net down again and returns what came of each
// expectation, as events of the kind expect. watch, which may be nil, sees every event as it is recorded. The error is of a run that could not
// be played: of the scenario's time being over it is not.
func Play(ctx context.Context, sc *Scenario, st Stage, watch func(Event)) ([]Event, error) {
	if err := sc.Suits(st.Ground); err != nil {
		return nil, err
	}
	if st.Ground == Simulated {
		return PlaySimulated(ctx, sc, st.Dir, Simulate, watch)
	}
	j := newJudge(sc)
	r, err := record(sc, st.Dir, func(e Event) {
		j.hear(e)
		if watch != nil {
			watch(e)
		}
	})
	if err != nil {
		return nil, err
	}
	r.Record(Event{Kind: "begin", Scenario: sc.Name, Ground: st.Ground, Bound: sc.wholeBound().Seconds()})
	net, err := Up(ctx, Config{Dir: st.Net, Ground: st.Ground, Shoal: st.Shoal, Nodes: sc.Nodes}, r.Record)
	if err != nil {
		return nil, errors.Join(err, r.Close(), unplayed(st.Dir))
	}
	err = playOn(ctx, sc, net, r)
	verdicts := j.verdicts()
	conclude(r, verdicts, err)
	return verdicts, errors.Join(err, r.Close(), net.Down(context.WithoutCancel(ctx)))
}

// PlaySimulated is Play on a simulated ground: simulate emits events with the times that they have there. [Simulate] is one.
func PlaySimulated(
	ctx context.Context, sc *Scenario, dir string, simulate func(context.Context, *Scenario, func(Event)) error, watch func(Event),
) ([]Event, error) {
	j := newJudge(sc)
	last := 0.0
	r, err := record(sc, dir, func(e Event) {
		last = max(last, e.T)
		j.hear(e)
		if watch != nil {
			watch(e)
		}
	})
	if err != nil {
		return nil, err
	}
	err = simulate(ctx, sc, r.Replay)
	if errors.As(err, new(*ScenarioError)) {
		return nil, errors.Join(err, r.Close(), unplayed(dir))
	}
	verdicts, ok := j.verdicts(), err == nil
	for i := range verdicts {
		verdicts[i].T = last
		ok = ok && verdicts[i].OK
		r.Replay(verdicts[i])
	}
	r.Replay(Event{T: last, Kind: "end", OK: ok, Seconds: last})
	return verdicts, errors.Join(err, r.Close())
}

// record makes the folder of a run.
func record(sc *Scenario, dir string, watch func(Event)) (*Recorder, error) {
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return nil, fmt.Errorf("the folder of the run: %w", err)
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		return nil, fmt.Errorf("the folder of the run: %w", err)
	}
	if err := os.WriteFile(filepath.Join(dir, scenarioName), sc.Text, 0o644); err != nil {
		return nil, fmt.Errorf("the folder of the run: %w", err)
	}
	return NewRecorder(filepath.Join(dir, eventsName), watch)
}

// unplayed removes the folder of a run of which there is nothing to tell.
func unplayed(dir string) error {
	return errors.Join(os.Remove(filepath.Join(dir, eventsName)), os.Remove(filepath.Join(dir, scenarioName)), os.Remove(dir))
}

// playOn plays a scenario on a network that is up.
func playOn(ctx context.Context, sc *Scenario, net *Net, r *Recorder) error {
	originals := filepath.Join(net.dir, nodesName, ".content")
	if err := provide(sc, net.Nodes(), originals); err != nil {
		return fmt.Errorf("make the content: %w", err)
	}
	p := newPlayer(sc, net, r.Record)
	r.Begin()
	if err := p.play(ctx); err != nil {
		return err
	}
	return p.verify(ctx, originals)
}

// copyPath is where a node has its copy of a content, or is to put it: beside its home, because nothing in a home may be shared.
func copyPath(n Node, content string) string {
	return filepath.Join(filepath.Dir(n.Home), ".files", n.Name, content)
}

// provide makes the contents, and gives them to those who share them.
func provide(sc *Scenario, nodes []Node, originals string) error {
	if err := os.Mkdir(originals, 0o755); err != nil {
		return err
	}
	at := map[string]Node{}
	for _, n := range nodes {
		at[n.Name] = n
		if err := os.MkdirAll(copyPath(n, ""), 0o755); err != nil {
			return err
		}
	}
	for _, c := range sc.Content {
		if err := makeContent(filepath.Join(originals, c.Name), c, sc.Seed); err != nil {
			return err
		}
	}
	for _, s := range sc.Steps {
		if s.Do != Share {
			continue
		}
		for _, n := range s.Nodes {
			if err := linkContent(filepath.Join(originals, s.Content), copyPath(at[n], s.Content)); err != nil {
				return err
			}
		}
	}
	return nil
}

// verify compares every copy that a node calls complete with the original.
func (p *player) verify(ctx context.Context, originals string) error {
	want := map[string][]byte{}
	for _, c := range p.sc.Content {
		sum, err := digest(filepath.Join(originals, c.Name))
		if err != nil {
			return fmt.Errorf("the original of %s: %w", c.Name, err)
		}
		want[c.Name] = sum
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(runtime.NumCPU())
	for name, a := range p.actors {
		for content, w := range a.wants {
			if !w.over {
				continue
			}
			group.Go(func() error {
				if ctx.Err() != nil {
					return context.Cause(ctx)
				}
				got, err := digest(copyPath(a.node, content))
				e := Event{Kind: "verified", Node: name, Content: content, OK: err == nil && bytes.Equal(got, want[content])}
				if err != nil {
					e.Reason = err.Error()
				}
				p.record(e)
				return nil
			})
		}
	}
	return group.Wait()
}

// conclude records the verdicts, and how it ended.
func conclude(r *Recorder, verdicts []Event, err error) {
	ok := err == nil
	for _, v := range verdicts {
		ok = ok && v.OK
		r.Record(v)
	}
	if err != nil {
		r.Record(Event{Kind: "note", Reason: err.Error()})
	}
	r.Record(Event{Kind: "end", OK: ok, Seconds: r.sinceBegin().Seconds()})
}

// wholeBound is the bound of the content that takes longest.
func (sc *Scenario) wholeBound() (bound time.Duration) {
	for _, c := range sc.Content {
		var all []string
		for n := range sc.Fetchers(c.Name) {
			all = append(all, n)
		}
		bound = max(bound, sc.Bound(c.Name, all))
	}
	return bound
}
