package main

import (
	"errors"
	"os/exec"
)

// become runs a program and ends as it does. It hears ^C itself.
func become(cmd *exec.Cmd) error {
	var exit *exec.ExitError
	if err := cmd.Run(); errors.As(err, &exit) {
		return &exited{exit.ExitCode()}
	} else if err != nil {
		return err
	}
	return nil
}
