package engine

import (
	"slices"
	"time"

	"github.com/shoal-p2p/shoal/content"
)

const (
	newsPause = 50 * time.Millisecond // small chunks that come within it are told together
	newsBreak = 5 * time.Millisecond  // least time between two tellings, however much there is
	newsBytes = 1 << 20               // that is told without waiting for more
)

// news is what has come and is not told yet.
type news struct {
	chunks []uint32
	bytes  int
	due    moment // when they are told
	last   moment // when some were told last
	ranges []content.Range
}

// report notes that c is here now. Peers that have everything hear of it too: they need not send it any more.
func (e *Engine) report(c uint32) {
	n := &e.news
	if len(e.peers) == 0 || e.cfg.TakeOnly {
		return
	}
	n.chunks = append(n.chunks, c)
	n.bytes += int(e.cfg.Sizes[c])
	pause := newsPause
	if n.bytes >= newsBytes {
		pause = newsBreak
	}
	n.due = max(e.now, n.last.plus(pause))
}

// tellNews tells what has come, if it is time.
func (e *Engine) tellNews() {
	if len(e.news.chunks) > 0 && e.now >= e.news.due {
		e.flushNews()
	}
}

func (e *Engine) flushNews() {
	n := &e.news
	if len(n.chunks) == 0 {
		return
	}
	slices.Sort(n.chunks)
	n.ranges = n.ranges[:0]
	for _, c := range n.chunks {
		n.ranges = extend(n.ranges, c)
	}
	for _, p := range e.peers {
		e.act(Tell{p.id, n.ranges})
	}
	n.chunks, n.bytes, n.last = n.chunks[:0], 0, e.now
}
