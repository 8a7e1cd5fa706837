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
// Seek, Coming and Offer let the giver choose. If receivers pick, they pick the same, and what they have in common they cannot
// give each other. So who downloads says to every peer what it lacks (Seek), what is on its way to it (Coming) and what it has
// (Have); and who has something offers it, when its uplink is free, to the peer that needs it most (Offer). The receiver takes
// the best offer when its downlink is free, with a Want. An offer is no promise, a Want need not stick to offers (a reader
// waits for certain chunks, and the last ones are wanted from several peers), and a peer that says none of this gets what it
// wants in turn with the others. An offer of all chunks means that nobody else waits: take what you like. A receiver that
// wanted what it was offered, and then gets an Offer of nothing, was too late; it may cancel and look elsewhere.
//
// Got tells a giver how fast its data is read, and so when its uplink is free. It comes at the latest when 1 MiB of chunks
// was read since the last one, or MaxPayload on a slow path, and when nothing more is under way. Who never sends it gets its data none the less.
//
// Data carries pieces. A piece is at most MaxPayload bytes of one chunk; the pieces of a chunk come in order, from offset 0
// to its end, and other frames may stand between them. Pieces of different chunks can share a frame. A chunk of no bytes is
// sent as one piece of no bytes.
//
// Peers names others that take part in the same root, with the addresses by which the sender knows them to be reached; see
// below.
//
// Cannot answers a want that will not be fulfilled, and also takes back a have.
//
// Bye is the last message of its sender, which then closes its direction of the stream. The other side sends what it must
// and does the same. A stream that ends without a Bye was cut: what was owed is lost, and can be asked for elsewhere.
//
// # Who tells of whom
//
// Peers of one root learn of each other from whoever they exchange it with, mostly from the seeder. It takes three: the
// teller, the one who is told, and the one who is told of. All of them have said hello about the same root, the last two to
// the teller.
//
// The teller names only peers that have a stream with it, or had one and are connected still, that have given a session
// number on it and are not unlisted; each at most once on a stream. It names them at addresses where it reached them itself,
// or that share the IP address which they come from: nobody can make others dial a third party. It gives an address only to
// a peer that could use it: one of this machine to a peer on this machine, one of a private network to a peer that comes
// from a private network. It does not tell a peer that has every chunk, for it needs nobody. It sends at most eight frames
// at first and one every two seconds later, and names at most MaxIntroduced peers on a stream.
//
// The one who is told checks all of that again as far as it can. It may dial whom it likes, or nobody. More than
// MaxIntroduced peers are a breach. A peer ID or an address that it does not understand is passed over.
//
// A peer that wants no part in this sends no Peers, ignores those that come, and says hello with field 5.
//
// # Private roots
//
// The holders of a secret, 16 bytes that came to them with a ticket, can exchange a root that nobody else learns of. Neither
// the secret nor the root's CID is ever sent. In place of the CID field 0 carries an alias, and field 7 proves that the sender
// knows the secret:
//
//	alias = the CIDv1, raw, whose sha2-256 digest is MAC("shoal private root", root)
//	proof = MAC("shoal private proof", root, the sender's peer ID, the receiver's peer ID)
//
// MAC is HMAC-SHA256 with the secret as its key over its arguments, each behind its length in four bytes, big end first; the
// root is a binary CID, and peer IDs are bytes. Both hellos carry the same alias and a proof of their own.
//
// The alias is the same for all holders, so that a root is found among many with one look-up, and a peer can be asked without
// being told what for. What it then knows, the alias, brings it nothing without a proof. The proof is bound to both identities,
// which the connection has made certain: who receives one can neither use it elsewhere nor send it back. It needs no fresh
// number, for only its sender could send it to the same receiver again, and that one could always make it anew. It ends with
// the secret: who withdraws a ticket changes the secret.
//
// A peer does not act on a stream about a private root before it has seen a proof on it, whoever opened the stream: then it is a
// member like any other, gives what it has, and is told of the others. Who sends none or a wrong one, or is not on the list of
// those who may have a root, gets what somebody gets who asks for a root that is not there: ByeNotHere and nothing else.
// Proofs are compared in constant time. Who sends many that are of no use is not listened to for a while, and cannot tell.
//
// # Two streams at once
//
// Two peers that learn of each other at the same moment both dial. A stream is a double of another one when its opener's
// session number is that of the other's peer, and both belong to the same session on this side. Who gets a hello on a double
// keeps the newer one: for the other end, the older must be gone. Only when the hellos crossed, so that a peer gets one on a
// stream that was opened to it while its own has not been answered, the stream opened by the peer with the smaller ID (its
// bytes compared) is kept: that peer answers the other stream when its own has come to nothing, and with a Bye as soon as
// its own is answered. The other peer answers at once.
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
//	0x0b  Seek      ranges
//	0x0c  Coming    ranges
//	0x0d  Got       bytes
//	0x0f  Offer     ranges
//	0x0e  Peers     number of peers, then for each: length, peer ID; number of addresses, then for each: length, multiaddr
//
// A body of no bytes is allowed and means nothing. It and lists of nothing may come MaxEmpty times in a row.
//
// # Hello and later versions
//
// Fields stand in ascending order of their tags. Field 0 is the root, a binary CID, and must be there. Field 1 is a name for
// the root in UTF-8, of at most MaxName bytes. Field 3 is the number of the sender's session, eight bytes, big end first,
// not zero. Field 5 has no bytes and asks not to be named to others. Field 7 is a proof of 32 bytes, not all zero, which makes
// field 0 an alias. Of fields that it does not know, a receiver skips those
// with an odd tag and refuses the hello if one has an even tag.
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
