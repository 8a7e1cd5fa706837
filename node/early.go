package node

import (
	"context"
	"fmt"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/p2p/protocol/identify"
	"github.com/multiformats/go-multistream"
)

// earlyStream opens a stream as the host would, without waiting until the peer has said on a new connection which protocols it
// speaks. That takes a round trip, and a peer that does not speak ours says so when it reads the first message.
func (h *netHost) earlyStream(ctx context.Context, p peer.ID, protocols ...protocol.ID) (network.Stream, error) {
	if noDial, _ := network.GetNoDial(ctx); noDial || len(protocols) != 1 {
		return h.Host.NewStream(ctx, p, protocols...)
	}
	c, err := h.Network().DialPeer(ctx, p)
	if err != nil {
		return nil, fmt.Errorf("failed to dial: %w", err)
	}
	select {
	case <-h.introduced(c):
		return h.Host.NewStream(ctx, p, protocols...)
	default:
	}
	s, err := h.Network().NewStream(network.WithNoDial(ctx, "connected"), p)
	if err != nil {
		return nil, fmt.Errorf("failed to open stream: %w", err)
	}
	if err := s.SetProtocol(protocols[0]); err != nil {
		_ = s.ResetWithError(network.StreamResourceLimitExceeded)
		return nil, err
	}
	return &lazyStream{Stream: s, rw: multistream.NewMSSelect(s, protocols[0])}, nil
}

// introduced is closed once the peer of a connection has said what it speaks, or will not.
func (h *netHost) introduced(c network.Conn) <-chan struct{} {
	if ids, ok := h.Host.(interface{ IDService() identify.IDService }); ok {
		return ids.IDService().IdentifyWait(c)
	}
	now := make(chan struct{})
	close(now)
	return now
}

// identified waits for that.
func (h *netHost) identified(ctx context.Context, c network.Conn) {
	select {
	case <-h.introduced(c):
	case <-ctx.Done():
	}
}

// lazyStream names its protocol with the first bytes that are written, and reads whether the peer agrees with the first that come.
type lazyStream struct {
	network.Stream
	rw multistream.LazyConn
}

// agreeTime is how long the end of a stream waits for the peer to agree to its protocol.
const agreeTime = 10 * time.Second

func (s *lazyStream) Read(b []byte) (int, error)  { return s.rw.Read(b) }
func (s *lazyStream) Write(b []byte) (int, error) { return s.rw.Write(b) }

func (s *lazyStream) Close() error {
	_ = s.SetReadDeadline(time.Now().Add(agreeTime)) // it fails on a stream that is closed already
	return s.rw.Close()
}

func (s *lazyStream) CloseWrite() error {
	if f, ok := s.rw.(interface{ Flush() error }); ok {
		_ = f.Flush() // who reads will see what is wrong
	}
	return s.Stream.CloseWrite()
}
