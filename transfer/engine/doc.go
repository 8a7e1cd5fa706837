// Package engine decides what one root's swarm does next: which chunk to take from whom, and what to give to whom.
//
// It is a pure state machine. [Engine.Step] takes the time and one [Event] and returns the [Action]s that follow from it;
// nothing happens between steps. It knows no goroutine, clock, socket, disk or peer identity: the caller owns those, gives
// every stream a number ([Peer]), reports what happens on it, and carries out what comes back. Equal configurations and equal
// traces of events give equal actions, so a trace can be replayed, scripted, fuzzed and simulated.
//
// # The caller's duties
//
//   - One goroutine calls Step, with times that do not go back (if they do, the last one counts).
//   - Every action is carried out, in order, before the next Step: actions and the ranges in them are overwritten by it.
//   - A [Tick] comes at [Engine.Deadline], which is looked up after every step. It may come late or for nothing.
//   - Chunk numbers below len(Config.Sizes); others are ignored.
//   - A chunk that was asked for ends in exactly one of [Stored], [Bad], [Failed], [Refused] (by the peer), [Revoke] (by the
//     engine) or [Left]. What arrives after a Revoke may still be reported, or dropped.
//   - Chunks in a [Give] end in [Gave], written or not, also when the peer has withdrawn them.
//   - Who takes part tells its peers with [Got] what it has read from them.
//
// # The give half
//
// Receivers that pick for themselves pick the same, and what they have in common they cannot give each other; and chunks that
// share an uplink arrive together, late. So the giver chooses. Peers say what they lack ([Seeks]), what is on its way to them
// ([Coming]) and what they have ([Has]). When the uplink is free, the peer to whom nothing is on its way and that has least is
// offered ([Offer]) the chunk that this side has given least often and that is rarest among its peers; when there is no such
// peer, several busy ones are offered one. The first to ask gets it, and the offers to the others are taken back. A peer that is
// alone in lacking anything may ask for what it likes, as fast as it can.
//
// The uplink is lent to one chunk after the other: until all but a part of it is read, or for as long as it would take at the
// highest speed seen. So a slow or stuck receiver, or a long path, keeps nobody waiting for longer than that, and as many
// chunks are under way as it takes to fill the link.
//
// To peers that are [Far], chunks are offered a round trip before the link has room for them, and asked for as early, as many ahead
// as the link carries in that time: or it would rest while an offer and its answer travel.
//
// What peers ask for without an offer is queued and given in turns, so that a modest peer waits for one turn of each greedy one
// and no longer. Bytes given and not settled are bounded, per peer and altogether; peers that do not read do not stop those who
// do. What is not here is declined at once, and told when it is here.
//
// # The want half
//
// Chunks that the user wants, that are missing and that nobody has been asked for are free. They are sought: every peer is
// told. Of the chunks that are offered, the rarest is asked for when the downlink is free, which is lent like the uplink. Who
// takes its offer back has promised its uplink to somebody else: what it was asked for and has not begun is called off.
//
// A peer is asked without an offer in four cases: it offers everything; a reader waits for the chunk (an InOrder interest comes
// before all others, lowest number first); nothing has come from anybody for a while, so that it may not know how to offer;
// or nothing is kept here (Config.TakeOnly), so that nobody could know what is lacking. It is then asked rarest first, and on
// from where its last run ended, as far as its window reaches: a number of bytes asked for and not settled, which starts
// generously and follows what the peer turns over in the time of a round trip and a bit. All windows together stay below a cap.
//
// A peer that lets a request grow too old, falls below a floor of throughput, or does not send what it offered, is slow: what
// others can give is revoked, and the slow peer gets one chunk at a time, seldom, until it delivers. When nothing is free any
// more, peers that would soon idle repeat what is expected latest from others; the first copy revokes the rest.
//
// A chunk is asked for whole from one peer, so wrong bytes have one sender: the third bad chunk bans. Honest peers are never
// banned, because nothing else bans.
//
// # Costs
//
// An event about a chunk costs about the same with a thousand chunks and with a million, and a little for each peer that has
// a part of them: free chunks live in bitmaps with summaries, one for each degree of rarity, and every peer knows how many
// free chunks it has. Only rare events touch every chunk of one peer: an interest, a have-map of many chunks, a departure.
package engine
