package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/collect"
	"github.com/seed-44df2ae6/whose/filter"
	"github.com/seed-44df2ae6/whose/internal/ask"
)

// A question chooses the sessions for the listing and count, and their source.
// Its flags are the same for both.
type question struct {
	tcp, udp, ipv4, ipv6        bool
	listening, established, all bool
	numeric, processes          bool // accepted for hands used to ss
	netns, source, proc         string
	timeout                     time.Duration
	strict, oneOwner            bool
	counts                      bool // it counts sessions, and shows none
	typed                       string
	past                        past
	where                       filter.Expr
}

// addFlags defines the flags of the question.
func (q *question) addFlags(cmd *cobra.Command) {
	which := flagGroup{cmd.Flags(), groupWhich}
	q.addProtocols(which)
	q.addStates(which)
	which.boolean(&q.numeric, "numeric", "n", "accepted and needless: numbers are the default")
	which.boolean(&q.processes, "processes", "p", "accepted and needless: owners are shown anyway")
	q.addNetNS(cmd, which)

	how := flagGroup{cmd.Flags(), groupHow}
	q.addSource(cmd, how)
	how.boolean(&q.oneOwner, "one-owner", "", "one owner of each session is enough")
	q.addTimeout(how)
	how.boolean(&q.strict, "strict", "", "exit with 4 if something could not be seen")
	q.past.addFlags(cmd, true)
}

// addSource defines the flags of who is asked.
func (q *question) addSource(cmd *cobra.Command, how flagGroup) {
	how.text(&q.source, "source", "", "auto", "NAME", "ask the kernel by bpf, netlink or procfs; or an agent")
	how.text(&q.proc, "proc", "", "", valueDir, "another root of procfs, such as /host/proc")
	complete(cmd, "source", completeWords(append(collect.SourceNames(), sourceAgent)...))
}

func (q *question) addTimeout(how flagGroup) {
	how.duration(&q.timeout, "timeout", "", 0, "give what there is after this time")
}

// addProtocols defines the flags of protocols and families.
func (q *question) addProtocols(which flagGroup) {
	which.boolean(&q.tcp, "tcp", "t", "TCP and MPTCP")
	which.boolean(&q.udp, "udp", "u", "UDP and UDP-Lite")
	which.boolean(&q.ipv4, "ipv4", "4", "IPv4 sockets")
	which.boolean(&q.ipv6, "ipv6", "6", "IPv6 sockets, those that carry IPv4 too")
}

// addStates defines the flags of states.
func (q *question) addStates(which flagGroup) {
	which.boolean(&q.listening, "listening", "l", "listeners: LISTEN and, for UDP, UNCONN")
	which.boolean(&q.established, "established", "e", "ESTABLISHED; with -l both")
	which.boolean(&q.all, "all", "a", "every state")
}

// addNetNS defines the flag of the network namespace.
func (q *question) addNetNS(cmd *cobra.Command, which flagGroup) {
	which.text(&q.netns, "netns", "N", "all", "NETNS", "one network namespace: self, a name or an inode")
	complete(cmd, "netns", completeNetNS)
}

// options turns flags and filter words into options of the collector.
func (q *question) options(cmd *cobra.Command, words []string) (*collect.Options, error) {
	where, typed, err := parseFilter(words)
	if err != nil {
		return nil, err
	}
	past, err := q.asksPast(cmd)
	if err != nil {
		return nil, err
	}
	agents, err := q.asksAgent(cmd)
	if err != nil {
		return nil, err
	}
	if needs := filter.Needs(where); needs.Has(whose.NeedEvent) || needs.Has(whose.NeedLife) && !past && !agents {
		return nil, whose.WithHint(usagef("filter: how sessions ended is not known of those that stand"),
			"whose watch knows it, as it happens")
	}
	q.where, q.typed = where, typed
	if !slices.Contains(collect.SourceNames(), q.source) && !agents {
		return nil, whose.WithHint(usagef("--source: unknown source %q", q.source),
			"the sources are auto, bpf, netlink, procfs and agent; whose doctor shows which work here")
	}
	dir, err := pinDir(cmd)
	if err != nil {
		return nil, err
	}
	return &collect.Options{
		Filter:   where,
		Protos:   q.protos(),
		Families: q.families(),
		States:   q.states(),
		NetNS:    q.netns,
		Source:   q.source,
		Proc:     q.proc,
		PinDir:   dir,
		Timeout:  q.timeout,

		FirstOwner: q.oneOwner,
	}, nil
}

// parseFilter parses the words after the flags as one expression, and returns
// it with its text.
func parseFilter(words []string) (filter.Expr, string, error) {
	expr, text, err := hostDialect().ParseArgs(words)
	if err == nil {
		return expr, text, nil
	}
	var syntax *filter.SyntaxError
	if errors.As(err, &syntax) {
		// The caret below shows the place; the text does not give it.
		return nil, "", &usageError{&placed{syntax}}
	}
	return nil, "", &usageError{fmt.Errorf("filter: %w", err)}
}

// A placed error is a mistake in the filter without the offset in its text.
type placed struct{ syntax *filter.SyntaxError }

// Error returns the message alone.
func (e *placed) Error() string { return "filter: " + e.syntax.Msg }

// Unwrap returns the error with the place.
func (e *placed) Unwrap() error { return e.syntax }

// protos returns the protocols of -t and -u. MPTCP counts as TCP, as users
// expect, and UDP-Lite as UDP.
func (q *question) protos() whose.Set[whose.Proto] {
	var s whose.Set[whose.Proto]
	if q.tcp {
		s |= whose.SetOf(whose.TCP, whose.MPTCP)
	}
	if q.udp {
		s |= whose.SetOf(whose.UDP, whose.UDPLite)
	}
	return s
}

func (q *question) families() whose.Set[whose.Family] {
	var s whose.Set[whose.Family]
	if q.ipv4 {
		s |= whose.SetOf(whose.IPv4)
	}
	if q.ipv6 {
		s |= whose.SetOf(whose.IPv6)
	}
	return s
}

// states returns the states of -l, -e and -a. Without them the collector
// chooses; it knows the filter too.
func (q *question) states() whose.Set[whose.State] {
	if q.all {
		return whose.AllStates
	}
	var s whose.Set[whose.State]
	if q.listening {
		s |= whose.SetOf(whose.Listen, whose.Unconn)
	}
	if q.established {
		s |= whose.SetOf(whose.Established)
	}
	return s
}

// conclude reports the gaps and returns the end of the command. What is missing is
// said to programs and logs too.
func (q *question) conclude(sh *shell, shown int, c *whose.Coverage) error {
	if q.strict {
		if err := c.Err(); err != nil {
			return whose.WithHint(err, "%s", c.Gaps.Hint())
		}
	}
	if err := q.unanswered(shown, c); err != nil {
		return err
	}
	others := q.others(c)
	switch {
	case others != "":
		sh.remark("%s", others)
	case shown == 0:
		q.nothing(sh)
	}
	if text := notSeen(c); text != "" {
		sh.say("%s", text)
	}
	return status(shown)
}

// unanswered is an error if nothing was found for want of looking: the time ran
// out before any session was found, or the network namespace asked for could not
// be looked into.
func (q *question) unanswered(shown int, c *whose.Coverage) error {
	switch {
	case shown > 0:
		return nil
	case c.Gaps.HasCause(whose.CauseDeadline):
		return whose.WithHint(fmt.Errorf("find sessions: the time allowed, %v, ran out before one was found", q.timeout), "a longer --timeout")
	}
	return q.hiddenNetNS(shown, c)
}

// hiddenNetNS is an error if the network namespace asked for could not be looked
// into.
func (q *question) hiddenNetNS(shown int, c *whose.Coverage) error {
	if shown > 0 || q.netns == "all" || q.netns == "self" || !c.Gaps.HasKind(whose.GapNamespaces) {
		return nil
	}
	return whose.WithHint(fmt.Errorf("find network namespace %q: %s", q.netns, c.Missing()), "%s", c.Gaps.Hint())
}

// nothing reports an empty result to a person, with a guess at the intention.
func (q *question) nothing(sh *shell) {
	text := "no session"
	if q.netns != "all" {
		text += " in the network namespace " + q.netns
	}
	if q.typed != "" {
		text += " matches: " + q.typed
	}
	sh.remark("%s", text)
	if hint := q.mistyped(); hint != "" {
		sh.say("hint: %s", hint) // to a script too, which would go on with nothing
	} else if hint := q.hint(namespaceNames()); hint != "" {
		sh.remark("hint: %s", hint)
	}
}

// mistyped is the advice about a word that was taken for the name of a process and
// is nearly another, "" for none.
func (q *question) mistyped() string {
	if name := ask.Nearest(q.typed, subcommandNames()); name != "" {
		return q.typed + " was taken for the name of a process; did you mean the command whose " + name + "?"
	}
	if word, meant := hostDialect().Nearly(q.typed); word != "" {
		return word + " was taken for the name of a process; did you mean " + meant + "?"
	}
	return ""
}

// hint guesses at the intention behind an empty result, "" without a guess.
func (q *question) hint(namespaces []string) string {
	if name := ask.Nearest(q.netns, namespaces); name != "" && name != q.netns && q.netns != "all" && q.netns != "self" {
		return "did you mean -N " + name + "?"
	}
	cond, ok := q.where.(*filter.Cond)
	if !ok || cond.Field() != "comm" || cond.Op() != filter.Eq || len(cond.Values()) != 1 {
		return ""
	}
	if name := cond.Values()[0]; !strings.ContainsAny(name, "*?[\"'\\ ") {
		return "for a part of a process's name: whose '*" + name + "*'"
	}
	return ""
}

// status is the end of a command after a search for sessions.
func status(found int) error {
	if found == 0 {
		return statusError(exitNothing)
	}
	return nil
}
