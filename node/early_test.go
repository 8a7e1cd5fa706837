package node

import (
	"errors"
	"io"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/p2p/protocol/identify"
	"github.com/multiformats/go-multistream"
)

// pair is two hosts that know each other and are not connected.
func pair(t *testing.T) (a, b *netHost) {
	t.Helper()
	var hosts [2]*netHost
	for i := range hosts {
		h, err := openHost(t, "/ip4/127.0.0.1/tcp/0")
		if err != nil {
			t.Fatal(err)
		}
		hosts[i] = h
	}
	a, b = hosts[0], hosts[1]
	a.allowTicket(peer.AddrInfo{ID: b.ID(), Addrs: b.addrs()})
	a.Peerstore().AddAddrs(b.ID(), b.addrs(), time.Hour)
	return a, b
}

// A stream does not wait until the peer has introduced itself.
func TestStreamsNeedNoIntroduction(t *testing.T) {
	a, b := pair(t)
	leave := make(chan struct{})
	defer close(leave)
	b.SetStreamHandler(identify.ID, func(s network.Stream) {
		<-leave // as if it were on its way
		s.Reset()
	})
	b.SetStreamHandler("/echo", func(s network.Stream) {
		defer s.Close()
		io.Copy(s, s)
	})
	s, err := a.NewStream(withTimeout(t, 2*time.Second), b.ID(), "/echo")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if s.Protocol() != "/echo" {
		t.Errorf("the stream's protocol is %q", s.Protocol())
	}
	echoes(t, s)
}

// A peer that does not speak the protocol says so, whether it has introduced itself or not.
func TestStreamsThatNobodyUnderstands(t *testing.T) {
	a, b := pair(t)
	for _, introduced := range []bool{false, true} {
		s, err := a.NewStream(withTimeout(t, 5*time.Second), b.ID(), "/unheard-of")
		if err == nil {
			if _, err = s.Write([]byte("hello")); err == nil {
				_, err = s.Read(make([]byte, 1))
			}
			s.Reset()
		}
		var no multistream.ErrNotSupported[protocol.ID]
		if !errors.As(err, &no) {
			t.Errorf("introduced: %v: got %v, expected that it is not supported", introduced, err)
		}
		a.identified(t.Context(), a.Network().ConnsToPeer(b.ID())[0])
	}
}
