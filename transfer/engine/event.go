package engine

import "github.com/shoal-p2p/shoal/content"

// Peer is the caller's number for one peer of this root. A peer that left and comes back should get a new one.
type Peer uint32

// Event is something that happened. Events about a peer that has not joined, has left or was banned are ignored, but for
// [Stored] and [Failed], which are news about this side's disk too. The engine keeps no slice of an event.
type Event interface{ event() }

// Joined: a peer takes part from now on. It has nothing until [Has] says so.
type Joined struct{ Peer Peer }

// Left: the peer is gone, and with it all that was asked of it or by it.
type Left struct{ Peer Peer }

// Has: the peer says that it has these chunks too.
type Has struct {
	Peer   Peer
	Ranges []content.Range
}

// Asked: the peer wants these chunks from us.
type Asked struct {
	Peer   Peer
	Ranges []content.Range
}

// Withdrawn: the peer no longer wants these chunks from us.
type Withdrawn struct {
	Peer   Peer
	Ranges []content.Range
}

// Refused: the peer will not give these chunks. Only those that it was asked for count; it is not asked for them again until
// it says anew that it has them.
type Refused struct {
	Peer   Peer
	Ranges []content.Range
}

// Seeks: the peer lacks these chunks, nobody is bringing them, and it would like to be offered them.
type Seeks struct {
	Peer   Peer
	Ranges []content.Range
}

// Coming: these chunks are on their way to the peer from somebody else.
type Coming struct {
	Peer   Peer
	Ranges []content.Range
}

// Offered: the peer would give these chunks next if it were asked for them; what it offered before does not count any more.
type Offered struct {
	Peer   Peer
	Ranges []content.Range
}

// Got: the peer has read so many more bytes of chunks from us. Who never says it is taken to have read what was written.
type Got struct {
	Peer  Peer
	Bytes int
}

// Progress: so many payload bytes of chunks came in. It is a sign of life while a chunk is under way.
type Progress struct {
	Peer  Peer
	Bytes int
}

// Stored: these chunks came from the peer, hash right and are written.
type Stored struct {
	Peer   Peer
	Chunks []uint32
}

// Bad: the peer sent this chunk with the wrong bytes.
type Bad struct {
	Peer  Peer
	Chunk uint32
}

// Failed: this chunk came from the peer and was right, but could not be written here.
type Failed struct {
	Peer  Peer
	Chunk uint32
}

// Gave: these chunks of a [Give] are done with: written, cut short because they were withdrawn, or not readable.
type Gave struct {
	Peer   Peer
	Chunks []uint32
	Bytes  int // of them that were written
}

// Local: we have these chunks without having asked for them.
type Local struct{ Ranges []content.Range }

// Interest: the user wants these chunks, in addition to what was wanted before. With Config.TakeOnly, those that were stored
// already are fetched once more.
type Interest struct {
	Ranges []content.Range
	// InOrder: a reader takes them one after the other. They come before all others, lowest number first.
	InOrder bool
}

// Tick: the time is now.
type Tick struct{}

func (Joined) event()    {}
func (Left) event()      {}
func (Has) event()       {}
func (Asked) event()     {}
func (Withdrawn) event() {}
func (Refused) event()   {}
func (Seeks) event()     {}
func (Coming) event()    {}
func (Offered) event()   {}
func (Got) event()       {}
func (Progress) event()  {}
func (Stored) event()    {}
func (Bad) event()       {}
func (Failed) event()    {}
func (Gave) event()      {}
func (Local) event()     {}
func (Interest) event()  {}
func (Tick) event()      {}
