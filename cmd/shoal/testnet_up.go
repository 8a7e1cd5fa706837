package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/shoal-p2p/shoal/content"
	"github.com/shoal-p2p/shoal/testnet"
)

const usualNodes = 5

// reachable is how many nodes stand before no NAT in a network that has them: two see from outside what a NAT does.
const reachable = 2

// upOptions say what network to put up.
type upOptions struct {
	name   string
	nodes  int
	chosen bool // the number was typed
	detach bool
	flags  []string // of shoal serve
	netns  bool
	docker bool
	nat    string
	link   linkFlags
}

// ground is what the nodes are to stand on.
func (o upOptions) ground() string {
	switch {
	case o.netns:
		return testnet.Namespaces
	case o.docker:
		return testnet.Containers
	}
	return testnet.Processes
}

func (a *app) testnetUpCommand(name *string) *cobra.Command {
	var o upOptions
	cmd := &cobra.Command{
		Use:   "up [-- FLAGS…]",
		Short: "Start a network of nodes, and watch it; FLAGS are those of 'shoal serve'",
		Long: `Starts nodes n1, n2 and so on, on this machine's loopback, joins them, and shows who is connected and who sends what to whom, until ^C,
which takes the network down again. With --netns, each has an address and a link of its own, which can be narrow, slow, lossy and cut.
With --docker, each is a container on a network of Docker's. With --detach, it returns once all have joined, and the network stays until
'testnet down'.

If the network is there already, it is shown, and ^C ends the view alone. A network whose 'up' was killed is taken over.`,
		Example: `  shoal testnet up -n 10
  shoal testnet up -n 3 --detach --name slow -- --up-rate 2M --no-dht
  shoal testnet up -n 8 --netns --rate 100Mbit --delay 20ms --loss 0.1%`,
		RunE: func(cmd *cobra.Command, args []string) error {
			args, o.flags = splitDash(cmd, args)
			if len(args) > 0 {
				return usage("%q is one argument too many: flags of the nodes go behind two hyphens", args[0])
			}
			o.name, o.chosen = *name, cmd.Flags().Changed("nodes")
			if err := checkCount(o.nodes); err != nil {
				return err
			}
			if o.nat != "" && o.nodes <= reachable {
				return usage("--nat is for all but the first %d nodes, and these are %d: choose more with -n", reachable, o.nodes)
			}
			return a.testnetUp(cmd.Context(), o)
		},
	}
	cmd.Flags().IntVarP(&o.nodes, "nodes", "n", usualNodes, "how many nodes")
	cmd.Flags().BoolVar(&o.netns, "netns", false, "give each node a network namespace on a bridge, with a link of its own (Linux, root)")
	cmd.Flags().BoolVar(&o.docker, "docker", false, "run each node in a container (Linux; this program must be static, as 'make build' makes it)")
	cmd.MarkFlagsMutuallyExclusive("netns", "docker")
	cmd.Flags().StringVar(&o.nat, "nat", "", "put a router of this kind before each node but the first two: cone, port-restricted, symmetric (with --netns)")
	o.link.register(cmd)
	cmd.Flags().BoolVar(&o.detach, "detach", false, "return once all have joined; the network stays until 'testnet down'")
	return cmd
}

func (a *app) testnetUp(ctx context.Context, o upOptions) error {
	dir, err := a.testnetDir(o.name)
	if err != nil {
		return err
	}
	n, mine, err := a.foundTestnet(ctx, dir, o)
	if err != nil {
		return err
	}
	if n == nil {
		if n, err = a.newTestnet(ctx, dir, o); err != nil {
			return err
		}
		mine = true
	}
	if o.detach || !mine {
		if mine {
			err = n.Leave(ctx)
		}
		if err := errors.Join(fromTestnet(err), a.printNodes(n.Nodes())); err != nil || o.detach {
			return err
		}
		a.remark("this network was up already: ^C ends the view, and 'shoal testnet down' the network")
		return a.watchTestnet(ctx, n)
	}
	err = a.printNodes(n.Nodes())
	if err == nil {
		a.remark("^C takes the network down")
		err = a.watchTestnet(ctx, n)
	}
	if _, gone := testnet.Open(dir, nil); errors.Is(gone, testnet.ErrNone) {
		return err // another command has done it
	}
	return errors.Join(err, a.takeDown(context.WithoutCancel(ctx), n, o.name))
}

// foundTestnet looks for a network that is there already. mine says that it ends with this command, because the one that put it up was
// killed. What is left of one that runs no more is removed.
func (a *app) foundTestnet(ctx context.Context, dir string, o upOptions) (n *testnet.Net, mine bool, err error) {
	if _, err := os.Lstat(dir); err != nil {
		return nil, false, nil
	}
	n, err = testnet.Open(dir, nil)
	if err == nil && n.Running() {
		if have := len(n.Nodes()); o.chosen && o.nodes != have || len(o.flags) > 0 || o.ground() != testnet.Processes || o.nat != "" || o.link.typed() {
			return nil, false, &advised{
				usage("the test network %q is up already, with %s", o.name, count(have, "node", "nodes")),
				"'shoal testnet add' adds nodes, 'shoal testnet down' ends it, and --name makes another one beside it",
			}
		}
		if n.Abandoned() {
			a.remark("the command that put this network up was killed; this one takes over")
			return n, true, fromTestnet(n.Adopt(ctx))
		}
		return n, false, nil
	}
	if mine, err := testnet.Ours(dir); err != nil || !mine {
		return nil, false, &advised{usage("the folder %s holds things that no test network put there", dir), "move them away, or choose another --name"}
	}
	c, err := testnet.CleanOne(ctx, dir)
	if err != nil {
		return nil, false, fromTestnet(err)
	}
	if !c.Removed {
		return nil, false, usage("the test network %q is being put up by another command: %s", o.name, c.Reason)
	}
	a.remark("removed what an earlier network had left: %s", c.Reason)
	return nil, false, nil
}

// newTestnet puts a network up.
func (a *app) newTestnet(ctx context.Context, dir string, o upOptions) (*testnet.Net, error) {
	shoal, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o700); err != nil {
		return nil, fromTestnet(err)
	}
	usual := testnet.Spec{Flags: o.flags, Link: o.link.change(testnet.Link{}), NAT: o.nat}
	specs := testnet.Numbered("n", o.nodes, nil)
	for i := range specs {
		specs[i].Flags, specs[i].Link = usual.Flags, usual.Link
		if i >= reachable {
			specs[i].NAT = usual.NAT
		}
	}
	begun, done := time.Now(), 0
	tell := a.progress("starting " + count(o.nodes, "node", "nodes"))
	defer tell.stop()
	n, err := testnet.Up(ctx, testnet.Config{Dir: dir, Ground: o.ground(), Shoal: shoal, Nodes: specs, Usual: usual}, func(e testnet.Event) {
		if e.Kind == "up" {
			done++
			tell.event(starting(fmt.Sprintf("%d of %s started", done, count(o.nodes, "node", "nodes"))))
		}
	})
	tell.stop()
	if err != nil {
		_ = os.Remove(filepath.Dir(dir)) // if there is no other network
		return nil, fromTestnet(err)
	}
	a.remark("%s joined in %s", count(o.nodes, "node", "nodes"), span(time.Since(begun).Seconds()))
	if o.docker {
		a.remark("of this machine's files these see only what lies in %s: put there what they are to share; it goes with the network", filepath.Join(dir, "nodes"))
	}
	return n, nil
}

// printNodes shows where nodes are.
func (a *app) printNodes(nodes []testnet.Node) error {
	if a.json {
		return printJSON(a.out, map[string]any{"nodes": nodes})
	}
	w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "NODE\tPID\tPEER\tADDRESS\tCONTROL SOCKET")
	for _, n := range nodes {
		addrs := afar(n.Addrs)
		for i, addr := range append(addrs, "")[:max(1, len(addrs))] {
			addr = bare(addr)
			if i == 0 {
				fmt.Fprintf(w, "%s\t%d\t%s\t%s\t%s\n", n.Name, n.PID, n.Peer, addr, n.Socket)
			} else {
				fmt.Fprintf(w, "\t\t\t%s\t\n", addr)
			}
		}
	}
	return w.Flush()
}

// afar leaves out addresses of a loopback where there are others.
func afar(addrs []string) []string {
	others := slices.DeleteFunc(slices.Clone(addrs), func(a string) bool {
		return strings.HasPrefix(a, "/ip4/127.") || strings.HasPrefix(a, "/ip6/::1/")
	})
	if len(others) == 0 {
		return addrs
	}
	return others
}

// bare is an address without the peer ID that follows it.
func bare(addr string) string {
	addr, _, _ = strings.Cut(addr, "/p2p/")
	return content.Printable(addr)
}
