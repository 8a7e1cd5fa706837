//go:build !linux

package testnet

import (
	"fmt"
	"os"
)

// Into is for Linux, which runs in containers whatever is around them.
func Into(string, []string) error { return fmt.Errorf("%w: this is for containers", os.ErrInvalid) }
