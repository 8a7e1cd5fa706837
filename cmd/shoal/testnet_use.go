package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/shoal-p2p/shoal/testnet"
)

func (a *app) testnetExecCommand(name *string) *cobra.Command {
	return &cobra.Command{
		Use:   "exec NODE -- ARGS…",
		Short: "Run a shoal command with a node, as if it were your own",
		Long: `Runs 'shoal ARGS…' with the home of a node and where the node is. Input, output and exit code are those of the command.
The node must run.`,
		Example: `  shoal testnet exec n1 -- share --private FILE
  shoal testnet exec n2 -- get CID -o /tmp/copy`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) < 1 {
				return errors.New("NODE is missing")
			}
			if len(args) < 2 {
				return fmt.Errorf("ARGS are missing: say what %s is to do, as in 'shoal testnet exec %s -- status'", args[0], args[0])
			}
			return nil
		},
		ValidArgsFunction: a.completeNodes(name),
		RunE: func(_ *cobra.Command, args []string) error {
			n, err := a.testnet(*name)
			if err != nil {
				return err
			}
			if a.json {
				args = append(args, "--json")
			}
			of, err := n.Node(args[0])
			if err != nil {
				return fromTestnet(err)
			}
			if of.State != testnet.StateUp {
				return &advised{fmt.Errorf("%w: node %s: %s", errNoNode, of.Name, of.State), fmt.Sprintf("start it with 'shoal testnet start %s'", of.Name)}
			}
			run, err := n.Command(args[0], args[1:]...)
			if err != nil {
				return fromTestnet(err)
			}
			run.Stdin, run.Stdout, run.Stderr = a.in, a.out, a.err
			return become(run)
		},
	}
}

// exited is the end of a command that ran in place of ours.
type exited struct{ code int }

func (e *exited) Error() string { return fmt.Sprintf("exit code %d", e.code) }

func (a *app) testnetLogsCommand(name *string) *cobra.Command {
	var follow bool
	cmd := &cobra.Command{
		Use:               "logs NODE",
		Short:             "Show what a node has printed ('up -- --verbose' makes it print more)",
		Args:              exactly("NODE"),
		ValidArgsFunction: a.completeNodes(name),
		RunE: func(cmd *cobra.Command, args []string) error {
			n, err := a.testnet(*name)
			if err != nil {
				return err
			}
			of, err := n.Node(args[0])
			if err != nil {
				return fromTestnet(err)
			}
			return a.showLog(cmd.Context(), of.Log, follow)
		},
	}
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "go on with what it prints from now on, until ^C")
	return cmd
}

const followEvery = 200 * time.Millisecond

// showLog copies a log to the output.
func (a *app) showLog(ctx context.Context, path string, follow bool) error {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // it has not printed anything
	}
	if err != nil {
		return fromTestnet(err)
	}
	defer f.Close()
	t := time.NewTicker(followEvery)
	defer t.Stop()
	for {
		if _, err := io.Copy(a.out, f); err != nil {
			return err
		}
		if !follow {
			return nil
		}
		select {
		case <-t.C:
		case <-ctx.Done():
			return nil // that is how it ends
		}
		if _, err := os.Stat(path); err != nil {
			return nil // the network was taken down
		}
	}
}

func (a *app) testnetAddCommand(name *string) *cobra.Command {
	var nat string
	var link linkFlags
	cmd := &cobra.Command{
		Use:   "add [COUNT | NAME…] [-- FLAGS…]",
		Short: "Start more nodes: so many, or under these names; FLAGS are those of 'shoal serve'",
		Long: `Starts more nodes, and returns once they have joined: so many, one, or those that are named. Their links, routers and flags are those that
'up' was given; what is typed here changes that for these nodes, and FLAGS come on top of those of 'up'.`,
		Example: `  shoal testnet add 5
  shoal testnet add slow --rate 2Mbit --delay 100ms
  shoal testnet add anna ben -- --up-rate 2M`,
		RunE: func(cmd *cobra.Command, args []string) error {
			names, flags := splitDash(cmd, args)
			n, err := a.testnet(*name)
			if err != nil {
				return err
			}
			specs, err := newcomers(names, n.Nodes())
			if err != nil {
				return err
			}
			usual := n.Usual()
			if cmd.Flags().Changed("nat") {
				usual.NAT = nat
			}
			for i := range specs {
				specs[i].Flags, specs[i].NAT, specs[i].Link = slices.Concat(usual.Flags, flags), usual.NAT, link.change(usual.Link)
			}
			tell := a.progress("starting " + count(len(specs), "node", "nodes"))
			err = n.Add(cmd.Context(), specs...)
			tell.stop()
			if err != nil {
				return fromTestnet(err)
			}
			nodes := n.Nodes()
			return a.printNodes(nodes[max(0, len(nodes)-len(specs)):])
		},
	}
	cmd.Flags().StringVar(&nat, "nat", "", "the kind of router before them: cone, port-restricted, symmetric; empty for none (up --netns --nat)")
	link.register(cmd)
	return cmd
}

// newcomers are the nodes to add: one, so many, or those named.
func newcomers(args []string, there []testnet.Node) ([]testnet.Spec, error) {
	if len(args) == 0 {
		args = []string{"1"}
	}
	if n, err := strconv.Atoi(args[0]); err == nil && len(args) == 1 {
		if err := checkCount(n); err != nil {
			return nil, err
		}
		return testnet.Numbered("n", n, there), nil
	}
	var specs []testnet.Spec
	for _, name := range args {
		specs = append(specs, testnet.Spec{Name: name})
	}
	return specs, nil
}

func checkCount(n int) error {
	if n < 1 {
		return usage("%d nodes make no network: at least one is needed", n)
	}
	if n > testnet.MaxNodes {
		return usage("%d nodes are more than the %d that a test network may have, each of which is a process", n, testnet.MaxNodes)
	}
	return nil
}

// splitDash separates arguments from what stands behind two hyphens.
func splitDash(cmd *cobra.Command, args []string) (before, behind []string) {
	if at := cmd.ArgsLenAtDash(); at >= 0 {
		return args[:at], args[at:]
	}
	return args, nil
}
