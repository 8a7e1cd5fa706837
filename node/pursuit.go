package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"golang.org/x/sync/errgroup"

	"github.com/shoal-p2p/shoal/content"
	"github.com/shoal-p2p/shoal/discovery"
	"github.com/shoal-p2p/shoal/transfer"
)

var errNotServed = transfer.ErrNotFound

// pursuit is a request for content that this node does not have: it looks for holders, drives a transfer session, tells the
// user what is going on, and gives up when nobody helps.
type pursuit struct {
	n       *Node
	target  target
	options pursuitOptions
	session *transfer.Session
	search  *discovery.Search
	ctx     context.Context // ends when the pursuit is stopped or given up; its cause says why
	cancel  context.CancelCauseFunc
	group   errgroup.Group

	mu       sync.Mutex // guards what the watcher and the request share
	total    int64      // bytes to fetch; zero before that is known
	present  int64      // bytes that were there before
	quiet    bool       // the request is busy on its own: nothing to wait for, nothing to give up on
	told     map[peer.ID]transfer.ContactState
	gave     map[peer.ID]bool // told to have the root
	fates    map[peer.ID]fate // of everybody whom the search found
	status   transfer.Status  // at the last look
	begun    time.Time
	warned   bool
	moved    time.Time // when something last came nearer
	movedBy  int64
	reminded time.Time
}

type pursuitOptions struct {
	Tree     *content.Tree // when it is known already
	Leech    bool          // do not serve others from it
	Probe    bool          // only find out who has it
	Patience time.Duration // without progress; negative: no end
	Emit     func(Event)
}

// patience turns the seconds of a request into a duration.
func patience(seconds float64) time.Duration {
	switch {
	case seconds == 0:
		return DefaultPatience
	case seconds < 0 || seconds > 1e9:
		return -1
	}
	return time.Duration(seconds * float64(time.Second))
}

// pursue starts looking. stop must be called.
func (n *Node) pursue(ctx context.Context, t target, o pursuitOptions) *pursuit {
	now := time.Now()
	p := &pursuit{
		n: n, target: t, options: o, begun: now, moved: now, reminded: now,
		told: make(map[peer.ID]transfer.ContactState), gave: make(map[peer.ID]bool), fates: make(map[peer.ID]fate),
	}
	p.ctx, p.cancel = context.WithCancelCause(ctx)
	// What is for chosen peers is not given on; what comes in could be had by anybody whom this node asks.
	leech := o.Leech || t.access().Limited || n.store.Access(t.root).Limited
	p.session = n.transfer.Session(t.root, transfer.SessionOptions{
		Tree: o.Tree, Leech: leech, Probe: o.Probe, Secret: t.access().Secret,
	})
	p.search = n.finder.Search(discovery.Query{
		Root: t.root, Named: t.peers, Ticket: t.holder, Quiet: !t.access().Open() || !n.store.Access(t.root).Open(),
	})
	p.group.Go(func() error { p.session.Run(p.ctx); return nil })
	p.group.Go(func() error { return p.search.Run(p.ctx) })
	p.group.Go(func() error { p.offer(); return nil })
	p.group.Go(func() error { p.watch(); return nil })
	p.options.Emit(Event{Kind: "finding", CID: t.root.String(), Message: p.plan(), Routes: p.routes()})
	return p
}

// stop ends the pursuit and waits until nothing of it is left.
func (p *pursuit) stop() {
	p.end()
	p.group.Wait()
}

// part ends the pursuit, and nothing lists it any more. Its peers have a round trip to hear of it, for which nobody needs to
// wait.
func (p *pursuit) part() {
	p.end()
	<-p.session.Ended()
	p.n.partings.Go(func() error { p.group.Wait(); return nil })
}

func (p *pursuit) end() {
	s := p.session.Status()
	if len(s.Peers) == 0 { // it has ended already
		p.mu.Lock()
		s = p.status
		p.mu.Unlock()
	}
	p.n.credit(s)
	p.cancel(nil)
}

// offer names every peer that may have the root to the session, as they turn up.
func (p *pursuit) offer() {
	for found := range p.search.Found() {
		if found.Guess() {
			p.session.Suggest(found.Info.ID)
		} else {
			p.session.Offer(found.Info.ID)
		}
	}
}

// watch tells the user what happens and ends the pursuit when nothing does.
func (p *pursuit) watch() {
	t := time.NewTicker(watchEvery)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			s := p.session.Status()
			p.settle(s)
			p.tell(s)
			if err := p.judge(s, time.Now()); err != nil {
				p.cancel(err)
				return
			}
		case <-p.ctx.Done():
			return
		}
	}
}

// settle notes what became of each peer, and tells the search.
func (p *pursuit) settle(s transfer.Status) {
	trying := make(map[peer.ID]bool)
	p.mu.Lock()
	p.status = s
	for _, c := range s.Peers {
		trying[c.Peer] = c.State == transfer.Waiting || c.State == transfer.Dialing || c.State == transfer.Asking
		p.note(c)
	}
	p.mu.Unlock()
	p.search.Settle(s.Joined, func(id peer.ID) bool { return trying[id] })
}

// tell emits what changed since the last look.
func (p *pursuit) tell(s transfer.Status) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.quiet {
		return
	}
	for _, c := range s.Peers {
		for _, state := range p.news(c) {
			c.State = state
			if m := describe(c, p.search.Route(c.Peer)); m != "" {
				p.reminded = time.Now()
				p.options.Emit(Event{Kind: "connecting", Peer: c.Peer.String(), Message: m})
			}
		}
	}
	p.warn(time.Now())
	if p.total > 0 {
		p.options.Emit(p.progress(s))
	} else if s.Blocks > 0 {
		p.options.Emit(Event{Kind: "tree", Blocks: s.Blocks})
	}
}

// news is what the user has not heard of a peer yet: also that it had the root, when it came and went between two looks.
func (p *pursuit) news(c transfer.PeerStatus) (states []transfer.ContactState) {
	if c.State == p.told[c.Peer] || hearsayOnly(c) {
		return nil
	}
	if c.Down > 0 && c.State != transfer.Joined && !p.gave[c.Peer] {
		states = append(states, transfer.Joined)
	}
	states = append(states, c.State)
	p.gave[c.Peer] = p.gave[c.Peer] || slices.Contains(states, transfer.Joined)
	p.told[c.Peer] = c.State
	return states
}

func describe(c transfer.PeerStatus, route string) string {
	who := short(c.Peer)
	if c.Addr != "" {
		who += " at " + c.Addr
	}
	switch c.State {
	case transfer.Dialing:
		return "connecting to " + who
	case transfer.Asking:
		return "asking " + who
	case transfer.Joined:
		how := ""
		if c.Relayed {
			how = " (relayed, limited: no direct connection could be made)"
		}
		switch {
		case c.Learnt && route == discovery.RouteExchange:
			return who + " has it too, as another peer said" + how
		case route == discovery.RouteRemembered:
			return who + ", who gave you something before, has it" + how
		case discovery.FromDHT(route):
			return who + " has it, as the DHT said" + how
		}
		return who + " has it" + how
	case transfer.NotHere:
		return who + " does not have it"
	case transfer.Unreachable:
		return fmt.Sprintf("%s cannot be reached: %s", who, brief(c.Err))
	case transfer.Banned:
		return fmt.Sprintf("%s is left out: %s", who, brief(c.Err))
	}
	return ""
}

func (p *pursuit) progress(s transfer.Status) Event {
	e := Event{Kind: "fetching", Bytes: p.present + s.Stored, Total: p.total, Rate: s.Rate, Peers: s.Joined, Present: p.present}
	e.Sources, e.Duplicate = sources(s, maxSources), s.Wasted
	if left := e.Total - e.Bytes; s.Rate > 0 && left > 0 {
		e.ETA = float64(left) / s.Rate
	}
	return e
}

// judge notices progress, reminds the user when there is none, and says when it is time to give up.
func (p *pursuit) judge(s transfer.Status, now time.Time) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s.Err != nil {
		return fmt.Errorf("%w: the tree of %s is not usable: %w", ErrVerify, p.target.root, s.Err)
	}
	if at := s.Came + int64(s.Blocks); at != p.movedBy || p.quiet {
		p.moved, p.movedBy, p.reminded = now, at, now
		return nil
	}
	waited := now.Sub(p.moved)
	if p.options.Patience >= 0 && waited >= p.options.Patience {
		return p.verdict(s, waited)
	}
	if now.Sub(p.reminded) >= remindEvery {
		p.reminded = now
		p.options.Emit(Event{Kind: "waiting", Message: p.waiting(s, waited), Seconds: waited.Seconds(), Peers: s.Joined, Routes: p.routesLocked()})
	}
	return nil
}

// hearsayOnly reports whether only somebody's word speaks for a peer: it may be made up, and the user need not hear of each.
func hearsayOnly(c transfer.PeerStatus) bool {
	return c.Learnt && c.State != transfer.Joined && c.Down+c.Up == 0
}

// wait turns the end of the pursuit's context into the reason for it.
func (p *pursuit) wait(err error) error {
	if err == nil {
		return nil
	}
	cause := context.Cause(p.ctx)
	if cause == nil {
		return err
	}
	if errors.Is(cause, context.Canceled) {
		return fmt.Errorf("%w: the request was cancelled", ErrStopped)
	}
	return cause
}

// tree waits for the root's shape.
func (p *pursuit) tree() (*content.Tree, error) {
	t, err := p.session.Tree(p.ctx)
	return t, p.wait(err)
}

// pause keeps the watcher quiet while the request does something of its own.
func (p *pursuit) pause(on bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.quiet = on
	p.moved = time.Now()
}

// fetch takes the wanted chunks into sink; have can be served from there.
func (p *pursuit) fetch(sink transfer.Sink, have, wanted *content.Set) error {
	p.session.Begin(sink, have)
	if wanted.Count() == 0 {
		return nil
	}
	p.session.Want(wanted.Ranges(), false)
	err := p.session.Wait(p.ctx)
	if err != nil && p.ctx.Err() == nil {
		return storeError(err)
	}
	return p.wait(err)
}

// delivered notes in the last event who gave what.
func (p *pursuit) delivered(done *Event) {
	s := p.session.Status()
	done.Duplicate = s.Wasted
	for _, from := range sources(s, len(s.Peers)) {
		if from.Rate = 0; from.Bytes > 0 || from.Bad > 0 || from.Duplicate > 0 {
			done.Sources = append(done.Sources, from)
		}
	}
}

// short is the part of a peer ID that a person can compare.
func short(p peer.ID) string {
	s := p.String()
	if len(s) > 8 {
		return "…" + s[len(s)-8:]
	}
	return s
}

func plural(n int, words ...string) string {
	one, many := words[0], words[0]+"s"
	if len(words) > 1 {
		many = words[1]
	}
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
