// Package testnet makes many nodes at once, the links between them, and the faults to inflict.
//
// A [Scenario] says who takes part, over which links, what is shared and fetched when, what goes wrong, and what is expected.
// It is played on a ground: as processes on loopback, as processes in network namespaces with links of their own, in containers,
// or simulated. Whatever the ground, what happens is written down as [Event] values, one JSON object a line, from which
// expectations are judged and reports are made.
//
// A [Net] is a network of real nodes that goes on until it is taken down, with or without a scenario.
//
// A [Lab] is a small internet of its own: network namespaces of this machine with public addresses, routers that translate
// addresses as those in homes and at carriers do, and machines behind them. It needs root, Linux, and the programs ip, nft and
// nsenter.
package testnet
