package transfer

import (
	"runtime"
	"time"

	"github.com/shoal-p2p/shoal/transfer/wire"
)

// Every wait on another peer ends, and every queue it can fill is short. The numbers follow what libtorrent and rain use for
// the same waits.
const (
	helloTimeout = 10 * time.Second // a stream that opens must say what it is about: half-open streams cost memory
	dialTimeout  = 15 * time.Second // TCP and QUIC tried in turn, on every address of one peer
	idleTimeout  = 60 * time.Second // a stream on which neither side says anything; it is opened again when needed
	gotWithin    = 20 * time.Second // when a limit makes reading slow: the peer hears of it long before idleTimeout
	askAhead     = 10 * time.Second // of the limit on what comes in: what may be asked for and not stored
	bodyTimeout  = 30 * time.Second // for the rest of a frame that has begun: a trickle must not hold a chunk's buffer
	writeTimeout = 30 * time.Second // a peer that does not read leastWrite: its window stays shut
	stallTime    = 8 * time.Second  // the same while others wait for a chunk's buffer: it is cut short at 32 KiB a second
	stallBar     = time.Minute      // in which who was cut short so gets no such buffer
	byeTimeout   = 3 * time.Second  // for what is still to be written to a peer that is being left
	resetGrace   = time.Second / 4  // between the goodbye and the reset, which takes with it what was not read
	treeTimeout  = 10 * time.Second // without a single inner node while the tree is being fetched: ask another peer
	treeHedge    = 1 * time.Second  // the same while there is another to ask: a tree is needed before all else, and nobody can be told to stop sending it
	serveIdle    = 15 * time.Second // how long a session that only serves outlives its last stream, so that the tree stays warm

	retryFirst  = time.Second      // before a peer that could not be reached is dialled again; doubles
	retryMost   = 30 * time.Second // and never waits longer than this: people wait in front of it
	askAgain    = 5 * time.Second  // before a peer that answered "not here" is asked again: it may be sharing the file just now
	maxContacts = 384              // peers remembered for one root; discovery is hostile ground
	maxDialing  = 32               // dials under way at once for one root, without those on somebody's word

	enoughPeers      = 32                      // links from which on no peers are dialled that other peers named
	maxLessons       = 64                      // peers that one teller can make known to a session: it may have made them up
	maxLearnt        = maxContacts / 2         // contacts from all tellers that have not joined: the rest is for better sources
	maxFormer        = 64                      // peers that left, of whom others are told as long as they are connected
	maxDialingLearnt = 16                      // dials to them under way at once
	hasteLearnt      = 4                       // how many more each one that was in vain allows, as long as nobody has the root
	mostDialLearnt   = 96                      // and never more
	dialLearnt       = 2500 * time.Millisecond // after which the first dial to one of them gives way to whoever waits for it
	maxLearntTries   = 4                       // before one of them is forgotten
	retryLearnt      = 10 * time.Second        // before it is dialled again; its tries reach beyond the minute of a node's dial budget
	letOtherDial     = time.Second             // that the one with the larger ID leaves the other to dial first
	tellPause        = 20 * time.Millisecond   // after somebody joined, so that several are told of at once
	tellEvery        = 2 * time.Second         // between two frames with peers to one peer, after a burst
	tellBurst        = 8                       // frames
	tellAgain        = time.Second             // before it is looked again how a peer is reached: identify takes a moment
	tellTries        = 10 * time.Second        // for which that is done

	// Proofs that are of no use: so many at once, and so many a second. Who looks for a private root asks each peer twelve times a
	// minute; 128 bits are not guessed at any rate, but looking costs time.
	guessBurst, peerGuesses     = 60, 1.0
	addrGuessBurst, addrGuesses = 300, 5.0
	maxGuessers                 = 4096 // peers, and as many addresses, that are remembered for it

	leastWrite  = 32 << 10        // bytes that a peer must take in writeTimeout
	maxQueued   = 1 << 20         // bytes of control frames that wait for one peer; more means that it does not read
	maxEarly    = 16384           // messages, and ranges in them, that are kept of a peer until the tree is known
	maxTreeAsks = 4               // times that one stream may ask for the whole tree: each costs a walk
	maxUnasked  = 4               // frames of a tree that nobody asked for, before the stream is ended: one may have 2 MiB
	stallCrowd  = 8               // uploads that are stuck at once, before they are taken to be in the way of others
	maxBarred   = 4096            // peers that are remembered for not reading
	maxVolumes  = 4096            // peers whose byte counts are kept
	pieceSize   = 256 << 10       // bytes of chunk data in one frame, so that a small message never waits behind a whole chunk
	headRoom    = wire.MaxControl // bytes before the payload in an upload's buffer, for the longest header
	smallChunk  = 64 << 10        // bytes; chunks up to this size share frames
	gotEvery    = wire.MaxPayload // bytes read before the peer hears of it
	gotMost     = 1 << 20         // the same, when it heard within gotPause
	gotPause    = 2 * time.Millisecond
	nodesFrame  = 256 << 10 // bytes of inner nodes that are collected before a frame is sent

	maxInFlight   = 32 << 20  // bytes asked for and not stored yet, per session: what waits in memory to be verified
	maxUnverified = 256 << 20 // the same of all downloads; beyond it, each one more costs leastAsked
	maxRecent     = 16 << 20  // bytes of verified chunks that a session keeps at hand for those who lack them
	maxRecents    = 64 << 20  // the same of all sessions
	uploadSlots   = 48        // chunk buffers that all uploads of the node share: 1 MiB each
	peerSlots     = 4         // of them for one peer: those who do not read hold theirs until writeTimeout
)

func defaultWorkers() int { return max(2, runtime.GOMAXPROCS(0)) }
