package node

import (
	"fmt"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/protocol"
	rcmgr "github.com/libp2p/go-libp2p/p2p/host/resource-manager"
	"github.com/libp2p/go-libp2p/p2p/net/connmgr"
	"github.com/libp2p/go-libp2p/x/rate"

	"github.com/shoal-p2p/shoal/discovery"
	"github.com/shoal-p2p/shoal/transfer"
)

// What strangers may make this node hold. Each number has the abuse that it stops beside it.
const (
	// The connection manager closes idle connections, oldest and least useful first, from high down to low water.
	// A new one is left alone for the grace time, so that a flood cannot push out those that work.
	connsLow   = 96
	connsHigh  = 160
	connsGrace = 20 * time.Second

	// The resource manager refuses what goes beyond, at once. Inbound is half, so that a flood leaves room for our dials.
	maxConns        = 512
	maxConnsInbound = 256
	maxPeerConns    = 8 // one peer needs one or two; both sides dialling at once over TCP and QUIC makes four

	// Bytes that the network may hold in windows and buffers, and one peer's share of it. libp2p stops growing a window
	// at half of either, and refuses streams at the whole.
	maxMemory     = 256 << 20
	maxPeerMemory = 96 << 20

	// Bytes that arrived on TCP connections and were not read. streamWindow is what one stream may send ahead (see muxer);
	// the others bound what all streams together may make of it.
	streamWindow  = 16 << 20
	maxConnUnread = 32 << 20
	maxUnread     = 128 << 20 // of all connections; beyond it each is left a fair share, so that the rest goes on
	fairUnread    = 512 << 10

	// Streams of the transfer protocol: one for each root that two peers have in common, so eight are plenty.
	maxTransferStreams     = 256
	maxTransferPeerStreams = 8
	maxAboutStreams        = 64 // what neighbours ask of each other: one small answer each
	maxAboutPeerStreams    = 2
	maxStreams             = 1024 // of all protocols in one direction
	maxPeerStreams         = 32   // of one peer in one direction: identify lives beside the transfers

	// For each address. libp2p's defaults (8 connections, one new in 5 s) are made for the open internet; an office, a
	// classroom or a testnet behind one address is more than that.
	maxAddrConns = 64
	addrRate     = 10 // new connections a second, after a burst of addrBurst
	addrBurst    = 64

	// For each IPv6 LAN. A machine there has as many addresses as it likes, so that the limit by address alone would let
	// one machine take every inbound connection.
	maxLinkConns = 192
	linkRate     = 40
	linkBurst    = 192

	maxStrikes       = 3                // banned peers from one address until the address is refused too
	maxNamed         = 4096             // addresses that the user named
	maxBanned        = 4096             // identities cost nothing, so a list of them must end
	linksFresh       = 5 * time.Second  // how old our picture of our own interfaces may be
	maxHeardAddrs    = 4                // of them for one peer, from one teller
	maxHeardRelays   = 2                // of them that lead through relays, besides
	maxPrefix        = 64               // bytes of the name of a DHT
	maxIntroductions = 8                // neighbours that are dialled for the DHT at a time
	dhtStart         = 10 * time.Second // that a search gives the DHT to get to know somebody
	dhtLook          = 20 * time.Millisecond

	deadDials = 2 * discovery.MaxProviders // in a row over QUIC or IPv6, before it counts as blocked

	maxDials = 16 // addresses of one peer in one dial: whoever claims more wants us to knock on strangers' doors
)

// newResources makes the resource manager. The libp2p metrics are off: they cost memory and time, and nobody reads them.
func newResources() (network.ResourceManager, error) {
	r, err := rcmgr.NewResourceManager(rcmgr.NewFixedLimiter(resourceLimits()),
		rcmgr.WithMetricsDisabled(),
		rcmgr.WithLimitPerSubnet(
			[]rcmgr.ConnLimitPerSubnet{{PrefixLength: 32, ConnCount: maxAddrConns}},
			[]rcmgr.ConnLimitPerSubnet{{PrefixLength: 128, ConnCount: maxAddrConns}, {PrefixLength: 64, ConnCount: maxLinkConns}},
		),
		rcmgr.WithConnRateLimiters(connRates()),
	)
	if err != nil {
		return nil, fmt.Errorf("resource manager: %w", err)
	}
	return r, nil
}

// connRates limits new connections by address, by one rule on all networks. Loopback is free, because who is on this
// machine has better ways to harm it.
//
// Limits by prefix (rate.PrefixLimit, rcmgr.NetworkPrefixLimit) would not do: they count a whole prefix together, and one
// neighbour could then shut out everybody else in 10.0.0.0/8.
func connRates() *rate.Limiter {
	perAddr := rate.Limit{RPS: addrRate, Burst: addrBurst}
	return &rate.Limiter{
		NetworkPrefixLimits: []rate.PrefixLimit{
			{Prefix: prefixes("127.0.0.0/8")[0]},
			{Prefix: prefixes("::1/128")[0]},
		},
		SubnetRateLimiter: rate.SubnetLimiter{
			IPv4SubnetLimits: []rate.SubnetLimit{{PrefixLength: 32, Limit: perAddr}},
			IPv6SubnetLimits: []rate.SubnetLimit{
				{PrefixLength: 128, Limit: perAddr},
				{PrefixLength: 64, Limit: rate.Limit{RPS: linkRate, Burst: linkBurst}},
			},
			GracePeriod: time.Minute,
		},
	}
}

func resourceLimits() rcmgr.ConcreteLimitConfig {
	streams := func(each int) rcmgr.ResourceLimits {
		n := rcmgr.LimitVal(each)
		return rcmgr.ResourceLimits{Streams: 2 * n, StreamsInbound: n, StreamsOutbound: n}
	}
	system := streams(maxStreams)
	system.Conns, system.ConnsInbound, system.ConnsOutbound, system.FD = maxConns, maxConnsInbound, maxConns, maxConns
	system.Memory = maxMemory

	// Connections and streams that have not yet said whom or what they are for.
	transient := streams(256)
	transient.Conns, transient.ConnsInbound, transient.ConnsOutbound, transient.FD = maxConns, 128, 384, maxConns // a dial that is under way is one
	transient.Memory = maxMemory / 4

	perPeer := streams(maxPeerStreams)
	perPeer.Conns, perPeer.ConnsInbound, perPeer.ConnsOutbound, perPeer.FD = 2*maxPeerConns, maxPeerConns, maxPeerConns, 2*maxPeerConns
	perPeer.Memory = maxPeerMemory

	transfers, peerTransfers := streams(maxTransferStreams), streams(maxTransferPeerStreams)
	transfers.Streams = maxTransferStreams
	transfers.Memory, peerTransfers.Memory = maxMemory, maxPeerMemory
	abouts, peerAbouts := streams(maxAboutStreams), streams(maxAboutPeerStreams)
	abouts.Memory, peerAbouts.Memory = maxAboutStreams<<20, maxAboutPeerStreams<<20

	defaults := rcmgr.DefaultLimits
	libp2p.SetDefaultServiceLimits(&defaults)
	probes, peerProbes := streams(maxProbeStreams), streams(maxProbePeerStreams)
	probes.Memory, peerProbes.Memory = maxMemory, maxPeerMemory
	return rcmgr.PartialLimitConfig{
		System: system, Transient: transient, PeerDefault: perPeer,
		Protocol: map[protocol.ID]rcmgr.ResourceLimits{
			transfer.Protocol: transfers, discovery.AboutProtocol: abouts, probeProtocol: probes,
		},
		ProtocolPeer: map[protocol.ID]rcmgr.ResourceLimits{
			transfer.Protocol: peerTransfers, discovery.AboutProtocol: peerAbouts, probeProtocol: peerProbes,
		},
	}.Build(defaults.Scale(maxMemory, maxConns))
}

func newConnManager() (*connmgr.BasicConnMgr, error) {
	m, err := connmgr.NewConnManager(connsLow, connsHigh, connmgr.WithGracePeriod(connsGrace))
	if err != nil {
		return nil, fmt.Errorf("connection manager: %w", err)
	}
	return m, nil
}
