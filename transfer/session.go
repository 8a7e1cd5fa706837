package transfer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"golang.org/x/sync/errgroup"

	"github.com/shoal-p2p/shoal/content"
	"github.com/shoal-p2p/shoal/transfer/engine"
	"github.com/shoal-p2p/shoal/transfer/wire"
)

// Sink takes the chunks of a download. Put is called from several goroutines at once and must not keep the chunk's bytes;
// its error ends the download. ReadChunk gives back, verified, what Put took, so that others can be served meanwhile.
type Sink interface {
	Put(n uint32, c content.Chunk) error
	ReadChunk(n uint32, buf []byte) (int, error)
}

// SessionOptions say how a session starts.
type SessionOptions struct {
	Tree  *content.Tree // when it is known already
	Leech bool          // take only: nothing that arrives is kept where it could be served from

	Probe bool // only find out who has the root: not even its tree is asked for

	// Secret is that of a ticket to a private root. Without one, the session takes the secret with which the root is kept here.
	Secret content.Secret
}

// Session is one root and the peers that care about it. Its methods may be called from any goroutine.
type Session struct {
	svc    *Service
	root   cid.Cid
	leech  bool
	probe  bool
	secret content.Secret
	idle   time.Duration // without links for this long the loop ends; zero: only with its context

	posts  chan func()  // what the loop is to do next
	jobs   chan arrived // from readers to workers
	ended  chan struct{}
	group  *errgroup.Group
	ctx    context.Context
	cancel context.CancelFunc

	shapeKnown chan struct{} // closed when the tree is known

	mu   sync.Mutex // guards what other goroutines look at
	tree *content.Tree
	sink Sink
	open bool // begin was called: streams from others can be served

	recent recent // what has just come in

	came         atomic.Int64 // bytes of chunks, whole or not
	rate, upRate meter        // of bytes as they come and go

	// What follows belongs to the loop.
	engine   *engine.Engine
	have     *content.Set
	links    map[engine.Peer]*link
	lastLink engine.Peer
	contacts map[peer.ID]*contact
	offered  int // contacts so far
	dialing  int
	exchange exchange
	shape    shape
	quietAt  time.Time    // since when there have been no links
	stored   int64        // bytes of chunks that came in, verified and written
	given    int64        // bytes of chunks sent
	total    int64        // bytes that were wanted
	wasted   atomic.Int64 // bytes of chunks that came for nothing
	asks     int          // bytes that may be asked for and not stored; promised by the service
	finished chan error   // told once, when every wanted chunk is there or the sink failed
}

// Session prepares a download of root. Run must be called for anything to happen.
func (s *Service) Session(root cid.Cid, o SessionOptions) *Session { return s.newSession(root, o) }

func (s *Service) newSession(root cid.Cid, o SessionOptions) *Session {
	x := &Session{
		svc: s, root: root, leech: o.Leech || o.Probe, probe: o.Probe, secret: o.Secret,
		posts: make(chan func(), 256), jobs: make(chan arrived, 2*s.workers), ended: make(chan struct{}),
		shapeKnown: make(chan struct{}),
		links:      make(map[engine.Peer]*link),
		contacts:   make(map[peer.ID]*contact),
		exchange:   newExchange(o.Leech || o.Probe),
		quietAt:    time.Now(),
		recent:     recent{budget: &s.recents},
	}
	if o.Tree != nil {
		x.learn(o.Tree)
	}
	return x
}

// Run drives the session until ctx ends, and returns when nothing of it is left.
func (x *Session) Run(ctx context.Context) error {
	x.svc.enter(x)
	x.run(ctx)
	return ctx.Err()
}

// Ended is closed when the session is no longer among the service's; Run returns later, after its goodbyes.
func (x *Session) Ended() <-chan struct{} { return x.ended }

func (x *Session) run(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	x.group, x.ctx, x.cancel = new(errgroup.Group), ctx, cancel
	for range x.svc.workers {
		x.group.Go(func() error { x.work(); return nil })
	}
	x.group.Go(func() error {
		defer cancel()
		x.loop()
		return nil
	})
	x.group.Wait()
}

// loop owns the session's state. It never waits for a peer, a disk or a lock that is held across either.
func (x *Session) loop() {
	defer func() {
		x.svc.leave(x)
		close(x.ended)
		x.drain() // a stream that came in at the last moment gets its goodbye like the others
		x.svc.repay(x.asks)
		x.recent.clear()
	}()
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		now := time.Now()
		if x.idle > 0 && len(x.links) == 0 && now.Sub(x.quietAt) >= x.idle {
			return
		}
		x.contactDue(now)
		timer.Reset(x.wake(now).Sub(now))
		select {
		case <-x.ctx.Done():
			x.closeLinks(wire.ByeStopping)
			return
		case f := <-x.posts:
			f()
			x.drain()
		case <-timer.C:
			x.tick(time.Now())
		}
	}
}

// drain runs what has queued up, without looking at timers in between.
func (x *Session) drain() {
	for range cap(x.posts) {
		select {
		case f := <-x.posts:
			f()
		default:
			return
		}
	}
}

// post hands f to the loop; it reports whether the loop will run it.
func (x *Session) post(f func()) bool {
	select {
	case <-x.ended:
		return false
	default:
	}
	select {
	case x.posts <- f:
		return true
	case <-x.ended:
		return false
	}
}

// wake says when the loop has to look again although nothing happened.
func (x *Session) wake(now time.Time) time.Time {
	at := now.Add(time.Minute)
	sooner := func(t time.Time) {
		if !t.IsZero() && t.Before(at) {
			at = t
		}
	}
	if x.engine != nil {
		sooner(x.engine.Deadline())
	}
	sooner(x.shape.deadline)
	sooner(x.nextContact())
	sooner(x.exchange.due)
	if x.idle > 0 && len(x.links) == 0 {
		sooner(x.quietAt.Add(x.idle))
	}
	if at.Before(now) {
		return now
	}
	return at
}

func (x *Session) tick(now time.Time) {
	if x.engine != nil && !x.engine.Deadline().IsZero() && !now.Before(x.engine.Deadline()) {
		x.step(engine.Tick{})
	}
	x.shapeDue(now)
	x.tellDue(now)
}

// serves reports whether streams from others can join this session. While the tree is still on its way they can too: peers
// that start at the same time must not send each other away.
func (x *Session) serves() bool { return !x.leech }

// begun reports whether the exchange of chunks has begun.
func (x *Session) begun() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.open
}

// Tree returns the root's shape, once some peer has given it.
func (x *Session) Tree(ctx context.Context) (*content.Tree, error) {
	select {
	case <-x.shapeKnown:
		x.mu.Lock()
		defer x.mu.Unlock()
		return x.tree, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-x.ended:
		return nil, errEnded
	}
}

// Nodes returns the inner nodes that came in with the tree, in walk order; none when the tree was known before.
func (x *Session) Nodes() []content.Block {
	select {
	case <-x.shapeKnown:
		return x.shape.nodes
	default:
		return nil
	}
}

// Begin starts the exchange of chunks: have says which are there already and can be read from sink. The tree must be known.
// Want then says what to fetch. There is nothing to exchange for a root that is a bare chunk: it came with the tree, and is counted.
func (x *Session) Begin(sink Sink, have *content.Set) {
	x.post(func() {
		x.begin(sink, have)
		for _, l := range x.links {
			x.join(l)
		}
	})
}

// begin runs on the loop, or before there is one.
func (x *Session) begin(sink Sink, have *content.Set) {
	sizes := make([]uint32, x.tree.NumChunks())
	for i := range sizes {
		sizes[i] = uint32(x.tree.ChunkLen(uint32(i)))
	}
	if sink != nil && x.asks == 0 {
		x.asks = x.svc.promise()
	}
	x.engine = engine.New(engine.Config{
		Sizes: sizes, Seed: rand.Uint64(), MaxInFlight: x.asks, Shared: x.svc.upGate.limited.Load(), TakeOnly: x.leech,
	})
	x.have = have.Clone()
	x.finished = make(chan error, 1)
	x.mu.Lock()
	x.sink, x.open = sink, true
	x.mu.Unlock()
	if r := have.Ranges(); len(r) > 0 {
		x.engine.Step(time.Now(), engine.Local{Ranges: r})
	}
}

// Want adds chunks to what is to be fetched. Those that a reader waits for in order come first, lowest number first.
func (x *Session) Want(ranges []content.Range, inOrder bool) {
	x.post(func() {
		x.exchange.over = false
		for _, r := range ranges {
			for n := r.First; n < r.First+r.Count; n++ {
				x.total += int64(x.tree.ChunkLen(n))
			}
		}
		x.step(engine.Interest{Ranges: ranges, InOrder: inOrder})
	})
}

// Wait returns when everything that was wanted has been stored, with nil, or when the sink failed, with its error.
func (x *Session) Wait(ctx context.Context) error {
	done := make(chan (<-chan error), 1)
	if !x.post(func() { done <- x.finished }) {
		return errEnded
	}
	select {
	case f := <-done:
		select {
		case err := <-f:
			return err
		case <-ctx.Done():
			return ctx.Err()
		case <-x.ended:
			return errEnded
		}
	case <-x.ended:
		return errEnded
	}
}

func (x *Session) finish(err error) {
	x.exchange.over = true
	select {
	case x.finished <- err:
	default:
	}
}

// step feeds the engine and carries out what it decides.
func (x *Session) step(ev engine.Event) {
	if x.engine == nil {
		return
	}
	for _, a := range x.engine.Step(time.Now(), ev) {
		x.act(a)
	}
}

func (x *Session) act(a engine.Action) {
	switch a := a.(type) {
	case engine.Ask:
		x.with(a.Peer, func(l *link) { l.ask(a.Ranges) })
	case engine.Revoke:
		x.with(a.Peer, func(l *link) { l.revoke(a.Ranges) })
	case engine.Give:
		x.with(a.Peer, func(l *link) { l.give(a.Ranges) })
	case engine.Seek:
		x.with(a.Peer, func(l *link) { l.say(wire.Seek{Ranges: a.Ranges}) })
	case engine.Announce:
		x.with(a.Peer, func(l *link) { l.say(wire.Coming{Ranges: a.Ranges}) })
	case engine.Offer:
		x.with(a.Peer, func(l *link) { l.say(wire.Offer{Ranges: a.Ranges}) })
	case engine.Tell:
		x.with(a.Peer, func(l *link) { l.say(wire.Have{Ranges: a.Ranges}) })
	case engine.Decline:
		x.with(a.Peer, func(l *link) {
			l.say(wire.Cannot{Code: wire.CannotNotHere, Ranges: a.Ranges})
			l.owed = max(0, l.owed-chunksIn(a.Ranges))
		})
	case engine.Ban:
		x.with(a.Peer, func(l *link) {
			l.joined = false // the engine has forgotten it already
			x.svc.ban(l.peer)
			x.drop(l, &PeerError{l.peer, "receive", errBadChunks})
		})
	case engine.Finished:
		x.finish(nil)
	default:
		panic(fmt.Sprintf("transfer: action %T is not carried out", a))
	}
}

func (x *Session) with(p engine.Peer, f func(*link)) {
	if l := x.links[p]; l != nil {
		f(l)
	}
}

// admit takes over a stream that a peer opened and greeted, with a secret that it holds if the root is private; false when the
// session has just ended.
func (x *Session) admit(str network.Stream, in *wire.Reader, hello wire.Hello, secret content.Secret) bool {
	return x.post(func() {
		l := x.link(str, in)
		l.hello, l.secret = hello, secret
		if !x.crossed(l) {
			x.welcome(l)
		}
	})
}

// welcome answers a stream that a peer opened.
func (x *Session) welcome(l *link) {
	l.greeted = true
	l.say(x.hello(l))
	x.start(l)
	x.contactJoined(l)
	x.join(l)
}

// link makes the session's end of a stream; start sets it going.
func (x *Session) link(str network.Stream, in *wire.Reader) *link {
	x.lastLink++
	l := newLink(x, x.lastLink, str, in)
	x.links[l.id] = l
	if x.idle == 0 { // a download; who only takes from us has no claim to stay
		x.svc.keep.Protect(l.peer, l.tag())
	}
	return l
}

func (x *Session) start(l *link) {
	x.group.Go(func() error {
		defer l.part()
		err := l.read()
		x.post(func() { x.ebb(l, err) })
		if err != io.EOF {
			l.shun()
		}
		l.close()
		return nil
	})
	x.group.Go(func() error {
		defer l.part()
		if err := l.write(x.ctx); err != nil {
			x.post(func() { x.drop(l, err) })
			l.str.Reset()
		}
		return nil
	})
}

// join brings a greeted link into the exchange, as soon as there is one.
func (x *Session) join(l *link) {
	if x.engine == nil || !l.greeted || l.joined {
		return
	}
	l.joined = true
	x.step(engine.Joined{Peer: l.id})
	x.measureTrip(l, time.Now())
	early := l.early
	l.early, l.waiting = nil, 0
	for _, m := range early {
		l.heard(m)
	}
}

// ebb ends a link whose peer will say nothing more; one that closed its side in good order gets what it asked for first.
func (x *Session) ebb(l *link, err error) {
	if x.links[l.id] != l {
		return
	}
	if err != io.EOF || l.owed <= 0 {
		x.drop(l, err)
		return
	}
	l.ebbing = true
	time.AfterFunc(bodyTimeout, func() { x.post(func() { x.drop(l, err) }) })
}

// paid notes that n chunks of what the peer of l asked for are settled.
func (x *Session) paid(l *link, n int) {
	l.owed = max(0, l.owed-n)
	if l.ebbing && l.owed == 0 {
		x.drop(l, io.EOF)
	}
}

// drop forgets a link and tells its peer, if it still listens.
func (x *Session) drop(l *link, err error) {
	if x.links[l.id] != l {
		return
	}
	delete(x.links, l.id)
	close(l.gone)
	var breach *PeerError
	l.broken.Store(errors.As(err, &breach))
	x.svc.keep.Unprotect(l.peer, l.tag())
	if len(x.links) == 0 {
		x.quietAt = time.Now()
	}
	x.svc.log.Debug("link ended", "root", x.root, "peer", l.peer, "err", err)
	if l.joined {
		x.step(engine.Left{Peer: l.id})
	}
	l.hangUp(wire.ByeProtocol)
	x.remember(l, err)
	x.shapeLost(l)
	x.contactLost(l, err)
}

func (x *Session) closeLinks(code wire.Code) {
	x.unparkAll()
	for _, l := range x.links {
		x.svc.keep.Unprotect(l.peer, l.tag())
		l.hangUp(code)
	}
}
