package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"

	"github.com/shoal-p2p/shoal/gateway"
	"github.com/shoal-p2p/shoal/node"
)

// about says who is behind a control socket.
type about struct {
	PID     int          `json:"pid"`
	Role    string       `json:"role"` // serves: until it is told to end; lends: as long as its own command takes
	Network node.Network `json:"network"`
	Version string       `json:"version"`
}

const (
	serves = "serves"
	lends  = "lends"
)

// none is a request or an answer that holds nothing.
type none struct{}

// reference is the request of a verb that takes nothing else.
type reference struct {
	Ref string `json:"ref"`
}

// part is a piece of a listing: a directory may have a million names, and a line of an answer should not.
type part struct {
	Entries []node.Entry `json:"entries"`
}

const partSize = 1000 // entries

// register gives the control socket its verbs.
func register(c *gateway.Control, p peer, who about) {
	on(c, "share", p.Share)
	on(c, "fetch", p.Fetch)
	on(c, "check", p.Check)
	on(c, "doctor", p.Doctor)
	on(c, "find", p.Find)
	on(c, "inspect", p.Inspect)
	ask(c, "shares", p.Shares)
	ask(c, "peers", p.Peers)
	ask(c, "status", p.Status)
	ask(c, "id", p.Identity)
	ask(c, "about", func(context.Context) (about, error) { return who, nil })
	ask(c, "stay", func(ctx context.Context) (none, error) { <-ctx.Done(); return none{}, node.ErrStopped })
	gateway.Handle(c, "unshare", func(ctx context.Context, r reference, _ func(any)) (none, error) {
		return none{}, p.Unshare(ctx, r.Ref)
	})
	gateway.Handle(c, "unlist", func(ctx context.Context, r reference, _ func(any)) (none, error) {
		return none{}, p.Unlist(ctx, r.Ref)
	})
	gateway.Handle(c, "nearby", func(ctx context.Context, _ none, emit func(any)) ([]node.Neighbour, error) {
		return p.Nearby(ctx, func(e node.Event) { emit(e) })
	})
	gateway.Handle(c, "ticket", func(ctx context.Context, r node.TicketRequest, _ func(any)) (node.Ticketed, error) {
		return p.Ticket(ctx, r)
	})
	gateway.HandleStream(c, "cat", func(ctx context.Context, r node.CatRequest, w io.Writer, emit func(any)) error {
		return p.Cat(ctx, r, w, func(e node.Event) { emit(e) })
	})
	gateway.Handle(c, "list", func(ctx context.Context, r node.ListRequest, emit func(any)) (none, error) {
		entries, err := p.List(ctx, r, func(e node.Event) { emit(e) })
		for len(entries) > 0 && ctx.Err() == nil {
			n := min(partSize, len(entries))
			emit(part{entries[:n]})
			entries = entries[n:]
		}
		return none{}, err
	})
}

// on registers a verb that reports events.
func on[Req, Res any](c *gateway.Control, verb string, f func(context.Context, Req, func(node.Event)) (Res, error)) {
	gateway.Handle(c, verb, func(ctx context.Context, r Req, emit func(any)) (Res, error) {
		return f(ctx, r, func(e node.Event) { emit(e) })
	})
}

// ask registers a verb that takes nothing.
func ask[Res any](c *gateway.Control, verb string, f func(context.Context) (Res, error)) {
	gateway.Handle(c, verb, func(ctx context.Context, _ none, _ func(any)) (Res, error) { return f(ctx) })
}

// remote is a node of another process.
type remote struct {
	client *gateway.Client
	about  about
}

func call[Req, Res any](ctx context.Context, r *remote, verb string, req Req, emit func(node.Event)) (Res, error) {
	res, err := gateway.Call[Req, Res](ctx, r.client, verb, req, events(emit))
	return res, fromRemote(err)
}

// fromRemote gives an error the identity that it had on the other side.
func fromRemote(err error) error {
	if errors.Is(err, gateway.ErrNoNode) {
		return gateway.ErrLost // it was there a moment ago
	}
	return fromCode(err)
}

func events(emit func(node.Event)) func(json.RawMessage) {
	return func(text json.RawMessage) {
		var e node.Event
		if emit != nil && json.Unmarshal(text, &e) == nil {
			emit(e)
		}
	}
}

func (r *remote) Share(ctx context.Context, q node.ShareRequest, emit func(node.Event)) (node.Shared, error) {
	return call[node.ShareRequest, node.Shared](ctx, r, "share", q, emit)
}

func (r *remote) Fetch(ctx context.Context, q node.FetchRequest, emit func(node.Event)) (node.Event, error) {
	return call[node.FetchRequest, node.Event](ctx, r, "fetch", q, emit)
}

func (r *remote) Cat(ctx context.Context, q node.CatRequest, w io.Writer, emit func(node.Event)) error {
	return fromRemote(gateway.Stream(ctx, r.client, "cat", q, w, events(emit)))
}

func (r *remote) List(ctx context.Context, q node.ListRequest, emit func(node.Event)) ([]node.Entry, error) {
	var entries []node.Entry
	_, err := gateway.Call[node.ListRequest, none](ctx, r.client, "list", q, func(text json.RawMessage) {
		var p part
		if json.Unmarshal(text, &p) == nil && p.Entries != nil {
			entries = append(entries, p.Entries...)
			return
		}
		events(emit)(text)
	})
	return entries, fromRemote(err)
}

func (r *remote) Check(ctx context.Context, q node.CheckRequest, emit func(node.Event)) (node.Checked, error) {
	return call[node.CheckRequest, node.Checked](ctx, r, "check", q, emit)
}

func (r *remote) Doctor(ctx context.Context, q node.DoctorRequest, emit func(node.Event)) (node.Diagnosis, error) {
	return call[node.DoctorRequest, node.Diagnosis](ctx, r, "doctor", q, emit)
}

func (r *remote) Find(ctx context.Context, q node.FindRequest, emit func(node.Event)) (node.Found, error) {
	return call[node.FindRequest, node.Found](ctx, r, "find", q, emit)
}

func (r *remote) Shares(ctx context.Context) ([]node.Share, error) {
	return call[none, []node.Share](ctx, r, "shares", none{}, nil)
}

func (r *remote) Unshare(ctx context.Context, ref string) error {
	_, err := call[reference, none](ctx, r, "unshare", reference{ref}, nil)
	return err
}

func (r *remote) Unlist(ctx context.Context, ref string) error {
	_, err := call[reference, none](ctx, r, "unlist", reference{ref}, nil)
	return err
}

func (r *remote) Nearby(ctx context.Context, emit func(node.Event)) ([]node.Neighbour, error) {
	return call[none, []node.Neighbour](ctx, r, "nearby", none{}, emit)
}

func (r *remote) Ticket(ctx context.Context, q node.TicketRequest) (node.Ticketed, error) {
	return call[node.TicketRequest, node.Ticketed](ctx, r, "ticket", q, nil)
}

func (r *remote) Inspect(ctx context.Context, q node.InspectRequest, emit func(node.Event)) (node.Inspected, error) {
	return call[node.InspectRequest, node.Inspected](ctx, r, "inspect", q, emit)
}

func (r *remote) Peers(ctx context.Context) ([]node.PeerStatus, error) {
	return call[none, []node.PeerStatus](ctx, r, "peers", none{}, nil)
}

func (r *remote) Status(ctx context.Context) (node.Status, error) {
	return call[none, node.Status](ctx, r, "status", none{}, nil)
}

func (r *remote) Identity(ctx context.Context) (node.Identity, error) {
	return call[none, node.Identity](ctx, r, "id", none{}, nil)
}

// stay returns when the node goes away or ctx ends.
func (r *remote) stay(ctx context.Context) error {
	_, err := call[none, none](ctx, r, "stay", none{}, nil)
	return err
}
