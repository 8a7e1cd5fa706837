package sim

import "time"

// Change is something that happens to the swarm in mid-run.
type Change struct {
	At       time.Duration
	Do       Doing
	Host     int     // Leave, Return, Reshape
	Up, Down float64 // Reshape: bytes a second
	Sides    []int   // Divide: the side of each host
}

// Doing is what a change does.
type Doing uint8

// The changes.
const (
	Leave   Doing = iota // the host goes
	Return               // it comes back with what it had, or comes at all
	Reshape              // its link has other rates
	Divide               // what goes from one side to another waits until Unite, as what TCP sends again and again
	Unite
)

// settleChanges finds out whom the changes take away for good.
func (sc *Scenario) settleChanges() {
	for _, c := range sc.Changes {
		switch c.Do {
		case Leave:
			sc.Hosts[c.Host].gone = true
		case Return:
			sc.Hosts[c.Host].gone = false
		}
	}
}

func (n *net) change(c *Change) {
	switch c.Do {
	case Leave:
		n.leave(int32(c.Host))
	case Return:
		n.join(int32(c.Host))
	case Reshape:
		n.reshape(int32(c.Host), c.Up, c.Down)
	case Divide:
		n.unite()
		n.side = c.Sides
	case Unite:
		n.unite()
	}
}

// reshape gives a host's link other rates. The frame on its uplink ends when it would have.
func (n *net) reshape(h int32, up, down float64) {
	x := &n.hosts[h]
	x.Up, x.Down = up, down
	for _, l := range x.links {
		for _, end := range []int32{l, l ^ 1} {
			k := &n.links[end]
			k.window = n.window(&n.hosts[k.from], &n.hosts[k.to], k.delay)
		}
	}
}

// apart reports whether a partition lies between two hosts.
func (n *net) apart(a, b int32) bool { return n.side != nil && n.side[a] != n.side[b] }

// severed reports whether an entry would cross the partition.
func (n *net) severed(e *entry) bool {
	l := e.link
	switch k := e.kind(); {
	case k == arrived:
		l = n.frames.all[e.a].link
	case k != acked && k < closed:
		return false
	}
	return n.apart(n.links[l].from, n.links[l].to)
}

// unite lets everything that waited come now, and joins those who have come meanwhile.
func (n *net) unite() {
	if n.side == nil {
		return
	}
	n.side = nil
	for i := range n.held {
		e := &n.held[i]
		n.queue.add(n.now, e.kind(), e.link, e.a, e.b)
	}
	n.held = n.held[:0]
	for h := range n.hosts {
		for _, other := range n.hosts[h].neighbours {
			if int32(h) < other && n.hosts[h].here && n.hosts[other].here && !n.joined(int32(h), other) {
				n.connect(int32(h), other)
			}
		}
	}
}

// joined reports whether a connection between two hosts is open, as far as one of them knows.
func (n *net) joined(a, b int32) bool {
	for _, l := range n.hosts[a].links {
		if n.links[l].to == b && !n.links[l].dead {
			return true
		}
	}
	return false
}
