package main

import (
	"context"
	"time"

	"github.com/shoal-p2p/shoal/content"
	"github.com/shoal-p2p/shoal/node"
)

const (
	uploadLook  = time.Second
	uploadOver  = 3 * time.Second  // without a byte
	uploadAgain = 10 * time.Second // between two lines about one that goes on
)

// uploads tells who fetches from a node, until ctx ends.
func (a *app) uploads(ctx context.Context, p peer) {
	u := uploads{say: a.remark, known: make(map[string]*upload)}
	t := time.NewTicker(uploadLook)
	defer t.Stop()
	for {
		select {
		case now := <-t.C:
			if list, err := p.Peers(ctx); err == nil {
				u.look(list, now)
			}
		case <-ctx.Done():
			return
		}
	}
}

// uploads notices from the totals of peers when one begins to fetch, how it gets on, and when it has ended.
type uploads struct {
	say   func(format string, args ...any)
	known map[string]*upload // by peer ID
}

type upload struct {
	total int64     // bytes sent, as of the last look
	began time.Time // zero while nothing is being fetched
	from  int64     // total when it began
	moved time.Time // when total last grew
	told  time.Time
}

func (u *uploads) look(list []node.PeerStatus, now time.Time) {
	seen := make(map[string]bool, len(list))
	for _, p := range list {
		seen[p.ID] = true
		x := u.known[p.ID]
		if x == nil {
			x = &upload{}
			u.known[p.ID] = x
		}
		u.one(p, x, now)
	}
	for id, x := range u.known {
		if seen[id] {
			continue
		}
		if !x.began.IsZero() {
			u.over(id, x)
		}
		delete(u.known, id)
	}
}

func (u *uploads) one(p node.PeerStatus, x *upload, now time.Time) {
	if p.Up > x.total {
		if x.began.IsZero() {
			x.began, x.from, x.told = now.Add(-uploadLook), x.total, now
			u.say("%s fetches%s", short(p.ID), at(p.Addrs))
		}
		x.total, x.moved = p.Up, now
	}
	switch {
	case x.began.IsZero():
	case now.Sub(x.moved) >= uploadOver:
		u.over(p.ID, x)
	case now.Sub(x.told) >= uploadAgain:
		x.told = now
		u.say("%s has %s so far", short(p.ID), took(x.total-x.from, now.Sub(x.began).Seconds()))
	}
}

func (u *uploads) over(id string, x *upload) {
	u.say("%s has fetched %s", short(id), took(x.total-x.from, x.moved.Sub(x.began).Seconds()))
	x.began = time.Time{}
}

func at(addrs []string) string {
	if len(addrs) == 0 {
		return ""
	}
	return " from " + content.Printable(addrs[0])
}
