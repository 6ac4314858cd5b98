package main

import (
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/seed-44df2ae6/whose"
)

// Completion reads files of the host and never asks for sessions: a press of the
// tab key costs nothing on a host with a million of them. It skips unreadable
// files.

// completeMost is the greatest number of words offered.
const completeMost = 1000

// complete sets the completer of a flag. A missing flag is a mistake in this
// package; the tests of completion show it.
func complete(cmd *cobra.Command, flag string, c cobra.CompletionFunc) {
	_ = cmd.RegisterFlagCompletionFunc(flag, c)
}

// completeWords completes one of some words.
func completeWords(words ...string) cobra.CompletionFunc {
	return cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp)
}

// completeFields completes a list of fields, each perhaps with a sign before it.
func completeFields(sign string) cobra.CompletionFunc {
	return func(_ *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
		at := strings.LastIndexByte(typed, ',') + 1
		before, last := typed[:at], typed[at:]
		if sign != "" && strings.HasPrefix(last, sign) {
			before, last = before+sign, last[len(sign):]
		}
		var words []string
		for _, f := range whose.Fields() {
			if strings.HasPrefix(f.Name, strings.ToLower(last)) {
				words = append(words, before+f.Name+"\t"+f.Doc)
			}
		}
		return words, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
	}
}

// completeList completes a list of some words, parted by commas.
func completeList(all []string) cobra.CompletionFunc {
	return func(_ *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
		at := strings.LastIndexByte(typed, ',') + 1
		words := startingWith(strings.ToLower(typed[at:]), all)
		for i := range words {
			words[i] = typed[:at] + words[i]
		}
		return words, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
	}
}

// completeNetNS completes --netns.
func completeNetNS(_ *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
	words := append([]string{"all", "self"}, namespaceNames()...)
	return startingWith(typed, words), cobra.ShellCompDirectiveNoFileComp
}

// completeGroups completes the name of a group.
func completeGroups(_ *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
	return startingWith(typed, firstColumn("/etc/group")), cobra.ShellCompDirectiveNoFileComp
}

// startingWith returns the words with the prefix typed, without those unsafe in
// a shell.
func startingWith(typed string, words []string) []string {
	var some []string
	for _, w := range words {
		if strings.HasPrefix(w, typed) && printable(w) == w && len(some) < completeMost {
			some = append(some, w)
		}
	}
	return some
}

// namespaceNames returns the names of ip netns.
func namespaceNames() []string {
	entries, err := os.ReadDir("/run/netns")
	if err != nil {
		return nil
	}
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name()
	}
	return names
}

// processNames returns the names of the running processes, each once.
func processNames() []string {
	proc, err := os.Open("/proc")
	if err != nil {
		return nil
	}
	defer proc.Close()
	entries, err := proc.Readdirnames(-1)
	if err != nil {
		return nil
	}
	var names []string
	for _, e := range entries {
		if e[0] < '0' || e[0] > '9' {
			continue
		}
		comm, err := os.ReadFile("/proc/" + e + "/comm")
		if err == nil {
			names = append(names, strings.TrimSuffix(string(comm), "\n"))
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}
