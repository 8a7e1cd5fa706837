package engine

import "time"

// Config describes a root and what may be spent on it. The zero value of every field but Sizes is replaced by its default.
type Config struct {
	Sizes []uint32 // length of each chunk, bytes; kept, and never written to
	Seed  uint64   // where runs start. Engines of one swarm should differ, so that they have something to exchange

	Window      int // bytes asked of a peer before anything is known about it
	MaxWindow   int // bytes asked of one peer and not settled
	MaxInFlight int // the same of all peers together: this bounds the memory for what is not verified yet

	MaxGives  int // bytes in Give actions to one peer and not sent
	MaxGiving int // the same to all peers together; each may always have one turn

	Deadline time.Duration // for the oldest chunk asked of a peer, before others are asked

	// Shared: the uplink is shared with other engines, by somebody who gives each peer its due. So everybody who asks is given one
	// turn, and everybody to whom nothing is on its way is offered one; nobody waits here for the turns of others.
	Shared bool

	TakeOnly bool // what arrives is not kept: tell nobody, give nothing
}

const (
	defaultWindow      = 4 << 20  // fills a gigabit path of 30 ms, and any loopback
	defaultMaxWindow   = 16 << 20 // a gigabit path of 100 ms takes 12.5 MB
	defaultMaxInFlight = 64 << 20 // 16 peers at full start
	defaultMaxGives    = 4 << 20  // keeps a writer busy while the next turn is decided
	defaultMaxGiving   = 64 << 20
	defaultDeadline    = 20 * time.Second // libtorrent's and rain's wait for a piece
)

func (c Config) withDefaults() Config {
	fallback := func(v *int, d int) {
		if *v <= 0 {
			*v = d
		}
	}
	fallback(&c.Window, defaultWindow)
	fallback(&c.MaxWindow, max(defaultMaxWindow, c.Window))
	fallback(&c.MaxInFlight, defaultMaxInFlight)
	fallback(&c.MaxGives, defaultMaxGives)
	fallback(&c.MaxGiving, defaultMaxGiving)
	if c.Deadline <= 0 {
		c.Deadline = defaultDeadline
	}
	c.MaxWindow = max(c.MaxWindow, c.Window)
	return c
}
