package render

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/tally"
)

// Counts writes c to w as table, wide, json, jsonl, csv or tsv. A table with
// more than one group ends with the total. jsonl, csv and tsv hold the groups
// alone. JSON also holds the coverage; nil leaves it out.
func Counts(w io.Writer, format string, c *tally.Count, coverage *whose.Coverage, opts Options) error {
	for _, row := range c.Rows {
		if len(row.Values) != len(c.By) {
			return fmt.Errorf("count: %d values for %d fields", len(row.Values), len(c.By))
		}
	}
	var out []byte
	switch format {
	case Table, Wide:
		return countTable(w, c, &opts)
	case JSON:
		out = countJSON(c, coverage)
	case JSONL:
		for i := range c.Rows {
			out = append(appendCountRow(out, c, &c.Rows[i]), '\n')
		}
	case CSV:
		out = countCells(c, ',', quoteCSV, opts.NoHeader)
	case TSV:
		out = countCells(c, '\t', nil, opts.NoHeader)
	default:
		return whose.WithHint(fmt.Errorf("format %q not possible for counts", format),
			"the formats are %s", strings.Join([]string{Table, JSON, JSONL, CSV, TSV}, ", "))
	}
	_, err := w.Write(out)
	return err
}

func countJSON(c *tally.Count, coverage *whose.Coverage) []byte {
	out := append(strconv.AppendInt([]byte(`{"version":`), SchemaVersion, 10), `,"by":[`...)
	for i, f := range c.By {
		if i > 0 {
			out = append(out, ',')
		}
		out = appendJSONString(out, f.Name)
	}
	out = append(out, `],"groups":[`...)
	for i := range c.Rows {
		if i > 0 {
			out = append(out, ',')
		}
		out = appendCountRow(append(out, '\n'), c, &c.Rows[i])
	}
	out = appendCount(append(out, "\n]"...), `,"total":`, c.Total)
	if coverage != nil {
		out = AppendCoverage(append(out, `,"coverage":`...), coverage)
	}
	return append(out, "}\n"...)
}

// appendCountRow appends a group as a JSON object. Its keys are the fields'
// unique names, not their JSON keys.
func appendCountRow(out []byte, c *tally.Count, row *tally.Row) []byte {
	out = append(out, '{')
	for i, f := range c.By {
		if v := row.Values[i]; !v.IsZero() {
			out = append(appendJSONString(out, f.Name), ':')
			out = append(appendJSONValue(out, &v), ',')
		}
	}
	out = appendCount(out, `"count":`, row.Count)
	for i, f := range c.Sum {
		v := whose.Value{Kind: f.Kind, Num: row.Sums[i]}
		out = append(appendJSONString(append(out, ','), f.Name), ':')
		out = appendJSONValue(out, &v)
	}
	return append(out, '}')
}

func countCells(c *tally.Count, comma byte, quote func([]byte, int) []byte, noHeader bool) []byte {
	var out []byte
	if !noHeader {
		for _, f := range c.By {
			out = append(append(out, f.Name...), comma)
		}
		out = append(out, "count"...)
		for _, f := range c.Sum {
			out = append(append(out, comma), f.Name...)
		}
		out = append(out, '\n')
	}
	enc := cellEncoder{quote: quote, backslash: quote == nil}
	for _, row := range c.Rows {
		for i := range row.Values {
			start := len(out)
			out = enc.appendValue(out, &row.Values[i], false)
			out = append(enc.finish(out, start, row.Values[i].Kind), comma)
		}
		out = strconv.AppendInt(out, int64(row.Count), 10)
		for i, f := range c.Sum {
			out = append(out, comma)
			out = enc.appendValue(out, &whose.Value{Kind: f.Kind, Num: row.Sums[i]}, false)
		}
		out = append(out, '\n')
	}
	return out
}

// countTable writes a table with the count first, aligned and easy to find.
func countTable(w io.Writer, c *tally.Count, opts *Options) error {
	if len(c.Rows) == 0 {
		return nil
	}
	if opts.ASCII {
		w = ToASCII(w)
	}
	var g grid
	g.columns = []*column{{title: "COUNT", right: true}}
	for _, f := range c.Sum {
		g.columns = append(g.columns, &column{title: f.Title, right: true, gap: 2})
	}
	for _, f := range c.By {
		g.columns = append(g.columns, &column{title: f.Title, gap: 2, easy: leastWidth, shorten: shortenMiddle})
	}
	g.start(opts.NoHeader)
	for _, row := range c.Rows {
		g.number(uint64(row.Count), plain)
		g.sums(c.Sum, row.Sums, opts)
		for i := range row.Values {
			cell := g.cell()
			valueCell(cell, &row.Values[i])
			g.add(cell)
		}
	}
	if len(c.Rows) > 1 && len(c.By) > 0 {
		g.number(uint64(c.Total), strong)
		g.sums(c.Sum, c.Sums, opts)
		g.text("total", strong)
		for range len(c.By) - 1 {
			g.text(" ", plain) // nothing is missing here
		}
	}
	return g.write(w, opts, 0)
}

// sums adds the sums of fields, bytes on a terminal as all lines for a person have
// them.
func (g *grid) sums(fields []*whose.Field, sums []uint64, opts *Options) {
	for i, f := range fields {
		if f.Kind == whose.KindBytes && opts.Width > 0 {
			g.bytes(sums[i])
			continue
		}
		cell := g.cell()
		valueCell(cell, &whose.Value{Kind: f.Kind, Num: sums[i]})
		g.add(cell)
	}
}

func (g *grid) number(n uint64, s style) {
	c := g.cell()
	c.uint(n)
	c.style = s
	g.add(c)
}

func (g *grid) text(text string, s style) {
	c := g.cell()
	c.safe(text)
	c.style = s
	g.add(c)
}
