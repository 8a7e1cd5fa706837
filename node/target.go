package node

import (
	"fmt"
	"strings"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/shoal-p2p/shoal/content"
	"github.com/shoal-p2p/shoal/discovery"
)

// Ref is what a person writes to name content, taken apart: a CID or a ticket, and a path inside.
type Ref struct {
	CID  string
	Path string // slash separated; empty for the whole
	Name string // that a ticket suggests, unchecked; often empty

	root   cid.Cid
	ticket *discovery.Ticket
}

// ParseRef understands CID, CID/path, /ipfs/CID/path, ipfs://CID/path, a ticket, and a ticket followed by /path. The error is
// ErrUsage, and never repeats a ticket.
func ParseRef(text string) (Ref, error) {
	var r Ref
	if discovery.IsTicket(text) {
		head, path, _ := strings.Cut(text, "/")
		ticket, err := discovery.ParseTicket(head)
		if err != nil {
			return r, fmt.Errorf("%w: %w", ErrUsage, err)
		}
		r.ticket, r.Name, text = &ticket, ticket.Name, ticket.Root.String()+"/"+path
	}
	inside, err := content.ParseRef(text)
	if err != nil {
		return r, fmt.Errorf("%w: %w", ErrUsage, err)
	}
	r.root, r.CID, r.Path = inside.CID, inside.CID.String(), inside.Path
	return r, nil
}

// target is what a reference names, and who is known to have it.
type target struct {
	root   cid.Cid
	path   string          // inside the root
	peers  []peer.AddrInfo // that the user typed
	holder *peer.AddrInfo  // that a ticket names
	self   bool            // the ticket is this node's own
	ticket *discovery.Ticket
}

// resolve turns a reference into a target; more are peers that the user typed.
func (n *Node) resolve(ref string, more []string) (target, error) {
	r, err := ParseRef(ref)
	if err != nil {
		return target{}, err
	}
	peers, err := parsePeers(more)
	if err != nil {
		return target{}, err
	}
	t := target{root: r.root, path: r.Path, peers: peers, ticket: r.ticket}
	switch {
	case r.ticket == nil:
	case r.ticket.Peer == n.host.ID():
		t.self = true
	default:
		t.holder = &peer.AddrInfo{ID: r.ticket.Peer, Addrs: r.ticket.Addrs}
	}
	return t, nil
}

// seek is resolve for what is to be fetched: by a ticket only as long as that is good.
func (n *Node) seek(ref string, more []string) (target, error) {
	t, err := n.resolve(ref, more)
	if now := time.Now(); err == nil && t.ticket != nil && t.ticket.Expired(now) {
		return target{}, fmt.Errorf("%w: %s", ErrExpired, over(t.ticket.Until, now))
	}
	return t, err
}

// over says that a time has passed, by which clock.
func over(until, now time.Time) string {
	const layout = "2006-01-02 15:04:05 MST"
	return fmt.Sprintf("it was good until %s, and this machine's clock says %s", until.Local().Format(layout), now.Local().Format(layout))
}

// access is what a ticket says of who may have from this node what is fetched with it.
func (t target) access() content.Access {
	if t.ticket == nil {
		return content.Access{}
	}
	a := content.Access{Secret: t.ticket.Secret, Limited: t.ticket.Keep}
	if !a.Open() {
		a.Until = t.ticket.Until
	}
	return a
}
