//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"
)

const (
	firstRuns = 20      // of each of these figures, whatever -runs says: a percentile needs them
	firstSize = 2 << 20 // bytes: two chunks, as a file of one would come with its tree
	firstRate = 1000 * megabit
)

// first measures how long `get` takes to its first byte: with the CID alone when both sides start at the same moment, and with
// a ticket when both nodes run. Each get has a home of its own or a root of its own, so that nothing is remembered.
func (b *bench) first(ctx context.Context) error {
	return errors.Join(
		b.firstOf(ctx, "LAN, cold start of both, CID only: first byte", 2*time.Second, (*arena).cold),
		b.firstOf(ctx, "with a ticket, both running: first byte", 300*time.Millisecond, (*arena).warm),
	)
}

// firstOf runs a figure and adds its row.
func (b *bench) firstOf(ctx context.Context, work string, reach time.Duration, measure func(*arena, context.Context) ([]time.Duration, error)) error {
	return b.within(func(a *arena) error {
		var all []time.Duration
		took, cpu, err := measured(func() (err error) { all, err = measure(a, ctx); return err })
		if err != nil {
			return err
		}
		slices.Sort(all)
		p95 := all[(len(all)*95+99)/100-1]
		fmt.Printf("%s: %d runs in %v, CPU idle %.0f %%: %v\n", work, len(all), took.Round(time.Second), cpu.idle*100, all)
		round := func(d time.Duration) time.Duration { return d.Round(time.Millisecond) }
		b.add(row{
			work:     fmt.Sprintf("%s, %d runs", work, len(all)),
			measured: fmt.Sprintf("p95 %v, median %v, worst %v", round(p95), round(all[len(all)/2]), round(all[len(all)-1])),
			reach:    fmt.Sprintf("p95 ≤ %v", reach), holds: p95 <= reach,
		})
		return nil
	})
}

// cold starts the node that shares and the get at the same moment, again and again.
func (a *arena) cold(ctx context.Context) (all []time.Duration, err error) {
	giver, taker, err := a.pair()
	if err != nil {
		return nil, err
	}
	path, err := a.file(1, firstSize)
	if err != nil {
		return nil, err
	}
	n, err := a.node(ctx, giver)
	if err != nil {
		return nil, err
	}
	cid, err := n.share(ctx, path)
	if err != nil {
		return nil, err
	}
	for run := range firstRuns {
		if err := n.serve.stop(); err != nil {
			return nil, err
		}
		start := time.Now()
		if n.serve, err = giver.launch(ctx, n.shoal, "--home", n.home, "serve"); err != nil {
			return nil, err
		}
		fresh := &node{machine: taker, shoal: n.shoal, home: filepath.Join(a.dir, fmt.Sprintf("cold%d", run))}
		took, err := fresh.firstByte(ctx, start, cid, path)
		if err != nil {
			return nil, err
		}
		all = append(all, took)
	}
	return all, nil
}

// warm asks one running node for what another one shares, by ticket.
func (a *arena) warm(ctx context.Context) (all []time.Duration, err error) {
	giver, taker, err := a.pair()
	if err != nil {
		return nil, err
	}
	from, err := a.node(ctx, giver, "--network", "isolated") // nothing but the ticket leads to it
	if err != nil {
		return nil, err
	}
	to, err := a.node(ctx, taker, "--network", "isolated")
	if err != nil {
		return nil, err
	}
	for run := range firstRuns {
		path, err := a.file(byte(run), firstSize)
		if err != nil {
			return nil, err
		}
		var s struct {
			Ticket string `json:"ticket"`
		}
		if err := from.call(ctx, &s, "share", path); err != nil {
			return nil, err
		}
		took, err := to.firstByte(ctx, time.Now(), s.Ticket, path)
		if err != nil {
			return nil, err
		}
		all = append(all, took)
	}
	return all, nil
}

func (a *arena) pair() (giver, taker *machine, err error) {
	if giver, err = a.plug(firstRate, firstRate); err != nil {
		return nil, nil, err
	}
	taker, err = a.plug(firstRate, firstRate)
	return giver, taker, err
}

// firstByte is the time from start until a get says that bytes have come. As it says so a few times a second, or at its end, the
// first byte came no later than that.
func (n *node) firstByte(ctx context.Context, start time.Time, ref, original string) (time.Duration, error) {
	f := &fetch{node: n, dest: filepath.Join(filepath.Dir(n.home), "first"+n.ip)}
	var err error
	if f.run, err = n.begin(ctx, "get", ref, "-o", f.dest); err != nil {
		return 0, err
	}
	for !came(f.run.out.bytes()) {
		if !f.run.running() {
			return 0, errors.Join(errors.New("get ended without a byte"), f.run.wait())
		}
		if err := pause(ctx, time.Millisecond); err != nil {
			return 0, err
		}
	}
	took := time.Since(start)
	if _, err := f.wait(); err != nil {
		return 0, err
	}
	return took, f.check(original)
}

// came reports whether a get has said that bytes came.
func came(out []byte) bool {
	for line := range bytes.Lines(out) {
		var e struct {
			Event string `json:"event"`
			Bytes int64  `json:"bytes"`
		}
		if json.Unmarshal(line, &e) == nil && e.Bytes > 0 && (e.Event == "fetching" || e.Event == "syncing" || e.Event == "done") {
			return true
		}
	}
	return false
}
