package discovery

import "time"

const (
	// MaxTicket is the longest text that is looked at as a ticket, in bytes. No ticket that Shoal makes is longer.
	MaxTicket = 4 << 10

	// MaxAddrs is how many addresses of one peer are kept, the best first. More cost dials, and seldom help.
	MaxAddrs = 16

	// maxPeerID is the longest peer ID, in bytes.
	maxPeerID = 64

	// maxFields is how many fields a ticket may have, known ones or not.
	maxFields = 256

	// maxRead is how many addresses are looked at to find the best MaxAddrs.
	maxRead = 1024
)

// What mDNS may cost. Names, addresses, peer IDs and times to live are all chosen by whoever sends the packets.
const (
	perFinding  = 100 * time.Millisecond // between two findings: each may become a dial
	maxPending  = 64                     // findings that wait for the reader; beyond that, some are forgotten
	maxSeen     = 4096                   // peers remembered so that they are not reported twice
	seenFor     = time.Minute            // before a peer that is still there at the same addresses is reported again
	maxServed   = 256                    // addresses for which is remembered how many findings they have had
	maxNames    = 4096                   // names that zeroconf may have in one of its caches, before it is stopped and started anew
	maxTexts    = 64                     // strings of one announcement that are looked at
	maxAnnounce = 8                      // addresses that this node announces: the packet should fit into one frame of the network

	refresh   = 2 * time.Minute        // before everybody is asked anew, also those who have been heard already
	lookAgain = 3 * time.Second        // before the interfaces of this machine are looked at again
	pauseMin  = 250 * time.Millisecond // before zeroconf is started again after it was flooded or could not start; doubles
	pauseMax  = 15 * time.Second       // and never grows longer
)

// What a DHT may cost. Anybody can be part of it, and write into it what they like.
const (
	// MaxProviders is how many providers one look-up yields: whoever announces ten thousand gets no more dials.
	MaxProviders = 64

	lookups            = 3    // nodes that one look-up asks at a time
	enoughKnown        = 20   // nodes of a DHT from which on neighbours are not dialled for its sake
	announceAtOnce     = 4096 // roots that are written down in one go
	maxPerSubnetBucket = 2    // nodes of one group of IP addresses in one bucket of the table, as in IPFS
	maxPerSubnet       = 3    // and in all

	meetTime      = 10 * time.Second // for a dial to a neighbour
	joinPause     = time.Second      // before the bootstrap peers are tried again; doubles
	joinPauseMost = 2 * time.Minute  // and never grows longer
)
