package wire

// Every limit of the protocol, with what it stops. A test crosses each by one.
const (
	// MaxControl is the largest body of any frame but Nodes and Data, in bytes, and the largest header of a Data frame. A
	// message of MaxRanges ranges fits however long its numbers are. It is also how much a Reader buffers, so a control frame
	// costs no memory of its own.
	MaxControl = 64 << 10

	// MaxHello is the largest body of a Hello, in bytes: it is read before anything is known about the peer.
	MaxHello = 4 << 10

	// MaxName is the length of the longest name that a Hello may suggest, in bytes: what one path component can be.
	MaxName = 255

	// MaxFields is how many fields a Hello may have, known ones or not.
	MaxFields = 32

	// MaxBlock is the largest inner node, in bytes: the block limit of the IPFS world. A frame has room for one of them.
	MaxBlock = 2 << 20

	// MaxNodes is the largest body of a Nodes frame, in bytes: one node of the largest size, and the counts around it.
	MaxNodes = MaxBlock + 1<<10

	// MaxBlocks is how many inner nodes one Nodes frame may hold. The smallest real node has over 32 bytes; without a limit
	// a frame of empty ones would cost a slice header for every byte.
	MaxBlocks = 8192

	// MaxPayload is how many bytes of chunks one Data frame may carry: a Want that is sent behind it waits no longer than
	// these take, which is 21 ms at 100 Mbit/s.
	MaxPayload = 256 << 10

	// MaxPieces is how many chunks, or parts of chunks, share a Data frame. Ten thousand tiny files still need few frames,
	// and the header stays below MaxControl.
	MaxPieces = 4096

	// MaxChunkSize is the largest chunk, in bytes. No piece reaches beyond it.
	MaxChunkSize = 2 << 20

	// MaxRanges is how many ranges one frame may hold. Each costs the receiver a lookup and eight bytes.
	MaxRanges = 4096

	// MaxChunks is how many chunks a root may have: numbers stay below it. It bounds what two bytes of a range can make a
	// receiver loop over. Whether a number exists in the tree at hand only the session can tell.
	MaxChunks = 1 << 22

	// MaxGot is the largest number of bytes in a Got: more than any peer has under way to another.
	MaxGot = 128 << 20

	// MaxPeers is how many peers one Peers frame may name, and MaxPeerAddrs how many addresses each of them may have: the one
	// that is known to work and its other transports. All of them at their largest fit into MaxControl.
	MaxPeers     = 32
	MaxPeerAddrs = 4

	// MaxPeerID and MaxAddr are the lengths, in bytes, of the longest peer ID and the longest multiaddr. IDs in use have 34
	// to 39 bytes, and an IPv6 address with a port and a transport has 24.
	MaxPeerID = 64
	MaxAddr   = 256

	// MaxIntroduced is how many peers, over the life of a stream, its one end may name to the other: each can cost the other
	// end a dial. It is four times what a peer can make use of, so that those who left can be made up for.
	MaxIntroduced = 128

	// MaxEmpty is how many frames in a row may say nothing: a stream of them costs its sender almost nothing.
	MaxEmpty = 16

	// maxLengthBytes is how long the length before a frame may be, in bytes: enough for the largest frame.
	maxLengthBytes = 4

	// maxData and maxFrame are the largest bodies of a Data frame, payload included, and of any frame.
	maxData  = 1 + maxLengthBytes + MaxControl + MaxPayload
	maxFrame = max(MaxNodes, maxData)

	// maxTag is the largest tag of a hello's field: there will never be that many.
	maxTag = 1 << 16

	// firstRead is how many bytes of a large frame are made room for before any of them has come; the room doubles as they
	// do. Otherwise a frame's length alone would cost MaxNodes, on every stream.
	firstRead = 64 << 10

	// headRead is how much a Reader takes from the stream when it looks for the head of a frame. What it takes beyond the
	// head must be copied once more to get into the caller's buffer.
	headRead = 4 << 10

	// directRead is the size, in bytes, from which a payload is read past the Reader's buffer.
	directRead = 16 << 10
)
