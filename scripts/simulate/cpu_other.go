//go:build !linux

package main

import "time"

var started = time.Now()

// processTime and threadTime return the time since the start: it counts other programs too, but nothing better is at hand.
func processTime() time.Duration { return time.Since(started) }
func threadTime() time.Duration  { return time.Since(started) }
