package wire

import (
	"github.com/ipfs/go-cid"

	"github.com/shoal-p2p/shoal/content"
)

// Message is one frame. The set is closed: Hello, TreeAsk, Nodes, NodesEnd, Have, Want, Cancel, Data, Cannot, Bye, Seek,
// Coming, Got, Offer and Peers.
type Message interface{ frame() frame }

// Hello opens a stream in each direction and names the root that all of it is about.
type Hello struct {
	Root cid.Cid // of a private root the alias
	Name string  // what the sender calls the root, UTF-8, at most MaxName bytes; a hint, not checked to be safe, often empty

	// Session is the same number, chosen at random, on all streams that the sender opens or answers for one purpose, so that
	// two peers that call each other at the same moment notice. Zero: it answers nobody about this root.
	Session  uint64
	Unlisted bool // the sender does not want other peers to be told of it

	// Proof shows that the sender holds the secret of a private root. It is all zero otherwise.
	Proof Proof
}

// Proof is what content.Secret.Proof makes.
type Proof [content.ProofSize]byte

// TreeAsk asks for the inner nodes of the root, in walk order, but for the first Skip of them.
type TreeAsk struct{ Skip uint32 }

// Nodes carries inner nodes in walk order.
type Nodes struct{ Blocks [][]byte }

// NodesEnd says that the last node asked for has been sent.
type NodesEnd struct{}

// Have says that the sender holds these chunks and will give them. It adds to what was said before.
type Have struct{ Ranges []content.Range }

// Want asks for these chunks, the first ones first.
type Want struct{ Ranges []content.Range }

// Cancel takes back what was asked for. Data that was on its way may come all the same.
type Cancel struct{ Ranges []content.Range }

// Data carries parts of chunks. The bytes themselves follow the message, those of all pieces one after another; their
// Length fields add up to at most MaxPayload.
type Data struct{ Pieces []Piece }

// Piece is Length bytes of a chunk, from Offset on. A chunk's pieces come in order; an empty chunk is one empty piece.
type Piece struct{ Chunk, Offset, Length uint32 }

// Cannot says that the sender will not give these chunks, whatever it said before.
type Cannot struct {
	Code   Code // one of the Cannot codes
	Ranges []content.Range
}

// Bye is the last message that its sender writes.
type Bye struct{ Code Code } // one of the Bye codes

// Seek says that the sender lacks these chunks, that nobody is bringing them, and that it would like to be offered them.
type Seek struct{ Ranges []content.Range }

// Coming says that these chunks are on their way to the sender: they are sought no longer.
type Coming struct{ Ranges []content.Range }

// Got says how many bytes of chunks the sender has read from this stream since its last Got, at most MaxGot.
type Got struct{ Bytes uint32 }

// Offer says which chunks the sender would give next if they were wanted now. It takes the place of the offer before it; one
// of no chunks takes that back.
type Offer struct{ Ranges []content.Range }

// Peers names others that take part in the root, at most MaxPeers of them.
type Peers struct{ Peers []Peer }

// Peer is one of them, and how it is reached.
type Peer struct {
	ID    []byte   // a peer ID of 1 to MaxPeerID bytes
	Addrs [][]byte // binary multiaddrs without /p2p, 1 to MaxPeerAddrs of them, each of 1 to MaxAddr bytes; not checked further
}

// Code is a reason that one peer gives to another. The set is closed.
type Code uint8

// Why a peer leaves.
const (
	ByeOK       Code = iota // nothing more to say
	ByeNotHere              // this node does not serve the root; also what those hear who may not have it
	ByeBusy                 // too many others are being served: come back later
	ByeProtocol             // you broke the protocol
	ByeStopping             // this node is shutting down
	ByeBanned               // you sent too much that was wrong: do not come back for an hour
	ByeIdle                 // nothing was said for long
	byeEnd
)

// Why a peer does not give chunks that were asked of it.
const (
	CannotNotHere Code = iota + 32 // it does not have them
	CannotRead                     // it had them, but the file changed or the disk failed
	CannotBusy                     // too much of yours is waiting already
	cannotEnd
)

func (c Code) bye() bool    { return c < byeEnd }
func (c Code) cannot() bool { return c >= CannotNotHere && c < cannotEnd }

// String says what the code means, for people.
func (c Code) String() string {
	switch c {
	case ByeOK:
		return "done"
	case ByeNotHere, CannotNotHere:
		return "not here"
	case ByeBusy, CannotBusy:
		return "busy"
	case ByeProtocol:
		return "protocol broken"
	case ByeStopping:
		return "shutting down"
	case ByeBanned:
		return "banned"
	case ByeIdle:
		return "idle"
	case CannotRead:
		return "cannot be read"
	}
	return "unknown code"
}

// frame is the first byte of a frame's body.
type frame uint8

const (
	frameHello    frame = 0x01
	frameTreeAsk  frame = 0x02
	frameNodes    frame = 0x03
	frameNodesEnd frame = 0x04
	frameHave     frame = 0x05
	frameWant     frame = 0x06
	frameCancel   frame = 0x07
	frameData     frame = 0x08
	frameCannot   frame = 0x09
	frameBye      frame = 0x0a
	frameSeek     frame = 0x0b
	frameComing   frame = 0x0c
	frameGot      frame = 0x0d
	frameOffer    frame = 0x0f
	framePeers    frame = 0x0e
)

func (Hello) frame() frame    { return frameHello }
func (TreeAsk) frame() frame  { return frameTreeAsk }
func (Nodes) frame() frame    { return frameNodes }
func (NodesEnd) frame() frame { return frameNodesEnd }
func (Have) frame() frame     { return frameHave }
func (Want) frame() frame     { return frameWant }
func (Cancel) frame() frame   { return frameCancel }
func (Data) frame() frame     { return frameData }
func (Cannot) frame() frame   { return frameCannot }
func (Bye) frame() frame      { return frameBye }
func (Seek) frame() frame     { return frameSeek }
func (Coming) frame() frame   { return frameComing }
func (Got) frame() frame      { return frameGot }
func (Offer) frame() frame    { return frameOffer }
func (Peers) frame() frame    { return framePeers }

var frameNames = [...]string{
	frameHello: "hello", frameTreeAsk: "tree ask", frameNodes: "nodes", frameNodesEnd: "nodes end", frameHave: "have",
	frameWant: "want", frameCancel: "cancel", frameData: "data", frameCannot: "cannot", frameBye: "bye",
	frameSeek: "seek", frameComing: "coming", frameGot: "got", frameOffer: "offer",
	framePeers: "peers",
}

func (f frame) known() bool { return int(f) < len(frameNames) && frameNames[f] != "" }

func (f frame) String() string {
	if f.known() {
		return frameNames[f]
	}
	return "frame"
}

// most is the largest body of this kind of frame, in bytes.
func (f frame) most() int {
	switch f {
	case frameHello:
		return MaxHello
	case frameNodes:
		return MaxNodes
	case frameData:
		return maxData
	}
	return MaxControl
}
