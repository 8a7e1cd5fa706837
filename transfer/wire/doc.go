// Package wire turns the messages of the transfer protocol into bytes and back, within limits. It does no input or output
// of its own but for reading from an io.Reader, and it keeps no time.
//
// A caller writes what [Append] gives it, in order, to the stream; a [Reader] yields what the other side wrote. Both hold
// the rules below as far as bytes decide them. What depends on the tree at hand is the caller's to check: that chunk
// numbers exist, that data was asked for, that pieces fit together, that bytes hash to what they should.
//
// # The protocol /shoal/transfer/1
//
// Two peers move the chunks of one root between them. The root is a UnixFS directory, file or symlink, named by its CID.
//
// Participants. Either peer may open the stream; from the hello on both have the same rights. Each may have, want and give
// chunks at the same time, so one stream serves a download and an upload, and a peer gives what it has got so far. One
// stream is about one root; another root is another stream, on the same connection.
//
// Goals. Ten thousand small files cost no ten thousand round trips. A message that matters now never waits behind a whole
// chunk. A peer without any state but a tree and a set of numbers can take part. What a peer can make another do
// before it has been useful is small, and bounded by the constants of this package.
//
// Not goals. The protocol does not find peers, does not encrypt or authenticate (the connection does), does not compress
// (so nothing can unfold into more than was sent), does not carry paths or names of files to be read (names are in the
// tree, requests are numbers), and proves nothing: whoever receives a chunk or a node hashes it before anything else.
//
// # Numbers
//
// The inner nodes of the root are walked depth first, links in the order in which they stand in a block, the same node
// each time it is met. This is the walk order. A root that is a raw leaf counts as its own inner node.
//
// A chunk is a leaf. Chunks are numbered from 0 in the order in which they are first met on that walk; a chunk that is
// met again keeps its number. Both peers get the same numbers from the same tree, whatever their systems can do with the
// names in it. Peers speak of chunks by number only.
//
// # The course of a stream
//
// Both peers send a Hello first, without waiting for the other's. Whoever does not serve the root sends a Bye in place of
// its hello, and gives the same answer, ByeNotHere, to those who may not have the root as to those who ask for one that is
// not there.
//
//	opener                                  other
//	Hello root      ──────────────────────►
//	TreeAsk skip=0  ──────────────────────►
//	                ◄────────────────────── Hello root
//	                ◄────────────────────── Nodes, Nodes, …, NodesEnd
//	                ◄────────────────────── Have 0+2048
//	Want 0+64       ──────────────────────►
//	                ◄────────────────────── Data chunk 0 at 0, at 256 KiB, …
//	Have 0+1        ──────────────────────►
//	                ◄────────────────────── Data chunk 1 …
//	Bye             ──────────────────────►
//	                ◄────────────────────── Bye
//
// A peer that lacks the tree asks for it with TreeAsk, which may go out right behind the hello. Skip says how many inner
// nodes in walk order it has already, so that another peer can go on where one has stopped. The answer is Nodes as often
// as needed and one NodesEnd. The receiver checks each node against the CID that the walk expects there.
//
// Have names chunks that the sender holds and will give. It may be sent before the receiver knows the tree, and again
// whenever there is more. Nothing but Cannot takes it back.
//
// Want asks for chunks. What is asked for is owed: it is answered by Data or by Cannot, in any order. Data
// that was not asked for is a breach and ends the stream. Cancel takes a want back. As it may cross with data on the
// way, the data of a cancelled chunk is swallowed without blame, up to the chunk's size. A chunk can be
// asked for again after its Cancel; there are no request numbers.
//
// Data carries pieces. A piece is at most MaxPayload bytes of one chunk; the pieces of a chunk come in order, from offset 0
// to its end, and other frames may stand between them. Pieces of different chunks can share a frame. A chunk of no bytes is
// sent as one piece of no bytes.
//
// Cannot answers a want that will not be fulfilled, and also takes back a have.
//
// Bye is the last message of its sender, which then closes its direction of the stream. The other side sends what it must
// and does the same. A stream that ends without a Bye was cut: what was owed is lost, and can be asked for elsewhere.
//
// # Frames
//
// Every frame is a length and that many bytes of body. The body starts with one byte that says its type. Numbers are
// unsigned varints in their shortest form of at most four bytes. A list of ranges is their number and then for each range
// two numbers: how far it begins behind the end of the one before it (behind 0 for the first), and how many chunks it has,
// at least one. So ranges are sorted and never overlap.
//
//	type  name      body behind the type
//	0x01  Hello     fields, each: tag, length, bytes
//	0x02  TreeAsk   skip
//	0x03  Nodes     number of blocks, then for each: length, bytes
//	0x04  NodesEnd  nothing
//	0x05  Have      ranges
//	0x06  Want      ranges
//	0x07  Cancel    ranges
//	0x08  Data      length of the header in bytes; the header, for each piece: chunk, offset, length; the bytes of the pieces
//	0x09  Cannot    code (one byte), ranges
//	0x0a  Bye       code (one byte)
//
// A body of no bytes is allowed and means nothing. It and lists of nothing may come MaxEmpty times in a row.
//
// # Hello and later versions
//
// Fields stand in ascending order of their tags. Field 0 is the root, a binary CID, and must be there. Field 1 is a name for
// the root in UTF-8, of at most MaxName bytes. Of fields that it does not know, a receiver skips those with an odd tag and
// refuses the hello if one has an even tag.
//
// A new type of frame, or a new code, may be sent only to a peer whose hello has shown, by an odd field, that it knows it.
// What cannot be done that way is a new protocol name. A frame, field or code that is not known ends the stream.
//
// # Limits
//
// They are the constants of this package, and each says what it stops. A receiver checks a length or a count before it
// makes room for what it announces, and makes room for a large frame only as its bytes come in.
//
// # Errors
//
// A peer that breaks the protocol loses the stream: its counterpart sends Bye with ByeProtocol, if it can, and resets.
// There is no way to go on behind a broken frame. Wrong bytes in a chunk or a node do not break the protocol; they are
// dropped, counted, and too many of them get their sender banned.
package wire
