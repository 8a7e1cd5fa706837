package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/shoal-p2p/shoal/content"
	"github.com/shoal-p2p/shoal/node"
)

func (a *app) statusCommand() *cobra.Command {
	var live, each bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show the running node at a glance",
		Long: `Shows the running node, and every transfer in both directions.

With --watch, it is shown anew each second, on a terminal in place, until q or ^C is pressed; with --json, it is then one object
a line.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withRunning(cmd.Context(), func(ctx context.Context, s *session) error {
				s.tell.stop()
				text := func(status node.Status) string { return statusText(status, each) }
				if live {
					return watch(ctx, a, view[node.Status]{watchEvery, s.Status, text})
				}
				status, err := s.Status(ctx)
				if err != nil {
					return err
				}
				if a.json {
					return printJSON(a.out, status)
				}
				_, err = fmt.Fprint(a.out, text(status))
				return err
			})
		},
	}
	cmd.Flags().BoolVar(&live, "watch", false, "show it anew each second, until q or ^C is pressed")
	cmd.Flags().BoolVar(&each, "peers", false, "also show what each peer of a transfer gives and takes")
	return cmd
}

// idText is who the node is.
func idText(s node.Status) string {
	if s.Ephemeral {
		return s.ID + ", for this run only"
	}
	return s.ID
}

// statusText is the node at a glance; each says whether to list the peers of transfers.
func statusText(s node.Status, each bool) string {
	var b strings.Builder
	row := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "%-8s %s\n", name, content.Printable(fmt.Sprintf(format, args...)))
	}
	row("peer", "%s", idText(s))
	row("version", "%s", s.Version)
	row("home", "%s", s.Home)
	row("process", "%d, up %s, %s of memory", s.PID, span(s.Uptime), size(s.Memory))
	row("network", "%s, %s connected", s.Network, count(s.Peers, "peer", "peers"))
	for _, addr := range s.Addrs {
		row("listens", "%s", addr)
	}
	if s.Reach != nil {
		reachRows(*s.Reach, row)
	}
	shares := count(s.Shares, "share", "shares")
	if s.Stale > 0 {
		shares += ", " + count(s.Stale, "file has changed or gone", "files have changed or gone") + " since ('shoal shares' shows which)"
	}
	row("serves", "%s", shares)
	row("traffic", "%s received, %s sent", size(s.Down), size(s.Up))
	row("besides", "%s received, %s sent in the last minute, none of it content", rate(s.Background.DownRate), rate(s.Background.UpRate))
	if n := len(s.Allow); n > 0 {
		row("allows", "%s and nobody else", count(n, "peer", "peers"))
	}
	if n := len(s.Block); n > 0 {
		row("blocks", "%s", count(n, "peer", "peers"))
	}
	if text := limits(s.Rates); text != "" {
		row("limits", "%s", text)
	}
	for _, t := range s.Transfers {
		name := t.CID
		if t.Name != "" {
			name = t.Name + ", " + t.CID
		}
		row(t.Direction, "%s", name)
		row("", "%s", transferText(t))
		if each {
			for _, p := range t.Sources {
				row("", "%s", peerText(p))
			}
		}
	}
	return b.String()
}

// transferText is how far a transfer is, in the directions that it has.
func transferText(t node.Transfer) string {
	down, up := "", ""
	if t.Direction != "up" {
		amount := size(t.Bytes)
		if t.Total > 0 {
			amount += fmt.Sprintf(" of %s (%d %%)", size(t.Total), percent(t.Bytes, t.Total))
		}
		down = join(amount+" received", speed(t.Rate))
		if left := t.Total - t.Bytes; left > 0 && t.Rate > 0 {
			down = join(down, eta(float64(left)/t.Rate))
		}
	}
	if t.Direction != "down" {
		up = join(size(t.Sent)+" sent", speed(t.UpRate))
	}
	return clauses(down, up, join(peers(t.Peers), twice(t.Duplicate)))
}

// peerText is one peer of a transfer.
func peerText(p node.Source) string {
	down, up, bad := "", "", ""
	if p.Bytes > 0 || p.Rate > 0 {
		down = join(size(p.Bytes)+" received", speed(p.Rate))
	}
	if p.Sent > 0 || p.UpRate > 0 {
		up = join(size(p.Sent)+" sent", speed(p.UpRate))
	}
	if p.Bad > 0 {
		bad = count(p.Bad, "wrong chunk", "wrong chunks")
	}
	return fmt.Sprintf("  %-9s  %s", short(p.Peer), clauses(join(way(p), p.Addr), down, up, join(twice(p.Duplicate), bad)))
}

// clauses are joined more loosely than the parts of each.
func clauses(parts ...string) string {
	var out []string
	for _, p := range parts {
		if p != "" {
			out = append(out, p)
		}
	}
	return strings.Join(out, "; ")
}
