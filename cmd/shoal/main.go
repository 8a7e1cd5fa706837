// Command shoal shares files with other machines, and fetches them, without a server between.
//
// It has one file for each verb. A verb asks a node: the one that runs on its home, through the control socket, or else one
// that it opens in its own process for as long as it takes (attach.go). This is the only package of the program that prints,
// asks or exits.
package main

import (
	"os"
	"os/signal"

	"github.com/shoal-p2p/shoal/node"
)

var version string // set by the linker

func main() {
	if version != "" {
		node.Version = version
	}
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, endings()...)
	a := &app{
		in: os.Stdin, out: os.Stdout, err: os.Stderr, getenv: os.Getenv,
		open: openNode, signals: signals, exit: os.Exit,
	}
	os.Exit(a.execute(os.Args[1:]))
}
