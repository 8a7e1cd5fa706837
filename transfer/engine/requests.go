package engine

// request is one chunk asked of one peer. Requests live in one slice and are named by their place in it; place 0 is nobody.
type request struct {
	peer         *peer
	chunk        uint32
	at           moment // when it was asked
	older, newer int32  // in the peer's line
	also         int32  // the next request for the same chunk
}

// requests are all that are open.
type requests struct {
	pool     []request
	spare    int32   // first of those not in use, linked by also
	first    []int32 // by chunk: one of its requests
	inFlight int     // cost of all of them
	open     int     // how many
	busy     int     // peers that have some
}

// line is what one peer was asked for, in the order of asking.
type line struct {
	oldest, newest int32
	n              int
	cost           int
	arrived        int // bytes of it that have come, of chunks that are not whole yet
}

// left is how many bytes are still to come.
func (l *line) left() int { return max(l.cost-l.arrived, 0) }

// minCost is what the smallest chunk counts, in bytes: a request costs both sides something even for an empty file.
const minCost = 256

// cost is what a chunk takes of a window.
func cost(size uint32) int { return max(int(size), minCost) }

func (q *requests) init(length int) {
	q.pool = make([]request, 1)
	q.first = make([]int32, length)
}

// request notes that c is being asked of p.
func (e *Engine) request(p *peer, c uint32) {
	q := &e.requests
	id := q.spare
	if id == 0 {
		id = int32(len(q.pool))
		q.pool = append(q.pool, request{})
	} else {
		q.spare = q.pool[id].also
	}
	q.pool[id] = request{peer: p, chunk: c, at: e.now, older: p.open.newest, also: q.first[c]}
	q.first[c] = id
	if p.open.newest == 0 {
		p.open.oldest = id
	} else {
		q.pool[p.open.newest].newer = id
	}
	p.open.newest = id
	p.open.n++
	p.open.cost += cost(e.cfg.Sizes[c])
	q.inFlight += cost(e.cfg.Sizes[c])
	q.open++
	if p.open.n == 1 {
		q.busy++
		p.late.begin(e.now)
		e.wake(e.due(&p.late))
	}
	due := e.speakTo(p)
	due.asks = extend(due.asks, c)
}

// find returns p's request for c, or 0.
func (q *requests) find(p *peer, c uint32) int32 {
	id := q.first[c]
	for id != 0 && q.pool[id].peer != p {
		id = q.pool[id].also
	}
	return id
}

// close ends a request, for whatever reason, and returns what it was.
func (e *Engine) close(id int32) request {
	q := &e.requests
	r := q.pool[id]
	line := &r.peer.open
	if r.older == 0 {
		line.oldest = r.newer
		r.peer.late.oldestAt = e.now
	} else {
		q.pool[r.older].newer = r.newer
	}
	if r.newer == 0 {
		line.newest = r.older
	} else {
		q.pool[r.newer].older = r.older
	}
	if line.n--; line.n == 0 {
		q.busy--
	}
	line.cost -= cost(e.cfg.Sizes[r.chunk])
	line.arrived = max(line.arrived-int(e.cfg.Sizes[r.chunk]), 0)
	if line.n == 0 {
		line.arrived = 0
	}
	q.inFlight -= cost(e.cfg.Sizes[r.chunk])
	q.open--
	at := &q.first[r.chunk]
	for *at != id {
		at = &q.pool[*at].also
	}
	*at = r.also
	q.pool[id] = request{also: q.spare}
	q.spare = id
	return r
}

// giveUp ends a request without result; unless another peer is at it, its chunk is free again.
func (e *Engine) giveUp(id int32) {
	c := e.close(id).chunk
	if e.requests.first[c] == 0 && e.goal.wanted.has(c) && !e.have.has(c) {
		e.release(c)
	}
}

// revoke tells the peer that a request is over.
func (e *Engine) revoke(id int32) {
	r := &e.requests.pool[id]
	due := e.speakTo(r.peer)
	due.revoke = extend(due.revoke, r.chunk)
	e.stir(r.peer)
	e.giveUp(id)
}

// callOff revokes all requests for c.
func (e *Engine) callOff(c uint32) {
	for e.requests.first[c] != 0 {
		e.revoke(e.requests.first[c])
	}
}
