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
	maxPending     = 64                     // findings that wait for the reader, of mDNS; beyond that, some are forgotten
	maxSeen        = 4096                   // peers remembered so that they are not reported twice
	seenFor        = time.Minute            // before a peer that is still there at the same addresses is reported again
	maxServed      = 256                    // addresses for which is remembered how many findings they have had
	maxPackets     = 2000                   // a second that are taken apart, on one socket
	maxPacketsFrom = 200                    // of them from one address
	maxQuestions   = 16                     // of one packet that are looked at
	maxRecords     = 512                    // of one packet that are looked at
	maxTexts       = 64                     // strings of one announcement that are looked at
	maxAnnounce    = 8                      // addresses that this node announces: the packet should fit into one frame of the network

	refresh   = 4 * time.Minute        // before everybody is asked anew, also those who have been heard already
	lookAgain = 3 * time.Second        // before the interfaces of this machine are looked at again
	pauseMin  = 250 * time.Millisecond // before what could not start is started again; doubles
	pauseMax  = 15 * time.Second       // and never grows longer
)

// What addresses may cost that rest on somebody's word alone.
const (
	// MaxHeardDials is how often a minute one IP address is dialled on such a word: whoever it belongs to has not asked for it.
	MaxHeardDials = 3

	// HearsayFresh is how long such an address is remembered if the peer is not found there.
	HearsayFresh = 10 * time.Minute

	maxHeard = 16384 // such addresses, 4 for each of the providers of two look-ups; and IP addresses whose dials are counted
)

// What a search may cost. How many providers a DHT names, and where, is up to whoever writes into it.
const (
	maxNeighbours = 4096             // peers that any search can ask
	forgetAfter   = 15 * time.Minute // a neighbour that was not heard of for this long
	keepEvery     = 10 * time.Second // peers that the user named are dialled again when they are lost

	maxOpen       = 128                   // guesses of one search that are being tried at a time
	maxTried      = 4096                  // guesses that one search remembers to have tried
	perGuess      = 20 * time.Millisecond // between two guesses: each may become a dial
	perHost       = 3                     // addresses of a ticket at one IP address: TCP, QUIC and one more
	enoughSources = 8                     // from which on a DHT is left alone: peers of a root name each other
	askTime       = 30 * time.Second      // for one look-up
	askSoon       = 50 * time.Millisecond // before it is looked again whether a source can be asked
	askPause      = 5 * time.Second       // between two look-ups for the same root; doubles
	askPauseMost  = time.Minute           // and never grows longer
)

// What is remembered of peers that delivered.
const (
	maxRemembered    = 256                 // peers; those that delivered least go first
	maxGivenRoots    = 16                  // roots that each of them is remembered for
	maxKnownAddrs    = 4                   // addresses of each
	maxGuessed       = 16                  // of them that a search tries although they gave another root only
	rememberFor      = 30 * 24 * time.Hour // since they last delivered
	maxMemoryRow     = 8 << 10             // bytes
	maxDelivered     = 1 << 50             // bytes; a larger sum makes no better peer
	maxMemorySeconds = 1 << 40             // since 1970
)

// What a DHT may cost. Anybody can be part of it, and write into it what they like.
const (
	// MaxProviders is how many providers one look-up yields, and how many a search lets wait, giving each address its turn: were it fewer,
	// a thousand made-up ones would hide the real one.
	MaxProviders = 2048

	lookups            = 3                // nodes that one look-up asks at a time
	nearest            = 6                // nodes, the closest known, that must have answered before all of the twenty closest are asked at once
	enoughAnswers      = 4                // since somebody new was named, with which a look-up that found providers ends
	enoughKnown        = 20               // nodes of a DHT from which on neighbours are not dialled for its sake
	announceAgain      = 30 * time.Minute // between two times that all roots are announced because this node has a new address
	settleTime         = 2 * time.Second  // for several new ones to come together
	announceAtOnce     = 4096             // roots that are written down in one go
	refreshLAN         = time.Hour        // before the table of the local network is looked over: who comes makes itself known, and who does not answer is forgotten
	maxPerSubnetBucket = 2                // nodes of one group of IP addresses in one bucket of the table, as in IPFS
	maxPerSubnet       = 3                // and in all

	maxKnown       = 64               // nodes that are remembered for the next start
	maxKnownRow    = 32 << 10         // bytes of them
	joinAtOnce     = 16               // of them that are dialled at a time
	answeredLately = time.Hour        // for longer than that, who has been known for longer goes first
	rememberEvery  = 10 * time.Minute // what is known is written down
	clockSlack     = time.Hour        // how far ahead of our clock a time may be that is believed
	closeTime      = 5 * time.Second  // for the disk, at the end

	meetTime      = 5 * time.Second // for a dial to a neighbour
	fewKnown      = 8               // below that, nodes are asked for others again and again, at ever greater intervals
	joinPause     = time.Second     // before the bootstrap peers are tried, and tried again; doubles
	joinPauseMost = 2 * time.Minute // and never grows longer
)
