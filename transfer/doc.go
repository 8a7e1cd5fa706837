// Package transfer moves chunks between peers.
//
// A [Service] is one node's end of the protocol that package wire describes. It answers streams that other peers open, out of
// a [Library], and it runs a [Session] for each root that the node wants.
//
// A session is one root and the peers that care about it. A single goroutine, the loop, owns its state: it feeds what happens
// to an engine.Engine, which decides, and carries out what the engine says. Around it stand, for each peer, a [link] with two
// goroutines (one reads the stream, one writes it), and a few workers that hash chunks and hand them to a [Sink]. They talk to
// the loop by posting functions to it, and never wait for one another in a circle: the loop waits for nobody, readers wait
// only for workers, workers only for the disk.
//
// A node that merely serves a root runs the same session without a sink. So both directions share one set of rules, and a
// download serves what it has from its first chunk on.
package transfer
