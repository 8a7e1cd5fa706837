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
//   - Chunks in a [Give] end in [Gave], sent or not, unless the peer withdrew them first.
//
// # The want half
//
// Chunks that the user wants, that are missing and that nobody has been asked for are free. A peer with room in its window is
// asked for free chunks that it has: rarest first among its peers, and on from where its last run ended, so that peers who
// have everything take distinct, long, contiguous runs. Chunks of an InOrder interest come before all others, lowest first.
//
// A window is a number of bytes asked for and not settled. It starts generously, follows what the peer turns over in the time
// of a round trip and a bit, and is at least one chunk. All windows together stay below a cap.
//
// A peer that lets a request grow too old, or falls below a floor of throughput, is slow: what others can give is revoked and
// asked of them, and the slow peer gets one chunk at a time, seldom, until it delivers. When nothing is free any more, peers
// that would soon idle repeat what is expected latest from others; the first copy revokes the rest.
//
// A chunk is asked for whole from one peer, so wrong bytes have one sender: the third bad chunk bans. Honest peers are never
// banned, because nothing else bans.
//
// # The give half
//
// What peers ask for is queued per peer and given in turns, so that a modest peer waits for one turn of each greedy one and
// no longer. Bytes given and not sent yet are bounded, per peer and altogether. What is not here is declined at once, and
// told when it is here.
//
// # Costs
//
// An event about a chunk costs about the same with a thousand chunks and with a million, and a little for each peer that has
// a part of them: free chunks live in bitmaps with summaries, one for each degree of rarity, and every peer knows how many
// free chunks it has. Only rare events touch every chunk of one peer: an interest, a have-map of many chunks, a departure.
package engine
