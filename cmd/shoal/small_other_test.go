//go:build unix && !linux

package main

import "errors"

// mountSmall would make a folder a disk of 32 MiB.
func mountSmall(string) error { return errors.New("a disk of a given size is made on Linux only") }
