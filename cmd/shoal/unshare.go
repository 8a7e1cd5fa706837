package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/shoal-p2p/shoal/gateway"
	"github.com/shoal-p2p/shoal/node"
)

func (a *app) unshareCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "unshare REF",
		Short: "Stop serving a share",
		Long:  "Stops serving a share, named by its CID or its ticket. The files stay where they are.",
		Args:  exactly("REF"),
		RunE: func(cmd *cobra.Command, args []string) error {
			ref, err := a.ref(args[0])
			if err != nil {
				return err
			}
			return a.with(cmd.Context(), func(ctx context.Context, s *session) error {
				err := s.Unshare(ctx, ref.text)
				s.tell.stop()
				if err != nil {
					return err
				}
				if a.json {
					return printJSON(a.out, map[string]string{"unshared": ref.CID})
				}
				_, err = fmt.Fprintln(a.out, "no longer serving", ref.CID)
				return err
			})
		},
		ValidArgsFunction: a.completeShares,
	}
}

// completeShares offers the CIDs of a running node.
func (a *app) completeShares(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 || a.locate() != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	client, err := gateway.Dial(socketPath(a.home))
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	shares, _ := gateway.Call[none, []node.Share](cmd.Context(), client, "shares", none{}, nil)
	var out []string
	for _, s := range shares {
		out = append(out, s.CID)
	}
	return out, cobra.ShellCompDirectiveNoFileComp
}
