//go:build linux || darwin

package main

import (
	"bytes"
	"os"

	"golang.org/x/sys/unix"
)

// keyPressed has a terminal give its keys as they are pressed, without showing them, and closes pressed when one of keys is.
// Interrupts go on to be signals. restore gives the terminal back as it was. A process in the background leaves it alone.
func keyPressed(terminal *os.File, keys string) (pressed <-chan struct{}, restore func()) {
	fd := int(terminal.Fd())
	before, err := unix.IoctlGetTermios(fd, readTermios)
	if err != nil {
		return nil, func() {}
	}
	if group, err := unix.IoctlGetInt(fd, unix.TIOCGPGRP); err == nil && group != unix.Getpgrp() {
		return nil, func() {} // it would be stopped
	}
	raw := *before
	raw.Lflag &^= unix.ICANON | unix.ECHO
	raw.Cc[unix.VMIN], raw.Cc[unix.VTIME] = 1, 0
	if err := unix.IoctlSetTermios(fd, writeTermios, &raw); err != nil {
		return nil, func() {}
	}
	quit, done, found := make(chan struct{}), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		if readKey(fd, keys, quit) {
			close(found)
		}
	}()
	return found, func() {
		close(quit)
		<-done
		_ = unix.IoctlSetTermios(fd, writeTermios, before)
	}
}

// readKey reads until one of keys comes. It looks every now and then whether it should go on, because a read of a terminal
// cannot be called off.
func readKey(fd int, keys string, quit <-chan struct{}) bool {
	buf := make([]byte, 64)
	for {
		select {
		case <-quit:
			return false
		default:
		}
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 100)
		if err == unix.EINTR || err == nil && n == 0 {
			continue
		}
		if err != nil {
			return false
		}
		n, err = unix.Read(fd, buf)
		if err == unix.EINTR || err == unix.EAGAIN {
			continue
		}
		if err != nil || n <= 0 {
			return false
		}
		if bytes.ContainsAny(buf[:n], keys) {
			return true
		}
	}
}
