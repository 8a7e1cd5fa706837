package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/shoal-p2p/shoal/node"
)

func (a *app) ticketCommand() *cobra.Command {
	var request node.TicketRequest
	var expires term
	var qr bool
	cmd := &cobra.Command{
		Use:   "ticket REF",
		Short: "Print the ticket to a share",
		Long: `Prints a ticket to something that this node shares or has fetched: its CID, where this node is reached, and if it is private the
secret. Whoever has the ticket may pass it on.

All tickets to a private share hold the same secret. --renew gives it another one: whatever ticket was handed out before is
worth nothing from that moment on, and those who are fetching with one are cut off.`,
		Example: "  shoal ticket bafybeib… --qr\n  shoal ticket bafybeib… --renew --expires 24h",
		Args:    exactly("REF"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := a.checkQR(qr); err != nil {
				return usage("%s", err)
			}
			ref, err := a.ref(args[0])
			if err != nil {
				return err
			}
			request.Ref, request.Expires = ref.text, expires.seconds()
			return a.ticket(cmd.Context(), request, qr)
		},
		ValidArgsFunction: a.completeShares,
	}
	cmd.Flags().BoolVar(&request.Renew, "renew", false, "give a private share another secret, so that the tickets before are worth nothing")
	cmd.Flags().Var(&expires, "expires", "how long the ticket is good for, such as 30m, 24h or 7d; for a private share with --renew")
	cmd.Flags().BoolVar(&qr, "qr", false, "draw the ticket as a QR code, too")
	return cmd
}

func (a *app) ticket(ctx context.Context, request node.TicketRequest, qr bool) error {
	return a.with(ctx, func(ctx context.Context, s *session) error {
		t, err := s.Ticket(ctx, request)
		s.tell.stop()
		if err != nil {
			return err
		}
		if a.json {
			return printJSON(a.out, t)
		}
		if err := a.printTicket(t.CID, t.Ticket, t.Terms); err != nil || !qr {
			return err
		}
		return a.printQR(t.Ticket)
	})
}
