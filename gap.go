package whose

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// A Gap is one missing thing, or many of a kind, and the cause. Its JSON is the
// same in every output: the names of Kind and Cause, the count, the detail, the
// sentence of [Gap.String] as "why", and the hint.
type Gap struct {
	// Kind is the kind of thing.
	Kind GapKind
	// Cause is the kind of reason. Programs decide by Cause and Kind only.
	Cause Cause
	// Count is the number of things. Zero: unknown.
	Count int
	// Detail is the error of the operation: "read /proc/7/fd: input/output error".
	// It may hold hostile text. Empty: Cause is enough.
	Detail string
	// Hint is advice for the user. Empty: nothing helps, or [Gaps.Advise] was not
	// called.
	Hint string
	// From and To are the span of time of which it is missing, for an answer about
	// the past. Zero: From is the beginning of the answer's time, To its end.
	From, To time.Time
}

// A GapKind is the kind of a missing thing.
type GapKind uint8

// The kinds of things. The zero value is none of them.
const (
	// GapProcesses: processes with unread descriptors.
	GapProcesses GapKind = iota + 1
	// GapNamespaces: network namespaces not entered or not read.
	GapNamespaces
	// GapTables: tables of the kernel not read in one piece.
	GapTables
	// GapSockets: sockets, or records of them, not read.
	GapSockets
	// GapSessions: sessions not looked for any more, or too short to be seen.
	GapSessions
	// GapEvents: events of a stream.
	GapEvents
	// GapRows: rows without room in an output.
	GapRows
	// GapUsers: user ids that the host's name services were not asked about.
	GapUsers
	// GapAnswer: the answer as a whole.
	GapAnswer
	// GapFacts: facts of processes, such as their command lines.
	GapFacts
	// GapContainers: containers whose names may not be read, where a filter asks for
	// names.
	GapContainers
	// GapTime: a span of time of which nothing was recorded. Gap.From and Gap.To are
	// its ends.
	GapTime
	// GapTraffic: sessions whose bytes since the beginning of a watch are unknown.
	GapTraffic
)

// A Cause is the kind of reason for a gap.
type Cause uint8

// The causes. The zero value is none of them.
const (
	// CausePermission: the caller may not see it (EPERM, EACCES).
	CausePermission Cause = iota + 1
	// CauseLimit: a bound was reached: open files, memory set aside, size.
	CauseLimit
	// CauseUnsupported: this kernel, or this way of asking it, does not show it.
	CauseUnsupported
	// CauseDeadline: the time allowed ran out.
	CauseDeadline
	// CauseChanged: it changed under every attempt to read it.
	CauseChanged
	// CauseLost: it was there and was dropped on the way.
	CauseLost
	// CauseFailed: another error, in Gap.Detail.
	CauseFailed
	// CauseStuck: the kernel does not answer, since it waits for a dead file
	// system or the like.
	CauseStuck
	// CauseDown: nobody recorded it.
	CauseDown
)

var (
	gapKindNames = enum{
		GapProcesses: "processes", GapNamespaces: "namespaces", GapTables: "tables", GapSockets: "sockets",
		GapSessions: "sessions", GapEvents: "events", GapRows: "rows", GapUsers: "users", GapAnswer: "answer",
		GapFacts: "facts", GapContainers: "containers", GapTime: "time",
		GapTraffic: "traffic",
	}
	causeNames = enum{
		CausePermission: "permission", CauseLimit: "limit", CauseUnsupported: "unsupported", CauseDeadline: "deadline",
		CauseChanged: "changed", CauseLost: "lost", CauseFailed: "failed", CauseStuck: "stuck",
		CauseDown: "down",
	}
	// causeWords stand in a sentence for a gap without a detail.
	causeWords = enum{
		CausePermission: "permission denied", CauseLimit: "a limit was reached", CauseUnsupported: "not supported",
		CauseDeadline: "the time allowed ran out", CauseChanged: "changed under every attempt", CauseLost: "lost",
		CauseFailed: "failed", CauseStuck: "the kernel does not answer",
		CauseDown: "nobody recorded it",
	}
)

// GapKinds returns all kinds in the order of their numbers.
func GapKinds() []GapKind { return valuesOf[GapKind](gapKindNames) }

// Causes returns all causes in the order of their numbers.
func Causes() []Cause { return valuesOf[Cause](causeNames) }

// String returns the kind's name as in JSON: "processes".
func (k GapKind) String() string { return gapKindNames.name(uint8(k)) }

// String returns the cause's name as in JSON: "permission".
func (c Cause) String() string { return causeNames.name(uint8(c)) }

// MarshalText returns the kind's name.
func (k GapKind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// MarshalText returns the cause's name.
func (c Cause) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalText sets the kind by its name.
func (k *GapKind) UnmarshalText(text []byte) error {
	return gapKindNames.parse("kind of gap", string(text), (*uint8)(k))
}

// UnmarshalText sets the cause by its name.
func (c *Cause) UnmarshalText(text []byte) error {
	return causeNames.parse("cause", string(text), (*uint8)(c))
}

// gapWords are the words for one and for many things of a kind, and the predicate.
var gapWords = [...]struct{ one, many, not string }{
	GapProcesses:  {"process", "processes", "could not be looked into"},
	GapNamespaces: {"network namespace", "network namespaces", "could not be looked into"},
	GapTables:     {"table", "tables", "could not be read in one piece"},
	GapSockets:    {"socket", "sockets", "could not be read"},
	GapSessions:   {"session", "sessions", "could not be seen"},
	GapEvents:     {"event", "events", "could not be seen"},
	GapRows:       {"row", "rows", "had no room"},
	GapFacts:      {"process", "processes", "could not be described in full"},
	GapContainers: {"container", "containers", "could not be named"},
	GapTraffic:    {"session", "sessions", "could not be measured"},
	GapUsers:      {"user", "users", "could not be named"},
}

// String describes the gap in one sentence: "12 processes could not be looked into
// (permission denied)". Hostile text in it is unchanged: renderers make it safe.
func (g Gap) String() string { return g.sentence(g.subject(0)) }

func (g Gap) sentence(subject string) string { return g.clause(subject) + " (" + g.why() + ")" }

// clause names the missing things, without the reason.
func (g Gap) clause(subject string) string {
	if g.Kind == GapTime {
		return "nothing is recorded" + g.span()
	}
	if g.Kind == GapAnswer || int(g.Kind) >= len(gapWords) {
		return "there is no answer"
	}
	return subject + " " + gapWords[g.Kind].not
}

// why is the reason in words, with the time of the gap.
func (g Gap) why() string {
	why := g.Detail
	if why == "" {
		why = causeWords.name(uint8(g.Cause))
	}
	if g.Kind == GapTime {
		return why // its time stands in the clause
	}
	return why + g.span()
}

// span says the time of a gap, "" for none: " from 02:00:03 to 02:07:11".
func (g Gap) span() string {
	layout := time.TimeOnly
	if from, to := g.From, g.To; from.IsZero() || to.IsZero() || from.YearDay() != to.YearDay() || from.Year() != to.Year() {
		layout = time.DateTime
	}
	switch {
	case g.From.IsZero() && g.To.IsZero():
		return ""
	case g.From.IsZero():
		return " before " + g.To.Format(layout)
	case g.To.IsZero():
		return " after " + g.From.Format(layout)
	case g.To.Sub(g.From) < time.Second:
		return " at " + g.From.Format(layout)
	}
	return " from " + g.From.Format(layout) + " to " + g.To.Format(layout)
}

// subject names the things with their number. For processes it adds the total if
// others were seen.
func (g Gap) subject(seen int) string {
	if int(g.Kind) >= len(gapWords) {
		return ""
	}
	words := gapWords[g.Kind]
	switch {
	case g.Count == 0:
		return "some " + words.many
	case g.Kind == GapProcesses && seen > 0:
		return fmt.Sprintf("%d of %d %s", g.Count, g.Count+seen, words.many)
	case g.Count == 1:
		return "1 " + words.one
	}
	return fmt.Sprintf("%d %s", g.Count, words.many)
}

// gapJSON is the form of a gap in JSON.
type gapJSON struct {
	Kind   GapKind `json:"kind"`
	Cause  Cause   `json:"cause"`
	Count  int     `json:"count,omitempty"`
	Detail string  `json:"detail,omitempty"`
	Why    string  `json:"why"`
	Hint   string  `json:"hint,omitempty"`
	From   string  `json:"from,omitempty"`
	To     string  `json:"to,omitempty"`
}

// instantText is the text of a time in JSON, "" for none.
func instantText(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(InstantFormat)
}

// parseInstant reads the text of [instantText].
func parseInstant(text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	return time.Parse(time.RFC3339Nano, text)
}

// MarshalJSON writes the gap in the form of every output.
func (g Gap) MarshalJSON() ([]byte, error) {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(gapJSON{g.Kind, g.Cause, g.Count, g.Detail, g.String(), g.Hint, instantText(g.From), instantText(g.To)})
	return []byte(strings.TrimSuffix(b.String(), "\n")), err
}

// UnmarshalJSON reads the form of [Gap.MarshalJSON].
func (g *Gap) UnmarshalJSON(text []byte) error {
	var v gapJSON
	if err := json.Unmarshal(text, &v); err != nil {
		return fmt.Errorf("read gap: %w", err)
	}
	from, err := parseInstant(v.From)
	to, bad := parseInstant(v.To)
	if err := errors.Join(err, bad); err != nil {
		return fmt.Errorf("read gap: %w", err)
	}
	*g = Gap{Kind: v.Kind, Cause: v.Cause, Count: v.Count, Detail: v.Detail, Hint: v.Hint, From: from, To: to}
	return nil
}

// Same reports whether both gaps have one kind, one cause, one detail and one span
// of time, so their counts add up.
func (g Gap) Same(o Gap) bool {
	return g.Kind == o.Kind && g.Cause == o.Cause && g.Detail == o.Detail && g.From.Equal(o.From) && g.To.Equal(o.To)
}

// bare reports whether processes or namespaces are missing for want of
// permission and there is no more to say of it.
func (g Gap) bare() bool {
	return g.Cause == CausePermission && g.Detail == "" && (g.Kind == GapProcesses || g.Kind == GapNamespaces)
}

// Gaps are all gaps of an answer. Empty: the answer is whole.
type Gaps []Gap

// Add adds gaps. Counts of the same gap add up ([Gap.Same]); a gap without a count
// stays beside those with one.
func (gs *Gaps) Add(more ...Gap) {
	for _, g := range more {
		i := slices.IndexFunc(*gs, func(o Gap) bool { return o.Same(g) && (o.Count == 0) == (g.Count == 0) })
		if i < 0 {
			*gs = append(*gs, g)
			continue
		}
		(*gs)[i].Count += g.Count
		if (*gs)[i].Hint == "" {
			(*gs)[i].Hint = g.Hint
		}
	}
}

// HasKind reports whether things of the kind are missing.
func (gs Gaps) HasKind(k GapKind) bool {
	return slices.ContainsFunc(gs, func(g Gap) bool { return g.Kind == k })
}

// HasCause reports whether a gap has the cause.
func (gs Gaps) HasCause(c Cause) bool {
	return slices.ContainsFunc(gs, func(g Gap) bool { return g.Cause == c })
}

// Count returns the least number of missing things of a kind.
func (gs Gaps) Count(k GapKind) int {
	n := 0
	for _, g := range gs {
		if g.Kind == k {
			n += max(1, g.Count)
		}
	}
	return n
}

// String describes all gaps in one line; "" for none.
func (gs Gaps) String() string { return gs.describe(0) }

// describe says all gaps where seen processes were looked into. Those for want
// of permission are said as one: the several ways to be refused are of no use
// to the reader. Those with one reason give it once.
func (gs Gaps) describe(seen int) string {
	var refused []string
	var others Gaps
	namespaces := Gap{Kind: GapNamespaces}
	some := false
	for _, g := range gs {
		switch {
		case !g.bare():
			others = append(others, g)
		case g.Kind == GapProcesses:
			refused = append(refused, g.subject(seen))
		default:
			namespaces.Count += g.Count
			some = some || g.Count == 0
		}
	}
	switch {
	case some && namespaces.Count > 0:
		refused = append(refused, fmt.Sprintf("%d or more network namespaces", namespaces.Count))
	case some || namespaces.Count > 0:
		refused = append(refused, namespaces.subject(0))
	}
	parts := others.byReason(seen)
	if len(refused) > 0 {
		g := Gap{Kind: GapProcesses, Cause: CausePermission}
		parts = append([]string{g.sentence(strings.Join(refused, " and "))}, parts...)
	}
	return strings.Join(parts, ", ")
}

// byReason returns a sentence for each reason, in the order of the gaps.
func (gs Gaps) byReason(seen int) []string {
	var reasons []string
	clauses := make(map[string][]string)
	for _, g := range gs {
		why := g.why()
		if clauses[why] == nil {
			reasons = append(reasons, why)
		}
		if c := g.clause(g.subject(seen)); !slices.Contains(clauses[why], c) {
			clauses[why] = append(clauses[why], c)
		}
	}
	for i, why := range reasons {
		reasons[i] = strings.Join(clauses[why], " and ") + " (" + why + ")"
	}
	return reasons
}

// Hint returns the first hint, "" for none.
func (gs Gaps) Hint() string {
	for _, g := range gs {
		if g.Hint != "" {
			return g.Hint
		}
	}
	return ""
}

// A Caller is the asking process as hints need to know it. The zero value is an
// ordinary user.
type Caller struct {
	// Root: it runs as user 0.
	Root bool
	// Trace and Enter: it holds CAP_SYS_PTRACE, which opens the processes of
	// others, and CAP_SYS_ADMIN, which opens network namespaces.
	Trace, Enter bool
	// Pinned: it asked through a pinned iterator.
	Pinned bool
}

// Advise gives each gap without a hint the advice for the caller.
func (gs Gaps) Advise(c Caller) {
	for i := range gs {
		if g := &gs[i]; g.Hint == "" {
			g.Hint = c.hint(g)
		}
	}
}

// hint is the one place where kind and cause become a hint.
func (c Caller) hint(g *Gap) string {
	switch g.Cause {
	case CausePermission:
		switch g.Kind {
		case GapProcesses:
			return c.permissionHint(c.Trace, "the capability CAP_SYS_PTRACE", " is missing")
		case GapNamespaces:
			return c.permissionHint(c.Trace && c.Enter, "the capabilities CAP_SYS_ADMIN and CAP_SYS_PTRACE", " are missing")
		case GapContainers:
			return "ask by the id of a container, or as root"
		}
	case CauseLimit, CauseLost:
		switch g.Kind {
		case GapEvents:
			return "a narrower filter, or a larger --buffer or --backlog"
		case GapProcesses, GapNamespaces, GapSockets:
			return "raise the limit of open files (ulimit -n)"
		}
	}
	return ""
}

// permissionHint names the missing permission. Nothing helps a caller who holds it
// already: a security module refuses, or the like.
func (c Caller) permissionHint(held bool, needed, missing string) string {
	switch {
	case !c.Root && !c.Pinned:
		return "try sudo, or once: sudo whose pin --group whose (see whose pin --help)"
	case held:
		return ""
	case c.Root:
		return needed + missing
	}
	return "run as root, or with " + needed
}
