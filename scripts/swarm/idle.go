//go:build linux

package main

import (
	"context"
	"fmt"
	"time"
)

// What a node may cost a network on which nothing happens.
const (
	idleNodes = 50
	idleReach = 5 << 10 // bytes a second, received and sent together
	greetings = 2 * time.Minute
	idleFor   = 5 * time.Minute // a whole round of questions by mDNS
)

// idle lets many nodes rest on one LAN and counts what each of them receives and sends, all headers included, beside what its
// status says.
func (b *bench) idle(ctx context.Context) error {
	return b.within(func(a *arena) error {
		for range idleNodes {
			if _, err := a.plug(100*megabit, 100*megabit); err != nil {
				return err
			}
		}
		if err := a.introduce(); err != nil {
			return err
		}
		for _, m := range a.machines {
			if _, err := a.node(ctx, m); err != nil {
				return err
			}
		}
		if err := pause(ctx, greetings); err != nil {
			return err
		}
		before, err := a.moved()
		if err != nil {
			return err
		}
		began := time.Now()
		var took time.Duration
		_, cpu, err := measured(func() error {
			err := pause(ctx, idleFor)
			took = time.Since(began)
			return err
		})
		if err != nil {
			return err
		}
		after, err := a.moved()
		if err != nil {
			return err
		}
		var worst, sum, said float64
		for i, n := range a.nodes {
			each := float64(after[i]-before[i]) / took.Seconds()
			worst, sum = max(worst, each), sum+each
			s, err := n.status(ctx)
			if err != nil {
				return err
			}
			said += s.Background.DownRate + s.Background.UpRate
		}
		b.add(row{
			work:     fmt.Sprintf("%d idle nodes on one LAN, each, over %.0f s", idleNodes, took.Seconds()),
			measured: fmt.Sprintf("%.2f KiB/s on the wire, the busiest %.2f; %.2f by its status", sum/idleNodes/1024, worst/1024, said/idleNodes/1024),
			bound:    "nothing", ratio: " ", reach: "≤ 5 KiB/s", holds: worst <= idleReach, around: around{cpu: cpu},
		})
		return nil
	})
}

// moved is what each node's machine has received and sent, in bytes.
func (a *arena) moved() ([]int64, error) {
	out := make([]int64, len(a.nodes))
	for i, n := range a.nodes {
		sent, err := n.sent()
		if err != nil {
			return nil, err
		}
		received, err := n.received()
		if err != nil {
			return nil, err
		}
		out[i] = sent.Bytes + received.Bytes
	}
	return out, nil
}
