package main

import (
	"context"
	"errors"
	"path/filepath"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/shoal-p2p/shoal/content"
	"github.com/shoal-p2p/shoal/node"
)

func (a *app) shareCommand() *cobra.Command {
	var request node.ShareRequest
	var listed bool
	var expires term
	var qr bool
	cmd := &cobra.Command{
		Use:   "share PATH…",
		Short: "Share files and directories where they lie",
		Long: `Hashes files and directories, prints the CID and the ticket of what they hold, and serves them from where they lie; nothing is
copied. Several paths are shared as one directory.

Whoever can reach this node and knows the CID can fetch it, unless --private or --allow say otherwise. With --private only those
with the ticket can, which holds a secret; they give it to each other, and to nobody else. With --allow only those peers can;
they need no ticket, but should fetch with it, because then they give nothing on. 'shoal unshare' ends either.

With a node running ('shoal serve'), the command returns, and the node goes on serving. Otherwise it serves by itself until it
is interrupted.`,
		Example: "  shoal share ~/Pictures\n  shoal share --private --expires 24h --qr report.pdf\n  shoal share --json report.pdf notes.txt",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return errors.New("PATH is missing")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := a.checkQR(qr); err != nil {
				return usage("%s", err)
			}
			request.Expires = expires.seconds()
			if cmd.Flags().Changed("listed") {
				request.Listed = &listed
			}
			for _, path := range args {
				abs, err := sharedPath(path)
				if err != nil {
					return err
				}
				request.Paths = append(request.Paths, abs)
			}
			return a.share(cmd.Context(), request, qr)
		},
	}
	cmd.Flags().BoolVar(&request.Hidden, "hidden", false, "share names that begin with a dot, too")
	cmd.Flags().BoolVar(&listed, "listed", false, "show it to neighbours who ask ('shoal nearby'); --listed=false stops that")
	cmd.Flags().BoolVar(&request.Private, "private", false, "only for those who have the ticket")
	cmd.Flags().StringSliceVar(&request.Allow, "allow", nil, "peer IDs: only for them")
	cmd.Flags().Var(&expires, "expires", "how long the ticket is good for, such as 30m, 24h or 7d (default: for ever)")
	cmd.Flags().BoolVar(&qr, "qr", false, "draw the ticket as a QR code, too")
	a.blockFlag(cmd)
	a.rateFlags(cmd)
	return cmd
}

// sharedPath is a path as a node is told of it.
func sharedPath(path string) (string, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	if !utf8.ValidString(abs) {
		return "", usage("the path %s is not UTF-8", abs)
	}
	return abs, nil
}

func (a *app) share(ctx context.Context, request node.ShareRequest, qr bool) error {
	shared := false
	err := a.with(ctx, func(ctx context.Context, s *session) error {
		if !shared {
			result, err := s.Share(ctx, request, s.tell.event)
			s.tell.stop()
			if err != nil {
				return err
			}
			if err := a.printShared(result, qr); err != nil && s.remote != nil {
				return err
			}
			shared = true
		}
		return a.serveShared(ctx, s)
	})
	if shared && interrupted(ctx) {
		return nil // what it was for is done
	}
	return err
}

// serveShared stays for as long as nobody else will serve what was shared.
func (a *app) serveShared(ctx context.Context, s *session) error {
	s.tell.stop()
	switch {
	case s.remote == nil:
		a.remark("serving until it is interrupted (^C)")
		a.uploads(ctx, s)
		return context.Cause(ctx)
	case s.remote.about.Role == serves:
		return nil
	}
	a.remark("served by process %d for as long as it runs, and by this one afterwards, until it is interrupted (^C)", s.remote.about.PID)
	return s.remote.stay(ctx)
}

func (a *app) printShared(s node.Shared, qr bool) error {
	if a.json {
		return printJSON(a.out, s)
	}
	a.printSkipped(s.Skipped)
	err := a.printTicket(s.CID, s.Ticket, s.Terms)
	if err == nil && qr {
		err = a.printQR(s.Ticket)
	}
	a.remark("shared %s: %s, %s", content.Printable(s.Name), count(s.Files, "file", "files"), took(s.Bytes, s.Seconds))
	if s.Listed {
		a.remark("neighbours who ask can see it; 'shoal unlist %s' ends that", s.CID)
	}
	return err
}
