package main

import (
	"os"
	"syscall"
)

// endings are the signals that ask the program to end: ^C, and the closing of the console.
func endings() []os.Signal { return []os.Signal{os.Interrupt, syscall.SIGTERM} }
