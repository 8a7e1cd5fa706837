package discovery

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
)

func someone(i int, at ...string) peer.AddrInfo {
	return peer.AddrInfo{ID: peer.ID(fmt.Sprintf("peer %d", i)), Addrs: addrs(at...)}
}

func drain(q *queue, now time.Time) (out []peer.AddrInfo) {
	for {
		info, ok := q.take(now)
		if !ok {
			return out
		}
		out = append(out, info)
	}
}

func TestQueueReportsAPeerOnce(t *testing.T) {
	q, now := newQueue(maxPending), time.Unix(1e9, 0)
	const here, there = "/ip4/10.0.0.1/tcp/1", "/ip4/10.0.0.2/tcp/1"
	for step, c := range []struct {
		after time.Duration
		info  peer.AddrInfo
		want  int
	}{
		{0, someone(1, here), 1},
		{0, someone(1, here), 0},
		{time.Second, someone(2, here), 1},
		{time.Second, someone(1, here), 0},
		{time.Second, someone(1, there), 1}, // it has moved
		{time.Second, someone(1, there), 0},
		{seenFor - 2*time.Second, someone(1, there), 0},
		{2 * time.Second, someone(1, there), 1}, // it is still there
	} {
		now = now.Add(c.after)
		q.offer(now, c.info)
		if got := drain(q, now); len(got) != c.want {
			t.Errorf("step %d: got %v, want %d findings", step, got, c.want)
		}
	}
}

// B71: somebody announces a real peer at his own address. The real address must not be lost.
func TestQueueKeepsBothAddressesOfOnePeer(t *testing.T) {
	q, now := newQueue(maxPending), time.Unix(1e9, 0)
	q.offer(now, someone(1, "/ip4/10.0.0.1/tcp/1"))
	q.offer(now, someone(1, "/ip4/10.0.0.66/tcp/1"))
	for i := range 100 {
		q.offer(now, someone(1, fmt.Sprintf("/ip4/10.0.1.%d/tcp/1", i)))
	}
	got := drain(q, now)
	if len(got) != 1 || len(got[0].Addrs) != MaxAddrs || !slices.ContainsFunc(got[0].Addrs, ma.StringCast("/ip4/10.0.0.1/tcp/1").Equal) {
		t.Errorf("got %v, want one finding with the first address and at most %d", got, MaxAddrs)
	}
}

// T13: a machine that makes up peers gets its share of the findings, and no more.
func TestQueueIsFairToAddresses(t *testing.T) {
	for name, c := range map[string]struct {
		before, after int // invented peers around the real one
	}{"the real one comes first": {0, 5000}, "last": {5000, 0}, "in between": {2500, 2500}} {
		t.Run(name, func(t *testing.T) {
			q, now := newQueue(maxPending), time.Unix(1e9, 0)
			flood := func(from, n int) {
				for i := range n {
					q.offer(now, someone(from+i, fmt.Sprintf("/ip4/10.0.0.66/tcp/%d", 1+i)))
				}
			}
			flood(0, c.before)
			q.offer(now, someone(-1, "/ip4/10.0.0.1/tcp/1"))
			flood(10_000, c.after)
			if len(q.pending) > maxPending {
				t.Errorf("%d wait, want at most %d", len(q.pending), maxPending)
			}
			for turn := 1; ; turn++ {
				info, ok := q.take(now)
				if !ok {
					t.Fatal("the real peer was forgotten")
				}
				if info.ID == "peer -1" {
					if turn > 2 {
						t.Errorf("the real peer came as number %d, want 1 or 2", turn)
					}
					break
				}
			}
		})
	}
}

// A machine that claims a new address for every peer is harder: the queue is a lottery then, but a bounded one, and a peer
// that is heard again each round wins before long.
func TestQueueIsALotteryAtWorst(t *testing.T) {
	const trials = 50
	rounds := 0
	for trial := range trials {
		q, now := newQueue(maxPending), time.Unix(1e9, 0)
		n := 0
		for won := false; !won; {
			for range 40 {
				n++
				q.offer(now, someone(n, fmt.Sprintf("/ip4/10.%d.%d.%d/tcp/1", 1+n/62500, n/250%250, n%250)))
			}
			if n > 80 {
				rounds++
				q.offer(now, someone(-1, "/ip4/10.0.0.1/tcp/1"))
			}
			for range 10 {
				info, _ := q.take(now)
				won = won || info.ID == "peer -1"
			}
			if len(q.pending) > maxPending || len(q.served) > maxServed || n > 100_000 {
				t.Fatalf("trial %d: after %d peers %d wait, %d addresses are remembered", trial, n, len(q.pending), len(q.served))
			}
			now = now.Add(time.Second)
		}
	}
	if rounds > 20*trials { // one in four that get in is handed out, two rounds later: 8 or so are to be expected
		t.Errorf("took %d rounds in %d trials", rounds, trials)
	}
	t.Logf("%.1f rounds", float64(rounds)/trials)
}

func TestQueueForgetsWhomItHasSeen(t *testing.T) {
	q, now := newQueue(maxPending), time.Unix(1e9, 0)
	for i := range 3 * maxSeen {
		q.offer(now, someone(i, "/ip4/10.0.0.1/tcp/1"))
		drain(q, now)
		if i == 2*maxSeen {
			now = now.Add(2 * seenFor)
		}
		if len(q.seen) > maxSeen {
			t.Fatalf("%d peers are remembered, want at most %d", len(q.seen), maxSeen)
		}
	}
}
