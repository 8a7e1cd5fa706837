//go:build unix

package main

import (
	"fmt"
	"os/exec"
	"syscall"
)

// become puts a program in the place of this process, so that streams, signals and exit code are its own.
func become(cmd *exec.Cmd) error {
	if cmd.Err != nil {
		return cmd.Err
	}
	return fmt.Errorf("run %s: %w", cmd.Path, syscall.Exec(cmd.Path, cmd.Args, cmd.Env))
}
