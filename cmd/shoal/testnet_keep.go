package main

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/shoal-p2p/shoal/testnet"
)

// keepCommand holds the namespaces and links of a test network. The network starts it, and ends it.
func (a *app) keepCommand() *cobra.Command {
	return &cobra.Command{
		Use:    testnet.KeepVerb + " DIR",
		Hidden: true,
		Args:   exactly("DIR"),
		RunE:   func(cmd *cobra.Command, args []string) error { return testnet.Keep(cmd.Context(), args[0]) },
	}
}

// enterCommand runs this program in a network namespace.
func (a *app) enterCommand() *cobra.Command {
	return &cobra.Command{
		Use:    testnet.EnterVerb + " PATH -- ARGS",
		Hidden: true,
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) < 2 {
				return errors.New("PATH or ARGS is missing")
			}
			return testnet.Enter(args[0], args[1:])
		},
	}
}

// impostorCommand is what looks like a node of a test network and is none. It takes the flags of a node that a Net gives.
func (a *app) impostorCommand() *cobra.Command {
	var peers []string
	cmd := &cobra.Command{
		Use:                testnet.ImpostorVerb + " ROLE",
		Hidden:             true,
		Args:               exactly("ROLE"),
		FParseErrWhitelist: cobra.FParseErrWhitelist{UnknownFlags: true},
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := a.locate(); err != nil {
				return err
			}
			did, err := testnet.Impose(cmd.Context(), testnet.Imposture{Role: args[0], Home: a.home, Listen: a.typed.Listen, Peers: peers})
			if err != nil {
				return fromTestnet(err)
			}
			return printJSON(a.out, did)
		},
	}
	cmd.Flags().StringArrayVar(&peers, "peer", nil, "multiaddr with /p2p/ of a peer to stay connected with; may be repeated")
	return cmd
}

// intoCommand runs this program with a file for what it prints: in a container there is no shell to do that.
func (a *app) intoCommand() *cobra.Command {
	return &cobra.Command{
		Use:    testnet.IntoVerb + " FILE -- ARGS",
		Hidden: true,
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) < 2 {
				return errors.New("FILE or ARGS is missing")
			}
			return testnet.Into(args[0], args[1:])
		},
	}
}
