package engine

// stir notes that p may have room for more.
func (e *Engine) stir(p *peer) {
	if !p.stirred {
		p.stirred = true
		e.step.roomy = append(e.step.roomy, p)
	}
}

// fillRoomy asks those who have room, or everybody if chunks have become free.
func (e *Engine) fillRoomy() {
	e.accept()
	if e.step.freed {
		e.fillAll()
	} else {
		e.fillStarved()
		for _, p := range e.step.roomy {
			e.fill(p, e.cfg.MaxWindow)
			e.help(p)
		}
	}
	for _, p := range e.step.roomy {
		p.stirred = false
	}
	e.step.roomy, e.step.freed = e.step.roomy[:0], false
}

// fillAll asks everybody who has room. When there is less to ask for than there is room, each gets a part, so that small
// interests use all sources and a reader's next chunks come from different ones. Slow peers come last.
func (e *Engine) fillAll() {
	turn := e.cfg.MaxWindow
	if e.picker.ordered.n > 0 {
		turn = e.largest
	} else if n := int64(len(e.peers)); n > 1 {
		turn = max(int(min(e.picker.freeBytes/n, int64(turn))), turnBytes, e.largest)
	}
	for again := true; again; {
		again = false
		for _, p := range e.peers {
			if !p.late.slow && e.fill(p, turn) {
				again = true
			}
		}
	}
	for _, p := range e.peers {
		if p.late.slow {
			e.fill(p, turn)
		} else {
			e.help(p)
		}
	}
}

// fillStarved asks those who waited for room below MaxInFlight, the longest first.
func (e *Engine) fillStarved() {
	waiting := e.starved
	e.starved = e.starved[:0]
	for i, p := range waiting {
		if e.cfg.MaxInFlight-e.requests.inFlight < e.largest {
			e.starved = append(e.starved, waiting[i:]...)
			return
		}
		p.starved = false
		if p.here {
			e.fill(p, e.cfg.MaxWindow)
		}
	}
}

// fill asks p for free chunks, as far as its window and most reach; it reports whether it asked for any.
func (e *Engine) fill(p *peer, most int) bool {
	if !p.here {
		return false
	}
	asked := false
	for room := min(e.room(p), most); e.useful(p) > 0; asked = true {
		c, run := e.pick(p)
		if run == nil {
			break
		}
		one := cost(e.cfg.Sizes[c])
		if one > room && !e.first(p, one) {
			break
		}
		room -= e.ask(p, c, run, room)
	}
	if e.useful(p) == 0 {
		p.flow.idled = true
	}
	if p.open.n == 0 {
		p.flow.busy = false
	}
	return asked
}

// ask requests a run of free chunks from c on, as far as room reaches, and returns its cost.
func (e *Engine) ask(p *peer, c uint32, run *set, room int) int {
	spent := 0
	for {
		spent += cost(e.cfg.Sizes[c])
		e.occupy(c)
		e.request(p, c)
		c++
		if !run.has(c) || !p.holds.has(c) || spent+cost(e.cfg.Sizes[c]) > room {
			break
		}
	}
	p.holds.next = c
	return spent
}

// room returns how many bytes more p may be asked for. Little bits are saved up, so that small chunks go in long runs. The
// last quarter of MaxInFlight is shared out, with one share for whoever comes next: peers that stall must not hold all of it.
func (e *Engine) room(p *peer) int {
	if e.held() || p.late.slow {
		return 0 // but for a first one
	}
	window := p.flow.window
	if e.requests.inFlight-p.open.cost+window > e.cfg.MaxInFlight/4*3 {
		window = min(window, e.cfg.MaxInFlight/(e.requests.busy+1))
	}
	if all := e.cfg.MaxInFlight - e.requests.inFlight; all < window-p.open.cost {
		e.starve(p)
		window = p.open.cost + max(all, 0)
	}
	room := window - p.open.cost
	if room < p.flow.window/8 {
		return 0
	}
	return room
}

// starve lets p wait for room below MaxInFlight.
func (e *Engine) starve(p *peer) {
	if !p.starved {
		p.starved = true
		e.starved = append(e.starved, p)
	}
}

// first reports whether p may be asked for one chunk although its window is too small: when it has nothing else to do.
func (e *Engine) first(p *peer, cost int) bool {
	if p.open.n > 0 || e.now < p.late.retry {
		return false
	}
	if e.held() && (e.now < e.disk.until || e.requests.open > 0) {
		return false
	}
	if e.requests.open > 0 && e.requests.inFlight+cost > e.cfg.MaxInFlight {
		e.starve(p)
		return false
	}
	return true
}
