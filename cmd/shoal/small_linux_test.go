package main

import "syscall"

// mountSmall makes a folder a disk of 32 MiB.
func mountSmall(dir string) error { return syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=32m") }
