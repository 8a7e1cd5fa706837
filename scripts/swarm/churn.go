//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// churn: half the receivers are killed in mid-swarm, and the seeder as soon as the others have every chunk among them.
func (b *bench) churn(ctx context.Context) error {
	size := b.bytes(64 << 20)
	var took []time.Duration
	var last around
	for range b.runs {
		err := b.within(func(a *arena) error {
			t, around, err := a.churn(ctx, size)
			took, last = append(took, t), last.worse(around)
			return err
		})
		if err != nil {
			return err
		}
	}
	// That every one of them came through and holds the right bytes has been checked, or there would be no row.
	b.add(row{
		fmt.Sprintf("%d of %d receivers killed, then the seeder, %s: the rest", receivers/2, receivers, mib(size)),
		"complete after " + seconds(median(took)), "none killed: " + seconds(leastTime(size, receivers, crowdRate, crowdRate, crowdRate)),
		"", "complete", true, last,
	})
	return nil
}

func (a *arena) churn(ctx context.Context, size int64) (took time.Duration, near around, err error) {
	c, err := a.crowd(ctx, size)
	if err != nil {
		return 0, near, err
	}
	observer, err := a.plug(crowdRate, crowdRate)
	if err != nil {
		return 0, near, err
	}
	survivors := c.rest[receivers/2:]
	var addrs []string
	for _, n := range survivors {
		addr, err := n.addr(ctx)
		if err != nil {
			return 0, near, err
		}
		addrs = append(addrs, addr)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, 2*time.Minute, errors.New("the rest is not complete after two minutes"))
	defer cancel()
	near.bare = c.bare
	var fetches []*fetch
	start := time.Now()
	_, near.cpu, err = measured(func() error {
		if fetches, err = c.gets(ctx); err != nil {
			return err
		}
		if err := c.killHalf(ctx, size, fetches); err != nil {
			return err
		}
		fmt.Printf("killed %d receivers after %v\n", receivers/2, time.Since(start).Round(time.Millisecond))
		watch, err := a.actor(ctx, observer, actWatch, "-file", c.file, "-peers", strings.Join(addrs, ","))
		if err != nil {
			return err
		}
		if err := watch.sees(ctx); err != nil {
			return err
		}
		c.seeder.serve.kill()
		rest := fetches[receivers/2:]
		fmt.Printf("killed the seeder after %v\n", time.Since(start).Round(time.Millisecond))
		if !slices.ContainsFunc(rest, func(f *fetch) bool { return f.run.running() }) {
			return errors.New("the rest was complete before the seeder was killed, so nothing was tested")
		}
		_, err = all(rest)
		took = time.Since(start)
		return err
	})
	if err != nil {
		return 0, near, errors.Join(context.Cause(ctx), err)
	}
	fmt.Printf("the rest is complete after %v\n", took.Round(time.Millisecond))
	for _, f := range fetches[receivers/2:] {
		if err := f.check(c.file); err != nil {
			return 0, near, err
		}
	}
	return took, near, nil
}

// killHalf waits until a third of everything has been received, and kills the first half of the receivers.
func (c *crowd) killHalf(ctx context.Context, size int64, fetches []*fetch) error {
	before, err := c.traffic()
	if err != nil {
		return err
	}
	err = until(ctx, time.Minute, "nothing much has been received", func() (bool, error) {
		now, err := c.traffic()
		return now.receivers-before.receivers >= int64(len(c.rest))*size/3, err
	})
	for i, n := range c.rest[:receivers/2] {
		fetches[i].run.kill() // or it would go on without its node
		n.serve.kill()
	}
	return err
}

// sees waits until the observer has seen every chunk among the survivors.
func (p *actorProcess) sees(ctx context.Context) error {
	return until(ctx, time.Minute, "the rest never had every chunk among them", func() (bool, error) {
		return strings.Contains(string(p.out.bytes()), `"whole":true`), nil
	})
}
