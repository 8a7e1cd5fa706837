package transfer

import (
	"sync"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"
)

// Status is one session at a glance.
type Status struct {
	Root      cid.Cid
	Serves    bool    // only serves: nothing is being fetched
	Links     int     // peers with a stream open
	Joined    int     // of them, those that take part in the exchange
	Blocks    int     // inner nodes of the tree so far
	Came      int64   // bytes of chunks that came in, whole or not, right or not: a sign of life
	Stored    int64   // bytes of chunks that came in, verified and stored
	Given     int64   // bytes of chunks sent
	Total     int64   // bytes of the chunks that are wanted; zero before that is known
	Rate      float64 // bytes a second that come in, over the last seconds
	GivenRate float64 // bytes a second that go out
	Wasted    int64   // bytes of chunks that came for nothing: they were here, or had been called off
	Peers     []PeerStatus
	Err       error // why the tree cannot be used
}

// PeerStatus is one peer of a session.
type PeerStatus struct {
	Peer    peer.ID
	State   ContactState
	Addr    string
	Relayed bool    // Addr leads through a third node
	Down    int64   // bytes, verified, that were not here before
	Up      int64   // bytes
	Rate    float64 // bytes a second that come in, over the last seconds
	UpRate  float64 // bytes a second that go out
	Wasted  int64   // bytes that came for nothing
	Bad     int     // chunks
	Learnt  bool    // only somebody's word spoke for it: another peer's of the root, or a DHT's
	Err     error   // why it is not joined
}

// Status returns a snapshot; the zero Status with the root when the session has ended.
func (x *Session) Status() Status {
	out := make(chan Status, 1)
	if x.post(func() { out <- x.status() }) {
		select {
		case s := <-out:
			return s
		case <-x.ended:
		}
	}
	return Status{Root: x.root}
}

func (x *Session) status() Status {
	s := Status{
		Root: x.root, Serves: x.sink == nil && x.open, Links: len(x.links), Came: x.came.Load(), Stored: x.stored, Given: x.given,
		Total: x.total, Rate: x.rate.perSecond(time.Now()), GivenRate: x.upRate.perSecond(time.Now()), Err: x.shape.err,
		Wasted: x.wasted.Load(),
	}
	if x.shape.walk != nil {
		s.Blocks = x.shape.walk.Blocks()
	}
	for _, l := range x.links {
		if l.joined {
			s.Joined++
		}
		if l.contact == nil {
			s.Peers = append(s.Peers, l.status(Joined))
		}
	}
	for _, c := range x.contacts {
		p := PeerStatus{Peer: c.peer, State: c.state, Addr: c.addr, Relayed: relayed(c.addr), Err: c.err}
		if c.link != nil {
			p = c.link.status(c.state)
		}
		p.Learnt = c.learnt
		p.Down, p.Bad = p.Down+c.down, p.Bad+c.bad
		p.Up, p.Wasted = p.Up+c.up, p.Wasted+c.wasted
		s.Peers = append(s.Peers, p)
	}
	return s
}

func (l *link) status(state ContactState) PeerStatus {
	now, addr := time.Now(), l.str.Conn().RemoteMultiaddr().String()
	return PeerStatus{
		Peer: l.peer, State: state, Addr: addr, Relayed: relayed(addr),
		Down: l.down.Load(), Up: l.up.Load(), Bad: l.bad,
		Rate: l.downRate.perSecond(now), UpRate: l.upRate.perSecond(now), Wasted: l.wasted.Load(),
	}
}

// meter measures a rate over a few seconds: bytes in buckets of a second.
type meter struct {
	mu      sync.Mutex // guards the rest
	buckets [5]int
	second  int64 // of the newest bucket
	since   time.Time
}

func (m *meter) roll(now time.Time) {
	sec := now.Unix()
	if m.since.IsZero() {
		m.since, m.second = now, sec
	}
	for ; m.second < sec && sec-m.second <= int64(len(m.buckets)); m.second++ {
		m.buckets[(m.second+1)%int64(len(m.buckets))] = 0
	}
	if m.second < sec {
		m.buckets, m.second = [5]int{}, sec
	}
}

func (m *meter) add(now time.Time, bytes int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.roll(now)
	m.buckets[m.second%int64(len(m.buckets))] += bytes
}

func (m *meter) perSecond(now time.Time) float64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.since.IsZero() {
		return 0
	}
	m.roll(now)
	sum := 0
	for _, b := range m.buckets {
		sum += b
	}
	span := min(now.Sub(m.since).Seconds(), float64(len(m.buckets)-1)+float64(now.Nanosecond())/1e9)
	return float64(sum) / max(span, 0.05)
}
