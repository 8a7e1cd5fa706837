package main

import (
	"context"
	"fmt"
	"io"
	"sync/atomic"

	"github.com/spf13/cobra"

	"github.com/shoal-p2p/shoal/node"
)

func (a *app) catCommand() *cobra.Command {
	var offset, length int64
	var from sought
	cmd := &cobra.Command{
		Use:   "cat REF",
		Short: "Write a file to standard output",
		Long: `Writes the bytes of one file to standard output, in order and as they are verified, and keeps nothing. REF is as for get.
Whatever else there is to say, errors of --json included, goes to standard error.`,
		Example: "  shoal cat bafybeib…/film.mkv | mpv -\n  shoal cat --offset 1048576 --length 100 bafkrei…",
		Args:    exactly("REF"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if offset < 0 || length < 0 || length == 0 && cmd.Flags().Changed("length") {
				return usage("--offset must be 0 or more, and --length 1 or more")
			}
			ref, err := a.ref(args[0])
			if err != nil {
				return err
			}
			return a.cat(cmd.Context(), node.CatRequest{
				Ref: ref.text, Offset: offset, Length: length, Peers: from.peers, Timeout: from.seconds(),
			})
		},
	}
	cmd.Flags().Int64Var(&offset, "offset", 0, "bytes to leave out at the beginning")
	cmd.Flags().Int64Var(&length, "length", 0, "bytes to write (default: to the end)")
	from.flags(cmd)
	a.rateFlags(cmd)
	a.listFlags(cmd)
	return cmd
}

func (a *app) cat(ctx context.Context, request node.CatRequest) error {
	out := &counter{w: a.out}
	return a.with(ctx, func(ctx context.Context, s *session) error {
		rest := request
		rest.Offset += out.n.Load() // another node may have written some of it
		if rest.Length > 0 {
			if rest.Length -= out.n.Load(); rest.Length == 0 {
				return nil
			}
		}
		before := out.n.Load()
		err := s.Cat(ctx, rest, &firstWrite{out, s.tell.stop}, func(e node.Event) {
			if out.n.Load() == before {
				s.tell.event(e)
			} else if e.Kind == "waiting" || e.Kind == "note" {
				a.remark("%s", describe(e)) // bytes have come, so a bar would only be in their way
			}
		})
		if out.failed.Load() {
			return fmt.Errorf("write to standard output: %w", err)
		}
		return err
	})
}

// counter counts what was written.
type counter struct {
	w      io.Writer
	n      atomic.Int64
	failed atomic.Bool
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n.Add(int64(n))
	if err != nil {
		c.failed.Store(true)
	}
	return n, err
}

// firstWrite calls a function before anything is written.
type firstWrite struct {
	w      io.Writer
	before func()
}

func (f *firstWrite) Write(p []byte) (int, error) {
	if f.before != nil {
		f.before()
		f.before = nil
	}
	return f.w.Write(p)
}
