package main

import "github.com/spf13/cobra"

// addCompletion gives the program cobra's completion command, which writes a script for the user's shell.
func (a *app) addCompletion(root *cobra.Command) {
	root.InitDefaultCompletionCmd()
	for _, cmd := range root.Commands() {
		if cmd.Name() == "completion" {
			cmd.Short = "Write a script that completes commands in your shell"
		}
	}
}
