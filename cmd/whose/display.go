package main

import (
	"errors"
	"runtime"
	"slices"
	"strings"
	"text/template"
	"time"

	"github.com/spf13/cobra"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/filter"
	"github.com/seed-44df2ae6/whose/internal/ask"
	"github.com/seed-44df2ae6/whose/internal/hostname"
	"github.com/seed-44df2ae6/whose/internal/render"
)

// A display holds the flags for the look of the listing, and the options of the
// renderer made from them.
type display struct {
	format, template, fields, sort string
	noHeader, resolve, unfold      bool
	within                         time.Duration

	shape  render.Options
	named  []*whose.Field // by --fields
	sortBy []string
	names  *hostname.Resolver // nil without --resolve
}

// resolveTime is --resolve-time by default.
const resolveTime = 2 * time.Second

// maxHelpers bounds the goroutines that make sessions and their text, beside the
// first.
const maxHelpers = 7

// helpers is the number of goroutines for it beside the first.
func helpers() int { return min(runtime.GOMAXPROCS(0)-1, maxHelpers) }

func (d *display) addFlags(cmd *cobra.Command) {
	show := flagGroup{cmd.Flags(), groupShow}
	show.text(&d.format, "output", "o", render.Table, "FORMAT",
		"format: table, wide, json, jsonl, csv, tsv, pytcpprocess")
	show.text(&d.fields, "fields", "", "", "NAME,…", "show these fields; +NAME,… these too")
	show.text(&d.sort, "sort", "", "", "NAME,…", "order by these fields, -NAME downwards")
	show.text(&d.template, "template", "", "", "TEXT", "write each session by a Go text/template")
	show.boolean(&d.noHeader, "no-header", "H", "no titles of columns")
	show.boolean(&d.unfold, "unfold", "", "both ends of each local session, a row each")
	show.boolean(&d.resolve, "resolve", "", "names of remote hosts (by DNS) and services")
	show.duration(&d.within, "resolve-time", "", resolveTime, "stop asking for names after this time")
	complete(cmd, "output", completeWords(outputFormats()...))
	complete(cmd, "fields", completeFields("+"))
	complete(cmd, "sort", completeFields("-"))
}

func outputFormats() []string {
	return slices.DeleteFunc(render.Formats(), func(f string) bool { return f == render.Template })
}

// settle checks the flags and sets the renderer's options.
func (d *display) settle(cmd *cobra.Command, sh *shell) error {
	if err := d.settleFormat(cmd); err != nil {
		return err
	}
	mode, err := colorMode(cmd)
	if err != nil {
		return err
	}
	d.shape = render.Options{
		Width:    sh.width(),
		Color:    sh.colored(mode, sh.out),
		ASCII:    sh.ascii(),
		NoHeader: d.noHeader,
		Template: d.template,
		Workers:  helpers(),
	}
	if err := d.chooseFields(); err != nil {
		return err
	}
	if d.sortBy, err = ask.Sort("sort", d.sort); err != nil {
		return flagMistake(err)
	}
	return d.settleNames(sh)
}

func (d *display) settleFormat(cmd *cobra.Command) error {
	if cmd.Flags().Changed("template") {
		if cmd.Flags().Changed("output") {
			return usagef("--template and --output exclude each other")
		}
		d.format = render.Template
		return nil
	}
	if !slices.Contains(outputFormats(), d.format) {
		return unknownFormat(d.format, outputFormats()...)
	}
	return nil
}

func (d *display) settleNames(sh *shell) error {
	if !d.resolve {
		return nil
	}
	if !d.forPerson() {
		return refuseNames(d.format, "table and wide")
	}
	d.names = hostname.New(d.within, sh.lookup)
	d.shape.HostName, d.shape.ServiceName = d.names.Name, hostname.ReadServices(sh.services).Name
	return nil
}

// refuseNames is the error of --resolve with a format without a place for names.
func refuseNames(format, formats string) error {
	return whose.WithHint(usagef("--resolve: format %s shows no names", format), "names are shown by %s", formats)
}

// chooseFields reads --fields. With a plus before the first name it adds them to
// the format's default fields.
func (d *display) chooseFields() error {
	if d.fields == "" {
		return nil
	}
	if d.format == render.Template || d.format == render.PyTCPProcess {
		return usagef("--fields: %s takes no fields", d.format)
	}
	var fields []*whose.Field
	adds := strings.HasPrefix(strings.TrimSpace(d.fields), "+")
	if adds && !d.forPerson() {
		fields = render.DefaultFields(d.format)
	}
	for name := range strings.SplitSeq(d.fields, ",") {
		f, err := fieldByName("fields", strings.TrimPrefix(strings.TrimSpace(name), "+"))
		if err != nil {
			return err
		}
		d.named = append(d.named, f)
		if !slices.Contains(fields, f) {
			fields = append(fields, f)
		}
	}
	if adds && d.forPerson() {
		d.shape.Added = fields
	} else {
		d.shape.Fields = fields
	}
	return nil
}

// needs returns the facts in the output. The owner of the other end may be any
// process of the host. If the filter names processes by number, it is therefore
// found only on request.
func (d *display) needs(where filter.Expr) whose.Needs {
	needs := render.Needs(d.format, d.shape)
	if d.format == render.Template || slices.ContainsFunc(d.named, func(f *whose.Field) bool { return f.Needs.Has(whose.NeedPeer) }) {
		return needs
	}
	if plan := filter.Split(where, filter.Env{}); len(plan.PIDs) > 0 && !filter.Needs(where).Has(whose.NeedPeer) {
		needs &^= whose.NeedPeer
	}
	return needs
}

// forPerson reports whether the format is for a person.
func (d *display) forPerson() bool { return d.format == render.Table || d.format == render.Wide }

// folds reports whether local conversations are one row each. Columns of the user's
// choice, and those of the wide table, are of one socket each.
func (d *display) folds() bool {
	return d.format == render.Table && d.shape.Width > 0 && !d.unfold && len(d.named) == 0
}

// failed is the error of a renderer: the writer's, or a template's request for a
// fact missing in a session.
func (d *display) failed(err error) error {
	var exec template.ExecError
	if errors.As(err, &exec) {
		return &usageError{err}
	}
	return writeError(err)
}
