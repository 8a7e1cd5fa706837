package transfer

import (
	"fmt"
	"io"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/shoal-p2p/shoal/content"
	"github.com/shoal-p2p/shoal/transfer/wire"
)

// locks are the Doors of one member.
type locks struct {
	mu      sync.Mutex
	access  map[cid.Cid]content.Access
	aliases map[cid.Cid]cid.Cid
	calls   []string // of its methods
}

func newLocks() *locks {
	return &locks{access: make(map[cid.Cid]content.Access), aliases: make(map[cid.Cid]cid.Cid)}
}

func (l *locks) set(root cid.Cid, a content.Access) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.access[root] = a
	if !a.Secret.IsZero() {
		l.aliases[a.Secret.Alias(root)] = root
	}
}

func (l *locks) Access(root cid.Cid) content.Access {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.calls = append(l.calls, "Access")
	return l.access[root]
}

func (l *locks) Private(alias cid.Cid) (cid.Cid, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.calls = append(l.calls, "Private")
	root, ok := l.aliases[alias]
	return root, ok
}

func secretOf(t testing.TB, what string) content.Secret {
	t.Helper()
	s, err := content.ParseSecret([]byte(fmt.Sprintf("%-16.16s", what)))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// fetchWith is fetch by somebody who has a ticket.
func (w *world) fetchWith(m *member, root cid.Cid, s content.Secret, from ...*pipeHost) *download {
	m.locks.set(root, content.Access{Secret: s})
	return w.fetch(m, root, from...)
}

// Holders of the secret exchange a private root as others do a public one; nobody else gets a byte of it from any of them, hears
// of them, or makes them hear of him.
func TestPrivateRootStaysAmongItsHolders(t *testing.T) {
	inWorld(t, func(w *world) {
		w.net.rate, w.net.lag = 2*mib, time.Millisecond
		right, wrong := secretOf(t, "right"), secretOf(t, "wrong")
		a, b, c := w.member("a"), w.member("b"), w.member("c")
		without, guesser, late := w.member("without"), w.member("guesser"), w.member("late")
		tree := a.put(t, 12*mib, 1)
		a.locks.set(tree.Root, content.Access{Secret: right})
		first := w.fetchWith(b, tree.Root, right, a.host)
		second := w.fetchWith(c, tree.Root, right, a.host)
		time.Sleep(2 * time.Second)
		outside := []*download{
			w.fetch(without, tree.Root, a.host, b.host, c.host),
			w.fetchWith(guesser, tree.Root, wrong, a.host, b.host, c.host),
		}
		time.Sleep(time.Second)
		for _, d := range outside {
			s := d.Status()
			for _, p := range s.Peers {
				if p.State != NotHere {
					t.Errorf("about %s, somebody without the secret hears %v, expected not here", p.Peer, p.State)
				}
			}
			if s.Blocks > 0 || s.Came > 0 || len(s.Peers) != 3 {
				t.Errorf("somebody without the secret got %d nodes, %d bytes and heard of %d peers", s.Blocks, s.Came, len(s.Peers)-3)
			}
		}
		if p := first.peer(c.host); p.State != Joined || !p.Learnt {
			t.Errorf("one holder about the other: %+v, expected it joined, and named by the sharer", p)
		}
		for _, d := range []*download{first, second} {
			d.must(t, time.Minute)
			for _, p := range d.Status().Peers {
				if p.Peer == without.host.id || p.Peer == guesser.host.id {
					t.Errorf("a holder exchanges with %s", p.Peer)
				}
			}
		}
		w.fetchWith(late, tree.Root, right, a.host).must(t, time.Minute)
	})
}

// What a stranger hears, to the byte, in every case in which a root is not for it.
func TestNotAllowedLooksLikeNotHere(t *testing.T) {
	inWorld(t, func(w *world) {
		a, taker := w.member("a"), w.member("taker")
		right, wrong := secretOf(t, "right"), secretOf(t, "wrong")
		private, limited, ended := a.put(t, mib, 1).Root, a.put(t, mib, 2).Root, a.put(t, mib, 3).Root
		absent := content.Seal([]byte("nobody has this")).Digest().CID()
		a.locks.set(private, content.Access{Secret: right})
		a.locks.set(limited, content.Access{Secret: right, Limited: true, Peers: []string{"somebody else"}})
		a.locks.set(ended, content.Access{Secret: right, Until: time.Now()})
		both := content.Access{Limited: true, Peers: []string{string(taker.host.id)}}
		listed := a.put(t, mib, 4).Root
		a.locks.set(listed, both)
		w.fetch(taker, listed, a.host).must(t, time.Minute)
		running := a.put(t, 20*mib, 5).Root // a session for it runs when the stranger asks
		a.locks.set(running, content.Access{Secret: right})
		w.net.rate = mib / 4
		w.fetchWith(taker, running, right, a.host)
		time.Sleep(2 * time.Second)

		s := w.stranger("stranger")
		me, it := string(s.host.id), string(a.host.id)
		proved := func(root cid.Cid, by content.Secret, from, to string) wire.Hello {
			return wire.Hello{Root: by.Alias(root), Proof: by.Proof(root, from, to), Session: 9}
		}
		plain := func(root cid.Cid) wire.Hello { return wire.Hello{Root: root, Session: 9} }
		replayed := proved(private, right, string(taker.host.id), it)
		withReal := proved(private, right, me, it)
		withReal.Root = private
		var want string
		for i, c := range []struct {
			name  string
			hello wire.Hello
		}{
			{"what is not here", plain(absent)},
			{"what is not here, with a proof", proved(absent, wrong, me, it)},
			{"a private root by its CID", plain(private)},
			{"a private root by its CID, while it is served", plain(running)},
			{"a private root by its alias, without a proof", plain(right.Alias(private))},
			{"a private root with a wrong secret", proved(private, wrong, me, it)},
			{"its alias with a wrong proof", wire.Hello{Root: right.Alias(private), Proof: wire.Proof{1}, Session: 9}},
			{"its alias while it is served, with a wrong proof", wire.Hello{Root: right.Alias(running), Proof: wire.Proof{1}, Session: 9}},
			{"its CID with the right proof", withReal},
			{"the proof of another peer", replayed},
			{"the proof that the sharer itself would send", proved(private, right, it, me)},
			{"a proof for another sharer", proved(private, right, me, "b")},
			{"the right proof of one who is not on the list", proved(limited, right, me, it)},
			{"a limited root by its CID", plain(listed)},
			{"the right proof after its time", proved(ended, right, me, it)},
		} {
			str, err := s.host.NewStream(w.ctx, a.host.id)
			if err != nil {
				t.Fatal(err)
			}
			l := &line{t, str, nil}
			l.say(c.hello)
			began := time.Now()
			got, err := io.ReadAll(str)
			heard := fmt.Sprintf("%x %v %v", got, err, time.Since(began))
			if i == 0 {
				want = heard
			} else if heard != want {
				t.Errorf("%s: the answer is %s, expected %s", c.name, heard, want)
			}
			str.Close()
		}
		l := s.dial2(a, proved(private, right, me, it))
		if h, ok := until[wire.Hello](l); !ok || h.Root != right.Alias(private) || h.Proof != right.Proof(private, it, me) {
			t.Errorf("with the right proof the answer is %+v, %v", h, ok)
		}
		l.str.Close()
	})
}

// What is not for somebody is looked for just as what is not here: the same questions in the same order to those who know who may have
// what, and to the disk, however the clock runs.
func TestRefusalsTakeOnePath(t *testing.T) {
	inWorld(t, func(w *world) {
		a := w.member("a")
		right, wrong := secretOf(t, "right"), secretOf(t, "wrong")
		private, limited, ended := a.put(t, mib, 1).Root, a.put(t, mib, 2).Root, a.put(t, mib, 3).Root
		absent := content.Seal([]byte("nobody has this")).Digest().CID()
		a.locks.set(private, content.Access{Secret: right})
		a.locks.set(limited, content.Access{Limited: true, Peers: []string{"somebody else"}})
		a.locks.set(ended, content.Access{Secret: right, Until: time.Now()})
		s := w.stranger("stranger")
		path := func(h wire.Hello) string {
			a.shelf.calls, a.locks.calls = nil, nil
			str, err := s.host.NewStream(w.ctx, a.host.id)
			if err != nil {
				t.Fatal(err)
			}
			defer str.Close()
			l := &line{t, str, nil}
			l.say(h)
			got, err := io.ReadAll(str)
			synctest.Wait()
			return fmt.Sprintf("%x %v, asked %v and then %v", got, err, a.locks.calls, a.shelf.calls)
		}
		plain := func(root cid.Cid) wire.Hello { return wire.Hello{Root: root, Session: 9} }
		proved := func(root cid.Cid, by content.Secret) wire.Hello {
			return wire.Hello{Root: by.Alias(root), Proof: by.Proof(root, string(s.host.id), string(a.host.id)), Session: 9}
		}
		for _, kind := range []struct {
			absent  wire.Hello
			refused map[string]wire.Hello
		}{
			{plain(absent), map[string]wire.Hello{
				"a private root by its CID": plain(private), "a private root by its alias": plain(right.Alias(private)),
				"a limited root": plain(limited), "one whose time is over": plain(ended),
			}},
			{proved(absent, wrong), map[string]wire.Hello{
				"a wrong secret": proved(private, wrong), "a ticket whose time is over": proved(ended, right),
				"the alias with a wrong proof": {Root: right.Alias(private), Proof: wire.Proof{1}, Session: 9},
			}},
		} {
			want := path(kind.absent)
			for name, hello := range kind.refused {
				if got := path(hello); got != want {
					t.Errorf("%s: %s; what is not here: %s", name, got, want)
				}
			}
		}
	})
}

// dial2 is dial with a hello of one's own.
func (s *stranger) dial2(m *member, h wire.Hello) *line {
	s.w.t.Helper()
	str, err := s.host.NewStream(s.w.ctx, m.host.id)
	if err != nil {
		s.w.t.Fatal(err)
	}
	l := &line{s.w.t, str, wire.NewReader(str)}
	l.say(h)
	return l
}

// T23, B80: who tries a thousand secrets hears the same each time, and the right one among them does not help any more, until he
// has been quiet for a while. Others on the same machine are not in his way, and those who guess nothing never wait.
func TestTicketGuessing(t *testing.T) {
	inWorld(t, func(w *world) {
		a := w.member("a")
		right := secretOf(t, "right")
		root, public := a.put(t, 1000, 1).Root, a.put(t, 1000, 2).Root
		a.locks.set(root, content.Access{Secret: right})
		s, honest := w.stranger("guesser"), w.stranger("honest")
		try := func(s *stranger, secret content.Secret) (answer string) {
			l := s.dial2(a, wire.Hello{Root: right.Alias(root), Proof: secret.Proof(root, string(s.host.id), string(a.host.id))})
			defer l.str.Close()
			return fmt.Sprintf("%T %+v", l.expect(), "")
		}
		refused, taken := try(s, secretOf(t, "wrong")), try(honest, right)
		if refused == taken {
			t.Fatalf("the right secret and a wrong one get the same answer, %s", taken)
		}
		for i := range 999 {
			if got := try(s, secretOf(t, fmt.Sprint("wrong", i))); got != refused {
				t.Fatalf("guess %d: %s, expected %s", i, got, refused)
			}
		}
		if got := try(s, right); got != refused {
			t.Errorf("after a thousand guesses the right secret gets %s, expected %s", got, refused)
		}
		l := s.dial(a, public)
		if _, ok := until[wire.Hello](l); !ok {
			t.Error("who guessed does not get what is for everybody")
		}
		l.str.Close()
		if got := try(honest, right); got != taken {
			t.Errorf("another peer with the right secret gets %s meanwhile, expected %s", got, taken)
		}
		time.Sleep(10 * time.Second)
		if got := try(s, right); got != taken {
			t.Errorf("the right secret after a pause: %s, expected %s", got, taken)
		}
	})
}

// Guesses from one address count together, those of an IPv6 LAN too, whatever the identity; and what is remembered has an end.
func TestGuessesAreCountedByAddress(t *testing.T) {
	now := time.Unix(1000, 0)
	for _, c := range []struct {
		ip, same, other string
		counts          bool
	}{
		{"192.0.2.1", "192.0.2.1", "192.0.2.2", true},
		{"2001:db8::", "2001:db8::", "2001:db8:0:1::", true},
		{"127.0.0.1", "127.0.0.1", "192.0.2.1", false},
	} {
		g := newGuesses()
		p := func(i int) peer.ID { return peer.ID(fmt.Sprint("peer ", i)) }
		ip := netip.MustParseAddr(c.ip)
		for i := range addrGuessBurst {
			if g.tired(p(i), ip, now) {
				t.Fatalf("%s: tired after %d guesses, expected %d to be heard", c.ip, i, addrGuessBurst)
			}
			g.count(p(i), ip, now)
		}
		if got := g.tired("new", netip.MustParseAddr(c.same), now); got != c.counts {
			t.Errorf("%s: after %d guesses from there, tired is %v", c.ip, addrGuessBurst, got)
		}
		if g.tired("new", netip.MustParseAddr(c.other), now) {
			t.Errorf("%s: another address pays for it", c.ip)
		}
		if g.tired("new", ip, now.Add(time.Second)) {
			t.Errorf("%s: nothing is forgiven after a second", c.ip)
		}
	}
	g := newGuesses()
	for i := range maxGuessers + 10 {
		g.count(peer.ID(fmt.Sprint(i)), netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), now.Add(time.Duration(i)))
	}
	if len(g.peers) != maxGuessers || len(g.addrs) != maxGuessers {
		t.Errorf("%d peers and %d addresses are remembered, expected %d of each", len(g.peers), len(g.addrs), maxGuessers)
	}
	for i := range guessBurst {
		if g.tired("one", netip.Addr{}, now) {
			t.Fatalf("a peer is tiresome after %d guesses, expected %d", i, guessBurst)
		}
		g.count("one", netip.Addr{}, now)
	}
	if !g.tired("one", netip.Addr{}, now) {
		t.Errorf("a peer is heard after %d guesses", guessBurst)
	}
}

// A receiver shows what it holds to those whom it called only when they have proved that they may have it.
func TestReceiverAsksThoseItCallsForTheSecret(t *testing.T) {
	for _, c := range []struct {
		name   string
		answer func(ours wire.Hello, secret content.Secret, root cid.Cid, me, receiver string) wire.Hello
		joins  bool
	}{
		{"no proof", func(h wire.Hello, _ content.Secret, _ cid.Cid, _, _ string) wire.Hello {
			return wire.Hello{Root: h.Root, Session: 7}
		}, false},
		{"its own proof", func(h wire.Hello, _ content.Secret, _ cid.Cid, _, _ string) wire.Hello {
			return wire.Hello{Root: h.Root, Session: 7, Proof: h.Proof}
		}, false},
		{"a proof with another secret", func(h wire.Hello, _ content.Secret, root cid.Cid, me, it string) wire.Hello {
			other, _ := content.ParseSecret([]byte("a secret of mine"))
			return wire.Hello{Root: h.Root, Session: 7, Proof: other.Proof(root, me, it)}
		}, false},
		{"the right one", func(h wire.Hello, s content.Secret, root cid.Cid, me, it string) wire.Hello {
			return wire.Hello{Root: h.Root, Session: 7, Proof: s.Proof(root, me, it)}
		}, true},
	} {
		inWorld(t, func(w *world) {
			w.net.rate = mib / 2
			right := secretOf(t, "right")
			a, b := w.member("a"), w.member("b")
			tree := a.put(t, 8*mib, 1)
			a.locks.set(tree.Root, content.Access{Secret: right})
			d := w.fetchWith(b, tree.Root, right, a.host)
			time.Sleep(5 * time.Second) // it has some chunks now
			s := w.stranger("stranger")
			heard := make(chan []wire.Message, 100) // it asks again now and then
			s.host.SetStreamHandler(Protocol, func(str network.Stream) {
				l := &line{t, str, wire.NewReader(str)}
				h, ok := l.expect().(wire.Hello)
				if !ok || strings.Contains(h.Root.KeyString(), string(tree.Root.Hash())) {
					t.Errorf("%s: whom a receiver asks hears %+v: the root itself", c.name, h)
				}
				l.say(c.answer(h, right, tree.Root, string(s.host.id), string(b.host.id)), wire.TreeAsk{}, wire.Want{Ranges: []content.Range{{First: 0, Count: 8}}})
				var all []wire.Message
				for m := l.expect(); m != nil; m = l.expect() {
					all = append(all, m)
				}
				heard <- all
			})
			d.Offer(s.host.id)
			time.Sleep(20 * time.Second)
			state := d.peer(s.host).State
			d.cancel()
			got := <-heard
			if joined := state == Joined; joined != c.joins {
				t.Errorf("%s: the receiver takes the peer for %v", c.name, state)
			}
			for _, m := range got {
				if _, bye := m.(wire.Bye); !bye && !c.joins {
					t.Errorf("%s: the receiver said %T", c.name, m)
				}
			}
			if c.joins && len(got) < 3 {
				t.Errorf("%s: the receiver said only %v", c.name, got)
			}
		})
	}
}

// Who may have a root no more loses it at once, in the middle of a download too; who still may goes on.
func TestRevokingIsFeltAtOnce(t *testing.T) {
	inWorld(t, func(w *world) {
		w.net.rate = mib / 2
		old, renewed := secretOf(t, "old"), secretOf(t, "renewed")
		a, b, c := w.member("a"), w.member("b"), w.member("c")
		tree := a.put(t, 8*mib, 1)
		a.locks.set(tree.Root, content.Access{Secret: old})
		first := w.fetchWith(b, tree.Root, old, a.host)
		time.Sleep(3 * time.Second)
		if first.Status().Stored == 0 {
			t.Fatal("nothing came")
		}
		a.locks.set(tree.Root, content.Access{Secret: renewed})
		a.Revoke(tree.Root)
		time.Sleep(time.Second)
		came := first.Status().Came
		time.Sleep(20 * time.Second)
		if s := first.Status(); s.Came != came || first.peer(a.host).State != NotHere {
			t.Errorf("after the ticket was renewed %d bytes came, and the sharer is %v", s.Came-came, first.peer(a.host).State)
		}
		w.fetchWith(c, tree.Root, renewed, a.host).must(t, time.Minute)
		w.fetchWith(b, tree.Root, renewed, a.host).must(t, time.Minute)
	})
}

// Shrinking the list of those who may have a root ends the uploads to those who left it, on a download as well.
func TestListsAreLookedAtAgain(t *testing.T) {
	inWorld(t, func(w *world) {
		w.net.rate = mib / 2
		a, b, c := w.member("a"), w.member("b"), w.member("c")
		tree := a.put(t, 8*mib, 1)
		middle := w.fetch(b, tree.Root, a.host)
		time.Sleep(3 * time.Second)
		last := w.fetch(c, tree.Root, b.host)
		time.Sleep(time.Second)
		if p := last.peer(b.host); p.State != Joined {
			t.Fatalf("before: %v", p.State)
		}
		b.locks.set(tree.Root, content.Access{Limited: true, Peers: []string{string(a.host.id)}})
		b.Revoke(tree.Root)
		time.Sleep(time.Second)
		if p := last.peer(b.host); p.State != NotHere {
			t.Errorf("who is not on the list is %v, expected not here", p.State)
		}
		if p := middle.peer(a.host); p.State != Joined {
			t.Errorf("who is on the list is %v, expected joined", p.State)
		}
		middle.must(t, time.Minute)
	})
}
