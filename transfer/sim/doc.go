// Package sim plays many engines against each other in virtual time, over modelled links, so that ideas about who sends what
// to whom can be compared before a byte crosses a wire. It has no goroutine, clock or unseeded chance: equal scenarios give
// equal results.
//
// # The model
//
// A host has an uplink and a downlink (bytes a second) and a delay; between two hosts a message takes the sum of both delays.
// Messages without data take nothing else, unless they are [Scenario.InBand]. Data leaves in frames: those connections of a host that have something to send
// take turns, a frame each, and within one connection chunks go in the order in which the engine gave them. A chunk that was
// withdrawn stops after the frame under way.
//
// At the receiver, frames queue for the downlink in the order in which they come. Nothing is stored and forwarded: a frame
// that meets an idle downlink no slower than the sender's uplink is read when its last byte arrives.
//
// A connection carries only so many bytes that the receiver has not read, beyond what its path holds. A sender that is at
// this limit waits, and its uplink serves its other connections: so two senders that feed one slow receiver are both slowed
// down, as TCP would.
//
// Hashing and disks take no time here.
//
// # Figures
//
// Times are multiples of the bound max(F/u, F/d, N·F/(u + Σuᵢ)): file size F, uplink u of the sources, slowest downlink d,
// uplinks uᵢ of N receivers. Hosts that lie, stall or leave for good are not in it.
package sim
