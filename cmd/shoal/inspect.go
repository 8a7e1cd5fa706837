package main

import (
	"bufio"
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/shoal-p2p/shoal/content"
	"github.com/shoal-p2p/shoal/node"
)

func (a *app) inspectCommand() *cobra.Command {
	var from sought
	cmd := &cobra.Command{
		Use:   "inspect REF",
		Short: "Show what a ticket or a CID names and who has it, without fetching it",
		Long: `Shows what REF names: files and their sizes; who has it; and what a ticket says besides. No content is fetched. A file of a
single chunk (1 MiB) is nothing but content, so of that only its ticket can tell the size. REF is as for get.`,
		Example: "  shoal inspect shoal1…\n  shoal inspect --json bafybeib…",
		Args:    exactly("REF"),
		RunE: func(cmd *cobra.Command, args []string) error {
			ref, err := a.ref(args[0])
			if err != nil {
				return err
			}
			return a.inspect(cmd.Context(), node.InspectRequest{Ref: ref.text, Peers: from.peers, Timeout: from.seconds()})
		},
	}
	from.flags(cmd)
	a.listFlags(cmd)
	return cmd
}

func (a *app) inspect(ctx context.Context, request node.InspectRequest) error {
	return a.with(ctx, func(ctx context.Context, s *session) error {
		x, err := s.Inspect(ctx, request, s.tell.event)
		s.tell.stop()
		if err != nil {
			return err
		}
		if a.json {
			return printJSON(a.out, x)
		}
		return a.printInspected(x)
	})
}

func (a *app) printInspected(x node.Inspected) error {
	w := bufio.NewWriter(a.out)
	row := func(head, text string) { fmt.Fprintf(w, "%-8s%s\n", head, content.Printable(text)) }
	row("cid", x.CID)
	if x.Path != "" {
		row("path", x.Path)
	}
	if x.Name != "" {
		row("name", x.Name)
	}
	row("holds", holdsText(x))
	if t := x.Ticket; t != nil {
		row("ticket", ticketText(*t))
		for _, addr := range t.Addrs {
			row("", "  "+addr)
		}
	}
	if x.Here {
		row("has it", "this node")
	}
	for _, h := range x.Holders {
		row("has it", join(short(h.Peer), way(node.Source{Relayed: h.Relayed}), h.Addr))
	}
	for _, e := range x.Entries {
		if e.Path != "" { // that is x itself
			fmt.Fprintln(w, entryLine(e))
		}
	}
	if x.More > 0 {
		row("", fmt.Sprintf("and %s; 'shoal ls -r' lists them all", count(x.More, "other", "others")))
	}
	return w.Flush()
}

func holdsText(x node.Inspected) string {
	amount := "of a size that nobody has told"
	if x.Bytes >= 0 {
		amount = size(x.Bytes)
	}
	if x.Claimed {
		amount += " as the ticket says"
	}
	switch x.Kind {
	case "file":
		return join("a file", amount)
	case "dir":
		return join("a directory", count(x.Files, "file", "files"), amount)
	case "symlink":
		return "a symbolic link"
	}
	return amount
}

// ticketText is what a ticket says, without its secret.
func ticketText(t node.TicketFacts) string {
	kind, keep, end := "for everybody who has it", "", endText(t.Expires)
	if t.Private {
		kind = "private: holds the secret of the share"
	}
	if t.Keep {
		keep = "not to be passed on"
	}
	if t.Expired {
		end = "expired on " + t.Expires.Local().Format("2006-01-02 15:04:05")
	}
	leads := "leads to " + short(t.Peer)
	if t.Own {
		leads = "leads to this node"
	}
	return join(kind, keep, end, leads)
}
