package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/shoal-p2p/shoal/content"
	"github.com/shoal-p2p/shoal/node"
)

func (a *app) serveCommand() *cobra.Command {
	var named []string
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run a node that the other commands use",
		Long: `Runs a node until it is interrupted. It serves everything that is shared; the other commands with the same home use it
and return as soon as they are done.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.serve(cmd.Context(), named) },
	}
	cmd.Flags().StringArrayVar(&named, "peer", nil, "multiaddr with /p2p/ of a peer to stay connected with; may be repeated")
	cmd.Flags().BoolVar(&a.bootstrapper, "bootstrapper", false, "be a node that others begin with (--bootstrap); it must be reachable for them")
	a.rateFlags(cmd)
	a.relayFlags(cmd)
	a.listFlags(cmd)
	return cmd
}

func (a *app) serve(ctx context.Context, named []string) error {
	tell := a.progress("starting the node")
	defer tell.stop()
	s, err := a.host(ctx, serves, named...)
	if err != nil {
		return err
	}
	s.tell = tell
	err = a.serveUntil(s)
	if closed := s.close(); err == nil && closed != nil {
		err = fmt.Errorf("%w: close the node: %w", node.ErrDisk, closed)
	}
	if interrupted(ctx) && err != nil && context.Cause(s.ctx) == context.Cause(ctx) {
		return nil // that is how it ends
	}
	return err
}

func (a *app) serveUntil(s *session) error {
	status, err := s.Status(s.ctx)
	s.tell.stop()
	if err != nil {
		return err
	}
	if a.json {
		err = printJSON(a.out, status)
	} else {
		err = a.printServing(status)
	}
	if err != nil {
		a.remark("the standard output is closed; serving all the same")
	}
	a.uploads(s.ctx, s)
	return context.Cause(s.ctx)
}

func (a *app) printServing(s node.Status) error {
	_, err := fmt.Fprintf(a.out, "peer     %s\nhome     %s\nnetwork  %s\n", s.ID, content.Printable(s.Home), s.Network)
	for _, addr := range s.Addrs {
		fmt.Fprintf(a.out, "listens  %s\n", content.Printable(addr))
	}
	a.remark("serving %s until it is interrupted (^C)", count(s.Shares, "share", "shares"))
	return err
}
