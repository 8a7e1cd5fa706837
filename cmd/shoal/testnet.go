package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/shoal-p2p/shoal/gateway"
	"github.com/shoal-p2p/shoal/node"
	"github.com/shoal-p2p/shoal/testnet"
)

func (a *app) testnetCommand() *cobra.Command {
	var name string
	cmd := &cobra.Command{
		Use:   "testnet",
		Short: "Run many nodes on this machine, as a network to try things on",
		Long: `Runs networks of many real nodes on this machine: 'up' starts one, 'exec' uses one of its nodes as if it were your own, 'down' removes
all of it. Each node is a process with a home of its own; all of them lie in one folder, below the home of this program (--home).`,
		Example: `  shoal testnet up -n 10 --detach
  shoal testnet exec n1 -- share FILE
  shoal testnet exec n7 -- get CID
  shoal testnet status --watch
  shoal testnet down`,
		Args:              cobra.NoArgs,
		RunE:              func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error { return a.prepareTestnet(cmd) },
	}
	cmd.PersistentFlags().StringVar(&name, "name", "default", "which network it is: there may be several at once")
	cmd.AddCommand(
		a.testnetUpCommand(&name), a.testnetStatusCommand(&name), a.testnetExecCommand(&name), a.testnetLogsCommand(&name),
		a.testnetStartCommand(&name), a.testnetStopCommand(&name), a.testnetKillCommand(&name), a.testnetAddCommand(&name),
		a.testnetLinkCommand(&name), a.testnetCutCommand(&name), a.testnetHealCommand(&name),
		a.testnetDownCommand(&name), a.testnetCleanCommand(), a.testnetReportCommand(), a.testnetCompareCommand(),
		a.testnetRunCommand(), a.testnetScenariosCommand(),
	)
	return cmd
}

// prepareTestnet refuses the flags of a node: here are many nodes, and each has its own.
func (a *app) prepareTestnet(cmd *cobra.Command) error {
	if err := a.prepare(cmd); err != nil {
		return err
	}
	var misplaced string
	cmd.Flags().Visit(func(f *pflag.Flag) {
		if cmd.Root().PersistentFlags().Lookup(f.Name) == f && f.Name != "json" && f.Name != "home" {
			misplaced = f.Name
		}
	})
	if misplaced == "" {
		return nil
	}
	return &advised{
		usage("--%s is for one node, and a test network has many", misplaced),
		fmt.Sprintf("give it to all nodes that you start, behind two hyphens: 'shoal testnet up -- --%s …'", misplaced),
	}
}

// testnetRoot is the folder in which those of test networks lie.
func (a *app) testnetRoot() (string, error) {
	err := a.locate()
	return filepath.Join(a.home, "testnet"), err
}

func (a *app) testnetDir(name string) (string, error) {
	if err := testnet.CheckName(name); err != nil {
		return "", fromTestnet(err)
	}
	root, err := a.testnetRoot()
	return filepath.Join(root, name), err
}

// testnet finds the network of a name, which must be there.
func (a *app) testnet(name string) (*testnet.Net, error) {
	dir, err := a.testnetDir(name)
	if err != nil {
		return nil, err
	}
	n, err := testnet.Open(dir, nil)
	if errors.Is(err, testnet.ErrNone) {
		return nil, a.noTestnet(name)
	}
	return n, fromTestnet(err)
}

// noTestnet is the error for a network that is not there; it names those that are.
func (a *app) noTestnet(name string) error {
	hint := "start one with 'shoal testnet up'"
	root, _ := a.testnetRoot()     // was found before
	entries, _ := os.ReadDir(root) // none is as good as an error
	var others []string
	for _, e := range entries {
		if _, err := testnet.Open(filepath.Join(root, e.Name()), nil); err == nil {
			others = append(others, e.Name())
		}
	}
	if len(others) > 0 {
		hint = fmt.Sprintf("there is %s: choose with --name, or start another with 'shoal testnet up --name %s'", list(others), name)
	}
	return &advised{fmt.Errorf("%w: no test network %q is up", errNoNode, name), hint}
}

// fromTestnet gives an error of package testnet its way to end.
func fromTestnet(err error) error {
	var remote *gateway.RemoteError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &remote):
		return fromCode(err)
	case errors.Is(err, testnet.ErrRequest), errors.Is(err, testnet.ErrGround), errors.Is(err, testnet.ErrExists):
		return &said{node.ErrUsage, plainly(err)}
	case errors.Is(err, testnet.ErrNone):
		return &advised{fmt.Errorf("%w: the test network has been taken down", errNoNode), "start one with 'shoal testnet up'"}
	case errors.Is(err, os.ErrPermission), errors.As(err, new(*os.PathError)):
		return fmt.Errorf("%w: %w", node.ErrDisk, err)
	}
	return err
}

// plainly leaves out what the exit code says already.
func plainly(err error) string {
	return strings.Replace(err.Error(), testnet.ErrRequest.Error()+": ", "", 1)
}

// list writes names for people, not too many.
func list(names []string) string {
	const most = 12
	slices.Sort(names)
	text := ""
	for i, name := range names[:min(len(names), most)] {
		text += name
		if i < min(len(names), most)-1 {
			text += ", "
		}
	}
	if more := len(names) - most; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// testnetStartCommand and the two below it do something with the process of each node that is named.
func (a *app) testnetStartCommand(name *string) *cobra.Command {
	return a.eachNode(name, "start NODE…", "Start nodes that do not run, with the homes that they had",
		"starting", "started", (*testnet.Net).Start)
}

func (a *app) testnetStopCommand(name *string) *cobra.Command {
	return a.eachNode(name, "stop NODE…", "Ask nodes to end, as ^C does; their homes stay",
		"stopping", "stopped", (*testnet.Net).Stop)
}

func (a *app) testnetKillCommand(name *string) *cobra.Command {
	return a.eachNode(name, "kill NODE…", "End nodes at once, as a power cut does; their homes stay",
		"killing", "killed", (*testnet.Net).Kill)
}

func (a *app) eachNode(name *string, use, short, doing, done string, do func(*testnet.Net, context.Context, string) error) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short, Args: atLeast("NODE"), ValidArgsFunction: a.completeNodes(name),
		RunE: func(cmd *cobra.Command, nodes []string) error {
			n, err := a.testnet(*name)
			if err != nil {
				return err
			}
			for _, node := range nodes { // before any of them is touched
				if _, err := n.Node(node); err != nil {
					return fromTestnet(err)
				}
			}
			for _, node := range nodes {
				tell := a.progress(doing + " " + node)
				err := do(n, cmd.Context(), node)
				tell.stop()
				if err != nil {
					return fromTestnet(err)
				}
				if err := a.sayNode(n, node, done); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

func (a *app) sayNode(n *testnet.Net, name, done string) error {
	if !a.json {
		_, err := fmt.Fprintf(a.out, "%s %s\n", done, name)
		return err
	}
	of, err := n.Node(name)
	if err != nil {
		return fromTestnet(err)
	}
	return printJSON(a.out, of)
}

func (a *app) completeNodes(name *string) cobra.CompletionFunc {
	return func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		var names []string
		if n, err := a.testnet(*name); err == nil {
			for _, node := range n.Nodes() {
				names = append(names, node.Name)
			}
		}
		return names, cobra.ShellCompDirectiveNoFileComp
	}
}

// atLeast wants one argument or more.
func atLeast(what string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) == 0 {
			return fmt.Errorf("%s is missing", what)
		}
		return nil
	}
}

func (a *app) testnetDownCommand(name *string) *cobra.Command {
	return &cobra.Command{
		Use:   "down",
		Short: "End the network and remove all that was made for it",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			n, err := a.testnet(*name)
			if err != nil {
				return err
			}
			return a.takeDown(cmd.Context(), n, *name)
		},
	}
}

func (a *app) takeDown(ctx context.Context, n *testnet.Net, name string) error {
	nodes := len(n.Nodes())
	tell := a.progress("taking the network down")
	err := n.Down(ctx)
	tell.stop()
	if err != nil {
		return fromTestnet(err)
	}
	if root, err := a.testnetRoot(); err == nil {
		_ = os.Remove(root) // if there is no other
	}
	if a.json {
		return printJSON(a.out, map[string]any{"down": name, "nodes": nodes})
	}
	_, err = fmt.Fprintf(a.out, "%s is down: %s removed\n", name, count(nodes, "node", "nodes"))
	return err
}

func (a *app) testnetCleanCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "clean",
		Short: "Remove what crashed test networks have left",
		Long: `Removes what is left of networks whose 'testnet up' was killed, of which no node runs any more (as after a restart of the machine), or
whose folder is gone or broken. Networks that are in use stay; 'testnet down' is for those.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			root, err := a.testnetRoot()
			if err != nil {
				return err
			}
			tell := a.progress("looking for what is left")
			cleaned, err := testnet.Clean(cmd.Context(), root)
			tell.stop()
			if a.json {
				err = cmp.Or(fromTestnet(err), printJSON(a.out, map[string]any{"cleaned": append([]testnet.Cleaned{}, cleaned...)}))
				return err
			}
			for _, c := range cleaned {
				what := "kept"
				if c.Removed {
					what = "removed"
				}
				fmt.Fprintf(a.out, "%s %s: %s\n", what, filepath.Base(c.Dir), c.Reason)
			}
			if err == nil && len(cleaned) == 0 {
				fmt.Fprintln(a.out, "nothing is left of any test network")
			}
			return fromTestnet(err)
		},
	}
}
