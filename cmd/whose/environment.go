package main

import (
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// whose agent has no configuration file. A service manager gives it variables: each of
// its flags has one, which counts where the flag is not on the command line.

// annotationVariable is the variable of a flag, if it has one.
const annotationVariable = "variable"

// variableOf returns the variable of a flag: WHOSE_HISTORY_DAYS for --history-days.
func variableOf(flag string) string {
	return "WHOSE_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// giveVariablesTo gives some flags of a command variables; the command reads them by
// readVariables.
func (sh *shell) giveVariablesTo(cmd *cobra.Command, flags ...string) {
	for _, name := range flags {
		cmd.Flags().Lookup(name).Annotations[annotationVariable] = []string{variableOf(name)}
	}
}

// giveVariables gives all flags of a command variables, and reads them before it runs.
func (sh *shell) giveVariables(cmd *cobra.Command) {
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		f.Annotations[annotationVariable] = []string{variableOf(f.Name)}
	})
	run := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := sh.readVariables(cmd); err != nil {
			return err
		}
		return run(cmd, args)
	}
}

// readVariables sets the flags that are not on the command line by their variables. An
// empty variable is none.
func (sh *shell) readVariables(cmd *cobra.Command) error {
	var failed error
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		name := annotation(f, annotationVariable)
		if name == "" || f.Changed || failed != nil {
			return
		}
		text := sh.getenv(name)
		if text == "" {
			return
		}
		if err := f.Value.Set(text); err != nil {
			failed = usagef("%s: want a value as for --%s, got %q", name, f.Name, text)
		}
	})
	return failed
}

// called is the name by which a user gave a flag: --history, or its variable.
func (sh *shell) called(cmd *cobra.Command, flag string) string {
	f := cmd.Flags().Lookup(flag)
	if name := annotation(f, annotationVariable); name != "" && !f.Changed && sh.getenv(name) != "" {
		return name
	}
	return "--" + flag
}
