package main

import (
	"cmp"
	"context"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/collect"
	"github.com/seed-44df2ae6/whose/filter"
)

// completeFilter completes the words of the filter. The filter's own grammar
// gives fields, operators, states and other known values; this host gives its
// current processes, units, containers, namespaces and users.
func completeFilter(_ *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
	text := strings.Join(append(args[:len(args):len(args)], typed), " ")
	from, candidates := filter.Complete(text)
	before := from - (len(text) - len(typed))
	if before < 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	start := strings.ToLower(text[from:])
	bare := beginsCondition(text[:from])
	var words []string
	for _, c := range candidates {
		values := []hostValue{{text: c.Text}}
		switch {
		case c.Expects == "comm" && bare && start == "":
			continue // any process name may stand here: too many
		case c.Expects == "comm" && bare:
			values = hostValues(c.Expects, start, func(v string) bool {
				return readAsIs("", v) && (len(args) > 0 || !slices.Contains(subcommandNames(), v))
			})
		case c.Expects != "":
			values = hostValues(c.Expects, start, func(v string) bool { return readAsIs(c.Expects+" ", v) })
		}
		for _, v := range values {
			if len(words) < completeMost {
				words = append(words, typed[:before]+v.text+"\t"+cmp.Or(printable(v.says), c.Doc))
			}
		}
	}
	return words, cobra.ShellCompDirectiveNoFileComp
}

// beginsCondition reports whether a condition may begin after text.
func beginsCondition(text string) bool {
	_, next := filter.Complete(text)
	return slices.ContainsFunc(next, func(c filter.Candidate) bool { return c.Text == "not" })
}

// readAsIs reports whether the filter takes a value after some words for the text that
// it is, without quotes: a process may be called listen, or 443.
func readAsIs(words, value string) bool {
	plain, err := hostDialect().Parse(words + value)
	if err != nil {
		return false
	}
	quoted, err := hostDialect().Parse(words + `"` + value + `"`)
	return err == nil && plain.String() == quoted.String()
}

// completeWithin bounds the look at the processes of the host.
const completeWithin = 300 * time.Millisecond

// plainValue are values that need no quotes in a shell, and are no flags.
var plainValue = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[\pL\pN_./@:+][\pL\pN_./@:+-]*$`) })

// A hostValue is a value that a field has on this host, and what is known of it.
type hostValue struct{ text, says string }

// hostValues returns the values that a field has on this host with the prefix start.
// It does not offer those in need of quotes: for a shell, or for the filter, whose word
// fits says.
func hostValues(field, start string, fits func(string) bool) []hostValue {
	var all []hostValue
	named := func(names []string) {
		for _, n := range names {
			all = append(all, hostValue{text: n})
		}
	}
	switch field {
	case "comm", "peer_comm":
		named(processNames())
	case "netns_name":
		named(namespaceNames())
	case "user", "owner_user":
		named(firstColumn("/etc/passwd"))
	case "pid", "peer_pid", "parent":
		begins := func(pid uint32) bool { return strings.HasPrefix(numberText(pid), start) }
		for _, p := range runningProcesses(0, begins) {
			all = append(all, hostValue{numberText(p.PID), p.Comm})
		}
	case "container":
		for _, p := range runningProcesses(whose.NeedContainerNames, nil) {
			all = append(all, hostValue{p.ContainerName, p.Container}, hostValue{p.Container, cmp.Or(p.ContainerName, p.Comm)})
		}
	default:
		f := whose.FieldByName(field)
		if f == nil || f.Of != whose.OfOwner || f.Kind != whose.KindText || f.Needs&(whose.NeedCgroup|whose.NeedContainerNames) == 0 {
			return nil
		}
		for _, p := range runningProcesses(f.Needs, nil) {
			all = append(all, hostValue{f.OwnerText(&whose.Owner{Process: &p}), p.Comm})
		}
	}
	var some []hostValue
	seen := make(map[string]bool)
	for _, v := range all {
		if !seen[v.text] && strings.HasPrefix(strings.ToLower(v.text), start) && plainValue().MatchString(v.text) && fits(v.text) {
			seen[v.text] = true
			some = append(some, v)
		}
	}
	return some
}

// runningProcesses returns the wanted processes of this host with the facts of needs,
// as many as can be described in the time of a key press.
func runningProcesses(needs whose.Needs, wanted func(pid uint32) bool) []whose.Process {
	ctx, cancel := context.WithTimeout(context.Background(), completeWithin)
	defer cancel()
	all, err := collect.Processes(ctx, needs, wanted)
	if err != nil {
		return nil // nothing is offered
	}
	return all
}

func numberText(n uint32) string { return strconv.FormatUint(uint64(n), 10) }

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
