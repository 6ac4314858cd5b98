package main

import (
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/seed-44df2ae6/whose/filter"
)

// completeFilter completes the words of the filter. The filter's own grammar
// gives fields, operators, states and other known values; this host gives its
// current processes, namespaces and users.
func completeFilter(_ *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
	text := strings.Join(append(args[:len(args):len(args)], typed), " ")
	from, candidates := filter.Complete(text)
	before := from - (len(text) - len(typed))
	if before < 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	start := strings.ToLower(text[from:])
	// At the start of a condition any process name may stand: too many.
	begins := start == "" && slices.ContainsFunc(candidates, func(c filter.Candidate) bool { return c.Text == "not" })
	var words []string
	for _, c := range candidates {
		texts := []string{c.Text}
		switch {
		case c.Expects == "comm" && begins:
			continue
		case c.Expects != "":
			texts = hostValues(c.Expects, start)
		}
		for _, t := range texts {
			if len(words) < completeMost {
				words = append(words, typed[:before]+t+"\t"+c.Doc)
			}
		}
	}
	return words, cobra.ShellCompDirectiveNoFileComp
}

// hostValues returns the possible values of a field on this host with the prefix
// start. It does not offer values in need of quotes.
func hostValues(field, start string) []string {
	var all []string
	switch field {
	case "comm", "peer_comm":
		all = processNames()
	case "netns_name":
		all = namespaceNames()
	case "user", "owner_user":
		all = firstColumn("/etc/passwd")
	}
	plain := regexp.MustCompile(`^[\pL\pN_./@+-]+$`)
	var some []string
	for _, v := range all {
		if strings.HasPrefix(strings.ToLower(v), start) && plain.MatchString(v) {
			some = append(some, v)
		}
	}
	return some
}

// firstColumn returns the text before the first colon of each line.
func firstColumn(path string) []string {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	var names []string
	for line := range strings.Lines(string(text)) {
		if name, _, found := strings.Cut(line, ":"); found {
			names = append(names, name)
		}
	}
	return names
}
