package node

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/core/sec"
	"github.com/libp2p/go-libp2p/p2p/net/upgrader"
	"github.com/libp2p/go-libp2p/p2p/security/noise"
	"github.com/quic-go/quic-go"
)

// meter counts the bytes of all connections: of TCP from the handshake on, without the headers of TCP and IP; of QUIC all packets,
// without those of UDP and IP. A nil meter counts nothing.
type meter struct{ in, out atomic.Int64 }

func (m *meter) read(n int) {
	if m != nil {
		m.in.Add(int64(n))
	}
}

func (m *meter) wrote(n int) {
	if m != nil {
		m.out.Add(int64(n))
	}
}

// newTLS makes the security transport of a host whose bytes are counted.
func (m *meter) newTLS(id protocol.ID, key crypto.PrivKey, muxers []upgrader.StreamMuxer) (*tlsTransport, error) {
	t, err := newTLS(id, key, muxers)
	if err == nil {
		t.meter = m
	}
	return t, err
}

// newNoise is newTLS for those who speak no TLS.
func (m *meter) newNoise(id protocol.ID, key crypto.PrivKey, muxers []upgrader.StreamMuxer) (*noiseTransport, error) {
	t, err := noise.New(id, key, muxers)
	return &noiseTransport{t, m}, err
}

type noiseTransport struct {
	*noise.Transport
	meter *meter
}

func (t *noiseTransport) SecureInbound(ctx context.Context, c net.Conn, p peer.ID) (sec.SecureConn, error) {
	return t.Transport.SecureInbound(ctx, metered{c, t.meter}, p)
}

func (t *noiseTransport) SecureOutbound(ctx context.Context, c net.Conn, p peer.ID) (sec.SecureConn, error) {
	return t.Transport.SecureOutbound(ctx, metered{c, t.meter}, p)
}

type metered struct {
	net.Conn
	meter *meter
}

func (c metered) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.meter.read(n)
	return n, err
}

func (c metered) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.meter.wrote(n)
	return n, err
}

// The rate of what is not content is taken over the last minute, in steps.
const (
	sampleEvery = 5 * time.Second
	sampleSpan  = time.Minute
)

// background knows what a node moves that is not content: mDNS, handshakes, keepalives, questions, and the framing of content.
type background struct {
	mu      sync.Mutex // guards the rest
	quic    volume     // of connections that have ended
	samples []sample   // the oldest first, none older than sampleSpan
}

type volume struct{ down, up int64 } // bytes

type sample struct {
	at time.Time
	volume
}

// quicVolume is what a connection has moved, if it is one of QUIC.
func quicVolume(c network.Conn) volume {
	var q *quic.Conn
	if !c.As(&q) {
		return volume{}
	}
	s := q.ConnectionStats()
	return volume{int64(s.BytesReceived), int64(s.BytesSent)}
}

// watchBackground takes samples until ctx ends.
func (n *Node) watchBackground(ctx context.Context) {
	ended := &network.NotifyBundle{DisconnectedF: func(_ network.Network, c network.Conn) {
		v := quicVolume(c)
		n.background.mu.Lock()
		defer n.background.mu.Unlock()
		n.background.quic.down += v.down
		n.background.quic.up += v.up
	}}
	n.host.Network().Notify(ended)
	defer n.host.Network().StopNotify(ended)
	tick := time.NewTicker(sampleEvery)
	defer tick.Stop()
	for {
		n.background.add(sample{time.Now(), n.besidesContent()})
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// besidesContent is everything that was moved since the start, but for the bytes of chunks.
func (n *Node) besidesContent() volume {
	n.background.mu.Lock()
	v := n.background.quic
	n.background.mu.Unlock()
	for _, c := range n.host.Network().Conns() {
		q := quicVolume(c)
		v.down += q.down
		v.up += q.up
	}
	v.down += n.host.meter.in.Load()
	v.up += n.host.meter.out.Load()
	if n.mdns != nil {
		received, sent := n.mdns.Traffic()
		v.down += received
		v.up += sent
	}
	down, up := n.transfer.Totals()
	return volume{max(0, v.down-down), max(0, v.up-up)} // chunks are counted in one moment and their bytes in another
}

func (b *background) add(s sample) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for len(b.samples) > 0 && s.at.Sub(b.samples[0].at) > sampleSpan {
		b.samples = b.samples[1:]
	}
	b.samples = append(b.samples, s)
}

// rates are bytes a second, over the last minute or since the start.
func (b *background) rates(now sample) (down, up float64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.samples) == 0 {
		return 0, 0
	}
	first := b.samples[0]
	seconds := max(now.at.Sub(first.at).Seconds(), 1)
	return float64(max(0, now.down-first.down)) / seconds, float64(max(0, now.up-first.up)) / seconds
}

// backgroundNow is the part of the status that tells of it.
func (n *Node) backgroundNow() Background {
	now := sample{time.Now(), n.besidesContent()}
	down, up := n.background.rates(now)
	return Background{Down: now.down, Up: now.up, DownRate: down, UpRate: up}
}
