package main

import (
	"bufio"
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/shoal-p2p/shoal/content"
	"github.com/shoal-p2p/shoal/node"
)

func (a *app) lsCommand() *cobra.Command {
	var recursive bool
	var from sought
	cmd := &cobra.Command{
		Use:   "ls REF",
		Short: "List what is in a directory, without fetching it",
		Long: `Lists the names in a directory, with their kinds and sizes, without fetching their bytes. REF is as for get. With --json, each
name is an object with path, kind, cid and size.`,
		Args: exactly("REF"),
		RunE: func(cmd *cobra.Command, args []string) error {
			ref, err := a.ref(args[0])
			if err != nil {
				return err
			}
			return a.ls(cmd.Context(), node.ListRequest{
				Ref: ref.text, Recursive: recursive, Peers: from.peers, Timeout: from.seconds(),
			})
		},
	}
	cmd.Flags().BoolVarP(&recursive, "recursive", "r", false, "list what is below, too")
	from.flags(cmd)
	a.listFlags(cmd)
	return cmd
}

func (a *app) ls(ctx context.Context, request node.ListRequest) error {
	return a.with(ctx, func(ctx context.Context, s *session) error {
		entries, err := s.List(ctx, request, s.tell.event)
		s.tell.stop()
		if err != nil {
			return err
		}
		return a.printEntries(entries)
	})
}

func (a *app) printEntries(entries []node.Entry) error {
	w := bufio.NewWriter(a.out)
	for _, e := range entries {
		if a.json {
			if err := printJSON(w, e); err != nil {
				return err
			}
			continue
		}
		fmt.Fprintln(w, entryLine(e))
	}
	return w.Flush()
}

func entryLine(e node.Entry) string {
	name := content.Printable(e.Path)
	amount := size(e.Size)
	switch e.Kind {
	case "dir":
		name, amount = name+"/", "-"
	case "symlink":
		name, amount = name+" -> "+content.Printable(e.Target), "-"
	}
	line := fmt.Sprintf("%10s  %s", amount, name)
	if e.Unsafe != "" {
		line += "  (get leaves it out: " + content.Printable(e.Unsafe) + ")"
	}
	return line
}
