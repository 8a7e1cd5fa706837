package node

import (
	"context"
	"crypto/rand"
	"fmt"
	"reflect"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/shoal-p2p/shoal/content"
	"github.com/shoal-p2p/shoal/discovery"
	"github.com/shoal-p2p/shoal/store"
)

// longestTerm is how far ahead an end may lie, in seconds. Further is never.
const longestTerm = 100 * 365 * 24 * 3600

// Redact takes every ticket out of a text that is to be printed or logged.
func Redact(text string) string { return discovery.Redact(text) }

// terms are what a request says of who may have a share.
type terms struct {
	secret  content.Secret // of a share that becomes private
	peers   []string
	until   time.Time
	changed bool // some who could have it may not any more, perhaps
}

func (n *Node) terms(r ShareRequest) (*terms, error) {
	until, err := end(r.Expires)
	if err != nil {
		return nil, err
	}
	t := &terms{until: until}
	ids, err := parseIDs(r.Allow)
	if err != nil {
		return nil, err
	}
	for _, id := range ids {
		t.peers = append(t.peers, string(id))
	}
	if r.Private {
		t.secret, err = content.NewSecret(rand.Reader)
	}
	return t, err
}

// end turns the seconds of a request into a moment.
func end(seconds float64) (time.Time, error) {
	switch {
	case seconds == 0:
		return time.Time{}, nil
	case !(seconds >= 1 && seconds <= longestTerm):
		return time.Time{}, fmt.Errorf("%w: a ticket ends after a second at least and a hundred years at most", ErrUsage)
	}
	return time.Now().Add(time.Duration(seconds * float64(time.Second))).Truncate(time.Second), nil
}

func parseIDs(texts []string) ([]peer.ID, error) {
	var ids []peer.ID
	for _, text := range texts {
		id, err := peer.Decode(text)
		if err != nil {
			return nil, fmt.Errorf("%w: %q is not a peer ID; 'shoal id' prints a node's own", ErrUsage, content.Printable(text))
		}
		ids = append(ids, id)
	}
	return ids, nil
}

// apply makes a share private or limits it, and never the opposite: that it is for everybody after all has to be said by
// unsharing it. A secret that is there already stays, so that sharing again does not end the tickets to it.
func (t *terms) apply(old content.Access, held bool) content.Access {
	a := old
	if a.Secret.IsZero() {
		a.Secret = t.secret
	}
	if len(t.peers) > 0 {
		a.Limited, a.Peers = true, t.peers
	}
	if !a.Open() && (!t.secret.IsZero() || len(t.peers) > 0 || !t.until.IsZero()) {
		a.Until = t.until
	}
	t.changed = held && !reflect.DeepEqual(a, old)
	return a
}

// ticket is the one to a share. Until counts only for what everybody may have; else the end stands with the share.
func (n *Node) ticket(s store.Share, until time.Time) discovery.Ticket {
	t := discovery.Ticket{
		Root: s.Root, Peer: n.host.ID(), Addrs: n.host.addrs(), Name: s.Name, Size: s.Bytes,
		Secret: s.Access.Secret, Keep: s.Access.Limited, Until: until,
	}
	if !s.Access.Open() {
		t.Until = s.Access.Until
	}
	return t
}

func termsOf(a content.Access, until time.Time) Terms {
	t := Terms{Private: !a.Secret.IsZero(), Limited: a.Limited, Expires: until}
	for _, p := range a.Peers {
		t.Allow = append(t.Allow, peer.ID(p).String())
	}
	return t
}

// Ticket makes a ticket to something that this node has.
func (n *Node) Ticket(_ context.Context, r TicketRequest) (Ticketed, error) {
	t, err := n.resolve(r.Ref, nil)
	if err != nil {
		return Ticketed{}, err
	}
	if t.path != "" {
		return Ticketed{}, fmt.Errorf("%w: a ticket is to a whole share; put the path behind it: TICKET/%s", ErrUsage, t.path)
	}
	shares, err := n.checked(t.root.String())
	if err != nil {
		return Ticketed{}, err
	}
	s := shares[0]
	until, err := end(r.Expires)
	if err != nil {
		return Ticketed{}, err
	}
	if err := mayTicket(s.Access, r, time.Now()); err != nil {
		return Ticketed{}, err
	}
	if r.Renew {
		if s.Access, err = n.renew(t.root, s.Access, until); err != nil {
			return Ticketed{}, err
		}
	}
	ticket := n.ticket(s, until)
	return Ticketed{CID: s.Root.String(), Ticket: ticket.Text(), Name: s.Name, Terms: termsOf(s.Access, ticket.Until)}, nil
}

// mayTicket says why there can be no such ticket.
func mayTicket(a content.Access, r TicketRequest, now time.Time) error {
	switch {
	case a.Limited && len(a.Peers) == 0:
		return fmt.Errorf("%w: it was fetched with a ticket that is not to be passed on", ErrUsage)
	case r.Renew && a.Secret.IsZero():
		return fmt.Errorf("%w: it is not private, so there is nothing to renew", ErrUsage)
	case r.Renew || a.Open():
		return nil
	case r.Expires != 0:
		return fmt.Errorf("%w: all tickets to what is not for everybody end together; to set another end, renew them or share it again", ErrUsage)
	case !a.Until.IsZero() && !now.Before(a.Until):
		return fmt.Errorf("%w: %s; renew it, or share it again", ErrExpired, over(a.Until, now))
	}
	return nil
}

// renew gives a private share another secret. The tickets before it are worth nothing from now on.
func (n *Node) renew(root cid.Cid, a content.Access, until time.Time) (content.Access, error) {
	secret, err := content.NewSecret(rand.Reader)
	if err != nil {
		return a, err
	}
	a.Secret, a.Until = secret, until
	if err := n.store.SetAccess(root, a); err != nil {
		return a, storeError(err)
	}
	n.transfer.Revoke(root)
	return a, nil
}
