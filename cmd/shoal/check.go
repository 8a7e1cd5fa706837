package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/shoal-p2p/shoal/content"
	"github.com/shoal-p2p/shoal/node"
)

func (a *app) checkCommand() *cobra.Command {
	var repair bool
	var from sought
	cmd := &cobra.Command{
		Use:   "check [REF]",
		Short: "Read and hash again what is shared and fetched",
		Long: `Reads every byte of a share, or of all, and compares it with its CID. With --repair, what broke in fetched files is fetched again
and written back; files that were changed on purpose are left alone. Ends with exit code 5 if something is still broken.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			request := node.CheckRequest{Repair: repair, Peers: from.peers, Timeout: from.seconds()}
			if len(args) > 0 {
				ref, err := a.ref(args[0])
				if err != nil {
					return err
				}
				request.Ref = ref.text
			}
			return a.check(cmd.Context(), request)
		},
		ValidArgsFunction: a.completeShares,
	}
	cmd.Flags().BoolVar(&repair, "repair", false, "fetch what broke in fetched files, and write it back")
	from.flags(cmd)
	return cmd
}

func (a *app) check(ctx context.Context, request node.CheckRequest) error {
	return a.with(ctx, func(ctx context.Context, s *session) error {
		result, err := s.Check(ctx, request, s.tell.event)
		s.tell.stop()
		if err != nil {
			return err
		}
		if a.json {
			err = printJSON(a.out, result)
		} else {
			err = a.printChecked(result)
		}
		if err == nil && len(result.Bad) > 0 {
			return &quiet{node.ErrVerify} // everything has been said
		}
		return err
	})
}

func (a *app) printChecked(c node.Checked) error {
	for _, b := range c.Bad {
		text := fmt.Sprintf("bad  %s in %s: %s", content.Printable(b.Path), b.CID, content.Printable(b.Reason))
		if b.Chunks > 0 {
			text += fmt.Sprintf(" (%s)", count(b.Chunks, "chunk", "chunks"))
		}
		if _, err := fmt.Fprintln(a.out, text); err != nil {
			return err
		}
	}
	text := fmt.Sprintf("checked %s, %s, %s: ", count(c.Shares, "share", "shares"), count(c.Files, "file", "files"), took(c.Bytes, c.Seconds))
	if c.Repaired > 0 {
		text += count(c.Repaired, "chunk", "chunks") + " repaired, "
	}
	if len(c.Bad) == 0 {
		text += "all is well"
	} else {
		text += count(len(c.Bad), "file is bad", "files are bad")
	}
	_, err := fmt.Fprintln(a.out, text)
	return err
}
