package testnet

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	libp2pnet "github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	libp2ptls "github.com/libp2p/go-libp2p/p2p/security/tls"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	"golang.org/x/sync/errgroup"

	"github.com/shoal-p2p/shoal/content"
	"github.com/shoal-p2p/shoal/gateway"
	"github.com/shoal-p2p/shoal/node"
	"github.com/shoal-p2p/shoal/transfer/wire"
)

// ImpostorVerb ROLE is the command of the program that is Impose: what a Net starts instead of a node whose role is Liar or Staller.
const ImpostorVerb = "testnet-impostor"

// transferProtocol is what package transfer calls Protocol. Would it change, nobody took anything from an impostor, and its test failed.
const transferProtocol = "/shoal/transfer/1"

// maxImposed is how many bytes a file may have that an impostor shares: its tree has one inner node, and all chunks follow in order.
const maxImposed = 1024 * content.ChunkSize

const leastUpRate = node.LeastRate // of a freerider, in bytes a second

// reconnect is how often an impostor looks whether it is connected with those whom it was told of.
const reconnect = 2 * time.Second

// Imposture says what an impostor is to be.
type Imposture struct {
	Role   string   // Liar or Staller
	Home   string   // 0700; it answers there as a node does
	Listen []string // multiaddrs; none: TCP on every address
	Peers  []string // multiaddrs with /p2p/ to stay connected with
}

// Imposed is what an impostor did.
type Imposed struct {
	Asked int64 `json:"asked"` // chunks that others wanted from it
	Sent  int64 `json:"sent"`  // chunks, all of them wrong
}

// Impose runs a program that looks like a node until ctx ends. It has whatever it is told to share, knows the hash of every chunk, and
// gives wrong bytes or none. On its control socket it knows the verbs status, peers and share.
func Impose(ctx context.Context, i Imposture) (Imposed, error) {
	if !bad(i.Role) {
		return Imposed{}, fmt.Errorf("%w: there is no role %q for an impostor: choose %s or %s", ErrRequest, i.Role, Liar, Staller)
	}
	var known []peer.AddrInfo
	for _, p := range i.Peers {
		info, err := peer.AddrInfoFromString(p)
		if err != nil {
			return Imposed{}, fmt.Errorf("%w: peer %q: %w", ErrRequest, p, err)
		}
		known = append(known, *info)
	}
	if len(i.Listen) == 0 {
		i.Listen = []string{"/ip4/0.0.0.0/tcp/0"}
	}
	h, err := libp2p.New(libp2p.ListenAddrStrings(i.Listen...), libp2p.Transport(tcp.NewTCPTransport), libp2p.Security(libp2ptls.ID, libp2ptls.New),
		libp2p.DisableRelay())
	if err != nil {
		return Imposed{}, fmt.Errorf("impostor: %w", err)
	}
	defer h.Close()
	im := &impostor{role: i.Role, home: i.Home, host: h, begun: time.Now(), baits: map[cid.Cid]content.Made{}}
	h.SetStreamHandler(transferProtocol, im.serve)
	control := gateway.NewControl(gateway.Config{Socket: socketOf(i.Home)})
	gateway.Handle(control, "status", im.status)
	gateway.Handle(control, "peers", im.peers)
	gateway.Handle(control, "share", im.share)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return control.Run(ctx) })
	group.Go(func() error { im.stayConnected(ctx, known); return nil })
	err = group.Wait()
	return Imposed{Asked: im.asked.Load(), Sent: im.lies.Load()}, err
}

// Bait lets the impostor that has a home share a file, and returns where it listens.
func Bait(ctx context.Context, home, file string) (addr string, err error) {
	s, err := ask[node.Status](ctx, socketOf(home), "status")
	if err != nil {
		return "", err
	}
	_, err = call[node.ShareRequest, node.Shared](ctx, socketOf(home), "share", node.ShareRequest{Paths: []string{file}}, nil)
	return s.Addrs[0], err
}

// impostor is a peer that others take for a node.
type impostor struct {
	role  string
	home  string
	host  host.Host
	begun time.Time
	sent  atomic.Int64 // bytes
	asked atomic.Int64 // chunks
	lies  atomic.Int64 // chunks that it sent

	mu    sync.Mutex // guards baits
	baits map[cid.Cid]content.Made
}

func (im *impostor) stayConnected(ctx context.Context, known []peer.AddrInfo) {
	for {
		for _, p := range known {
			_ = im.host.Connect(ctx, p) // it may be down, and come back
		}
		if sleep(ctx, reconnect) != nil {
			return
		}
	}
}

func (im *impostor) status(context.Context, none, func(any)) (node.Status, error) {
	s := node.Status{
		ID: im.host.ID().String(), Version: node.Version, Home: im.home, PID: os.Getpid(), Network: node.LAN, Uptime: time.Since(im.begun).Seconds(),
		Peers: len(im.host.Network().Peers()), Up: im.sent.Load(),
	}
	for _, a := range im.host.Addrs() {
		s.Addrs = append(s.Addrs, fmt.Sprintf("%s/p2p/%s", a, s.ID))
	}
	im.mu.Lock()
	defer im.mu.Unlock()
	s.Shares = len(im.baits)
	return s, nil
}

func (im *impostor) peers(context.Context, none, func(any)) ([]node.PeerStatus, error) {
	out := []node.PeerStatus{}
	for _, c := range im.host.Network().Conns() {
		out = append(out, node.PeerStatus{ID: c.RemotePeer().String(), Addrs: []string{c.RemoteMultiaddr().String()}, Transport: "tcp"})
	}
	return out, nil
}

// share learns the tree of a file, which it would not need to have.
func (im *impostor) share(_ context.Context, r node.ShareRequest, _ func(any)) (node.Shared, error) {
	if len(r.Paths) != 1 {
		return node.Shared{}, errors.New("an impostor shares one file")
	}
	f, err := os.Open(r.Paths[0])
	if err != nil {
		return node.Shared{}, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() || info.Size() > maxImposed {
		return node.Shared{}, errors.Join(err, fmt.Errorf("an impostor shares files of at most %d bytes", int64(maxImposed)))
	}
	leaves := make([]content.Digest, content.ChunkCount(info.Size()))
	if err := content.HashSpan(f, info.Size(), 0, len(leaves), leaves, make([]byte, 128<<10)); err != nil {
		return node.Shared{}, err
	}
	made, err := content.MakeFile(info.Size(), leaves)
	if err != nil {
		return node.Shared{}, err
	}
	im.mu.Lock()
	defer im.mu.Unlock()
	im.baits[made.CID] = made
	return node.Shared{CID: made.CID.String(), Name: filepath.Base(r.Paths[0]), Bytes: made.Size, Files: 1}, nil
}

// serve answers one stream until the peer has had enough.
func (im *impostor) serve(s libp2pnet.Stream) {
	defer s.Reset()
	v := &victim{impostor: im, out: s}
	for in := wire.NewReader(s); ; {
		m, err := in.Next()
		if err != nil {
			return
		}
		if err := v.answer(m); err != nil {
			return
		}
	}
}

// victim is one peer that takes the impostor for an honest source.
type victim struct {
	*impostor
	out  libp2pnet.Stream
	bait content.Made
}

func (v *victim) chunks() uint32 { return uint32(content.ChunkCount(v.bait.Size)) }

func (v *victim) answer(m wire.Message) error {
	all := []content.Range{{First: 0, Count: v.chunks()}}
	switch m := m.(type) {
	case wire.Hello:
		v.mu.Lock()
		bait, ok := v.baits[m.Root]
		v.mu.Unlock()
		if !ok {
			return v.say(wire.Bye{Code: wire.ByeNotHere})
		}
		v.bait = bait
		return v.say(wire.Hello{Root: bait.CID}, wire.Have{Ranges: []content.Range{{First: 0, Count: v.chunks()}}})
	case wire.TreeAsk:
		var blocks [][]byte
		for _, b := range v.bait.Blocks[min(int(m.Skip), len(v.bait.Blocks)):] {
			blocks = append(blocks, b.Data)
		}
		return v.say(wire.Nodes{Blocks: blocks}, wire.NodesEnd{})
	case wire.Want:
		return v.give(m.Ranges)
	case wire.Seek:
		return v.say(wire.Offer{Ranges: all})
	}
	return nil
}

// give sends chunks of the right size whose bytes are all wrong, or nothing.
func (v *victim) give(ranges []content.Range) error {
	wrong := make([]byte, wire.MaxPayload)
	for _, r := range ranges {
		for n := r.First; n < min(r.First+r.Count, v.chunks()); n++ {
			v.asked.Add(1)
			if v.role != Liar {
				continue
			}
			v.lies.Add(1)
			size := min(content.ChunkSize, v.bait.Size-int64(n)*content.ChunkSize)
			for at := int64(0); at < size; at += wire.MaxPayload {
				piece := wrong[:min(wire.MaxPayload, size-at)]
				if err := v.say(wire.Data{Pieces: []wire.Piece{{Chunk: n, Offset: uint32(at), Length: uint32(len(piece))}}}); err != nil {
					return err
				}
				sent, err := v.out.Write(piece)
				v.sent.Add(int64(sent))
				if err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (v *victim) say(messages ...wire.Message) error {
	var frames []byte
	for _, m := range messages {
		var err error
		if frames, err = wire.Append(frames, m); err != nil {
			return err
		}
	}
	_, err := v.out.Write(frames)
	return err
}
