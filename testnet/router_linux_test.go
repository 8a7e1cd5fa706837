package testnet

import (
	"net"
	"net/netip"
	"testing"
	"time"
)

// TestNATsMapAndFilterAsTheySay asks two machines where one inside socket seems to be, and then has strangers knock there.
func TestNATsMapAndFilterAsTheySay(t *testing.T) {
	for kind, c := range map[NAT]struct{ same, otherPort, stranger bool }{
		Cone:           {same: true, otherPort: true, stranger: true},
		PortRestricted: {same: true},
		Symmetric:      {},
	} {
		t.Run(string(kind), func(t *testing.T) {
			f := newTestFabric(t)
			net := []string{"internet"}
			x := mustPut(t, f, place{Name: "x", Networks: net, Public: true})
			y := mustPut(t, f, place{Name: "y", Networks: net, Public: true})
			z := mustPut(t, f, place{Name: "z", Networks: net, Public: true})
			inside := mustPut(t, f, place{Name: "inside", Networks: net, Public: true, NAT: kind, Link: Link{Delay: time.Millisecond}})
			atX, atY := listenUDP(t, x, echoAt), listenUDP(t, y, echoAt)
			socket := listenUDP(t, inside, 5000)
			byX, byY := seenBy(t, socket, atX, addrOf(t, x)), seenBy(t, socket, atY, addrOf(t, y))
			if byX.Addr().String() != addrOf(t, inside) {
				t.Errorf("seen at %s, want the router's address %s", byX, addrOf(t, inside))
			}
			if (byX == byY) != c.same {
				t.Errorf("seen at %s and at %s, want one mapping for both: %v", byX, byY, c.same)
			}
			if !knock(t, atX, byX, socket) {
				t.Error("who was spoken to does not get in")
			}
			if got := knock(t, listenUDP(t, x, echoAt+1), byX, socket); got != c.otherPort {
				t.Errorf("another port of who was spoken to gets in: %v", got)
			}
			if got := knock(t, listenUDP(t, z, echoAt), byX, socket); got != c.stranger {
				t.Errorf("a stranger gets in: %v", got)
			}
		})
	}
}

// seenBy returns where a socket is, as another one at an address sees it.
func seenBy(t *testing.T, from, at *net.UDPConn, addr string) netip.AddrPort {
	t.Helper()
	to := netip.AddrPortFrom(netip.MustParseAddr(addr), echoAt)
	if _, err := from.WriteToUDPAddrPort([]byte("where am I?"), to); err != nil {
		t.Fatal(err)
	}
	check(t, at.SetReadDeadline(time.Now().Add(patience)))
	_, seen, err := at.ReadFromUDPAddrPort(make([]byte, 64))
	check(t, err)
	return netip.AddrPortFrom(seen.Addr().Unmap(), seen.Port())
}

// knock reports whether a packet to an address comes in.
func knock(t *testing.T, from *net.UDPConn, to netip.AddrPort, in *net.UDPConn) bool {
	t.Helper()
	text := from.LocalAddr().String() + time.Now().String()
	if _, err := from.WriteToUDPAddrPort([]byte(text), to); err != nil {
		t.Fatal(err)
	}
	check(t, in.SetReadDeadline(time.Now().Add(300*time.Millisecond)))
	b := make([]byte, 256)
	n, err := in.Read(b)
	return err == nil && string(b[:n]) == text
}

func TestNATNeedsTheInternet(t *testing.T) {
	f := newTestFabric(t, Link{})
	if _, err := f.put(place{Name: "late", Networks: []string{"lan"}, Public: true, NAT: Cone}); err == nil {
		t.Error("a network of private addresses became the internet")
	}
	if f.site("late") != nil {
		t.Error("what was refused is there")
	}
}
