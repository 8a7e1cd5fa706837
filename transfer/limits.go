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
	bodyTimeout  = 30 * time.Second // for the rest of a frame that has begun: a trickle must not hold a chunk's buffer
	writeTimeout = 30 * time.Second // a peer that does not read: its window stays shut
	treeTimeout  = 10 * time.Second // without a single inner node while the tree is being fetched: ask another peer
	serveIdle    = 15 * time.Second // how long a session that only serves outlives its last stream, so that the tree stays warm

	retryFirst  = time.Second      // before a peer that could not be reached is dialled again; doubles
	retryMost   = 30 * time.Second // and never waits longer than this: people wait in front of it
	askAgain    = 5 * time.Second  // before a peer that answered "not here" is asked again: it may be sharing the file just now
	maxContacts = 256              // peers remembered for one root; discovery is hostile ground
	maxDialing  = 16               // dials under way at once for one root

	maxQueued   = 1 << 20         // bytes of control frames that wait for one peer; more means that it does not read
	maxTreeAsks = 4               // times that one stream may ask for the whole tree: each costs a walk
	maxVolumes  = 4096            // peers whose byte counts are kept
	pieceSize   = 256 << 10       // bytes of chunk data in one frame, so that a small message never waits behind a whole chunk
	headRoom    = wire.MaxControl // bytes before the payload in an upload's buffer, for the longest header
	smallChunk  = 64 << 10        // bytes; chunks up to this size share frames
	nodesFrame  = 256 << 10       // bytes of inner nodes that are collected before a frame is sent

	maxInFlight = 32 << 20 // bytes asked for and not stored yet, per session: what waits in memory to be verified
	uploadSlots = 48       // chunk buffers that all uploads of the node share: 1 MiB each
)

func defaultWorkers() int { return max(2, runtime.GOMAXPROCS(0)) }
