package node

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"

	"github.com/shoal-p2p/shoal/content"
)

// T2, B49: data that nobody asked for is not taken: not on disk, not in memory, and not for long from the line.
func TestUnsolicited(t *testing.T) {
	const gib = 1 << 30
	tidy(t, "into a node that serves", func(t *testing.T) {
		a := start(t, "a")
		path, _ := a.file("big", 4<<20)
		g := a.goods(a.share(path).CID)
		l := newOutsider(t).greet(a, g.root)
		junk := dataFrame(1, 0, g.chunks[1][:mostPayload])
		took := 0
		grew := peak(func() {
			for took < gib && l.raw(junk) {
				took += len(junk)
			}
		})
		if took >= gib {
			t.Error("the node took 1 GiB that nobody asked for")
		}
		if grew > 2*streamWindow { // what a stream may send ahead, and what this side of it has in hand
			t.Errorf("the heap grew by %d KiB", grew>>10)
		}
		if down, _ := a.transfer.Totals(); down > 0 {
			t.Errorf("%d bytes were stored", down)
		}
		a.stillServes(g)
	})
	push := func(l *line, g *goods, n int) {
		for off := 0; off < len(g.chunks[n]) && l.raw(dataFrame(uint32(n), off, g.chunks[n][off:off+mostPayload])); {
			off += mostPayload
		}
	}
	for name, lies := range map[string]func(g *goods) policy{
		"before anything was asked": func(g *goods) policy {
			return policy{hello: func(l *line) {
				l.raw(helloFrame(g.root))
				for n := range g.chunks {
					push(l, g, n)
				}
			}}
		},
		"instead of what was asked": func(g *goods) policy {
			return policy{give: func(l *line, n uint32) { push(l, g, (int(n)+7)%len(g.chunks)) }}
		},
		"everything twice": func(g *goods) policy {
			return policy{give: func(l *line, n uint32) { push(l, g, int(n)); push(l, g, int(n)) }}
		},
		"what is sought": func(g *goods) policy {
			return policy{told: func(l *line, h told) bool {
				if h.kind == kindSeek {
					h.each(func(n uint32) { push(l, g, int(n)) })
				}
				return false
			}}
		},
	} {
		tidy(t, name, func(t *testing.T) {
			good, me, pusher := start(t, "good"), start(t, "me"), newOutsider(t)
			path, data := good.file("big", 24<<20)
			shared := good.share(path)
			pusher.serve(good.goods(shared.CID), lies(good.goods(shared.CID)))
			done := me.gets(shared.CID, data, pusher.addr(), good.addr())
			if done.Bytes != int64(len(data)) {
				t.Errorf("%d bytes counted, expected %d", done.Bytes, len(data))
			}
			if down, _ := me.transfer.Totals(); down > int64(len(data))*11/10 {
				t.Errorf("%d bytes were taken for a file of %d", down, len(data))
			}
			if me.hasBanned(good.host.ID()) {
				t.Error("the honest peer was banned")
			}
		})
	}
}

// flood is something that an outsider says as often as the node takes it.
type flood struct {
	name string
	open bool                  // before any hello
	said func(g *goods) []byte // again and again
}

// T10, B47: whatever outsiders repeat, others are served and the heap stays small.
func TestFloodsOfFrames(t *testing.T) {
	every2nd := func(g *goods) (out []content.Range) {
		for n := 0; n < len(g.chunks); n += 2 {
			out = append(out, rangeOf(uint32(n), 1))
		}
		return out
	}
	for _, f := range []flood{
		{name: "nodes", said: func(*goods) []byte { return nodesFrame(make([]byte, 2<<20)) }},
		{name: "have", said: func(g *goods) []byte { return bytes.Repeat(rangesFrame(kindHave, every2nd(g)...), 16) }},
		{name: "want", said: func(g *goods) []byte { return bytes.Repeat(rangesFrame(kindWant, g.all()), 1000) }},
		{name: "cancel", said: func(g *goods) []byte { return bytes.Repeat(rangesFrame(kindCancel, g.all()), 1000) }},
		{name: "want and cancel", said: func(g *goods) []byte {
			return bytes.Repeat(append(rangesFrame(kindWant, every2nd(g)...), rangesFrame(kindCancel, g.all())...), 16)
		}},
		{name: "cannot", said: func(g *goods) []byte {
			return bytes.Repeat(frameOf(kindCannot, []byte{cannotNotHere}, rangesBody(g.all())), 1000)
		}},
		{name: "seek", said: func(g *goods) []byte { return bytes.Repeat(rangesFrame(kindSeek, g.all()), 1000) }},
		{name: "seek and coming", said: func(g *goods) []byte {
			return bytes.Repeat(append(rangesFrame(kindSeek, every2nd(g)...), rangesFrame(kindComing, g.all())...), 16)
		}},
		{name: "offer", said: func(g *goods) []byte { return bytes.Repeat(rangesFrame(kindOffer, every2nd(g)...), 16) }},
		{name: "got", said: func(*goods) []byte { return bytes.Repeat(frameOf(kindGot, numbers(1<<18)), 1000) }},
		{name: "hello and nothing else", open: true, said: func(*goods) []byte { return []byte{0x80} }},
	} {
		tidy(t, f.name, func(t *testing.T) {
			a := start(t, "a")
			g, _, _ := a.manyFiles(4000, 64)
			grew := peak(func() { a.underFlood(t, g, f) })
			if grew > maxUnread+32<<20 { // what all streams together may send ahead, and a little
				t.Errorf("the heap grew by %d MiB", grew>>20)
			}
		})
	}
}

// underFlood fetches from a while four outsiders flood it, and then waits until they are gone.
func (r *running) underFlood(t *testing.T, g *goods, f flood) {
	ctx, cancel := context.WithCancel(t.Context())
	said := f.said(g)
	var wait sync.WaitGroup
	for range 4 {
		s := newOutsider(t)
		s.connect(r)
		wait.Go(func() {
			for ctx.Err() == nil {
				l, err := s.tryOpen(r)
				if err != nil {
					return
				}
				go l.drained(time.Minute)
				stop := context.AfterFunc(ctx, func() { l.str.Reset() })
				ok := f.open || l.raw(helloFrame(g.root))
				for ok && ctx.Err() == nil {
					ok = l.raw(said)
				}
				stop()
				l.str.Reset()
			}
		})
	}
	defer wait.Wait()
	defer cancel()
	for range 3 {
		r.stillServes(g)
	}
}

// T10: as many streams as there may be, each with the head of the largest frame and one byte of it.
func TestStallAllStreams(t *testing.T) {
	for name, said := range map[string][]byte{
		"nodes":   append(numbers(2<<20), kindNodes, 0),
		"control": append(numbers(mostControl), kindHave, 0),
		"data":    append(numbers(mostPayload), kindData, 4),
	} {
		tidy(t, name, func(t *testing.T) {
			a := start(t, "a")
			path, _ := a.file("big", 4<<20)
			g := a.goods(a.share(path).CID)
			var open []*line
			grew := peak(func() {
				for range maxTransferStreams/maxTransferPeerStreams - 1 {
					s := newOutsider(t)
					for range maxTransferPeerStreams {
						l, err := s.tryOpen(a)
						if err != nil {
							break
						}
						l.raw(helloFrame(g.root), said)
						open = append(open, l)
					}
				}
				waitFor(t, "the node to read", func() bool { return a.transferStreams() >= len(open)*9/10 })
				a.stillServes(g)
			})
			if len(open) < 200 {
				t.Errorf("only %d streams were opened: the test shows nothing", len(open))
			}
			if grew > 128<<20 {
				t.Errorf("the heap grew by %d MiB for %d streams", grew>>20, len(open))
			}
		})
	}
}

// T10, B66: peers that ask for all and read nothing hold no more than their share of what the node sends from, and for as long
// as nobody else wants it. The node has served somebody before: on a fresh one each of them costs the second that the engine
// waits for a first speed.
func TestZeroWindows(t *testing.T) {
	tidy(t, "served meanwhile", func(t *testing.T) {
		a := start(t, "a")
		path, _ := a.file("big", 64<<20)
		g := a.goods(a.share(path).CID)
		newOutsider(t).reads(a, g)
		grew := peak(func() {
			var wait sync.WaitGroup
			for range 12 {
				s := newOutsider(t)
				for range maxTransferPeerStreams {
					l, err := s.tryOpen(a)
					if err != nil {
						t.Fatal(err)
					}
					l.raw(helloFrame(g.root))
					l.want(g.all())
					wait.Go(func() { // until data comes, or does not because others block it
						l.str.SetReadDeadline(time.Now().Add(time.Second))
						for h, err := l.next(); err == nil && h.kind != kindData; {
							h, err = l.next()
						}
					})
				}
			}
			wait.Wait()
			a.stillServes(g)
		})
		t.Logf("the heap grew by %d MiB", grew>>20)
		if grew > 192<<20 { // of which the outsiders' own windows are 12 * 8 * 256 KiB
			t.Errorf("the heap grew by %d MiB", grew>>20)
		}
	})
}

// A node that stops does not wait for those who do not read.
func TestStopWithStalledPeers(t *testing.T) {
	home, dir := filepath.Join(t.TempDir(), "a"), t.TempDir()
	n, err := Open(t.Context(), Config{Home: home, Network: Isolated, Listen: []string{"/ip4/127.0.0.1/tcp/0"}})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	ctx, cancel := context.WithCancel(t.Context())
	ran := make(chan error, 1)
	go func() { ran <- n.Run(ctx) }()
	a := &running{n, t, dir}
	path, _ := a.file("big", 32<<20)
	g := a.goods(a.share(path).CID)
	for range 3 {
		l := newOutsider(t).greet(a, g.root)
		l.want(g.all())
		l.until(kindData, patient) // and no more
	}
	began := time.Now()
	cancel()
	if err := <-ran; err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("it took %v to stop, expected at most 5 s", took)
	}
}

// B57: ten thousand streams by one peer. The rest is refused, and others notice nothing.
func TestTenThousandStreams(t *testing.T) {
	tidy(t, "one peer", func(t *testing.T) {
		a := start(t, "a")
		path, _ := a.file("big", 4<<20)
		g := a.goods(a.share(path).CID)
		s := newOutsider(t)
		s.connect(a)
		conn := s.host.Network().ConnsToPeer(a.host.ID())[0]
		most := 0
		grew := peak(func() {
			for i := range 10_000 {
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				str, err := conn.NewStream(ctx)
				cancel()
				if err == nil {
					str.Write([]byte("\x13/multistream/1.0.0\n"))
				}
				if i%1000 == 0 {
					most = max(most, a.streamsOf(s))
					a.stillServes(g)
				}
			}
		})
		if most > maxPeerStreams {
			t.Errorf("one peer had %d streams, expected at most %d", most, maxPeerStreams)
		}
		if grew > 64<<20 {
			t.Errorf("the heap grew by %d MiB", grew>>20)
		}
	})
}

func (r *running) streamsOf(s *outsider) (n int) {
	for _, c := range r.host.Network().ConnsToPeer(s.host.ID()) {
		for _, str := range c.GetStreams() {
			if str.Stat().Direction == network.DirInbound {
				n++
			}
		}
	}
	return n
}

// B67: two nodes fetch the same from each other, each with half of it, and then all of it from both and a third.
func TestSameFetchBothWays(t *testing.T) {
	for round := range 3 {
		t.Run(fmt.Sprint(round), func(t *testing.T) {
			seed, a, b := start(t, "seed"), start(t, "a"), start(t, "b")
			path, data := seed.file("big", 24<<20)
			shared := seed.share(path)
			var wait sync.WaitGroup
			for _, pair := range [][2]*running{{a, b}, {b, a}} {
				wait.Go(func() {
					to := filepath.Join(pair[0].dir, "copy")
					_, err := pair[0].Fetch(t.Context(), FetchRequest{
						Ref: shared.CID, Dest: to, Peers: []string{seed.addr(), pair[1].addr()}, Timeout: 30,
					}, ignore)
					if err != nil {
						t.Error(err)
						return
					}
					if got, err := os.ReadFile(to); err != nil || !bytes.Equal(got, data) {
						t.Errorf("the copy is not what was shared: %v", err)
					}
				})
			}
			wait.Wait()
		})
	}
}
