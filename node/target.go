package node

import (
	"fmt"
	"strings"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/shoal-p2p/shoal/content"
	"github.com/shoal-p2p/shoal/discovery"
)

// target is what a reference names, and who is known to have it.
type target struct {
	root   cid.Cid
	path   string          // inside the root
	peers  []peer.AddrInfo // that the user typed
	holder *peer.AddrInfo  // that a ticket names
	self   bool            // the ticket is this node's own
}

// resolve understands a CID, CID/path, a ticket and ticket/path; more are peers that the user typed.
func (n *Node) resolve(ref string, more []string) (target, error) {
	var t target
	peers, err := parsePeers(more)
	if err != nil {
		return t, err
	}
	t.peers = peers
	if !strings.HasPrefix(ref, discovery.TicketPrefix) {
		r, err := content.ParseRef(ref)
		if err != nil {
			return t, fmt.Errorf("%w: %w", ErrUsage, err)
		}
		t.root, t.path = r.CID, r.Path
		return t, nil
	}
	text, path, _ := strings.Cut(ref, "/")
	ticket, err := discovery.ParseTicket(text)
	if err != nil {
		return t, fmt.Errorf("%w: %w", ErrUsage, err)
	}
	inside, err := content.ParseRef(ticket.Root.String() + "/" + path)
	if err != nil {
		return t, fmt.Errorf("%w: %w", ErrUsage, err)
	}
	t.root, t.path = inside.CID, inside.Path
	if ticket.Peer == n.host.ID() {
		t.self = true
		return t, nil
	}
	t.holder = &peer.AddrInfo{ID: ticket.Peer, Addrs: ticket.Addrs}
	return t, nil
}
