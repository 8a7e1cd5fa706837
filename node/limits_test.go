package node

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"

	"github.com/shoal-p2p/shoal/transfer"
)

// inResources runs f in fake time with a resource manager of ours.
func inResources(t *testing.T, f func(t *testing.T, r network.ResourceManager)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r, err := newResources()
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		f(t, r)
	})
}

// connect opens n inbound connections and returns those that were let in.
func connect(r network.ResourceManager, n int, addr func(i int) string) (open []network.ConnManagementScope) {
	for i := range n {
		if c, err := r.OpenConnection(network.DirInbound, true, multiaddr.StringCast(addr(i)+"/tcp/1")); err == nil {
			open = append(open, c)
		}
	}
	return open
}

func always(addr string) func(int) string { return func(int) string { return addr } }

func TestConnectionsFromOneAddress(t *testing.T) {
	for _, addr := range []string{"/ip4/192.168.1.2", "/ip4/10.0.0.9", "/ip4/100.64.3.3", "/ip6/fd00::7", "/ip6/fe80::7"} {
		inResources(t, func(t *testing.T, r network.ResourceManager) {
			open := connect(r, maxAddrConns+1, always(addr))
			if len(open) != maxAddrConns {
				t.Errorf("%s: %d connections at once, expected %d", addr, len(open), maxAddrConns)
			}
			other := "/ip4/192.168.1.3"
			if n := len(connect(r, 8, always(other))); n != 8 {
				t.Errorf("%s took the places of %s: %d of 8", addr, other, n)
			}
		})
	}
}

func TestNewConnectionsASecond(t *testing.T) {
	inResources(t, func(t *testing.T, r network.ResourceManager) {
		churn := func() (n int) {
			for range 1000 {
				open := connect(r, 1, always("/ip4/192.168.1.2"))
				n += len(open)
				for _, c := range open {
					c.Done()
				}
			}
			return n
		}
		if n := churn(); n != addrBurst {
			t.Errorf("a burst of %d, expected %d", n, addrBurst)
		}
		time.Sleep(3 * time.Second)
		if n := churn(); n != 3*addrRate {
			t.Errorf("%d in three seconds, expected %d", n, 3*addrRate)
		}
	})
}

func TestOneMachineDoesNotFillAnIPv6LAN(t *testing.T) {
	inResources(t, func(t *testing.T, r network.ResourceManager) {
		n := 0
		fill := func() {
			for range 1000 {
				for _, c := range connect(r, 1, always(fmt.Sprintf("/ip6/fd00::%x", n+1))) {
					n++
					if err := c.SetPeer(peer.ID(fmt.Sprint("peer", n))); err != nil {
						t.Fatal(err)
					}
				}
			}
		}
		fill()
		if n != linkBurst {
			t.Errorf("%d connections from one /64 at once, expected %d", n, linkBurst)
		}
		time.Sleep(time.Minute) // the rate is no hindrance any more
		fill()
		if n != maxLinkConns {
			t.Errorf("%d connections from one /64, expected %d", n, maxLinkConns)
		}
		if n := len(connect(r, 8, always("/ip4/192.168.1.2"))); n != 8 {
			t.Errorf("%d of 8 connections over IPv4 are left", n)
		}
	})
}

func TestConnectionsOfTheSystem(t *testing.T) {
	inResources(t, func(t *testing.T, r network.ResourceManager) {
		peers := 0
		for i := range maxConnsInbound + 50 { // a connection is transient until its peer is known
			for _, c := range connect(r, 1, always(fmt.Sprintf("/ip4/127.0.%d.%d", i>>8, i&255))) {
				if err := c.SetPeer(peer.ID(fmt.Sprint("peer", i))); err != nil {
					t.Fatal(err)
				}
				peers++
			}
		}
		if peers != maxConnsInbound {
			t.Errorf("%d inbound connections, expected %d", peers, maxConnsInbound)
		}
		if _, err := r.OpenConnection(network.DirOutbound, true, multiaddr.StringCast("/ip4/10.0.0.1/tcp/1")); err != nil {
			t.Errorf("a full house keeps us from dialling: %v", err)
		}
	})
}

func TestHandshakesAreFewerThanConnections(t *testing.T) {
	inResources(t, func(t *testing.T, r network.ResourceManager) {
		n := len(connect(r, maxConnsInbound, func(i int) string { return fmt.Sprintf("/ip4/10.0.%d.1", i) }))
		if n != 128 {
			t.Errorf("%d connections that never said who they are, expected 128", n)
		}
	})
}

func TestConnectionsOfOnePeer(t *testing.T) {
	inResources(t, func(t *testing.T, r network.ResourceManager) {
		n := 0
		for _, c := range connect(r, maxPeerConns+1, always("/ip4/10.0.0.1")) {
			if c.SetPeer("one") == nil {
				n++
			}
		}
		if n != maxPeerConns {
			t.Errorf("%d connections, expected %d", n, maxPeerConns)
		}
	})
}

// streams opens n streams, with the protocol when it is not empty, and returns how many were let in.
func streams(t *testing.T, r network.ResourceManager, p peer.ID, dir network.Direction, n int, transfers bool) (open int) {
	t.Helper()
	for range n {
		s, err := r.OpenStream(p, dir)
		if err != nil {
			continue
		}
		if transfers && s.SetProtocol(transfer.Protocol) != nil {
			s.Done()
			continue
		}
		open++
	}
	return open
}

func TestTransferStreams(t *testing.T) {
	inResources(t, func(t *testing.T, r network.ResourceManager) {
		for dir, way := range map[network.Direction]string{network.DirInbound: "in", network.DirOutbound: "out"} {
			if n := streams(t, r, "one", dir, maxTransferPeerStreams+2, true); n != maxTransferPeerStreams {
				t.Errorf("%d transfers %s with one peer, expected %d", n, way, maxTransferPeerStreams)
			}
		}
		total := 2 * maxTransferPeerStreams
		for i := range 100 {
			total += streams(t, r, peer.ID(fmt.Sprint("peer", i)), network.DirInbound, maxTransferPeerStreams, true)
		}
		if total != maxTransferStreams {
			t.Errorf("%d transfers, expected %d", total, maxTransferStreams)
		}
	})
}

func TestStreamsOfOnePeer(t *testing.T) {
	inResources(t, func(t *testing.T, r network.ResourceManager) {
		if n := streams(t, r, "one", network.DirInbound, 1000, false); n != maxPeerStreams {
			t.Errorf("%d streams, expected %d", n, maxPeerStreams)
		}
		if n := streams(t, r, "two", network.DirInbound, 8, false); n != 8 {
			t.Errorf("another peer gets %d of 8 streams", n)
		}
	})
}

func TestMemoryOfOnePeer(t *testing.T) {
	inResources(t, func(t *testing.T, r network.ResourceManager) {
		err := r.ViewPeer("one", func(s network.PeerScope) error {
			if err := s.ReserveMemory(maxPeerMemory, network.ReservationPriorityAlways); err != nil {
				t.Errorf("its share is refused: %v", err)
			}
			if err := s.ReserveMemory(1, network.ReservationPriorityAlways); err == nil {
				t.Error("one byte more is granted")
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}
