// Package virtual runs networks of real nodes in virtual time: hundreds of them in one process, over links that a test chooses,
// for tests of minutes that take seconds.
//
// The nodes are whole ones (node.Node) with homes on the disk. Only what carries their packets is simulated: QUIC speaks to an
// internet of this package's own, in which every host has one address, and a link with rates, delay, jitter, loss and an MTU that
// can change at any time. The clock is that of a [testing/synctest] bubble, in which time goes on when nobody has anything left to do; so
// what a node computes or writes takes no virtual time, and a busy machine changes nothing in a result but how long one waits for it. The order
// in which goroutines run is still the scheduler's, so two runs are alike, and not equal.
//
// There is no TCP, no multicast and no NAT: nodes find each other as peers that they are told of, by exchange among peers of a root, by
// tickets, and in the DHT of the local network.
package virtual
