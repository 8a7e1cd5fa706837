package discovery

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
)

// queue holds findings until they are wanted: each peer once, few at a time, and fairly among the addresses they claim, so
// that a machine which makes up thousands of peers cannot push a real one out.
type queue struct {
	most    int // findings that wait
	pending []finding
	served  map[netip.Addr]int   // findings handed out, by address
	seen    map[peer.ID]sighting // peers handed out
	arrived uint64               // findings taken in, ever
	dropped uint64               // of them, those that there was no room for
	chance  func(n int) int      // picks one of n
}

type finding struct {
	info  peer.AddrInfo
	place netip.Addr // the address that it claims
	order uint64
}

type sighting struct {
	addrs []ma.Multiaddr
	until time.Time
}

func newQueue(most int) *queue {
	return &queue{most: most, served: make(map[netip.Addr]int), seen: make(map[peer.ID]sighting), chance: rand.IntN}
}

// offer takes in a finding, which has at least one address, unless it is known already or there is no room.
func (q *queue) offer(now time.Time, info peer.AddrInfo) {
	if s, ok := q.seen[info.ID]; ok && now.Before(s.until) && covers(s.addrs, info.Addrs) {
		return
	}
	if i := slices.IndexFunc(q.pending, func(f finding) bool { return f.info.ID == info.ID }); i >= 0 {
		have := &q.pending[i].info // the same peer at another address: one of them may be a lie, so both are kept
		have.Addrs = best(info.ID, append(slices.Clip(have.Addrs), info.Addrs...))
		return
	}
	e, _, _ := nextHop(info.Addrs[0])
	q.arrived++
	if len(q.pending) == q.most && !q.makeRoom(e.ip) {
		q.dropped++
		return
	}
	q.pending = append(q.pending, finding{info, e.ip, q.arrived})
}

func covers(known, addrs []ma.Multiaddr) bool {
	return !slices.ContainsFunc(addrs, func(a ma.Multiaddr) bool {
		return !slices.ContainsFunc(known, a.Equal)
	})
}

// makeRoom forgets one finding of the address that has the most waiting. It does not for the sake of that very address.
func (q *queue) makeRoom(newcomer netip.Addr) bool {
	count := make(map[netip.Addr]int)
	most := 0
	for _, f := range q.pending {
		count[f.place]++
		most = max(most, count[f.place])
	}
	if count[newcomer] == most {
		return false
	}
	var victims []int
	for i, f := range q.pending {
		if count[f.place] == most {
			victims = append(victims, i)
		}
	}
	i := victims[q.chance(len(victims))]
	q.pending = slices.Delete(q.pending, i, i+1)
	q.dropped++
	return true
}

// take hands out the finding whose address has had the fewest, the oldest of those.
func (q *queue) take(now time.Time) (peer.AddrInfo, bool) {
	if len(q.pending) == 0 {
		return peer.AddrInfo{}, false
	}
	next := 0
	for i, f := range q.pending {
		a, b := q.served[f.place], q.served[q.pending[next].place]
		if a < b || a == b && f.order < q.pending[next].order {
			next = i
		}
	}
	f := q.pending[next]
	q.pending = slices.Delete(q.pending, next, next+1)
	if len(q.served) >= maxServed {
		clear(q.served)
	}
	q.served[f.place]++
	q.remember(now, f.info)
	return f.info, true
}

func (q *queue) remember(now time.Time, info peer.AddrInfo) {
	if _, ok := q.seen[info.ID]; !ok && len(q.seen) >= maxSeen {
		for id, s := range q.seen {
			if !now.Before(s.until) {
				delete(q.seen, id)
			}
		}
		for id := range q.seen {
			if len(q.seen) < maxSeen {
				break
			}
			delete(q.seen, id) // whichever comes; its peer may be reported twice
		}
	}
	q.seen[info.ID] = sighting{info.Addrs, now.Add(seenFor)}
}
