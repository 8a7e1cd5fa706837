//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/shoal-p2p/shoal/testnet"
)

const (
	sources    = 4
	sourceRate = 50 * megabit
	sinkRate   = 1000 * megabit
)

func (b *bench) sources(ctx context.Context) error {
	return b.few(ctx, "4 sources of 50 Mbit/s, one receiver of 1 Gbit/s", nil)
}

func (b *bench) hostile(ctx context.Context) error {
	return b.few(ctx, "the same, one source lying, one stalled", []string{testnet.Liar, testnet.Staller})
}

// few: one receiver that takes from four slow sources, the last of which may be bad ones.
func (b *bench) few(ctx context.Context, what string, bad []string) error {
	size := b.bytes(256 << 20)
	bound := leastTime(size, 1, (sources-mbit(len(bad)))*sourceRate, sinkRate, sinkRate)
	var took []time.Duration
	var last around
	for range b.runs {
		err := b.within(func(a *arena) error {
			t, around, err := a.few(ctx, size, bound, bad)
			took, last = append(took, t), last.worse(around)
			return err
		})
		if err != nil {
			return err
		}
	}
	ratio := bound.Seconds() / median(took).Seconds()
	b.add(row{
		what + ", " + mib(size), rate(size, median(took)).String(), rate(size, bound).String(), fmt.Sprintf("%.2f", ratio),
		"≥ 0.90", ratio >= 0.90, last,
	})
	return nil
}

func (a *arena) few(ctx context.Context, size int64, bound time.Duration, bad []string) (took time.Duration, near around, err error) {
	file, err := a.file(0, size)
	if err != nil {
		return 0, near, err
	}
	to, err := a.plug(sinkRate, sinkRate)
	if err != nil {
		return 0, near, err
	}
	var machines []*machine
	var flows []flow
	for range sources {
		m, err := a.plug(sourceRate, sourceRate)
		if err != nil {
			return 0, near, err
		}
		machines, flows = append(machines, m), append(flows, flow{m, to})
	}
	if near.bare, err = bareShare(ctx, 8<<20, sourceRate, flows...); err != nil {
		return 0, near, err
	}
	cid, addrs, err := a.honest(ctx, file, machines[:sources-len(bad)])
	if err != nil {
		return 0, near, err
	}
	var impostors []*impostor
	for i, role := range bad {
		p, err := a.impostor(ctx, machines[sources-len(bad)+i], role, file)
		if err != nil {
			return 0, near, err
		}
		impostors, addrs = append(impostors, p), append(addrs, p.addr)
	}
	receiver, err := a.node(ctx, to, "--network", "isolated")
	if err != nil {
		return 0, near, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, 5*bound+60*time.Second, errors.New("takes five times the bound"))
	defer cancel()
	var f *fetch
	var d done
	took, near.cpu, err = measured(func() (err error) {
		if f, err = receiver.get(ctx, cid, addrs...); err != nil {
			return err
		}
		d, err = f.wait()
		return err
	})
	if err != nil {
		return 0, near, errors.Join(context.Cause(ctx), err)
	}
	fmt.Printf("%v, %v (bound %v)\n", took.Round(time.Millisecond), rate(size, took), rate(size, bound))
	for _, s := range d.Sources {
		fmt.Printf("  %s gave %.1f MiB, %d bad chunks\n", s.Peer, float64(s.Bytes)/(1<<20), s.Bad)
	}
	for _, p := range impostors {
		if err := p.played(); err != nil {
			return 0, near, err
		}
	}
	return took, near, f.check(file)
}

// honest starts nodes that share the file.
func (a *arena) honest(ctx context.Context, file string, machines []*machine) (cid string, addrs []string, err error) {
	for _, m := range machines {
		n, err := a.node(ctx, m, "--network", "isolated")
		if err != nil {
			return "", nil, err
		}
		if cid, err = n.share(ctx, file); err != nil {
			return "", nil, err
		}
		addr, err := n.addr(ctx)
		if err != nil {
			return "", nil, err
		}
		addrs = append(addrs, addr)
	}
	return cid, addrs, nil
}
