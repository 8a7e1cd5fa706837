package node

import (
	"fmt"
	"slices"

	dht "github.com/libp2p/go-libp2p-kad-dht"
)

// IPFSBootstrap is the word for the well-known addresses through which IPFS nodes join their DHT. They are a choice of the
// user's and never a default.
const IPFSBootstrap = "ipfs"

func (c *Config) validateBootstrap() error {
	switch {
	case len(c.Bootstrap) == 0:
		return nil
	case c.Network == Isolated:
		return fmt.Errorf("%w: bootstrap peers are for finding others, and the network isolated does not", ErrUsage)
	case c.Network == LAN && slices.Contains(c.Bootstrap, IPFSBootstrap):
		return fmt.Errorf("%w: the bootstrap peers %q are on the internet: they need the network public", ErrUsage, IPFSBootstrap)
	}
	_, err := parsePeers(c.bootstrapAddrs())
	return err
}

// bootstrapAddrs are the multiaddrs of the bootstrap peers.
func (c *Config) bootstrapAddrs() []string {
	var out []string
	for _, text := range c.Bootstrap {
		if text != IPFSBootstrap {
			out = append(out, text)
			continue
		}
		for _, m := range dht.DefaultBootstrapPeers {
			out = append(out, m.String())
		}
	}
	return out
}
