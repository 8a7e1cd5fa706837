package node

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/shoal-p2p/shoal/content"
	"github.com/shoal-p2p/shoal/store"
	"github.com/shoal-p2p/shoal/transfer"
)

const (
	inspectLeast  = time.Second     // to look for holders, once one is known: neighbours take a moment to answer
	inspectMost   = 3 * time.Second // the same while some are still being asked
	maxInspected  = 1000            // entries that are listed
	inspectedGap  = 50 * time.Millisecond
	maxHolderList = 256
)

// Inspect tells what Ref names, as far as that can be known without any content, and who has it. Of a file that is a single
// chunk not even the size can: the chunk is all there is. Then the ticket's word stands for it.
func (n *Node) Inspect(ctx context.Context, r InspectRequest, emit func(Event)) (Inspected, error) {
	emit = oneAtATime(emit)
	t, err := n.resolve(r.Ref, r.Peers)
	if err != nil {
		return Inspected{}, err
	}
	out := Inspected{CID: t.root.String(), Path: t.path, Bytes: -1, Holders: []Holder{}, Here: n.store.Whole(t.root)}
	n.inspectTicket(&out, t)
	tree, err := n.store.Tree(ctx, t.root)
	switch {
	case err == nil:
		if err := out.describe(tree, t.path); err != nil {
			return Inspected{}, err
		}
	case !errors.Is(err, store.ErrNotFound):
		return Inspected{}, storeError(err)
	}
	n.nameHere(&out, t.root)
	if out.Ticket != nil && out.Ticket.Expired {
		return out, nil
	}
	bare := t.root.Prefix().Codec == cid.Raw
	p := n.pursue(ctx, t, pursuitOptions{Tree: tree, Leech: true, Probe: bare || tree != nil, Patience: patience(r.Timeout), Emit: emit})
	defer p.stop()
	if tree == nil && !bare {
		if tree, err = p.tree(); err != nil {
			return Inspected{}, err
		}
		if err := out.describe(tree, t.path); err != nil {
			return Inspected{}, err
		}
	}
	holders, err := p.holders(out.Here)
	if err != nil {
		return Inspected{}, err
	}
	out.Holders = append(out.Holders, holders...)
	return out, nil
}

// inspectTicket says what the ticket says.
func (n *Node) inspectTicket(out *Inspected, t target) {
	if t.ticket == nil {
		if t.root.Prefix().Codec == cid.Raw {
			out.Kind, out.Files = "file", 1
		}
		return
	}
	out.Name = t.ticket.Name
	if size := t.ticket.Size; size > 0 {
		out.Bytes, out.Claimed = size, true
	}
	if t.root.Prefix().Codec == cid.Raw {
		out.Kind, out.Files = "file", 1
	}
	out.Ticket = &TicketFacts{
		Peer: t.ticket.Peer.String(), Own: t.self, Private: !t.ticket.Secret.IsZero(), Keep: t.ticket.Keep,
		Expires: t.ticket.Until, Expired: t.ticket.Expired(time.Now()),
	}
	for _, a := range t.ticket.Addrs {
		out.Ticket.Addrs = append(out.Ticket.Addrs, a.String())
	}
}

// nameHere takes the name that the root has on this node, if it has one.
func (n *Node) nameHere(out *Inspected, root cid.Cid) {
	shares, err := n.store.Shares()
	if err != nil {
		return
	}
	if i := slices.IndexFunc(shares, func(s store.Share) bool { return s.Root.Equals(root) }); i >= 0 {
		out.Name = shares[i].Name
	}
}

// describe takes kind, sizes and names from the tree.
func (out *Inspected) describe(t *content.Tree, path string) error {
	list, err := listing(t, path, true)
	if err != nil {
		return err
	}
	i, _ := t.Find(path)
	out.Kind, out.Bytes, out.Files, out.Claimed = entry(t.Entries()[i]).Kind, 0, 0, false
	for _, e := range list {
		if e.Kind == "dir" {
			continue
		}
		if e.Kind == "file" {
			out.Files++
			out.Bytes += e.Size
		}
		if len(out.Entries) < maxInspected {
			out.Entries = append(out.Entries, e)
		} else {
			out.More++
		}
	}
	return nil
}

// holders waits until those who are asked have answered, for a while, and lists those who have it. That nobody has is an error
// only if it is not here either.
func (p *pursuit) holders(here bool) ([]Holder, error) {
	p.pause(here)
	began := time.Now()
	t := time.NewTicker(inspectedGap)
	defer t.Stop()
	for {
		s := p.session.Status()
		var list []Holder
		for _, c := range s.Peers {
			if c.State == transfer.Joined && len(list) < maxHolderList {
				list = append(list, Holder{Peer: c.Peer.String(), Addr: c.Addr, Relayed: c.Relayed})
			}
		}
		asking := askedNow(s)
		waited := time.Since(began)
		if (here || len(list) > 0) && (waited >= inspectMost || waited >= inspectLeast && asking == 0) {
			slices.SortFunc(list, func(a, b Holder) int { return cmp.Compare(a.Peer, b.Peer) })
			return list, nil
		}
		select {
		case <-t.C:
		case <-p.ctx.Done():
			return nil, p.wait(p.ctx.Err())
		}
	}
}

// askedNow counts the peers that have not answered yet.
func askedNow(s transfer.Status) (n int) {
	for _, c := range s.Peers {
		switch c.State {
		case transfer.Dialing, transfer.Asking, transfer.Waiting:
			if !hearsayOnly(c) {
				n++
			}
		}
	}
	return n
}
