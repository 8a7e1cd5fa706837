//go:build !linux && !darwin

package main

import "os"

// keyPressed cannot be had here; ^C ends what would wait for it.
func keyPressed(*os.File, string) (pressed <-chan struct{}, restore func()) { return nil, func() {} }
