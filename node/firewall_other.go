//go:build !linux

package node

import (
	"context"
	"fmt"
)

func firewallRules(context.Context) (string, error) {
	return "", fmt.Errorf("%w: Shoal cannot read the firewall of this system", errFirewall)
}
