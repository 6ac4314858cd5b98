package render

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/baseline"
)

// Markdown is the format of differences for a pull request.
const Markdown = "markdown"

// ChangeFormats returns the formats of differences.
func ChangeFormats() []string { return []string{Table, JSON, Markdown} }

// A Difference is what two listings differ in.
type Difference struct {
	Changes []baseline.Change
	// Unseen says what either did not see, "" for nothing.
	Unseen string
	// Stale are the lines of the allow list to look at.
	Stale []string
}

// changeTitles head the columns of differences.
var changeTitles = [...]string{"CHANGE", "WHAT", "WORKLOAD", "USER", "PROTO", "REACH", "TARGET"}

// Changes writes a difference as table, json or markdown. The table has the changes
// that the allow list excuses last, and faint.
func Changes(w io.Writer, format string, d *Difference, opts Options) error {
	switch format {
	case Table:
		return changeTable(w, d, &opts)
	case JSON:
		return changeJSON(w, d)
	case Markdown:
		return changeMarkdown(w, d)
	}
	return whose.WithHint(fmt.Errorf("format %q not possible for differences", format), "the formats are %s", strings.Join(ChangeFormats(), ", "))
}

// signOf begins a row, as diff has it.
func signOf(what string) string {
	switch what {
	case "new":
		return "+ "
	case "gone":
		return "- "
	}
	return "~ "
}

// changeCells returns the cells of a change.
func changeCells(c *baseline.Change) [len(changeTitles)]string {
	what, e := c.What(), c.Now
	if what == "gone" {
		e = c.Was
	}
	user, reach := e.User, e.Exposure.String()
	if what == "changed" {
		if c.Was.User != e.User {
			user = c.Was.User + " → " + e.User
		}
		if c.Was.Exposure != e.Exposure {
			reach = c.Was.Exposure.String() + " → " + reach
		}
	}
	if c.Excused {
		what += " (allowed)"
	}
	workload := e.Workload
	if workload == "" {
		workload = "(hidden)"
	}
	return [...]string{signOf(c.What()) + what, e.Kind.String(), workload, user, e.Proto.String(), reach, e.Target()}
}

func changeTable(w io.Writer, d *Difference, opts *Options) error {
	if opts.ASCII {
		w = ToASCII(w)
	}
	var g grid
	for _, title := range changeTitles {
		c := &column{title: title, gap: 2, blank: true}
		if title == "WORKLOAD" || title == "TARGET" || title == "USER" {
			c.easy, c.shorten = leastWidth, shortenMiddle
		}
		g.columns = append(g.columns, c)
	}
	g.start(opts.NoHeader)
	for _, excused := range [...]bool{false, true} {
		for i := range d.Changes {
			c := &d.Changes[i]
			if c.Excused != excused {
				continue
			}
			s := plain
			switch {
			case excused:
				s = faint
			case c.What() != "gone":
				s = strong
			}
			for _, text := range changeCells(c) {
				g.text(text, s)
			}
		}
	}
	return g.write(w, opts, 0)
}

// changeJSON writes one object.
func changeJSON(w io.Writer, d *Difference) error {
	type change struct {
		Change  string          `json:"change"`
		Was     *baseline.Entry `json:"was,omitempty"`
		Now     *baseline.Entry `json:"now,omitempty"`
		Allowed bool            `json:"allowed,omitempty"`
	}
	out := struct {
		Version int      `json:"version"`
		Changes []change `json:"changes"`
		Unseen  string   `json:"unseen,omitempty"`
		Stale   []string `json:"stale,omitempty"`
	}{SchemaVersion, make([]change, 0, len(d.Changes)), d.Unseen, d.Stale}
	for i := range d.Changes {
		c := &d.Changes[i]
		one := change{Change: c.What(), Allowed: c.Excused}
		if one.Change != "new" {
			one.Was = &c.Was
		}
		if one.Change != "gone" {
			one.Now = &c.Now
		}
		out.Changes = append(out.Changes, one)
	}
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(out)
}

// changeMarkdown writes a table for a page: names are code, and nothing in them ends
// it or the row.
func changeMarkdown(w io.Writer, d *Difference) error {
	var b strings.Builder
	n, allowed := 0, 0
	for i := range d.Changes {
		if d.Changes[i].Excused {
			allowed++
		} else {
			n++
		}
	}
	switch {
	case n == 0:
		b.WriteString("Nothing differs.\n")
	case n == 1:
		b.WriteString("**1 difference.**\n")
	default:
		fmt.Fprintf(&b, "**%d differences.**\n", n)
	}
	if n > 0 {
		b.WriteString("\n| change | what | workload | user | proto | reach | target |\n|---|---|---|---|---|---|---|\n")
		for i := range d.Changes {
			if c := &d.Changes[i]; !c.Excused {
				cells := changeCells(c)
				fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s | %s |\n", cells[0], cells[1],
					codeSpan(cells[2]), codeSpan(cells[3]), cells[4], cells[5], codeSpan(cells[6]))
			}
		}
	}
	if allowed > 0 {
		fmt.Fprintf(&b, "\n%d on the allow list.\n", allowed)
	}
	for _, s := range d.Stale {
		fmt.Fprintf(&b, "\nAllow list: %s\n", codeSpan(s))
	}
	if d.Unseen != "" {
		fmt.Fprintf(&b, "\nNot seen: %s\n", codeSpan(d.Unseen))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// codeSpan makes text code of Markdown.
func codeSpan(text string) string {
	if text == "" {
		return ""
	}
	return "`" + strings.NewReplacer("`", "'", "|", "\\|").Replace(Safe(text)) + "`"
}
