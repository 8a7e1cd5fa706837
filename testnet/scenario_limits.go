package testnet

import "time"

// The limits of a scenario file. A line beyond one of them is refused with its place.
const (
	maxText      = 64 << 10 // bytes of the file: the YAML parser's work grows with the square of some of them
	maxBrackets  = 8        // brackets in brackets
	maxIndent    = 80       // columns to the left of what is nested by indentation
	maxFaults    = 10       // mistakes that are listed
	maxSimulated = 10_000   // in all: what the engine simulator holds in memory
	maxGroups    = 1_000
	maxContents  = 1_000
	maxContent   = 1 << 40 // bytes of one
	maxFiles     = 100_000 // of one content
	maxSteps     = 1_000
	maxMoments   = 200_000 // steps, counted once for each node and time
	maxExpect    = 100
	maxName      = 24  // bytes, so that a node may be called as its group with a number behind it
	maxAbout     = 200 // bytes
	maxNetworks  = 8   // of one group
	maxFlags     = 32
	maxFlag      = 1 << 10 // bytes
	maxLimit     = 24 * time.Hour
	defaultLimit = 5 * time.Minute
	maxDelay     = time.Minute
	leastRate    = 1 << 10               // bytes a second: below, nothing that is said of time means anything
	maxRate      = 125e9                 // bytes a second: 1 Tbit/s
	leastMTU     = 576                   // of IPv4; RFC 791
	leastChurn   = 10 * time.Millisecond // between two nodes that churn takes down
	maxTimes     = 1e6                   // of a bound
)
