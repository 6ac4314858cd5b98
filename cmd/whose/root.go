package main

import (
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/seed-44df2ae6/whose/collect"
)

// newRoot makes the tree of commands. The root itself is the listing.
func newRoot(sh *shell) *cobra.Command {
	root := newList(sh)
	root.SilenceErrors, root.SilenceUsage = true, true
	root.DisableAutoGenTag = true
	root.CompletionOptions.DisableDefaultCmd = true
	root.SetFlagErrorFunc(flagError)

	other := flagGroup{root.PersistentFlags(), groupOther}
	other.text(new(string), "pin-dir", "", collect.DefaultPinDir, valueDir, "where pinned iterators are")
	other.text(new(string), "color", "", colorAuto, "WHEN", "colours: auto, always, never")
	other.boolean(new(bool), "help", "h", "this help")
	complete(root, "color", completeWords(colorAuto, colorAlways, colorNever))

	root.AddCommand(newCount(sh), newWatch(sh), newFields(sh), newDoctor(sh), newPin(sh), newUnpin(),
		newVersion(sh), newCompletion(), newZabbix(sh))
	for _, c := range append(allCommands(root), root) {
		c.DisableFlagsInUseLine = true // Use has them already, if there are any
	}
	root.SetHelpCommand(newHelp(root, sh))
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
