//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

const receivers = 8

// crowdRate is each machine's link, in both directions.
const crowdRate = 100 * megabit

func (b *bench) swarm64(ctx context.Context) error  { return b.swarm(ctx, b.bytes(64<<20), 1.20) }
func (b *bench) swarm256(ctx context.Context) error { return b.swarm(ctx, b.bytes(256<<20), 1.12) }

// crowd is a seeder and receivers who know each other, before any get.
type crowd struct {
	*arena
	seeder *node
	rest   []*node
	cid    string
	file   string
	hint   []string // what a get is told of
	bare   float64
}

// crowd prepares one.
func (a *arena) crowd(ctx context.Context, size int64) (c *crowd, err error) {
	c = &crowd{arena: a}
	if c.file, err = a.file(0, size); err != nil {
		return nil, err
	}
	var machines []*machine
	for range 1 + receivers {
		m, err := a.plug(crowdRate, crowdRate)
		if err != nil {
			return nil, err
		}
		machines = append(machines, m)
	}
	if c.bare, err = bareShare(ctx, bareBytes, crowdRate, flow{machines[0], machines[1]}); err != nil {
		return nil, err
	}
	if err := trusted(machines[0], machines[1]); err != nil {
		return nil, err
	}
	args := []string{"--network", "lan"}
	if a.bench.pex {
		args = []string{"--network", "isolated"}
	}
	if c.seeder, err = a.node(ctx, machines[0], args...); err != nil {
		return nil, err
	}
	if c.cid, err = c.seeder.share(ctx, c.file); err != nil {
		return nil, err
	}
	if a.bench.pex {
		addr, err := c.seeder.addr(ctx)
		if err != nil {
			return nil, err
		}
		c.hint = []string{addr}
	}
	for _, m := range machines[1:] {
		n, err := a.node(ctx, m, args...)
		if err != nil {
			return nil, err
		}
		c.rest = append(c.rest, n)
	}
	if a.bench.pex {
		return c, nil
	}
	return c, a.acquaint(ctx)
}

// bareBytes are sent over a bare stream before a swarm.
const bareBytes = 16 << 20

// trusted checks the links' counters against the bare stream, which is all that has gone over them.
func trusted(from, to *machine) error {
	sent, err := from.sent()
	if err != nil {
		return err
	}
	got, err := to.received()
	if err != nil {
		return err
	}
	for _, c := range []counters{sent, got} {
		if part := float64(c.payload()) / bareBytes; part < 0.99 || part > 1.02 {
			return fmt.Errorf("of a bare stream of %d bytes the link counts %d: these figures would mean nothing", int64(bareBytes), c.payload())
		}
	}
	return nil
}

// gets starts all gets at once.
func (c *crowd) gets(ctx context.Context) ([]*fetch, error) {
	type started struct {
		f   *fetch
		err error
	}
	results := make([]chan started, len(c.rest))
	for i, n := range c.rest {
		results[i] = make(chan started, 1)
		go func() {
			f, err := n.get(ctx, c.cid, c.hint...)
			results[i] <- started{f, err}
		}()
	}
	var fetches []*fetch
	var err error
	for _, r := range results {
		s := <-r
		fetches, err = append(fetches, s.f), errors.Join(err, s.err)
	}
	return fetches, err
}

// outcome is one run of a swarm.
type outcome struct {
	took   time.Duration
	sent   float64 // by the seeder, in files: what it says itself
	wire   float64 // the same, by the link's counters
	moved  float64 // by all nodes, in files a receiver: whole chunks that they say they sent
	excess float64 // the same, by the links' counters: framing above TCP and repeated segments are in it
	around around
}

// swarm: one seeder, eight receivers, equal links.
func (b *bench) swarm(ctx context.Context, size int64, reach float64) error {
	var took []time.Duration
	var sent, wire, excess []float64
	var last around
	for range b.runs {
		var o outcome
		err := b.within(func(a *arena) (err error) {
			o, err = a.swarm(ctx, size)
			return err
		})
		if err != nil {
			return err
		}
		took, sent = append(took, o.took), append(sent, o.sent)
		wire, excess, last = append(wire, o.wire), append(excess, o.excess), last.worse(o.around)
	}
	bound := leastTime(size, receivers, crowdRate, crowdRate, crowdRate)
	ratio := median(took).Seconds() / bound.Seconds()
	what := fmt.Sprintf("1 seeder, %d receivers, %v, %s: ", receivers, crowdRate, mib(size))
	b.add(row{what + "last receiver", seconds(median(took)), seconds(bound), times(ratio), fmt.Sprintf("≤ %.2f ×", reach), ratio <= reach, last})
	b.add(row{
		what + "sent by the seeder", fmt.Sprintf("%.2f files, %.2f on the wire", median(sent), median(wire)), "1 file",
		times(median(sent)), "≤ 1.30 ×", median(sent) <= 1.3,
		around{},
	})
	// The links' counters count a little too much, so that the swarm is not flattered.
	part := median(excess)
	b.add(row{
		what + "duplicates, whole swarm", "on the wire at most " + percent(part), "0", percent(part), "≤ 2 %", part <= 0.02,
		around{},
	})
	return nil
}

func (a *arena) swarm(ctx context.Context, size int64) (o outcome, err error) {
	c, err := a.crowd(ctx, size)
	if err != nil {
		return o, err
	}
	before, err := c.traffic()
	if err != nil {
		return o, err
	}
	bound := leastTime(size, receivers, crowdRate, crowdRate, crowdRate)
	ctx, cancel := context.WithTimeoutCause(ctx, 10*bound+30*time.Second, errors.New("takes ten times the bound"))
	defer cancel()
	var fetches []*fetch
	o.took, o.around.cpu, err = measured(func() error {
		if fetches, err = c.gets(ctx); err != nil {
			return err
		}
		_, err := all(fetches)
		return err
	})
	if err != nil {
		return o, errors.Join(context.Cause(ctx), err)
	}
	o.around.bare = c.bare
	after, err := c.traffic()
	if err != nil {
		return o, err
	}
	o.wire, o.excess = after.share(before, size, len(c.rest))
	if err := c.account(ctx, size, &o); err != nil {
		return o, err
	}
	for _, f := range fetches {
		if err := f.check(c.file); err != nil {
			return o, err
		}
	}
	fmt.Printf("last after %v (%.2f ×), seeder sent %.2f files (wire %.2f), all nodes %.3f a receiver (wire %.3f), CPU idle %s, ours %s\n",
		o.took.Round(time.Millisecond), o.took.Seconds()/bound.Seconds(), o.sent, o.wire, o.moved, 1+o.excess,
		percent(o.around.cpu.idle), percent(o.around.cpu.ours))
	return o, nil
}

// account asks the nodes what they have sent and received.
func (c *crowd) account(ctx context.Context, size int64, o *outcome) error {
	s, err := c.seeder.status(ctx)
	if err != nil {
		return err
	}
	o.sent = float64(s.Up) / float64(size)
	needed := float64(size) * float64(len(c.rest))
	o.moved = float64(s.Up) / needed
	for _, n := range c.rest {
		s, err := n.status(ctx)
		if err != nil {
			return err
		}
		o.moved += float64(s.Up) / needed
	}
	return nil
}

// traffic is what went over the links of a crowd, in bytes of TCP payload.
type traffic struct{ seeder, receivers int64 }

func (c *crowd) traffic() (t traffic, err error) {
	sent, err := c.seeder.sent()
	if err != nil {
		return t, err
	}
	t.seeder = sent.payload()
	for _, n := range c.rest {
		got, err := n.received()
		if err != nil {
			return t, err
		}
		t.receivers += got.payload()
	}
	return t, nil
}

// share is what the seeder has sent since before, in files, and the part by which the receivers have received too much.
func (t traffic) share(before traffic, size int64, n int) (sent, excess float64) {
	return float64(t.seeder-before.seeder) / float64(size),
		float64(t.receivers-before.receivers)/float64(size)/float64(n) - 1
}
