package main

import (
	"bytes"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
)

func newCompletion(*shell) *cobra.Command {
	return &cobra.Command{
		Use:   "completion bash|zsh|fish",
		Short: "write the completion script of a shell",
		Long: `Write the completion script of a shell. It completes flags and their values, and in
the filter the fields, states, and from this host processes, PIDs, units,
containers, users and network namespaces.`,
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
				return writeBash(out, root)
			case "zsh":
				return writeError(root.GenZshCompletion(out))
			case "fish":
				return writeError(root.GenFishCompletion(out, true))
			}
			return usagef("whose completion: unknown shell %q: want bash, zsh or fish", args[0])
		},
	}
}

// writeBash writes the script of bash. In cobra's script bash quotes each
// candidate, commas too, before it compares it with the typed word. People type
// lists of fields without quotes, so writeBash removes these quotes again.
func writeBash(out io.Writer, root *cobra.Command) error {
	var script bytes.Buffer
	if err := root.GenBashCompletionV2(&script, true); err != nil {
		return fmt.Errorf("make completion script: %w", err)
	}
	match := `[[ $comp == "$cur"* ]] || continue`
	only := `COMPREPLY[0]=$(printf "%q" "${COMPREPLY[0]%%$tab*}")`
	commas := strings.NewReplacer(
		match, "comp=${comp//\\\\,/,}\n        "+match,
		only, only+"\n        COMPREPLY[0]=${COMPREPLY[0]//\\\\,/,}",
	)
	_, err := io.WriteString(out, bashWithoutPackage+commas.Replace(script.String()))
	return writeError(err)
}

// bashWithoutPackage replaces two functions of the package bash-completion,
// missing on some hosts: one splits the line up to the cursor into words, one
// lists folders.
const bashWithoutPackage = `# Where the package bash-completion is not loaded, this does its part.
if ! declare -F _get_comp_words_by_ref >/dev/null 2>&1; then
    _get_comp_words_by_ref()
    {
        local line="${COMP_LINE:0:COMP_POINT}"
        read -ra words <<<"$line"
        if [[ -z $line || $line == *[[:space:]] ]]; then
            words+=("")
        fi
        cword=$((${#words[@]} - 1))
        cur="${words[cword]}"
        prev=""
        if ((cword > 0)); then
            prev="${words[cword - 1]}"
        fi
    }
fi
if ! declare -F _filedir >/dev/null 2>&1; then
    _filedir()
    {
        mapfile -t COMPREPLY < <(compgen "${1:--f}" -- "${COMP_WORDS[COMP_CWORD]}")
    }
fi

`
