package main

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/shoal-p2p/shoal/testnet"
)

// linkFlags describe the link of a node. What was not typed stays as it was.
type linkFlags struct {
	rate, up, down linkRate
	delay, jitter  time.Duration
	loss           percentFlag
	mtu            int
	set            *pflag.FlagSet
}

func (l *linkFlags) register(cmd *cobra.Command) {
	l.set = pflag.NewFlagSet("link", pflag.ContinueOnError)
	l.set.Var(&l.rate, "rate", "bytes a second that a node's link carries each way: 5M, 2MB, 100Mbit; 0 is no limit")
	l.set.Var(&l.up, "up", "bytes a second that a node can send, where that differs")
	l.set.Var(&l.down, "down", "bytes a second that a node can receive, where that differs")
	l.set.DurationVar(&l.delay, "delay", 0, "how long a packet is on a link, each way: 20ms")
	l.set.DurationVar(&l.jitter, "jitter", 0, "by how much that differs at most: 2ms")
	l.set.Var(&l.loss, "loss", "share of the packets that a link loses, each way: 0.5%")
	l.set.IntVar(&l.mtu, "mtu", 0, "bytes of the longest packet (default 1500)")
	cmd.Flags().AddFlagSet(l.set)
}

// typed reports whether there is anything to change.
func (l *linkFlags) typed() (any bool) {
	l.set.VisitAll(func(f *pflag.Flag) { any = any || f.Changed })
	return any
}

// change returns a link as it is to be.
func (l *linkFlags) change(to testnet.Link) testnet.Link {
	for _, f := range []struct {
		name string
		set  func()
	}{
		{"rate", func() { to.Up, to.Down = float64(l.rate), float64(l.rate) }},
		{"up", func() { to.Up = float64(l.up) }},
		{"down", func() { to.Down = float64(l.down) }},
		{"delay", func() { to.Delay = l.delay }},
		{"jitter", func() { to.Jitter = l.jitter }},
		{"loss", func() { to.Loss = float64(l.loss) }},
		{"mtu", func() { to.MTU = l.mtu }},
	} {
		if l.set.Changed(f.name) {
			f.set()
		}
	}
	return to
}

// linkRate is a rate that a user typed, in bytes a second.
type linkRate float64

func (r *linkRate) Set(text string) error {
	n, ok := amount(strings.TrimSuffix(strings.ToLower(text), "/s"))
	if !ok {
		return errRate
	}
	*r = linkRate(n)
	return nil
}

func (r *linkRate) String() string {
	if *r == 0 {
		return ""
	}
	return rate(float64(*r))
}

func (*linkRate) Type() string { return "RATE" }

// percentFlag is a share that a user typed as a percentage.
type percentFlag float64

func (p *percentFlag) Set(text string) error {
	number, percent := strings.CutSuffix(text, "%")
	n, err := strconv.ParseFloat(number, 64)
	if err != nil || !percent && n != 0 || !(n >= 0 && n <= 100) {
		return errors.New("write a share as 2% or 0.5%, from 0% to 100%")
	}
	*p = percentFlag(n / 100)
	return nil
}

func (p *percentFlag) String() string {
	if *p == 0 {
		return ""
	}
	return shareText(float64(*p))
}

func (*percentFlag) Type() string { return "SHARE" }

func shareText(share float64) string { return strconv.FormatFloat(share*100, 'g', 4, 64) + "%" }

func (a *app) testnetLinkCommand(name *string) *cobra.Command {
	var l linkFlags
	cmd := &cobra.Command{
		Use:   "link [NODE…]",
		Short: "Show the links of nodes, or change them while they run (up --netns)",
		Long: `Changes the links of nodes while they run: what is not named stays as it was, and 0 takes a limit away. Without flags, it shows them, or
those of all nodes.`,
		Example: `  shoal testnet link n3 --rate 5Mbit --delay 100ms --loss 1%
  shoal testnet link n3 --rate 0 --delay 0 --loss 0%`,
		ValidArgsFunction: a.completeNodes(name),
		RunE: func(cmd *cobra.Command, nodes []string) error {
			n, err := a.testnet(*name)
			if err != nil {
				return err
			}
			chosen, err := choose(n, nodes)
			if err != nil {
				return fromTestnet(err)
			}
			if !l.typed() {
				return a.printLinks(chosen)
			}
			if len(nodes) == 0 {
				return usage("say whose link is to change: %s", list(namesOf(chosen)))
			}
			for i, of := range chosen {
				link := l.change(of.Link)
				if err := n.Shape(cmd.Context(), of.Name, link); err != nil {
					return fromTestnet(err)
				}
				chosen[i].Link = link
			}
			return a.printLinks(chosen)
		},
	}
	l.register(cmd)
	return cmd
}

// choose returns the nodes with these names; without names, all.
func choose(n *testnet.Net, names []string) ([]testnet.Node, error) {
	if len(names) == 0 {
		return n.Nodes(), nil
	}
	var chosen []testnet.Node
	for _, name := range names {
		of, err := n.Node(name)
		if err != nil {
			return nil, err
		}
		chosen = append(chosen, of)
	}
	return chosen, nil
}

func namesOf(nodes []testnet.Node) (names []string) {
	for _, n := range nodes {
		names = append(names, n.Name)
	}
	return names
}

func (a *app) printLinks(nodes []testnet.Node) error {
	if a.json {
		for _, n := range nodes {
			if err := printJSON(a.out, map[string]any{"node": n.Name, "link": n.Link}); err != nil {
				return err
			}
		}
		return nil
	}
	w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "NODE\tUP\tDOWN\tDELAY\tJITTER\tLOSS\tMTU")
	limit := func(r float64) string {
		if r == 0 {
			return "no limit"
		}
		return bits(r)
	}
	for _, n := range nodes {
		l := n.Link
		mtu := "1500"
		if l.MTU != 0 {
			mtu = strconv.Itoa(l.MTU)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%v\t%v\t%s\t%s\n", n.Name, limit(l.Up), limit(l.Down), l.Delay, l.Jitter, shareText(l.Loss), mtu)
	}
	return w.Flush()
}

func (a *app) testnetCutCommand(name *string) *cobra.Command {
	return &cobra.Command{
		Use:   "cut NODE[,NODE…]…",
		Short: "Cut the network into sides that do not reach each other (up --netns)",
		Long: `Lets packets pass only between nodes of the same side, until 'heal' or another cut. Each argument is a side; nodes that are on none are on
one together, as are those that come later.`,
		Example: `  shoal testnet cut n1,n2           these two, and the rest
  shoal testnet cut n1,n2 n3 n4,n5  three sides, and the rest`,
		Args:              atLeast("NODE"),
		ValidArgsFunction: a.completeNodes(name),
		RunE: func(cmd *cobra.Command, args []string) error {
			n, err := a.testnet(*name)
			if err != nil {
				return err
			}
			var sides [][]string
			for _, side := range args {
				sides = append(sides, strings.Split(side, ","))
			}
			if err := n.Partition(cmd.Context(), sides); err != nil {
				return fromTestnet(err)
			}
			return a.printSides(sides)
		},
	}
}

func (a *app) testnetHealCommand(name *string) *cobra.Command {
	return &cobra.Command{
		Use:   "heal",
		Short: "End a cut",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			n, err := a.testnet(*name)
			if err == nil {
				err = fromTestnet(n.Heal(cmd.Context()))
			}
			if err != nil {
				return err
			}
			return a.printSides([][]string{})
		},
	}
}

// bits is a rate as links are sold: in bits.
func bits(bytes float64) string {
	n, unit := bytes*8, 0
	for units := 3; n >= 1000 && unit < units; unit++ {
		n /= 1000
	}
	return strconv.FormatFloat(n, 'g', 3, 64) + " " + []string{"", "k", "M", "G"}[unit] + "bit/s"
}

// cutText says who still reaches whom.
func cutText(sides [][]string) string {
	var text []string
	for _, side := range sides {
		text = append(text, list(slices.Clone(side)))
	}
	return "cut: " + strings.Join(text, " | ") + " | all others"
}

func (a *app) printSides(sides [][]string) error {
	if a.json {
		return printJSON(a.out, map[string]any{"sides": sides})
	}
	text := "healed: everybody reaches everybody"
	if len(sides) > 0 {
		text = cutText(sides)
	}
	_, err := fmt.Fprintln(a.out, text)
	return err
}
