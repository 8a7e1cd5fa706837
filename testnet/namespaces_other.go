//go:build !linux

package testnet

import (
	"context"
	"fmt"
)

func newNamespaces(*state) (ground, error) { return nil, lackLinux() }

// Keep is for Linux.
func Keep(context.Context, string) error { return lackLinux() }

// Enter is for Linux.
func Enter(string, []string) error { return lackLinux() }

func lackLinux() error {
	return fmt.Errorf("%w: network namespaces and links need Linux: run without --netns, or in containers", ErrGround)
}
