//go:build !linux

package testnet

func suitsContainer(l Link) error {
	if l == (Link{}) {
		return nil
	}
	return lackLinux()
}

func (g *containers) shape(_ *Node, l Link) error { return suitsContainer(l) }
