package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/shoal-p2p/shoal/content"
	"github.com/shoal-p2p/shoal/node"
)

func (a *app) sharesCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "shares",
		Short: "List what is shared",
		Long:  "Lists what this node serves: what was shared and what was fetched. With --json, each share is an object on a line of its own.",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.with(cmd.Context(), func(ctx context.Context, s *session) error {
				list, err := s.Shares(ctx)
				s.tell.stop()
				if err != nil {
					return err
				}
				return a.printShares(list)
			})
		},
	}
}

func (a *app) printShares(list []node.Share) error {
	if !a.json && len(list) == 0 {
		a.remark("nothing is shared")
	}
	for _, s := range list {
		if a.json {
			if err := printJSON(a.out, s); err != nil {
				return err
			}
			continue
		}
		paths := make([]string, 0, len(s.Paths))
		for _, p := range s.Paths {
			paths = append(paths, content.Printable(p))
		}
		listed := ""
		if s.Listed {
			listed = "listed, "
		}
		text := fmt.Sprintf("%s  %s\n  %s, %s, %s%s %s: %s\n", s.CID, content.Printable(s.Name), size(s.Bytes),
			count(s.Files, "file", "files"), listed, content.Printable(s.Origin), day(s.Added), strings.Join(paths, ", "))
		if terms := termsText(s.Terms); terms != "" {
			text += "  " + terms + "\n"
		}
		for _, f := range s.Stale {
			text += fmt.Sprintf("  not served: %s: %s\n", content.Printable(f.Path), content.Printable(f.Reason))
		}
		if _, err := fmt.Fprint(a.out, text); err != nil {
			return err
		}
	}
	return nil
}
