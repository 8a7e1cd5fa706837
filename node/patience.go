package node

import "time"

const (
	// DefaultPatience is how long a request waits, without a single holder or without a byte, before it gives up.
	DefaultPatience = 30 * time.Second

	banTime     = time.Hour        // for peers that sent bad chunks or nodes
	rescanEvery = 10 * time.Minute // a stat of every shared file: cheap, and what it misses is noticed when the file is read
	watchEvery  = 250 * time.Millisecond
	remindEvery = 2 * time.Second // a request that waits says so at least this often
	warnAfter   = 2 * time.Second // for other routes to find somebody too, before the user hears that only a DHT did
	maxFates    = 1024            // peers of which a request remembers what became of them
	letGo       = 5 * time.Second // that a request for a destination waits for the one that has it
	readAhead   = 16 << 20        // bytes that cat asks for beyond the reader's place
)
