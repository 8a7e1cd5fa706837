package testnet

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// Into turns this process into the program with these arguments, with the end of a file as its standard output and error.
func Into(file string, args []string) error {
	program, err := os.Executable()
	if err != nil {
		return err
	}
	f, err := os.OpenFile(file, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("open the log: %w", err)
	}
	if err := errors.Join(unix.Dup3(int(f.Fd()), 1, 0), unix.Dup3(int(f.Fd()), 2, 0)); err != nil {
		return fmt.Errorf("print to the log: %w", err)
	}
	return syscall.Exec(program, append([]string{os.Args[0]}, args...), os.Environ())
}
