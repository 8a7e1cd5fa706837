// Package testnet makes the networks on which nodes are tried.
//
// A Lab is a small internet of its own: network namespaces of this machine with public addresses, routers that translate
// addresses as those in homes and at carriers do, and machines behind them. Programs are run in it as processes of their own,
// so that what is tried is what users run. It needs root, Linux, and the programs ip, nft and nsenter.
package testnet
