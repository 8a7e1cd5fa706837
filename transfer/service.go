package transfer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/connmgr"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"golang.org/x/sync/errgroup"

	"github.com/shoal-p2p/shoal/content"
	"github.com/shoal-p2p/shoal/transfer/wire"
)

// Protocol is the stream protocol that a Service speaks; package wire is its text.
const Protocol protocol.ID = "/shoal/transfer/1"

// ErrNotFound comes back from a Library, and from a Sink asked for a chunk, when the content is not there.
var ErrNotFound = errors.New("not found")

// Library is what this node has to give. Its methods are called from many goroutines at once.
type Library interface {
	// Tree returns the shape of a root that is held whole, or an error that is ErrNotFound.
	Tree(ctx context.Context, root cid.Cid) (*content.Tree, error)
	// Node returns one inner node of a tree, or the only chunk of a root that is a bare leaf.
	Node(c cid.Cid) ([]byte, error)
	// ReadChunk fills buf with the chunk's verified bytes and returns how many there are.
	ReadChunk(d content.Digest, buf []byte) (int, error)
}

// Host opens and accepts streams: what a Service needs of a libp2p host.
type Host interface {
	ID() peer.ID
	NewStream(ctx context.Context, p peer.ID, protocols ...protocol.ID) (network.Stream, error)
	SetStreamHandler(id protocol.ID, handler network.StreamHandler)
	RemoveStreamHandler(id protocol.ID)
}

// Keeper keeps connections from being closed for want of use: a libp2p connection manager.
type Keeper interface {
	Protect(p peer.ID, tag string)
	Unprotect(p peer.ID, tag string) (protected bool)
}

// Config is what a Service needs. Host and Library must be set.
type Config struct {
	Host    Host
	Library Library
	// Keep is told of peers that a download takes from; nil lets their connections take their chance.
	Keep Keeper
	// Ban is told of peers that sent bad chunks or broke the protocol; nil ignores them.
	Ban func(peer.ID)
	// Introducer makes peers of one root known to each other; nil leaves them alone.
	Introducer Introducer
	// Doors know who may have what; nil lets everybody have everything.
	Doors Doors
	// Log receives what a user does not need to see; nil discards it.
	Log *slog.Logger
	// Workers hash and write chunks, per session; zero means one a core.
	Workers int
	// Rates are the limits to begin with; see SetRates.
	Rates Rates
	// Exempt says over which connections the rates do not count; nil means none.
	Exempt func(network.Conn) bool
	// Trip says how long a round trip over a connection takes at the least, and 0 when it does not know; nil never knows.
	Trip func(network.Conn) time.Duration
}

// Service is one node's end of the transfer protocol.
type Service struct {
	host       Host
	library    Library
	keep       Keeper
	ban        func(peer.ID)
	introducer Introducer
	doors      *doorkeeper
	log        *slog.Logger
	workers    int
	slots      *slots // of all uploads
	stalls     stalls

	exempt           func(network.Conn) bool
	trip             func(network.Conn) time.Duration
	upGate, downGate *gate

	recents  atomic.Int64 // bytes of verified chunks at hand
	down, up atomic.Int64 // chunk bytes since the start: verified, and sent

	mu       sync.Mutex // guards what follows
	sessions map[cid.Cid][]*Session
	group    *errgroup.Group // runs sessions that only serve; nil while the service does not run
	ctx      context.Context
	perPeer  map[peer.ID]*Volume
	promised int // bytes that downloads may have asked for and not stored
}

// Volume counts chunk bytes exchanged with one peer.
type Volume struct{ Down, Up int64 }

// New returns a service that does nothing until Run.
func New(c Config) *Service {
	s := &Service{
		host: c.Host, library: c.Library, keep: c.Keep, ban: c.Ban, log: c.Log, workers: c.Workers,
		introducer: c.Introducer,
		doors:      newDoorkeeper(c.Doors, c.Host.ID()),
		slots:      newSlots(uploadSlots),
		stalls:     newStalls(),
		exempt:     c.Exempt,
		trip:       c.Trip,
		upGate:     newGate(content.ChunkSize),
		downGate:   newGate(0),
		sessions:   make(map[cid.Cid][]*Session),
		perPeer:    make(map[peer.ID]*Volume),
	}
	if s.keep == nil {
		s.keep = connmgr.NullConnMgr{}
	}
	if s.ban == nil {
		s.ban = func(peer.ID) {}
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if s.workers <= 0 {
		s.workers = defaultWorkers()
	}
	s.SetRates(c.Rates)
	return s
}

// Run answers other peers until ctx ends, then waits until every session that only served is gone.
func (s *Service) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	s.mu.Lock()
	s.group, s.ctx = group, ctx
	s.mu.Unlock()
	group.Go(func() error { s.stalls.run(ctx); return nil })
	s.host.SetStreamHandler(Protocol, s.handle)
	<-ctx.Done()
	s.host.RemoveStreamHandler(Protocol)
	s.mu.Lock()
	s.group = nil
	s.mu.Unlock()
	return group.Wait()
}

// Totals returns the chunk bytes received and verified, and sent, since the service was made.
func (s *Service) Totals() (down, up int64) { return s.down.Load(), s.up.Load() }

// Exchanged returns the chunk bytes that went to and came from p.
func (s *Service) Exchanged(p peer.ID) Volume {
	s.mu.Lock()
	defer s.mu.Unlock()
	if v := s.perPeer[p]; v != nil {
		return *v
	}
	return Volume{}
}

func (s *Service) count(p peer.ID, down, up int64) {
	s.down.Add(down)
	s.up.Add(up)
	s.mu.Lock()
	defer s.mu.Unlock()
	v := s.perPeer[p]
	if v == nil {
		if len(s.perPeer) >= maxVolumes {
			clear(s.perPeer) // identities are free: better to forget than to grow
		}
		v = new(Volume)
		s.perPeer[p] = v
	}
	v.Down += down
	v.Up += up
}

// Statuses returns a snapshot of every session, serving ones too.
func (s *Service) Statuses() []Status {
	s.mu.Lock()
	var all []*Session
	for _, list := range s.sessions {
		all = append(all, list...)
	}
	s.mu.Unlock()
	out := make([]Status, 0, len(all))
	for _, x := range all {
		out = append(out, x.Status())
	}
	return out
}

// handle greets one stream that a peer opened, and passes it to the session of its root.
func (s *Service) handle(str network.Stream) {
	if err := s.greet(str); err != nil {
		s.log.Debug("stream refused", "peer", str.Conn().RemotePeer(), "err", err)
	}
}

func (s *Service) greet(str network.Stream) error {
	if err := str.Scope().SetService("shoal.transfer"); err != nil {
		str.ResetWithError(network.StreamResourceLimitExceeded)
		return err
	}
	str.SetDeadline(time.Now().Add(helloTimeout))
	in := wire.NewReader(s.sips(str))
	m, err := in.Next()
	if err != nil {
		str.ResetWithError(network.StreamProtocolViolation)
		return err
	}
	hello, ok := m.(wire.Hello)
	if !ok {
		return refuse(str, wire.ByeProtocol)
	}
	root, secret := s.doors.admit(hello, str.Conn())
	session, code := s.serving(root)
	if session == nil {
		return refuse(str, code)
	}
	if !session.admit(str, in, hello, secret) {
		return refuse(str, wire.ByeNotHere)
	}
	return nil
}

// refuse says why and ends the stream.
func refuse(str network.Stream, code wire.Code) error {
	frame, err := wire.Append(nil, wire.Bye{Code: code})
	if err == nil {
		_, err = str.Write(frame)
	}
	if err != nil {
		str.Reset()
		return err
	}
	return errors.Join(fmt.Errorf("refused: %v", code), str.Close())
}

// serving returns the session that answers for root: a download that knows its tree, or one made for the purpose.
func (s *Service) serving(root cid.Cid) (*Session, wire.Code) {
	x := s.open(root)
	if x != nil && x.begun() {
		return x, wire.ByeOK
	}
	s.mu.Lock()
	ctx, running := s.ctx, s.group != nil
	s.mu.Unlock()
	if !running {
		return nil, wire.ByeStopping
	}
	tree, err := s.library.Tree(ctx, root)
	if err != nil && x != nil {
		return x, wire.ByeOK
	}
	if err != nil {
		return nil, wire.ByeNotHere
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, x := range s.sessions[root] { // another stream may have been quicker
		if x.serves() && x.begun() {
			return x, wire.ByeOK
		}
	}
	if s.group == nil {
		return nil, wire.ByeStopping
	}
	x = s.newSession(root, SessionOptions{Tree: tree})
	x.idle = serveIdle
	s.sessions[root] = append(s.sessions[root], x)
	x.begin(nil, full(tree))
	s.group.Go(func() error { x.run(ctx); return nil })
	return x, wire.ByeOK
}

// open returns a session of root that others can join, one that knows what it has if there is one.
func (s *Service) open(root cid.Cid) *Session {
	s.mu.Lock()
	defer s.mu.Unlock()
	var waits *Session
	for _, x := range s.sessions[root] {
		if x.serves() && x.begun() {
			return x
		}
		if x.serves() {
			waits = x
		}
	}
	return waits
}

func (s *Service) enter(x *Session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sessions[x.root] = append(s.sessions[x.root], x)
}

func (s *Service) leave(x *Session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := s.sessions[x.root]
	for i := range list {
		if list[i] == x {
			list = append(list[:i:i], list[i+1:]...)
			break
		}
	}
	if len(list) == 0 {
		delete(s.sessions, x.root)
		return
	}
	s.sessions[x.root] = list
}

func full(t *content.Tree) *content.Set {
	set := content.NewSet(t.NumChunks())
	if n := t.NumChunks(); n > 0 {
		set.AddRange(content.Range{First: 0, Count: uint32(n)})
	}
	return set
}
