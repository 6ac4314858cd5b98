package main

import (
	"github.com/spf13/cobra"
)

func newCompletion() *cobra.Command {
	return &cobra.Command{
		Use:   "completion bash|zsh|fish",
		Short: "write the completion script of a shell",
		Long: `Write the completion script of a shell. It completes flags and their values, and in
the filter the fields, states, processes that run now and network namespaces.`,
		Example: "source <(whose completion bash)\tin this shell\n" +
			"whose completion bash > /etc/bash_completion.d/whose\tfor all users\n" +
			"whose completion zsh > \"${fpath[1]}/_whose\"\tfor zsh\n" +
			"whose completion fish > ~/.config/fish/completions/whose.fish\tfor fish",
		ValidArgs: []string{"bash", "zsh", "fish"},
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usagef("whose completion: want one shell: bash, zsh or fish")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			root, out := cmd.Root(), cmd.OutOrStdout()
			switch args[0] {
			case "bash":
				return writeError(root.GenBashCompletionV2(out, true))
			case "zsh":
				return writeError(root.GenZshCompletion(out))
			case "fish":
				return writeError(root.GenFishCompletion(out, true))
			}
			return usagef("whose completion: unknown shell %q: want bash, zsh or fish", args[0])
		},
	}
}
