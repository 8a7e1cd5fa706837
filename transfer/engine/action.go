package engine

import "github.com/shoal-p2p/shoal/content"

// Action is something for the caller to do. It and its ranges are valid until the next Step.
type Action interface{ action() }

// Ask: request these chunks from the peer. None of them is open with it already.
type Ask struct {
	Peer   Peer
	Ranges []content.Range
}

// Seek: tell the peer that we lack these chunks and nobody is bringing them.
type Seek struct {
	Peer   Peer
	Ranges []content.Range
}

// Announce: tell the peer that these chunks are on their way to us.
type Announce struct {
	Peer   Peer
	Ranges []content.Range
}

// Offer: tell the peer that we would give these chunks next, and none that were offered before.
type Offer struct {
	Peer   Peer
	Ranges []content.Range
}

// Revoke: tell the peer that these chunks, asked for before, are not wanted from it any more.
type Revoke struct {
	Peer   Peer
	Ranges []content.Range
}

// Give: read these chunks and send them, in this order.
type Give struct {
	Peer   Peer
	Ranges []content.Range
}

// Tell: say to the peer that we have these chunks. The first one after a peer joins names all that we have; later ones what
// is new. A long one comes as several.
type Tell struct {
	Peer   Peer
	Ranges []content.Range
}

// Decline: say to the peer that it cannot have these chunks from us.
type Decline struct {
	Peer   Peer
	Ranges []content.Range
}

// Ban: have nothing more to do with the peer. It has left, as far as the engine is concerned.
type Ban struct {
	Peer   Peer
	Reason string
}

// Finished: everything that is wanted so far is stored. It comes once for each [Interest] at most.
type Finished struct{}

func (Ask) action()      {}
func (Seek) action()     {}
func (Announce) action() {}
func (Offer) action()    {}
func (Revoke) action()   {}
func (Give) action()     {}
func (Tell) action()     {}
func (Decline) action()  {}
func (Ban) action()      {}
func (Finished) action() {}
