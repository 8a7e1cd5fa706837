//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

const (
	farRate  = 100 * megabit
	farDelay = 50 * time.Millisecond // each way
	farQueue = 100                   // ms: a round trip, as a router on such a path would hold
)

// far: one source behind a long way.
func (b *bench) far(ctx context.Context) error {
	size := b.bytes(128 << 20)
	bound := leastTime(size, 1, farRate, farRate, farRate)
	var took []time.Duration
	var last around
	for range b.runs {
		err := b.within(func(a *arena) error {
			t, around, err := a.far(ctx, size, bound)
			took, last = append(took, t), last.worse(around)
			return err
		})
		if err != nil {
			return err
		}
	}
	ratio := bound.Seconds() / median(took).Seconds()
	b.add(row{
		fmt.Sprintf("one source, %v, %v round trip, %s", farRate, 2*farDelay, mib(size)), rate(size, median(took)).String(),
		farRate.String(), fmt.Sprintf("%.2f", ratio), "≥ 0.85", ratio >= 0.85, last,
	})
	return nil
}

func (a *arena) far(ctx context.Context, size int64, bound time.Duration) (took time.Duration, near around, err error) {
	file, err := a.file(0, size)
	if err != nil {
		return 0, near, err
	}
	from, to, err := a.apart(farRate, farDelay)
	if err != nil {
		return 0, near, err
	}
	sink, source, trip, err := flow{from, to}.connect()
	if err != nil {
		return 0, near, err
	}
	sink.Close()
	source.Close()
	fmt.Printf("round trip of a TCP connection: %v\n", trip.Round(100*time.Microsecond))
	if trip < 2*farDelay || trip > 2*farDelay+30*time.Millisecond {
		return 0, near, fmt.Errorf("a round trip takes %v instead of %v", trip, 2*farDelay)
	}
	if near.bare, err = bareShare(ctx, size, farRate, flow{from, to}); err != nil {
		return 0, near, err
	}
	cid, addrs, err := a.honest(ctx, file, []*machine{from})
	if err != nil {
		return 0, near, err
	}
	receiver, err := a.node(ctx, to, "--network", "isolated")
	if err != nil {
		return 0, near, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, 5*bound+30*time.Second, errors.New("takes five times the bound"))
	defer cancel()
	var f *fetch
	took, near.cpu, err = measured(func() (err error) {
		if f, err = receiver.get(ctx, cid, addrs...); err != nil {
			return err
		}
		_, err = f.wait()
		return err
	})
	if err != nil {
		return 0, near, errors.Join(context.Cause(ctx), err)
	}
	fmt.Printf("%v, %v\n", took.Round(time.Millisecond), rate(size, took))
	return took, near, f.check(file)
}
