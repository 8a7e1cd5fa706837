package transfer

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"

	"github.com/shoal-p2p/shoal/content"
	"github.com/shoal-p2p/shoal/transfer/wire"
)

// trust is an Introducer that believes everything, and remembers what it was told.
type trust struct {
	mu     sync.Mutex
	late   bool // nobody's address is known yet
	met    []peer.AddrInfo
	reject map[string]bool // addresses that nobody may be told
}

func (t *trust) Reached(c network.Conn) []multiaddr.Multiaddr {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.late {
		return nil
	}
	return []multiaddr.Multiaddr{c.RemoteMultiaddr(), multiaddr.StringCast("/ip4/10.0.0.9/udp/9/quic-v1")}
}

func (t *trust) Usable(a multiaddr.Multiaddr, _ network.Conn) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return !t.reject[a.String()]
}

func (t *trust) Meet(_ network.Conn, found []peer.AddrInfo) []peer.ID {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.met = append(t.met, found...)
	var out []peer.ID
	for _, info := range found {
		out = append(out, info.ID)
	}
	return out
}

func (t *trust) set(f func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	f()
}

func (h *pipeHost) called(p *pipeHost) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.calls[p.id]
}

func (d *download) peer(h *pipeHost) PeerStatus {
	for _, p := range d.Status().Peers {
		if p.Peer == h.id {
			return p
		}
	}
	return PeerStatus{}
}

// Receivers that know the seeder only exchange chunks with each other.
func TestReceiversLearnOfEachOtherFromTheSeeder(t *testing.T) {
	inWorld(t, func(w *world) {
		w.net.rate, w.net.lag = 2*mib, time.Millisecond
		a, b, c, d := w.member("a"), w.member("b"), w.member("c"), w.member("d")
		tree := a.put(t, 12*mib, 1)
		all := []*download{w.fetch(b, tree.Root, a.host), w.fetch(c, tree.Root, a.host), w.fetch(d, tree.Root, a.host)}
		time.Sleep(2 * time.Second)
		for i, x := range all {
			if s := x.Status(); s.Joined != 3 || s.Links != 3 {
				t.Errorf("receiver %d has %d links, %d joined, expected one to each of the others: %+v", i, s.Links, s.Joined, s.Peers)
			}
		}
		for _, x := range all {
			x.must(t, time.Minute)
		}
		for _, m := range []*member{b, c, d} {
			if _, up := m.Totals(); up == 0 {
				t.Errorf("%s gave nothing to the others", m.host.id)
			}
		}
		for _, pair := range [][2]*pipeHost{{b.host, c.host}, {b.host, d.host}, {c.host, d.host}} {
			if n := pair[0].called(pair[1]) + pair[1].called(pair[0]); n != 1 {
				t.Errorf("%s and %s dialled each other %d times, expected one of them once", pair[0].id, pair[1].id, n)
			}
		}
		if n := a.host.called(b.host) + a.host.called(c.host) + a.host.called(d.host); n > 0 {
			t.Errorf("the seeder dialled %d times, but it needs nobody", n)
		}
	})
}

// A newcomer hears of those who are there, and they of it; when all is done nobody says or dials anything more.
func TestNewcomerIsIntroduced(t *testing.T) {
	inWorld(t, func(w *world) {
		w.net.rate = 2 * mib
		a, b, c := w.member("a"), w.member("b"), w.member("c")
		tree := a.put(t, 20*mib, 1)
		first := w.fetch(b, tree.Root, a.host)
		time.Sleep(2 * time.Second)
		second := w.fetch(c, tree.Root, a.host)
		time.Sleep(time.Second)
		if p := second.peer(b.host); p.State != Joined || !p.Learnt {
			t.Errorf("newcomer about the other: %+v, expected it joined and learnt from the seeder", p)
		}
		first.must(t, time.Minute)
		second.must(t, time.Minute)
		calls := b.host.called(c.host) + c.host.called(b.host)
		time.Sleep(50 * time.Second)
		if n := b.host.called(c.host) + c.host.called(b.host); n != calls {
			t.Errorf("%d more dials after both had everything", n-calls)
		}
	})
}

// How a peer is reached is not known at once: identify takes a moment.
func TestIntroductionWaitsForAddresses(t *testing.T) {
	inWorld(t, func(w *world) {
		w.net.rate = mib
		a, b, c := w.member("a"), w.member("b"), w.member("c")
		tree := a.put(t, 12*mib, 1)
		a.trust.set(func() { a.trust.late = true })
		first := w.fetch(b, tree.Root, a.host)
		w.fetch(c, tree.Root, a.host)
		time.Sleep(3 * time.Second)
		if s := first.Status(); s.Links != 1 {
			t.Fatalf("%d links, expected the seeder's alone", s.Links)
		}
		a.trust.set(func() { a.trust.late = false })
		time.Sleep(tellAgain + letOtherDial + time.Second)
		if s := first.Status(); s.Joined != 2 {
			t.Fatalf("status %+v, expected the other receiver too", s)
		}
	})
}

// listener is a scripted peer of a seeder that writes down whom it is told of.
type listener struct {
	*line
	mu     sync.Mutex
	frames []wire.Peers
	at     []time.Time
	bye    bool
}

func (w *world) listen(s *stranger, m *member, hello wire.Hello, say ...wire.Message) *listener {
	str, err := s.host.NewStream(w.ctx, m.host.id)
	if err != nil {
		w.t.Fatal(err)
	}
	l := &listener{line: &line{w.t, str, wire.NewReader(str)}}
	l.say(hello)
	l.say(say...)
	w.wait.Go(func() {
		for {
			m := l.expect()
			l.mu.Lock()
			switch m := m.(type) {
			case nil:
				l.bye = true
				l.mu.Unlock()
				return
			case wire.Peers:
				l.frames, l.at = append(l.frames, m), append(l.at, time.Now())
			}
			l.mu.Unlock()
		}
	})
	w.wait.Go(func() { <-w.ctx.Done(); str.Reset() })
	return l
}

func (l *listener) heard() (ids []peer.ID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, f := range l.frames {
		for _, p := range f.Peers {
			ids = append(ids, peer.ID(p.ID))
		}
	}
	slices.Sort(ids)
	return ids
}

// who tells whether exactly these were named, each once.
func (l *listener) who(t *testing.T, name string, want ...*pipeHost) {
	t.Helper()
	var ids []peer.ID
	for _, h := range want {
		ids = append(ids, h.id)
	}
	slices.Sort(ids)
	if got := l.heard(); !slices.Equal(got, ids) {
		t.Errorf("%s was told of %q, expected %q", name, got, ids)
	}
}

var firstChunk = []content.Range{{First: 0, Count: 1}}

func TestWhoIsToldOfWhom(t *testing.T) {
	inWorld(t, func(w *world) {
		a := w.member("a")
		tree := a.put(t, 4*mib, 1)
		all := []content.Range{{First: 0, Count: 4}}
		open := func(name string, h wire.Hello, say ...wire.Message) (*listener, *pipeHost) {
			s := w.stranger(name)
			h.Root = tree.Root
			return w.listen(s, a, h, say...), s.host
		}
		one, h1 := open("one", wire.Hello{Session: 1}, wire.Have{Ranges: firstChunk})
		two, h2 := open("two", wire.Hello{Session: 2}, wire.Want{Ranges: firstChunk})
		three, h3 := open("three", wire.Hello{Session: 3}, wire.Seek{Ranges: firstChunk})
		whole, h4 := open("whole", wire.Hello{Session: 4}, wire.Have{Ranges: all})
		takes, _ := open("takes", wire.Hello{}, wire.Want{Ranges: firstChunk})
		shy, _ := open("shy", wire.Hello{Session: 5, Unlisted: true}, wire.Want{Ranges: firstChunk})
		silent, h5 := open("silent", wire.Hello{Session: 6})
		again := w.listen(&stranger{w, h1}, a, wire.Hello{Root: tree.Root, Session: 7}, wire.Want{Ranges: firstChunk})
		time.Sleep(10 * time.Second)
		one.who(t, "one", h2, h3, h4, h5)
		again.who(t, "another session of one", h2, h3, h4, h5)
		two.who(t, "two", h1, h3, h4, h5)
		three.who(t, "three", h1, h2, h4, h5)
		whole.who(t, "who has everything")
		takes.who(t, "who takes only", h1, h2, h3, h4, h5)
		shy.who(t, "who wants no part in it")
		silent.who(t, "who has nothing to say yet", h1, h2, h3, h4)
	})
}

// A crowd comes and goes: what one stream hears of it is bounded in number and in pace.
func TestTellingIsPaced(t *testing.T) {
	inWorld(t, func(w *world) {
		a := w.member("a")
		tree := a.put(t, 4*mib, 1)
		l := w.listen(w.stranger("ears"), a, wire.Hello{Root: tree.Root, Session: 1}, wire.Want{Ranges: firstChunk})
		began := time.Now()
		for i := range 400 {
			s := w.listen(w.stranger(fmt.Sprint("crowd ", i)), a, wire.Hello{Root: tree.Root, Session: uint64(i + 2)}, wire.Have{Ranges: firstChunk})
			time.Sleep(tellPause + time.Millisecond)
			if i >= 20 {
				s.str.Reset()
			}
			time.Sleep(time.Second)
			if i%20 == 0 {
				l.say(wire.Cancel{Ranges: firstChunk}) // a stream on which nothing is said ends
			}
		}
		if n := len(l.heard()); n != wire.MaxIntroduced {
			t.Errorf("told of %d peers in the life of a stream, expected %d", n, wire.MaxIntroduced)
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		for i, at := range l.at {
			if least := time.Duration(i-tellBurst+1) * tellEvery; at.Sub(began) < least {
				t.Errorf("frame %d came after %v, expected it not before %v", i, at.Sub(began), least)
			}
		}
		if l.bye {
			t.Error("the stream has ended")
		}
	})
}

func TestOnlyUsableAddressesAreTold(t *testing.T) {
	inWorld(t, func(w *world) {
		a := w.member("a")
		a.trust.reject = map[string]bool{"/ip4/127.0.0.1/tcp/1": true}
		tree := a.put(t, 4*mib, 1)
		w.listen(w.stranger("x"), a, wire.Hello{Root: tree.Root, Session: 1}, wire.Want{Ranges: firstChunk})
		l := w.listen(w.stranger("y"), a, wire.Hello{Root: tree.Root, Session: 2}, wire.Want{Ranges: firstChunk})
		time.Sleep(time.Second)
		l.mu.Lock()
		defer l.mu.Unlock()
		want := multiaddr.StringCast("/ip4/10.0.0.9/udp/9/quic-v1").Bytes()
		if len(l.frames) != 1 || len(l.frames[0].Peers[0].Addrs) != 1 || string(l.frames[0].Peers[0].Addrs[0]) != string(want) {
			t.Errorf("told %+v, expected the one address that is usable", l.frames)
		}
	})
}

// teller is a seeder that answers nothing, but says of others what a test likes.
func (w *world) teller(name string, tree *content.Tree, shelf *shelf, say func(l *line)) *stranger {
	s := w.stranger(name)
	s.accept(func(l *line, root cid.Cid) {
		l.say(wire.Hello{Root: root, Session: 77}, wire.Nodes{Blocks: [][]byte{shelf.nodes[root]}}, wire.NodesEnd{})
		say(l)
		l.gone(time.Hour)
	})
	return s
}

var anyAddr = [][]byte{multiaddr.StringCast("/ip4/10.1.2.3/tcp/4").Bytes()}

func invented(from, n int) wire.Peers {
	var m wire.Peers
	for i := range n {
		m.Peers = append(m.Peers, wire.Peer{ID: []byte(named(fmt.Sprintf("invented %d", from+i))), Addrs: anyAddr})
	}
	return m
}

// T16: a million peers cost the stream of their teller, and no more dials than its allotment.
func TestTellerOfAMillion(t *testing.T) {
	inWorld(t, func(w *world) {
		me, good := w.member("me"), w.member("good")
		tree := good.put(t, 12*mib, 1)
		var ended atomic.Bool
		liar := w.teller("liar", tree, good.shelf, func(l *line) {
			for i := 0; i < 1_000_000; i += wire.MaxPeers {
				frame, err := wire.Append(nil, invented(i, wire.MaxPeers))
				if err != nil {
					t.Error(err)
				}
				if _, err := l.str.Write(frame); err != nil {
					ended.Store(true)
					return
				}
			}
		})
		w.net.rate = 2 * mib
		d := w.fetch(me, tree.Root, liar.host, good.host)
		time.Sleep(time.Second)
		if n := len(d.Status().Peers); n > maxLessons+2 {
			t.Errorf("%d contacts, expected at most %d from one teller", n, maxLessons)
		}
		d.must(t, 30*time.Second)
		if !ended.Load() {
			t.Error("the teller was heard to the end")
		}
		me.host.mu.Lock()
		defer me.host.mu.Unlock()
		calls := 0
		for id, n := range me.host.calls {
			if id != good.host.id && id != liar.host.id {
				calls += n
			}
		}
		if calls > maxLessons*maxLearntTries {
			t.Errorf("%d dials on one liar's word", calls)
		}
		if calls == 0 {
			t.Error("nobody was dialled: the test shows nothing")
		}
	})
}

// Invented peers are forgotten, and leave room for others; several liars together cannot fill the contacts.
func TestManyTellersCannotCrowdOutOthers(t *testing.T) {
	inWorld(t, func(w *world) {
		me := w.member("me")
		shelf := newShelf()
		tree := shelf.put(t, 4*mib, 1)
		var liars []*pipeHost
		for i := range 10 {
			liars = append(liars, w.teller(fmt.Sprint("liar ", i), tree, shelf, func(l *line) {
				for k := range 3 {
					l.say(invented(1000*i+32*k, 32))
				}
			}).host)
		}
		d := w.fetch(me, tree.Root, liars...)
		synctest.Wait()
		if n := len(d.Status().Peers); n > maxLearnt+len(liars) {
			t.Errorf("%d contacts, expected at most %d that were learnt", n, maxLearnt)
		}
		time.Sleep(10 * time.Minute) // in which they call again, and say more
		if n := len(d.Status().Peers); n > len(liars) {
			t.Errorf("%d contacts after ten minutes, expected the invented ones forgotten", n)
		}
	})
}

func TestNonsenseIsPassedOver(t *testing.T) {
	inWorld(t, func(w *world) {
		me, other := w.member("me"), w.member("other")
		shelf := newShelf()
		tree := shelf.put(t, 4*mib, 1)
		good := wire.Peer{ID: []byte(named("good")), Addrs: [][]byte{{0xff}, anyAddr[0]}}
		liar := w.teller("liar", tree, shelf, func(l *line) {
			l.say(wire.Peers{Peers: []wire.Peer{
				{ID: []byte("no peer ID"), Addrs: anyAddr},
				{ID: []byte(me.host.id), Addrs: anyAddr},
				{ID: []byte(named("liar")), Addrs: anyAddr},
				{ID: []byte(other.host.id), Addrs: anyAddr},
				{ID: []byte(named("nowhere")), Addrs: [][]byte{{0xff}}},
				good,
			}})
		})
		d := w.fetch(me, tree.Root, other.host, liar.host)
		time.Sleep(100 * time.Millisecond)
		if p := d.peer(liar.host); p.State != Joined {
			t.Errorf("the teller is %v: %v", p.State, p.Err)
		}
		me.trust.mu.Lock()
		defer me.trust.mu.Unlock()
		if len(me.trust.met) != 1 || me.trust.met[0].ID != named("good") || len(me.trust.met[0].Addrs) != 1 {
			t.Errorf("taken in: %v, expected the good one with one address", me.trust.met)
		}
	})
}

func TestNobodyIsSoughtWithoutNeed(t *testing.T) {
	inWorld(t, func(w *world) {
		a, b := w.member("a"), w.member("b")
		tree := a.put(t, 4*mib, 1)
		told := wire.Peers{Peers: []wire.Peer{{ID: []byte(b.host.id), Addrs: anyAddr}}}

		l := w.listen(w.stranger("one"), a, wire.Hello{Root: tree.Root, Session: 1}, wire.Want{Ranges: firstChunk}, told)
		d := w.fetch(b, tree.Root, a.host)
		d.must(t, 10*time.Second)
		w.listen(w.stranger("two"), b, wire.Hello{Root: tree.Root, Session: 2}, wire.Want{Ranges: firstChunk}, invented(0, 5))
		time.Sleep(10 * time.Second)
		if n := a.host.called(b.host); n > 0 || len(a.trust.met) > 0 {
			t.Errorf("a session that only serves took in %v and dialled %d times", a.trust.met, n)
		}
		if len(b.trust.met) > 1 { // of "one", while it was fetching
			t.Errorf("a download that is through took in %v", b.trust.met)
		}
		if l.bye {
			t.Error("the stream has ended")
		}
	})
}

// With no introducer a node neither tells nor listens, and asks not to be named.
func TestWithoutIntroducer(t *testing.T) {
	inWorld(t, func(w *world) {
		a := w.member("a")
		a.introducer = nil
		tree := a.put(t, 4*mib, 1)
		one := w.listen(w.stranger("one"), a, wire.Hello{Root: tree.Root, Session: 1}, wire.Want{Ranges: firstChunk}, invented(0, 5))
		w.listen(w.stranger("two"), a, wire.Hello{Root: tree.Root, Session: 2}, wire.Want{Ranges: firstChunk})
		time.Sleep(5 * time.Second)
		one.who(t, "one")
		if one.bye {
			t.Error("the stream has ended")
		}
		three := w.stranger("three").dial(a, tree.Root)
		if h, ok := until[wire.Hello](three); !ok || !h.Unlisted {
			t.Errorf("hello %+v, expected a wish not to be named", h)
		}
		three.str.Reset()
	})
}

// Whoever has left with everything is still named, as long as it is connected: it serves from its library.
func TestThoseWhoAreDoneAreNamed(t *testing.T) {
	inWorld(t, func(w *world) {
		w.net.rate = 2 * mib
		a, b, c := w.member("a"), w.member("b"), w.member("c")
		tree := a.put(t, 16*mib, 1)
		d := w.fetch(b, tree.Root, a.host)
		d.must(t, time.Minute)
		b.shelf.mu.Lock()
		b.put(t, 16*mib, 1)
		b.shelf.mu.Unlock()
		d.cancel()
		time.Sleep(time.Second)
		gone := w.listen(w.stranger("gone"), a, wire.Hello{Root: tree.Root, Session: 9}, wire.Want{Ranges: firstChunk})
		time.Sleep(time.Second)
		gone.str.Reset()
		time.Sleep(time.Second)
		e := w.fetch(c, tree.Root, a.host)
		time.Sleep(3 * time.Second)
		if p := e.peer(b.host); p.State != Joined || p.Down == 0 {
			t.Errorf("peer %+v, expected the one that is done to give", p)
		}
		if n := c.host.called(w.net.hosts[named("gone")]); n > 0 {
			t.Error("one that is not connected any more was named")
		}
		e.must(t, time.Minute)
	})
}

// Who has called us already need not be dialled because others name it, and is not if it is offered afterwards.
func TestWhoHasCalledIsNotDialledOnHearsay(t *testing.T) {
	inWorld(t, func(w *world) {
		me := w.member("me")
		shelf := newShelf()
		tree := shelf.put(t, 4*mib, 1)
		caller := w.stranger("caller")
		caller.accept(func(l *line, _ cid.Cid) { l.gone(time.Hour) })
		say := make(chan wire.Peers)
		teller := w.teller("teller", tree, shelf, func(l *line) { l.say(<-say) })
		d := w.half(me, tree, shelf, content.Range{First: 0, Count: 1}, teller.host)
		synctest.Wait()
		w.listen(caller, me, wire.Hello{Root: tree.Root, Session: 5}, wire.Want{Ranges: firstChunk})
		synctest.Wait()
		say <- wire.Peers{Peers: []wire.Peer{{ID: []byte(caller.host.id), Addrs: anyAddr}}}
		time.Sleep(10 * time.Second)
		d.Offer(caller.host.id)
		time.Sleep(10 * time.Second)
		if n := me.host.called(caller.host); n > 0 {
			t.Errorf("dialled %d times", n)
		}
		if p := d.peer(caller.host); p.State != Joined || p.Learnt {
			t.Errorf("peer %+v, expected it joined and not learnt from another", p)
		}
	})
}
