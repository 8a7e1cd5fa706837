//go:build unix

package main

import (
	"os"
	"os/signal"
	"syscall"
)

// endings are the signals that ask the program to end. One that was ignored when it started (nohup) stays ignored. That a
// reader of the output has left shows as an error of the write, and must not kill a node that is at work.
func endings() []os.Signal {
	signal.Ignore(syscall.SIGPIPE)
	list := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) {
		list = append(list, syscall.SIGHUP)
	}
	return list
}
