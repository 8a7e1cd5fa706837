package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/shoal-p2p/shoal/content"
	"github.com/shoal-p2p/shoal/node"
)

func (a *app) nearbyCommand() *cobra.Command {
	var live bool
	cmd := &cobra.Command{
		Use:   "nearby",
		Short: "List the nodes on this network, and what they show",
		Long: `Lists the nodes on the local network, what they are called, and what they chose to list ('shoal share --listed'), ready to be
fetched with 'shoal get CID'. Names are what others call themselves: nobody checks them, and peer IDs tell nodes apart.

Without a running node, one of its own listens for some seconds first. With --json, each node is an object on a line of its own; with
--watch, each look is an array on a line.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.with(cmd.Context(), func(ctx context.Context, s *session) error {
				look := func(ctx context.Context) ([]node.Neighbour, error) {
					list, err := s.Nearby(ctx, s.tell.event)
					s.tell.stop()
					return list, err
				}
				if live {
					return watch(ctx, a, view[[]node.Neighbour]{watchNearbyEvery, look, nearbyText})
				}
				list, err := look(ctx)
				if err != nil {
					return err
				}
				return a.printNearby(list)
			})
		},
	}
	cmd.Flags().BoolVar(&live, "watch", false, "show the list live, until q or ^C")
	return cmd
}

// nearbyText is the list as it is watched.
func nearbyText(list []node.Neighbour) string {
	if len(list) == 0 {
		return "no other node answers on this network yet\n"
	}
	var b strings.Builder
	for _, x := range list {
		b.WriteString(neighbourText(x))
	}
	return b.String()
}

func (a *app) printNearby(list []node.Neighbour) error {
	if !a.json && len(list) == 0 {
		a.remark("no other node answers on this network; 'shoal doctor' says whether it could be heard")
	}
	for _, x := range list {
		if a.json {
			if err := printJSON(a.out, x); err != nil {
				return err
			}
			continue
		}
		if _, err := fmt.Fprint(a.out, neighbourText(x)); err != nil {
			return err
		}
	}
	return nil
}

// neighbourText is a node in a line, and a line for each thing that it lists.
func neighbourText(x node.Neighbour) string {
	var b strings.Builder
	name := x.Name
	if name == "" {
		name = "(no name)"
	}
	fmt.Fprintf(&b, "%s  %s\n", content.Printable(name), content.Printable(join(x.ID, x.Addr)))
	switch {
	case x.Error != "":
		fmt.Fprintf(&b, "  %s\n", content.Printable(join(x.Error, x.Agent)))
	case len(x.Listed) == 0:
		b.WriteString("  lists nothing\n")
	}
	for _, l := range x.Listed {
		fmt.Fprintf(&b, "  %s  %s\n", l.CID, content.Printable(join(l.Name, size(l.Bytes), files(l.Files))))
	}
	if x.More > 0 {
		fmt.Fprintf(&b, "  and %s more\n", count(x.More, "share", "shares"))
	}
	return b.String()
}

func (a *app) unlistCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "unlist REF",
		Short: "Stop showing a share to neighbours",
		Long: `Takes a share, named by its CID or its ticket, from the list that neighbours see. It goes on being served to whoever knows its CID.
'shoal share --listed PATH' puts it there again.`,
		Args: exactly("REF"),
		RunE: func(cmd *cobra.Command, args []string) error {
			ref, err := a.ref(args[0])
			if err != nil {
				return err
			}
			return a.with(cmd.Context(), func(ctx context.Context, s *session) error {
				err := s.Unlist(ctx, ref.text)
				s.tell.stop()
				if err != nil {
					return err
				}
				if a.json {
					return printJSON(a.out, map[string]string{"unlisted": ref.CID})
				}
				_, err = fmt.Fprintln(a.out, "no longer listed:", ref.CID)
				return err
			})
		},
		ValidArgsFunction: a.completeShares,
	}
}
