package main

import (
	"bufio"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/render"
)

// A fieldInfo is a row of the table of fields as JSON.
type fieldInfo struct {
	Name    string   `json:"name"`
	Aliases []string `json:"aliases,omitempty"`
	In      string   `json:"in"`
	Key     string   `json:"key"`
	Kind    string   `json:"kind"`
	Unit    string   `json:"unit,omitempty"`
	Values  []string `json:"values,omitempty"`
	Doc     string   `json:"doc"`
}

func newFields(sh *shell) *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:   "fields [flags]",
		Short: "list the fields for filters, --fields, --sort and --by",
		Long: `List every field: its names in filters, --fields, --sort and count --by, the kind of its
values and what it means. In JSON output the names are the same; fields of owners stand in the
list "owners", those of the other end in "peer".`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch format {
			case render.Table:
				return writeFields(sh)
			case render.JSON:
				return printJSON(sh.out, fieldInfos())
			}
			return unknownFormat(format, render.Table, render.JSON)
		},
	}
	flagGroup{cmd.Flags(), groupShow}.text(&format, "output", "o", render.Table, "FORMAT", "format: table, json")
	complete(cmd, "output", completeWords(render.Table, render.JSON))
	return cmd
}

func fieldInfos() []fieldInfo {
	var infos []fieldInfo
	for _, f := range whose.AllFields() {
		infos = append(infos, fieldInfo{
			Name: f.Name, Aliases: f.Aliases, In: groupName(f.Of), Key: f.JSONKey(),
			Kind: f.Kind.String(), Unit: f.Unit, Values: f.Values, Doc: f.Doc,
		})
	}
	for _, p := range whose.Pairs() {
		infos = append(infos, fieldInfo{
			Name: p.Name, In: "filter", Key: strings.Join(p.Which[:], " or "),
			Kind: whose.FieldByName(p.Which[0]).Kind.String(), Doc: p.Doc,
		})
	}
	return infos
}

// groupName names the place of a field in JSON.
func groupName(g whose.Group) string {
	switch g {
	case whose.OfOwner:
		return "owners"
	case whose.OfPeer:
		return "peer"
	case whose.OfTCP:
		return "tcp"
	case whose.OfLife:
		return "life"
	case whose.OfEvent:
		return "event"
	}
	return "session"
}

// writeFields writes the table: names and kind in columns, the meaning
// wrapped beside them or, on a narrow terminal, below.
func writeFields(sh *shell) error {
	width := sh.width()
	if width == 0 {
		width = 1 << 16
	}
	out := bufio.NewWriter(sh.out)
	infos := fieldInfos()
	names, kinds := 0, 0
	for i := range infos {
		names, kinds = max(names, len(infos[i].names())), max(kinds, len(infos[i].Kind))
	}
	aside := names + kinds + 2
	if width-aside < 30 {
		aside = 4
	}
	in := ""
	for _, f := range infos {
		if f.In != in {
			if in != "" {
				fmt.Fprintln(out)
			}
			in = f.In
			fmt.Fprintf(out, "%s\n", groupHead(in))
		}
		fmt.Fprintf(out, "%-*s %-*s", names, f.names(), kinds, f.Kind)
		for i, line := range wrap(fieldDoc(&f), width-aside) {
			if i > 0 || aside == 4 {
				fmt.Fprintf(out, "\n%*s", aside-1, "")
			}
			fmt.Fprintf(out, " %s", line)
		}
		fmt.Fprintln(out)
	}
	return writeError(out.Flush())
}

// groupHead is the line above a group of fields.
func groupHead(in string) string {
	switch in {
	case "owners":
		return "Of each owner"
	case "peer":
		return "Of each owner of the other end, where that is on this host"
	case "life":
		return "Of a session that ended, as whose watch knows them"
	case "event":
		return "Of an event of whose watch"
	case "tcp":
		return "What TCP measures"
	case "filter":
		return "In filters only, for either side"
	}
	return "Of the session"
}

// names are all names of the field.
func (f *fieldInfo) names() string {
	return strings.Join(append([]string{f.Name}, f.Aliases...), ", ")
}

// fieldDoc is the meaning with unit and values.
func fieldDoc(f *fieldInfo) string {
	doc := f.Doc
	switch {
	case f.Kind == whose.KindDuration.String():
		doc += " In JSON in " + f.Unit + "."
	case !strings.Contains(strings.ToLower(doc), f.Unit):
		doc = strings.TrimSuffix(doc, ".") + ", in " + f.Unit + "."
	}
	if len(f.Values) > 0 {
		doc += " Values: " + strings.Join(f.Values, ", ") + "."
	}
	return doc
}
