package node

import (
	"errors"
	"strings"
)

// errFirewall says why nobody looked at the firewall.
var errFirewall = errors.New("not looked at")

// dropsByDefault reports whether rules, as nft or iptables prints them, throw away what comes in and is not let in by name.
func dropsByDefault(rules string) bool {
	for line := range strings.Lines(rules) {
		line = strings.TrimSpace(line)
		switch {
		case strings.Contains(line, "hook input") && strings.Contains(line, "policy drop"): // nft
			return true
		case line == "-P INPUT DROP": // iptables -S
			return true
		}
	}
	return false
}
