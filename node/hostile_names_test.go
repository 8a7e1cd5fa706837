package node

import (
	"context"
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"math/big"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	"github.com/multiformats/go-multiaddr"
	madns "github.com/multiformats/go-multiaddr-dns"
)

// namesWithoutEnd answers each look-up of a name with records that want more look-ups.
type namesWithoutEnd struct {
	asked   atomic.Int64
	records func(name string) []string
}

func (n *namesWithoutEnd) LookupIPAddr(context.Context, string) ([]net.IPAddr, error) {
	n.asked.Add(1)
	return nil, nil
}

func (n *namesWithoutEnd) LookupTXT(_ context.Context, name string) ([]string, error) {
	n.asked.Add(1)
	return n.records(name), nil
}

// B73: a bootstrap name that leads to itself, and one of a thousand records of which each leads to a thousand more.
func TestNamesWithoutEnd(t *testing.T) {
	id := newID(t)
	for _, c := range []struct {
		name    string
		records func(name string) []string
	}{
		{"a loop", func(string) []string { return []string{"dnsaddr=/dnsaddr/a.example/p2p/" + id.String()} }},
		{"a thousand records", func(name string) []string {
			out := make([]string, 1000)
			for i := range out {
				out[i] = fmt.Sprintf("dnsaddr=/dnsaddr/x%d.%s/p2p/%s", i, name[len("_dnsaddr."):], id)
			}
			return out
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			endless := &namesWithoutEnd{records: c.records}
			dns, err := madns.NewResolver(madns.WithDefaultResolver(endless))
			if err != nil {
				t.Fatal(err)
			}
			g := newGater(Public)
			h, err := libp2p.New(libp2p.NoListenAddrs, libp2p.ConnectionGater(g), libp2p.DisableMetrics(),
				libp2p.MultiaddrResolver(resolver{gater: g, dns: swarm.ResolverFromMaDNS{Resolver: dns}}))
			if err != nil {
				t.Fatal(err)
			}
			defer h.Close()
			info := peer.AddrInfo{ID: id, Addrs: []multiaddr.Multiaddr{multiaddr.StringCast("/dnsaddr/a.example")}}
			g.name(info)
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			if err := h.Connect(ctx, info); err == nil || ctx.Err() != nil {
				t.Errorf("connect: %v, want an error before a minute is over", err)
			}
			if n := endless.asked.Load(); n == 0 || n > 500 {
				t.Errorf("%d names were looked up, want some and not more than 500", n)
			}
		})
	}
}

// B74: a key so long that checking one signature with it is work.
func TestKeyOf16384Bits(t *testing.T) {
	for bits, want := range map[int]bool{4096: true, 8192: true, 16384: false} {
		n := new(big.Int).Lsh(big.NewInt(1), uint(bits-1))
		key, err := x509.MarshalPKIXPublicKey(&rsa.PublicKey{N: n.SetBit(n, 0, 1), E: 65537})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := crypto.UnmarshalRsaPublicKey(key); (err == nil) != want {
			t.Errorf("an RSA key of %d bits: %v, want it taken: %v", bits, err, want)
		}
	}
}
