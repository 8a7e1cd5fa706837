package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/shoal-p2p/shoal/content"
)

func (a *app) idCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "id",
		Short: "Show this node's peer ID and addresses",
		Long: `Shows the peer ID of this node and the addresses at which it can be reached, as --peer takes them. The addresses are those of
the running node; without one, those that a node would have now.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.with(cmd.Context(), func(ctx context.Context, s *session) error {
				id, err := s.Identity(ctx)
				s.tell.stop()
				if err != nil {
					return err
				}
				if a.json {
					return printJSON(a.out, id)
				}
				text := id.ID + "\n"
				for _, addr := range id.Addrs {
					text += content.Printable(addr) + "\n"
				}
				_, err = fmt.Fprint(a.out, text)
				return err
			})
		},
	}
}
