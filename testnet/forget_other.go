//go:build !linux

package testnet

import (
	"errors"
	"os"
)

// forget cannot make this system forget what it has of a file in memory.
func forget(*os.File) error { return errors.ErrUnsupported }
