package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/shoal-p2p/shoal/content"
	"github.com/shoal-p2p/shoal/gateway"
	"github.com/shoal-p2p/shoal/node"
)

func (a *app) peersCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "peers",
		Short: "List the peers of the running node",
		Long:  "Lists who the running node is connected with. With --json, each peer is an object on a line of its own.",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withRunning(cmd.Context(), func(ctx context.Context, s *session) error {
				list, err := s.Peers(ctx)
				s.tell.stop()
				if err != nil {
					return err
				}
				return a.printPeers(list)
			})
		},
	}
}

// withRunning is for commands that only make sense with a node that is running already.
func (a *app) withRunning(ctx context.Context, use func(context.Context, *session) error) error {
	tell := a.teller()
	defer tell.stop()
	s, err := a.join(ctx)
	if errors.Is(err, gateway.ErrNoNode) {
		return fmt.Errorf("%w on %s", errNoNode, a.home)
	}
	if err != nil {
		return err
	}
	s.tell = tell
	return use(ctx, s)
}

func (a *app) printPeers(list []node.PeerStatus) error {
	if !a.json && len(list) == 0 {
		a.remark("no peer is connected")
	}
	for _, p := range list {
		if a.json {
			if err := printJSON(a.out, p); err != nil {
				return err
			}
			continue
		}
		text := p.ID + "\n  " + content.Printable(join(p.Transport, direction(p.Direction), p.Agent, found(p.Route))) + "\n"
		if p.Down > 0 || p.Up > 0 {
			text += fmt.Sprintf("  %s received, %s sent\n", size(p.Down), size(p.Up))
		}
		for _, addr := range p.Addrs {
			text += "  " + content.Printable(addr) + "\n"
		}
		if _, err := fmt.Fprint(a.out, text); err != nil {
			return err
		}
	}
	return nil
}

func direction(d string) string {
	switch d {
	case "in":
		return "connected to us"
	case "out":
		return "we connected"
	}
	return d
}

func found(route string) string {
	if route == "" {
		return ""
	}
	return "found by " + route
}
