package main

import (
	"fmt"
	"runtime"

	"github.com/spf13/cobra"

	"github.com/shoal-p2p/shoal/node"
)

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Show the version of this program",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if a.json {
				return printJSON(a.out, map[string]string{
					"version": node.Version, "go": runtime.Version(), "os": runtime.GOOS, "arch": runtime.GOARCH,
				})
			}
			_, err := fmt.Fprint(a.out, versionText())
			return err
		},
	}
}

func versionText() string {
	return fmt.Sprintf("shoal %s (%s, %s/%s)\n", node.Version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}
