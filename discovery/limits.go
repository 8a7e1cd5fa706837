package discovery

import "time"

const (
	// MaxTicket is the longest text that is looked at as a ticket, in bytes. No ticket that Shoal makes is longer.
	MaxTicket = 4 << 10

	// MaxAddrs is how many addresses of one peer are kept, the best first. More cost dials, and seldom help.
	MaxAddrs = 16

	// maxRelayed is how many of them may lead through relays. They are twice as long as others, and each relay has a few.
	maxRelayed = 4

	// maxPeerID is the longest peer ID, in bytes.
	maxPeerID = 64

	// maxFields is how many fields a ticket may have, known ones or not.
	maxFields = 256

	// maxRead is how many addresses are looked at to find the best MaxAddrs.
	maxRead = 1024
)

// What a neighbour may say of itself. Its answer is read into memory as a whole before a byte of it is looked at.
const (
	// MaxNodeName is the longest name of a node, in bytes: as long as one label of a host name.
	MaxNodeName = 63

	// MaxListed is how many shares one answer names.
	MaxListed = 256

	// MaxAbout is the longest answer, in bytes, without its length.
	MaxAbout = 96 << 10

	maxListedName = 255     // bytes: no file system has longer ones
	maxRoot       = 64      // bytes of a content ID
	maxClock      = 1 << 40 // seconds since 1970
)

// What mDNS may cost. Names, addresses, peer IDs and times to live are all chosen by whoever sends the packets.
const (
	perFinding     = 100 * time.Millisecond // between two findings: each may become a dial
	maxPending     = 64                     // findings that wait for the reader; beyond that, some are forgotten
	maxSeen        = 4096                   // peers remembered so that they are not reported twice
	seenFor        = time.Minute            // before a peer that is still there at the same addresses is reported again
	maxServed      = 256                    // addresses for which is remembered how many findings they have had
	maxPackets     = 2000                   // a second that are taken apart, on one socket
	maxPacketsFrom = 200                    // of them from one address
	maxQuestions   = 16                     // of one packet that are looked at
	maxRecords     = 512                    // of one packet that are looked at
	maxTexts       = 64                     // strings of one announcement that are looked at
	maxAnnounce    = 8                      // addresses that this node announces: the packet should fit into one frame of the network

	refresh   = 2 * time.Minute        // before everybody is asked anew, also those who have been heard already
	lookAgain = 3 * time.Second        // before the interfaces of this machine are looked at again
	pauseMin  = 250 * time.Millisecond // before what could not start is started again; doubles
	pauseMax  = 15 * time.Second       // and never grows longer
)
