package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/shoal-p2p/shoal/node"
)

// benchGetWithin is how long a get for a bench goes on at most; how much disk that needs, the path decides.
const benchGetWithin = 30 * time.Second

// peerGet is a real get over a path that was measured.
type peerGet struct {
	CID     string  `json:"cid"`
	Bytes   int64   `json:"bytes"`
	Seconds float64 `json:"seconds"`
	Rate    float64 `json:"rate"`  // bytes a second
	Whole   bool    `json:"whole"` // it came to its end; otherwise time was up
	Ratio   float64 `json:"ratio"` // to the raw stream
}

func (g *peerGet) compare(p node.Path) {
	g.Rate = float64(g.Bytes) / max(g.Seconds, 1e-9)
	if p.Down > 0 {
		g.Ratio = g.Rate / p.Down
	}
}

// fetchForBench fetches what a ticket names, and leaves neither it nor a trace in the index.
func fetchForBench(ctx context.Context, s *session, ticket, dir string) (_ *peerGet, err error) {
	ref, err := node.ParseRef(ticket)
	if err != nil {
		return nil, &advised{usage("--get needs a ticket, not the address or the ID of a peer"), "'shoal share' or 'shoal ticket' prints one on the other side"}
	}
	if ref.Path != "" {
		return nil, usage("--get fetches the whole of what a ticket names: leave the path away")
	}
	shares, err := s.Shares(ctx)
	if err != nil {
		return nil, err
	}
	if slices.ContainsFunc(shares, func(h node.Share) bool { return h.CID == ref.CID }) {
		return nil, &advised{usage("this node has %s already, so that nothing would come over the network", ref.CID), "leave --get away, or use another --home"}
	}
	into, err := os.MkdirTemp(dir, "shoal-bench-")
	if err != nil {
		return nil, &advised{fmt.Errorf("%w: %w", node.ErrDisk, err), "choose another place with --dir"}
	}
	defer func() { err = errors.Join(err, os.RemoveAll(into)) }()
	out := &peerGet{CID: ref.CID}
	within, cancel := context.WithTimeout(ctx, benchGetWithin)
	defer cancel()
	start := time.Now()
	done, err := s.Fetch(within, node.FetchRequest{Ref: ticket, Dest: filepath.Join(into, "content")}, func(e node.Event) {
		if e.Kind == "fetching" {
			out.Bytes = max(out.Bytes, e.Bytes)
		}
		s.tell.event(e)
	})
	out.Seconds = time.Since(start).Seconds()
	switch {
	case err == nil:
		out.Bytes, out.Whole = done.Bytes, true
		if err := s.Unshare(context.WithoutCancel(ctx), ref.CID); err != nil {
			return nil, fmt.Errorf("forget what was fetched: %w", err)
		}
	case within.Err() == nil || ctx.Err() != nil:
		return nil, err
	}
	return out, nil
}
