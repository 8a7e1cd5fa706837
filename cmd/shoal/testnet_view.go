package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"github.com/vbauerster/mpb/v8/cwriter"

	"github.com/shoal-p2p/shoal/content"
	"github.com/shoal-p2p/shoal/node"
	"github.com/shoal-p2p/shoal/testnet"
)

func (a *app) testnetStatusCommand(name *string) *cobra.Command {
	var watch bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show all nodes, who is connected, and who sends what to whom",
		Long: `Shows each node of the network, and what they send each other. Where links are limited, it also says how near what moves comes to the
best that these links allow.

With --watch, it is shown anew each second, on a terminal in place, until ^C; with --json, it is then one object a line.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			n, err := a.testnet(*name)
			if err != nil {
				return err
			}
			if watch {
				return a.watchTestnet(cmd.Context(), n)
			}
			look, err := n.Look(cmd.Context())
			if err != nil {
				return fromTestnet(err)
			}
			if a.json {
				return printJSON(a.out, look)
			}
			_, err = io.WriteString(a.out, lookText(look))
			return err
		},
	}
	cmd.Flags().BoolVar(&watch, "watch", false, "show it anew each second, until ^C")
	return cmd
}

// quietLook is how long the lines below each other may be the same where there is no terminal.
const quietLook = 30 * time.Second

// watchTestnet shows a network again and again, until the user has seen enough or it is taken down.
func (a *app) watchTestnet(ctx context.Context, n *testnet.Net) error {
	show := a.lookLines()
	switch {
	case a.json:
		show = func(l testnet.Look) error { return printJSON(a.out, l) }
	case a.onTerminal(a.out):
		show = a.lookScreen()
	}
	t := time.NewTicker(watchEvery)
	defer t.Stop()
	for {
		look, err := n.Look(ctx)
		if ctx.Err() != nil {
			return nil // that is how it ends
		}
		if errors.Is(err, testnet.ErrNone) {
			a.remark("the network has been taken down")
			return nil
		}
		if err == nil {
			err = show(look)
		}
		if err != nil {
			return fromTestnet(err)
		}
		select {
		case <-t.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// lookScreen draws each look over the one before.
func (a *app) lookScreen() func(testnet.Look) error {
	w := cwriter.New(a.out)
	return func(l testnet.Look) error {
		columns, rows := terminalSize(a.out)
		lines := fitLook(l, rows-1)
		for _, line := range lines {
			if _, err := io.WriteString(w, clip(line, columns-1)+"\n"); err != nil {
				return err
			}
		}
		return w.Flush(len(lines))
	}
}

// fitLook is what of a look has room on so many lines: the sums, and of the nodes and of what they send each other as much as goes.
func fitLook(l testnet.Look, room int) []string {
	lines := strings.Split(strings.TrimSuffix(lookText(l), "\n"), "\n")
	if len(lines) <= room {
		return lines
	}
	const above = 3 // lines: the sums, none, and what the columns are
	nodes, rest := lines[above:above+len(l.Nodes)], lines[above+len(l.Nodes):]
	rest = rest[:min(len(rest), max(room/2, 0))]
	some := max(room-above-len(rest)-1, 0)
	out := slices.Concat(lines[:above], nodes[:some], []string{fmt.Sprintf("… and %d more: 'shoal testnet status' shows all", len(nodes)-some)}, rest)
	return out[:min(len(out), max(room, 1))]
}

// lookLines prints a line for each look that differs from the one before, and one now and then in any case.
func (a *app) lookLines() func(testnet.Look) error {
	var last string
	var spoke time.Time
	return func(l testnet.Look) error {
		text := summary(l)
		for _, s := range l.Swarms {
			text += "; " + swarmText(s)
		}
		if text == last && time.Since(spoke) < quietLook {
			return nil
		}
		last, spoke = text, time.Now()
		_, err := fmt.Fprintf(a.out, "%s  %s\n", spoke.Format("15:04:05"), content.Printable(text))
		return err
	}
}

// summary is a network in a line.
func summary(l testnet.Look) string {
	states := make(map[testnet.State]int)
	var down float64
	for _, n := range l.Nodes {
		states[n.State]++
		down += n.Down
	}
	text := count(len(l.Nodes), "node", "nodes") + fmt.Sprintf(", %d up", states[testnet.StateUp])
	for _, s := range []testnet.State{testnet.StateNew, testnet.StateStopped, testnet.StateKilled, testnet.StateCrashed} {
		if states[s] > 0 {
			text += fmt.Sprintf(", %d %s", states[s], s)
		}
	}
	cut := ""
	if len(l.Sides) > 0 {
		cut = cutText(l.Sides)
	}
	return join(text, count(len(l.Pairs), "connection", "connections"), rate(down)+" of content", cut)
}

const mostFlows = 20 // lines

// lookText is a network at a glance.
func lookText(l testnet.Look) string {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s, on %s, up %s\n\n", summary(l), l.Ground, span(l.Age))
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "NODE\tSTATE\tPEER\tCONNECTED WITH\tRECEIVED\tSENT\tDOWN\tUP\tMEMORY")
	for i, n := range l.Nodes {
		if n.State != testnet.StateUp {
			fmt.Fprintf(w, "%s\t%s\t%s\t\t\t\t\t\t\n", n.Name, n.State, short(n.Peer))
			continue
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", n.Name, n.State, short(n.Peer), neighbours(l, i), size(n.Received), size(n.Sent),
			rate(n.Down), rate(n.Up), size(n.Memory))
	}
	_ = w.Flush() // into memory
	for _, s := range l.Swarms {
		fmt.Fprintf(&b, "\n%s\n", content.Printable(swarmText(s)))
		shown := 0
		for _, f := range l.Flows {
			if f.CID == s.CID && shown < mostFlows {
				fmt.Fprintf(&b, "  %s → %s  %s, %s\n", f.From, f.To, rate(f.Rate), size(f.Bytes))
				shown++
			}
		}
	}
	return b.String()
}

const mostNeighbours = 6 // names

// neighbours names the nodes with which one is connected, or says how many they are.
func neighbours(l testnet.Look, of int) string {
	var names []string
	for _, p := range l.Pairs {
		switch of {
		case p[0]:
			names = append(names, l.Nodes[p[1]].Name)
		case p[1]:
			names = append(names, l.Nodes[p[0]].Name)
		}
	}
	if len(names) > mostNeighbours {
		return fmt.Sprintf("%d nodes", len(names))
	}
	return strings.Join(names, " ")
}

// swarmText is how far the fetching of a root is. The CID is last: a narrow terminal may cut that off.
func swarmText(s testnet.Swarm) string {
	text := fmt.Sprintf("%s: %s", cmp.Or(s.Name, s.CID), count(s.Receivers, "node fetches it", "nodes fetch it"))
	if s.Bytes > 0 {
		text = join(text, fmt.Sprintf("%d %% there", percent(s.Has, s.Bytes*int64(s.Receivers))))
	}
	text = join(text, rate(s.Rate), twice(s.Duplicate))
	if s.Best > 0 {
		text = join(text, fmt.Sprintf("%.0f %% of what the links allow", 100*s.Rate/s.Best))
	}
	if s.Name != "" {
		text = join(text, s.CID)
	}
	return text
}

// starting is news of something that is being started.
func starting(message string) node.Event { return node.Event{Kind: "starting", Message: message} }
