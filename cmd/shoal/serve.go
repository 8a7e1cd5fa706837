package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/shoal-p2p/shoal/content"
	"github.com/shoal-p2p/shoal/node"
)

// serving is what a node that serves was told to begin with.
type serving struct {
	peers  []string // to stay connected with
	shares []string // paths, each a share of its own
	ref    string   // to fetch; empty: nothing
	output string   // where to put that
}

func (a *app) serveCommand() *cobra.Command {
	var begin serving
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run a node that the other commands use",
		Long: `Runs a node until it is interrupted. It serves everything that is shared; the other commands with the same home use it
and return as soon as they are done.

For services and containers, where nobody types another command: --share shares a path as the node starts, and --get fetches a
CID or a ticket, waits for it as long as it takes, and serves it on. Started again, the node goes on from what is there.`,
		Example: "  shoal serve\n  shoal serve --share ~/Pictures\n  shoal serve --get bafybeib… -o ~/mirror",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.serve(cmd.Context(), begin) },
	}
	cmd.Flags().StringArrayVar(&begin.peers, "peer", nil, "multiaddr with /p2p/ of a peer to stay connected with; may be repeated")
	cmd.Flags().StringArrayVar(&begin.shares, "share", nil, "file or directory to share at the start, if it is not shared yet; may be repeated")
	cmd.Flags().StringVar(&begin.ref, "get", "", "CID or ticket to fetch at the start, if it is not there yet; or @FILE that holds it")
	cmd.Flags().StringVarP(&begin.output, "output", "o", "", "where --get puts it: a new name, or a directory that exists, to put it into")
	cmd.Flags().BoolVar(&a.bootstrapper, "bootstrapper", false, "be a node that others begin with (--bootstrap); it must be reachable for them")
	a.rateFlags(cmd)
	a.relayFlags(cmd)
	a.listFlags(cmd)
	return cmd
}

func (a *app) serve(ctx context.Context, begin serving) error {
	shares, fetch, err := a.requests(begin)
	if err != nil {
		return err
	}
	tell := a.progress("starting the node")
	defer tell.stop()
	s, err := a.host(ctx, serves, begin.peers...)
	if err != nil {
		return err
	}
	s.tell = tell
	err = a.serveUntil(s, shares, fetch)
	if closed := s.close(); err == nil && closed != nil {
		err = fmt.Errorf("%w: close the node: %w", node.ErrDisk, closed)
	}
	if interrupted(ctx) && err != nil && context.Cause(s.ctx) == context.Cause(ctx) {
		return nil // that is how it ends
	}
	return err
}

// requests understands what to begin with before a node is opened.
func (a *app) requests(begin serving) (shares []node.ShareRequest, fetch *node.FetchRequest, err error) {
	for _, path := range begin.shares {
		abs, err := sharedPath(path)
		if err != nil {
			return nil, nil, err
		}
		shares = append(shares, node.ShareRequest{Paths: []string{abs}})
	}
	if begin.ref == "" {
		if begin.output != "" {
			return nil, nil, usage("--output says where --get puts what it fetches, and there is no --get")
		}
		return shares, nil, nil
	}
	ref, err := a.ref(begin.ref)
	if err != nil {
		return nil, nil, err
	}
	dest, err := destination(ref, begin.output)
	if err != nil {
		return nil, nil, err
	}
	return shares, &node.FetchRequest{Ref: ref.text, Dest: dest, Timeout: -1}, nil
}

func (a *app) serveUntil(s *session, shares []node.ShareRequest, fetch *node.FetchRequest) error {
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
	for _, request := range shares {
		if err := a.shareFirst(s, request); err != nil {
			return err
		}
	}
	if !a.json {
		all, err := s.Shares(s.ctx)
		if err != nil {
			return err
		}
		a.remark("serving %s until it is interrupted (^C)", count(len(all), "share", "shares"))
	}
	if fetch != nil {
		if err := a.fetchFirst(s, *fetch); err != nil {
			return err
		}
	}
	a.uploads(s.ctx, s)
	return context.Cause(s.ctx)
}

// shareFirst does not print the ticket: what a service prints is kept in logs.
func (a *app) shareFirst(s *session, request node.ShareRequest) error {
	tell := a.progress("reading " + content.Printable(request.Paths[0]))
	defer tell.stop()
	shared, err := s.Share(s.ctx, request, tell.event)
	tell.stop()
	if err != nil {
		return err
	}
	if a.json {
		_ = printJSON(a.out, node.Event{
			Kind: "shared", CID: shared.CID, Path: request.Paths[0], Bytes: shared.Bytes, Files: shared.Files,
			Seconds: shared.Seconds, Skipped: shared.Skipped,
		}) // nobody reads it: no reason to end
		return nil
	}
	a.printSkipped(shared.Skipped)
	fmt.Fprintf(a.out, "shares   %s  %s\n", shared.CID, content.Printable(request.Paths[0]))
	return nil
}

func (a *app) fetchFirst(s *session, request node.FetchRequest) error {
	tell := a.fetchTeller()
	defer tell.stop()
	done, err := s.Fetch(s.ctx, request, tell.event)
	tell.stop()
	if err != nil {
		return err
	}
	_ = a.printDone(done) // nobody reads it: no reason to end
	return nil
}

func (a *app) printServing(s node.Status) error {
	_, err := fmt.Fprintf(a.out, "peer     %s\nhome     %s\nnetwork  %s\n", idText(s), content.Printable(s.Home), s.Network)
	for _, addr := range s.Addrs {
		fmt.Fprintf(a.out, "listens  %s\n", content.Printable(addr))
	}
	return err
}
