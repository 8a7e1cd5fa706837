package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/shoal-p2p/shoal/content"
	"github.com/shoal-p2p/shoal/node"
)

func (a *app) statusCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "Show the running node at a glance",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withRunning(cmd.Context(), func(ctx context.Context, s *session) error {
				status, err := s.Status(ctx)
				s.tell.stop()
				if err != nil {
					return err
				}
				if a.json {
					return printJSON(a.out, status)
				}
				_, err = fmt.Fprint(a.out, statusText(status))
				return err
			})
		},
	}
}

func statusText(s node.Status) string {
	var b strings.Builder
	row := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "%-8s %s\n", name, content.Printable(fmt.Sprintf(format, args...)))
	}
	row("peer", "%s", s.ID)
	row("version", "%s", s.Version)
	row("home", "%s", s.Home)
	row("process", "%d, up %s, %s of memory", s.PID, span(s.Uptime), size(s.Memory))
	row("network", "%s, %s connected", s.Network, count(s.Peers, "peer", "peers"))
	for _, addr := range s.Addrs {
		row("listens", "%s", addr)
	}
	shares := count(s.Shares, "share", "shares")
	if s.Stale > 0 {
		shares += ", " + count(s.Stale, "file has changed or gone", "files have changed or gone") + " since ('shoal shares' shows which)"
	}
	row("serves", "%s", shares)
	row("traffic", "%s received, %s sent", size(s.Down), size(s.Up))
	for _, t := range s.Transfers {
		amount := size(t.Bytes)
		if t.Total > 0 {
			amount += " of " + size(t.Total)
		}
		row(t.Direction, "%s", join(t.CID, amount, speed(t.Rate), peers(t.Peers)))
	}
	return b.String()
}
