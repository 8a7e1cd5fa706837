package engine

import (
	"fmt"
	"time"

	"github.com/shoal-p2p/shoal/content"
)

const mostBad = 3 // bad chunks from one peer: one may be a broken disk, three are a liar

// stored takes chunks that p sent, or sent before it left.
func (e *Engine) stored(p *peer, chunks []uint32) {
	e.seeking.heardAt = e.now
	for _, c := range chunks {
		if int(c) >= len(e.cfg.Sizes) {
			continue
		}
		if p != nil {
			e.credit(p, c)
		}
		if e.obtain(c) {
			e.callOff(c)
		} else {
			e.goal.duplicateBytes += int64(e.cfg.Sizes[c])
		}
	}
	if p != nil {
		p.late.delivered(e.now)
		p.flow.round(e.now, e.leastWindow(), e.cfg.MaxWindow)
		e.stir(p)
	}
	if e.held() && e.now >= e.disk.until {
		e.disk = disk{}
		e.step.freed = true
	}
}

// credit closes p's request for c, if it is still open.
func (e *Engine) credit(p *peer, c uint32) {
	p.total += int64(e.cfg.Sizes[c])
	if id := e.requests.find(p, c); id != 0 {
		r := e.close(id)
		p.flow.delivered(cost(e.cfg.Sizes[c]), e.now.since(r.at))
	}
}

// blame takes a chunk with the wrong bytes. It was asked of this peer alone and whole, so nobody else can be at fault.
func (e *Engine) blame(p *peer, c uint32) {
	p.bad++
	p.late.heardAt = e.now
	e.lose(p, c)
	if id := e.requests.find(p, c); id != 0 {
		e.giveUp(id)
	}
	if p.bad >= mostBad {
		e.leave(p)
		e.step.ban = &Ban{p.id, fmt.Sprintf("%d chunks with wrong bytes", p.bad)}
		return
	}
	e.stir(p)
}

// refused takes chunks that p was asked for and will not give. Ranges cost no more than the chunks asked for, whatever they say.
func (e *Engine) refused(p *peer, ranges []content.Range) {
	for _, r := range ranges {
		first, end := clip(r, len(e.cfg.Sizes))
		if int(end-first) <= p.open.n {
			for c := first; c < end; c++ {
				e.refuse(p, e.requests.find(p, c))
			}
			continue
		}
		for id := p.open.oldest; id != 0; {
			x := e.requests.pool[id]
			if x.chunk >= first && x.chunk < end {
				e.refuse(p, id)
			}
			id = x.newer
		}
	}
	e.stir(p)
}

func (e *Engine) refuse(p *peer, id int32) {
	if id == 0 {
		return
	}
	e.lose(p, e.requests.pool[id].chunk)
	e.giveUp(id)
}

// disk is the trouble that this side has with writing. While there is some, nothing is asked for but, now and then, one chunk.
type disk struct {
	fails int
	until moment
}

const (
	firstPause = time.Second
	longPause  = 30 * time.Second
)

func (e *Engine) held() bool { return e.disk.fails > 0 }

// failed takes a chunk that came but could not be written. What is under way would fare no better: it is called off.
func (e *Engine) failed(p *peer, c uint32) {
	if int(c) >= len(e.cfg.Sizes) {
		return
	}
	if p != nil {
		p.late.heardAt = e.now
		if id := e.requests.find(p, c); id != 0 {
			e.giveUp(id)
		}
	}
	if e.held() && e.now < e.disk.until {
		return // one of those that were called off
	}
	e.disk.until = e.now.plus(min(firstPause<<min(e.disk.fails, 10), longPause))
	e.disk.fails++
	e.wake(e.disk.until)
	for _, x := range e.peers {
		for x.open.n > 0 {
			e.revoke(x.open.oldest)
		}
	}
}
