package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/collect"
	"github.com/seed-44df2ae6/whose/internal/ask"
	"github.com/seed-44df2ae6/whose/track"
)

// A doctor is the job of whose doctor.
type doctor struct {
	sh           *shell
	format, proc string
	strict       bool
	zabbix       bool
}

func newDoctor(sh *shell) *cobra.Command {
	d := &doctor{sh: sh}
	cmd := &cobra.Command{
		Use:   "doctor [flags]",
		Short: "say what works on this host, what does not, and why",
		Long: `Try every way to ask the kernel and say which works here for you, how long it takes,
what it cannot see and what can be done about it. Says also which source is taken by itself and
why, what is pinned and who may read it, and which privileges are missing.

With --zabbix it tells what a Zabbix agent gets that runs as you: what whose zabbix get sees, in
which time, whether the pin is for you, and the next step as a command.

The exit status is 0 if sessions can be listed and 3 if they cannot; with --strict it is 4 if
something cannot be seen.`,
		Example: "whose doctor\tfor yourself\n" +
			"sudo -u zabbix whose doctor --zabbix\tfor the agent\n" +
			"whose doctor --strict -o json\tfor a program",
		Args: noArgs,
		RunE: d.run,
	}
	flagGroup{cmd.Flags(), groupShow}.text(&d.format, "output", "o", "text", "FORMAT", "format: text, json")
	how := flagGroup{cmd.Flags(), groupHow}
	how.text(&d.proc, "proc", "", "", valueDir, "another root of procfs, such as /host/proc")
	how.boolean(&d.strict, "strict", "", "exit with 4 if something could not be seen")
	how.boolean(&d.zabbix, "zabbix", "", "say what the Zabbix item gives that runs as you")
	complete(cmd, "output", completeWords("text", "json"))
	return cmd
}

func (d *doctor) run(cmd *cobra.Command, _ []string) error {
	if d.format != "text" && d.format != "json" {
		return unknownFormat(d.format, "text", "json")
	}
	dir, err := pinDir(cmd)
	if err != nil {
		return err
	}
	if d.zabbix {
		return d.runZabbix(cmd, dir)
	}
	diagnosis := collect.Diagnose(cmd.Context(), &collect.Options{PinDir: dir, Proc: d.proc})
	if d.format == "json" {
		err = printJSON(d.sh.out, newDoctorReport(diagnosis))
	} else {
		err = d.print(diagnosis)
	}
	if err == nil {
		err = d.verdict(cmd.Context(), diagnosis)
	}
	return err
}

// verdict is the exit status.
func (d *doctor) verdict(ctx context.Context, g *collect.Diagnosis) error {
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case g.Auto == "":
		return statusError(exitFailed)
	case d.strict && len(g.Coverage.Gaps) > 0:
		return statusError(exitPartial)
	}
	return nil
}

// print writes the report for a person.
func (d *doctor) print(g *collect.Diagnosis) error {
	width := d.sh.width()
	if width == 0 {
		width = helpMaxWidth
	}
	var text bytes.Buffer
	p := helpPrinter{w: &text, width: max(width, helpMinWidth)}
	p.text(0, fmt.Sprintf("%s on %s %s, as %s, %s open files.",
		buildVersion().short(), systemName(g.OS), printable(g.Kernel), whoami(g), known(g.OpenFiles)))
	p.head("Answer")
	p.text(2, answerText(g))
	p.head("Sources")
	p.rows(sourceRows(g))
	p.head("Watching")
	p.rows([]row{{"whose watch", watchText(track.Refused())}})
	p.head("Agent")
	p.rows([]row{{ask.DefaultSocket, agentText(askAgent(&ask.Client{Socket: ask.DefaultSocket}))}})
	p.head("Pinned iterators")
	p.rows(pinRows(&g.Pin))
	p.head("Privileges")
	if g.UserNS {
		p.text(2, "They count in this user namespace and in what was made in it, and load no programs.")
	}
	p.rows(capabilityRows(g.Capabilities))
	_, err := io.WriteString(d.sh.out, d.sh.legible(text.String()))
	return writeError(err)
}

// answerText describes the answer of a listing.
func answerText(g *collect.Diagnosis) string {
	if g.Auto == "" {
		return "No source works here: whose cannot list anything. The reasons are below."
	}
	c := &g.Coverage
	text := fmt.Sprintf("By itself whose takes %s: %s.\n\n%s.", g.Auto, g.Why, sentenceOf(c))
	if missing := notSeen(c); missing != "" {
		return text + "\n\nNot seen: " + missing + "."
	}
	return text + "\n\nNothing is hidden from you."
}

// sentenceOf sums up the coverage: "340 sessions, 300 with owners, in 3 network
// namespaces and 120 processes, in 12 ms".
func sentenceOf(c *whose.Coverage) string {
	text := plural(c.Sessions, "session", "sessions")
	if c.OwnersAsked {
		text += fmt.Sprintf(", %d with owners", c.Owned)
	}
	if c.Namespaces > 0 {
		text += ", " + plural(c.Namespaces, "network namespace", "network namespaces")
	}
	if c.Processes > 0 {
		text += ", " + plural(c.Processes, "process", "processes") + " looked into"
	}
	return text + ", in " + brief(c.Duration)
}

// sourceRows has a row for each source, working or not.
func sourceRows(g *collect.Diagnosis) []row {
	var rows []row
	for _, s := range g.Sources {
		says := ""
		switch {
		case s.Err != nil:
			says = "no: " + oneLine(s.Err)
			if hint := whose.Hint(s.Err); hint != "" {
				says += "; " + printable(hint)
			}
		default:
			says = fmt.Sprintf("works: %s, opened in %s", sentenceOf(&s.Coverage), brief(s.Open))
			if missing := s.Coverage.Missing(); missing != "" && !sameGaps(&s.Coverage, &g.Coverage) {
				says += "; not seen: " + missing
			}
		}
		rows = append(rows, row{s.Name, says})
	}
	return rows
}

// watchText names the source for following sessions in whose watch, judged by
// privileges alone.
func watchText(refused error) string {
	if refused == nil {
		return "by bpf, as far as privileges go: every session, however short, with its process"
	}
	says := "by snapshots: what opens and closes within a second is missed; not by bpf: " + oneLine(refused)
	if hint := whose.Hint(refused); hint != "" {
		says += "; " + printable(hint)
	}
	return says
}

// A doctorAgent is what the agent of this host says of itself.
type doctorAgent struct {
	Socket  string `json:"socket"`
	Answers bool   `json:"answers"`
	Error   string `json:"error,omitempty"`
	Hint    string `json:"hint,omitempty"`
	*agentHealth
	// absent: there is no socket.
	absent bool
}

// An agentHealth is a part of the health of an agent.
type agentHealth struct {
	Source   string `json:"source"`
	Sessions int    `json:"sessions"`
	Lost     uint64 `json:"lost"`
	History  bool   `json:"history"`
}

// askAgent asks an agent how it is.
func askAgent(c *ask.Client) doctorAgent {
	ctx, cancel := context.WithTimeout(context.Background(), agentPatience)
	defer cancel()
	var health agentHealth
	a := doctorAgent{Socket: c.Socket}
	if err := c.JSON(ctx, ask.PathHealth, &ask.Question{}, &health); err != nil {
		a.Error, a.Hint, a.absent = err.Error(), whose.Hint(err), errors.Is(err, fs.ErrNotExist)
		return a
	}
	a.Answers, a.agentHealth = true, &health
	return a
}

// agentText says whether an agent answers, and what it follows.
func agentText(a doctorAgent) string {
	switch {
	case a.absent:
		return "no agent runs here"
	case !a.Answers:
		says := "no: " + printable(strings.ReplaceAll(a.Error, "\n", "; "))
		if a.Hint != "" {
			says += "; " + printable(a.Hint)
		}
		return says
	}
	text := fmt.Sprintf("answers: it follows %s by %s", plural(a.Sessions, "session", "sessions"), printable(a.Source))
	if a.History {
		return text + ", and keeps a history"
	}
	return text + ", and keeps no history"
}

// agentPatience is the time for an agent to say how it is.
const agentPatience = 2 * time.Second

// sameGaps reports whether two collections miss the same kinds of things. They
// are named once then.
func sameGaps(a, b *whose.Coverage) bool {
	return slices.EqualFunc(a.Gaps, b.Gaps, whose.Gap.Same)
}

func capabilityRows(all []collect.Capability) []row {
	var rows []row
	for _, c := range all {
		held := "missing"
		if c.Held {
			held = "held"
		}
		rows = append(rows, row{fmt.Sprintf("%-19s  %s", c.Name, held), c.For})
	}
	return rows
}

// brief is a duration in three digits or so.
func brief(d time.Duration) string {
	switch {
	case d >= time.Second:
		return d.Round(10 * time.Millisecond).String()
	case d >= time.Millisecond:
		return d.Round(100 * time.Microsecond).String()
	}
	return d.Round(time.Microsecond).String()
}

func whoami(g *collect.Diagnosis) string {
	who := "root"
	if g.UID != 0 {
		who = fmt.Sprintf("uid %d", g.UID)
	}
	if g.UserNS {
		who += " in a user namespace"
	}
	return who
}

func systemName(os string) string {
	if os == "linux" {
		return "Linux"
	}
	return os
}

func known(n int) string {
	if n == 0 {
		return "an unknown number of"
	}
	return fmt.Sprint(n)
}

// A doctorReport is the diagnosis as JSON.
type doctorReport struct {
	Version      buildInfo          `json:"version"`
	OS           string             `json:"os"`
	Kernel       string             `json:"kernel"`
	UID          int                `json:"uid"`
	UserNS       bool               `json:"user_namespace"`
	OpenFiles    int                `json:"open_files,omitempty"` // 0: unknown
	Auto         string             `json:"auto"`
	Why          string             `json:"why"`
	Gaps         whose.Gaps         `json:"partial"`
	Sources      []doctorSource     `json:"sources"`
	Watch        doctorWatch        `json:"watch"`
	Agent        doctorAgent        `json:"agent"`
	Pin          doctorPin          `json:"pin"`
	Capabilities []doctorCapability `json:"capabilities"`
}

type doctorSource struct {
	Name  string `json:"name"`
	Works bool   `json:"works"`
	Error string `json:"error,omitempty"`
	Hint  string `json:"hint,omitempty"`
	*doctorAnswer
}

// A doctorAnswer is the answer of a working source.
type doctorAnswer struct {
	Sessions int        `json:"sessions"`
	Owned    int        `json:"owned"`
	Gaps     whose.Gaps `json:"partial"`
	// Open and Read took so many microseconds.
	Open int64 `json:"open"`
	Read int64 `json:"read"`
}

// doctorWatch says whether whose watch may follow by programs.
type doctorWatch struct {
	BPF   bool   `json:"bpf"`
	Error string `json:"error,omitempty"`
	Hint  string `json:"hint,omitempty"`
}

type doctorCapability struct {
	Name string `json:"name"`
	Held bool   `json:"held"`
	For  string `json:"for"`
}

func newDoctorReport(g *collect.Diagnosis) doctorReport {
	r := doctorReport{
		Version: buildVersion(), OS: g.OS, Kernel: g.Kernel, UID: g.UID, UserNS: g.UserNS, OpenFiles: g.OpenFiles,
		Auto: g.Auto, Why: g.Why, Gaps: gapsOf(&g.Coverage),
		Sources: []doctorSource{}, Pin: newDoctorPin(&g.Pin), Capabilities: []doctorCapability{},
	}
	for _, s := range g.Sources {
		d := doctorSource{Name: s.Name, Works: s.Err == nil, Hint: whose.Hint(s.Err)}
		if s.Err != nil {
			d.Error = s.Err.Error()
		} else {
			d.doctorAnswer = &doctorAnswer{
				Sessions: s.Coverage.Sessions, Owned: s.Coverage.Owned, Gaps: gapsOf(&s.Coverage),
				Open: s.Open.Microseconds(), Read: s.Read.Microseconds(),
			}
		}
		r.Sources = append(r.Sources, d)
	}
	refused := track.Refused()
	r.Watch = doctorWatch{BPF: refused == nil, Hint: whose.Hint(refused)}
	if refused != nil {
		r.Watch.Error = refused.Error()
	}
	r.Agent = askAgent(&ask.Client{Socket: ask.DefaultSocket})
	for _, c := range g.Capabilities {
		r.Capabilities = append(r.Capabilities, doctorCapability(c))
	}
	return r
}

// gapsOf returns the gaps of a collection. An empty list means nothing is
// missing.
func gapsOf(c *whose.Coverage) whose.Gaps {
	if c.Gaps == nil {
		return whose.Gaps{}
	}
	return c.Gaps
}
