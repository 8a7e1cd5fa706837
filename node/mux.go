package node

import (
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/p2p/muxer/yamux"
)

// newMuxer copies libp2p's yamux settings; changing the original would change every host of the process.
func newMuxer() network.Multiplexer {
	t := *yamux.DefaultTransport
	t.InitialStreamWindowSize = 1 << 20
	return &t
}
