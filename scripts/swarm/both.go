//go:build linux

package main

import (
	"context"
	"fmt"
	"time"
)

const duplexRate = 200 * megabit

// both: A and B fetch from each other, first one after the other and then at once.
func (b *bench) both(ctx context.Context) error {
	size := b.bytes(128 << 20)
	var ratios [2][]float64
	var rates [2][2][]float64 // by direction, alone and together
	var last around
	for range b.runs {
		err := b.within(func(a *arena) error {
			took, around, err := a.both(ctx, size)
			if err != nil {
				return err
			}
			last = last.worse(around)
			for i, t := range took {
				ratios[i] = append(ratios[i], t[0].Seconds()/t[1].Seconds())
				for j := range t {
					rates[i][j] = append(rates[i][j], float64(rate(size, t[j])))
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	for i, name := range []string{"A from B", "B from A"} {
		ratio := median(ratios[i])
		b.add(row{
			fmt.Sprintf("both ways at once, %v, %s: %s", duplexRate, mib(size), name), mbit(median(rates[i][1])).String(),
			"alone " + mbit(median(rates[i][0])).String(), fmt.Sprintf("%.2f", ratio), "≥ 0.90", ratio >= 0.90, last,
		})
	}
	return nil
}

// both returns how long each direction took alone and together with the other.
func (a *arena) both(ctx context.Context, size int64) (took [2][2]time.Duration, near around, err error) {
	var files [4]string
	for i := range files {
		if files[i], err = a.file(byte(i), size); err != nil {
			return took, near, err
		}
	}
	var nodes [2]*node
	var cids [4]string
	var hint []string
	for i := range nodes {
		m, err := a.plug(duplexRate, duplexRate)
		if err != nil {
			return took, near, err
		}
		args := []string{"--network", "isolated"}
		for _, h := range hint {
			args = append(args, "--peer", h)
		}
		if nodes[i], err = a.node(ctx, m, args...); err != nil {
			return took, near, err
		}
		addr, err := nodes[i].addr(ctx)
		if err != nil {
			return took, near, err
		}
		hint = append(hint, addr)
		for j := range 2 { // files i and i+2 are node i's
			if cids[i+2*j], err = nodes[i].share(ctx, files[i+2*j]); err != nil {
				return took, near, err
			}
		}
	}
	x, y := nodes[0].machine, nodes[1].machine
	if near.bare, err = bareShare(ctx, 32<<20, duplexRate, flow{x, y}, flow{y, x}); err != nil {
		return took, near, err
	}
	// get fetches file n to the node that does not have it and checks it.
	get := func(n int) (time.Duration, error) {
		start := time.Now()
		f, err := nodes[(n+1)%2].get(ctx, cids[n], hint[n%2])
		if err != nil {
			return 0, err
		}
		if _, err := f.wait(); err != nil {
			return 0, err
		}
		took := time.Since(start)
		return took, f.check(files[n])
	}
	for i := range nodes {
		if took[i][0], err = get(1 - i); err != nil {
			return took, near, err
		}
	}
	_, near.cpu, err = measured(func() error {
		type result struct {
			took time.Duration
			err  error
		}
		other := make(chan result, 1)
		go func() {
			t, err := get(2)
			other <- result{t, err}
		}()
		var err error
		took[0][1], err = get(3)
		r := <-other
		took[1][1] = r.took
		if err == nil {
			err = r.err
		}
		return err
	})
	if err != nil {
		return took, near, err
	}
	for i, name := range []string{"A from B", "B from A"} {
		fmt.Printf("%s alone %v, together %v\n", name, rate(size, took[i][0]), rate(size, took[i][1]))
	}
	return took, near, nil
}
