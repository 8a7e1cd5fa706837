package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/shoal-p2p/shoal/node"
)

// relayFlags let a node be a relay.
func (a *app) relayFlags(cmd *cobra.Command) {
	f, r := cmd.Flags(), &a.typed.Relay
	f.BoolVar(&a.typed.IsRelay, "relay", false, "be a relay for nodes behind NATs, with --network public and an address that others can reach")
	f.StringArrayVar(&r.Allow, "relay-allow", nil, "peer ID of a node that may be reached through this relay; may be repeated (default all)")
	f.IntVar(&r.Reservations, "relay-nodes", 0, "nodes that may be reached through it at a time (default 64)")
	f.IntVar(&r.Circuits, "relay-circuits", 0, "relayed connections of one node at a time (default 16)")
	f.DurationVar(&r.Duration, "relay-time", 0, "how long a relayed connection lasts (default 2m)")
	f.Var((*sizeFlag)(&r.Data), "relay-data", "bytes in each direction of one: with 1G, files can pass too (default 128k, enough to punch a hole)")
}

// relayService is what a node in this role is told of being a relay: only one that stays is of use to others.
func (s *settings) relayService(role string) *node.RelayService {
	if !s.IsRelay || role != serves {
		return nil
	}
	return &s.Relay
}

// relayLimits are those that are text in a configuration.
func (c *config) relayLimits(r *node.RelayService) (err error) {
	if c.RelayTime != "" {
		if r.Duration, err = time.ParseDuration(c.RelayTime); err != nil {
			return fmt.Errorf("relay-time: %q is not a time like 2m or 30s", c.RelayTime)
		}
	}
	if c.RelayData != "" {
		if r.Data, err = parseSize(c.RelayData); err != nil {
			return fmt.Errorf("relay-data: %w", err)
		}
	}
	return nil
}

// sizeFlag is a number of bytes that a user typed.
type sizeFlag int64

func (s *sizeFlag) Set(text string) error {
	n, err := parseSize(text)
	*s = sizeFlag(n)
	return err
}

func (s *sizeFlag) String() string {
	if *s == 0 {
		return ""
	}
	return fmt.Sprint(int64(*s))
}

func (*sizeFlag) Type() string { return "SIZE" }

// reachRows tell how a node can be reached from outside.
func reachRows(r node.Reach, row func(name, format string, args ...any)) {
	row("nat", "%s", natText(r))
	for _, addr := range r.Open {
		row("open", "%s", addr)
	}
	for _, addr := range r.Closed {
		row("closed", "%s", addr)
	}
	for _, addr := range r.Mapped {
		row("mapped", "%s (by the router)", addr)
	}
	switch {
	case r.Serves:
		row("relay", "this node is one")
	case len(r.Relays) > 0:
		row("relay", "reached through %s", strings.Join(r.Relays, ", "))
	}
}

// natText names the NATs in words that say what they mean.
func natText(r node.Reach) string {
	says := map[node.NAT]string{
		node.NATUnknown:   "not known yet",
		node.NATNone:      "none: this machine has a public address",
		node.NATCone:      "cone: holes can be punched into it",
		node.NATSymmetric: "symmetric: another port for each destination, so no holes can be punched",
	}
	if r.TCP == r.UDP {
		return says[r.TCP]
	}
	return "TCP " + says[r.TCP] + "; UDP " + says[r.UDP]
}
