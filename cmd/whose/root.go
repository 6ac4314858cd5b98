package main

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/seed-44df2ae6/whose/collect"
)

// A subcommand is a command below the root.
type subcommand struct {
	name string
	make func(*shell) *cobra.Command
}

// subcommands returns all of them, but for help, in the order of help.
func subcommands() []subcommand {
	return []subcommand{
		{"count", newCount}, {"watch", newWatch}, {"agent", newAgent}, {"history", newHistory}, {"fleet", newFleet}, {"baseline", newBaseline}, {"diff", newDiff}, {"kill", newKill}, {"fields", newFields}, {"doctor", newDoctor}, {"pin", newPin},
		{"unpin", newUnpin}, {"version", newVersion}, {"completion", newCompletion}, {"zabbix", newZabbix},
	}
}

// subcommandNames returns their names, sorted.
func subcommandNames() []string {
	var names []string
	for _, s := range subcommands() {
		names = append(names, s.name)
	}
	slices.Sort(names)
	return names
}

// needed returns the subcommands that a command line may run, and whether it
// may want the whole tree: to show it, or to complete a word. Most command
// lines are listings and need none. Making all takes longer than reading the
// flags of one.
func needed(args []string) (some []subcommand, whole bool) {
	all := subcommands()
	for _, arg := range args {
		long := strings.HasPrefix(arg, "--")
		switch {
		case arg == "help", arg == "completion", strings.HasPrefix(arg, cobra.ShellCompRequestCmd),
			strings.HasPrefix(arg, "--help"),
			!long && strings.HasPrefix(arg, "-") && strings.Contains(arg, "h"): // perhaps -h among others
			return all, true
		}
	}
	return slices.DeleteFunc(all, func(s subcommand) bool { return !slices.Contains(args, s.name) }), false
}

// newRoot makes the tree of commands. The root itself is the listing.
func newRoot(sh *shell) *cobra.Command { return newTree(sh, subcommands(), true) }

// newTree makes the root and some of its subcommands; of a whole tree also help.
func newTree(sh *shell, below []subcommand, whole bool) *cobra.Command {
	root := newList(sh)
	root.SilenceErrors, root.SilenceUsage = true, true
	root.DisableAutoGenTag = true
	root.CompletionOptions.DisableDefaultCmd = true
	root.PersistentPreRunE = refuseRaised
	root.SetFlagErrorFunc(flagError)

	other := flagGroup{root.PersistentFlags(), groupOther}
	other.text(new(string), "pin-dir", "", collect.DefaultPinDir, valueDir, "where pinned iterators are")
	other.text(new(string), "color", "", colorAuto, "WHEN", "colours: auto, always, never")
	other.boolean(new(bool), "help", "h", "this help")
	complete(root, "color", completeWords(colorAuto, colorAlways, colorNever))

	for _, s := range below {
		root.AddCommand(s.make(sh))
	}
	for _, c := range append(allCommands(root), root) {
		c.DisableFlagsInUseLine = true // Use has them already, if there are any
	}
	if whole {
		root.SetHelpCommand(newHelp(root, sh))
	}
	root.SetHelpFunc(func(cmd *cobra.Command, _ []string) { newHelpPrinter(sh).command(cmd) })
	return root
}

// noArgs refuses arguments.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usagef("whose %s takes no arguments, but got %q", cmd.Name(), args[0])
	}
	return nil
}

// pinDir returns the value of --pin-dir as an absolute path, empty for the usual
// directory.
func pinDir(cmd *cobra.Command) (string, error) {
	dir, err := cmd.Flags().GetString("pin-dir")
	if err != nil || dir == "" {
		return "", err
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return "", fmt.Errorf("--pin-dir: %w", err)
	}
	return dir, nil
}

// colorMode returns the value of --color.
func colorMode(cmd *cobra.Command) (string, error) {
	mode, err := cmd.Flags().GetString("color")
	if err != nil {
		return "", err
	}
	switch mode {
	case colorAuto, colorAlways, colorNever:
		return mode, nil
	}
	return "", usagef("--color: want auto, always or never, got %q", mode)
}
