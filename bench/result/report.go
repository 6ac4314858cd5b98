package result

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"regexp"
)

// A Report is the outcome of one run on one machine. All text in it is Markdown.
type Report struct {
	Title string `json:"title"`
	// Text holds paragraphs: the date, the load, the method.
	Text []string `json:"text,omitempty"`
	// Machine lists the kernel, the processors and the versions of all programs.
	Machine []string `json:"machine,omitempty"`
	Tables  []Table  `json:"tables,omitempty"`
	Notes   []string `json:"notes,omitempty"`
}

// A Table is one table of a report. Its first column names the row. The others
// hold figures; one without a name holds remarks.
type Table struct {
	Title   string   `json:"title,omitempty"`
	Text    []string `json:"text,omitempty"`
	Columns []string `json:"columns"`
	Rows    [][]Cell `json:"rows"`
	Notes   []string `json:"notes,omitempty"`
}

// A Cell is a number or a text. A number keeps its digits: 7.0 stays 7.0.
type Cell string

// number matches the numbers of JSON.
var number = regexp.MustCompile(`^-?(0|[1-9][0-9]*)(\.[0-9]+)?$`)

// MarshalJSON writes a number without quotes.
func (c Cell) MarshalJSON() ([]byte, error) {
	if number.MatchString(string(c)) {
		return []byte(c), nil
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(string(c))
	return b.Bytes(), err
}

// UnmarshalJSON reads a number or a text.
func (c *Cell) UnmarshalJSON(text []byte) error {
	if number.Match(text) {
		*c = Cell(text)
		return nil
	}
	return json.Unmarshal(text, (*string)(c))
}

// row matches the names of a table's columns or the cells of a row, each on a
// line of its own.
var row = regexp.MustCompile(`(?m)(^ {8}|"columns": )\[\n(\s*("([^"\\]|\\.)*"|[-0-9.]+),?\n)*\s*\]`)

// breaks matches the layout between two cells.
var breaks = regexp.MustCompile(`,\n\s*`)

// ends matches the layout at both ends of a row.
var ends = regexp.MustCompile(`\n\s*`)

// Encode returns the report as JSON, a row on a line.
func (r *Report) Encode() ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(r); err != nil {
		return nil, fmt.Errorf("encode report: %w", err)
	}
	// A line break inside of a string is escaped, so each one here is layout.
	return row.ReplaceAllFunc(b.Bytes(), func(cells []byte) []byte {
		return ends.ReplaceAll(breaks.ReplaceAll(cells, []byte(", ")), nil)
	}), nil
}

// WriteFile writes the report as JSON.
func (r *Report) WriteFile(path string) error {
	text, err := r.Encode()
	if err != nil {
		return err
	}
	if err := os.WriteFile(path, text, 0o644); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}

// ReadFile reads a report. A key outside of the form is an error.
func ReadFile(path string) (*Report, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read report: %w", err)
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	var r Report
	if err := d.Decode(&r); err != nil {
		return nil, fmt.Errorf("read report %s: %w", path, err)
	}
	for _, t := range r.Tables {
		for i, row := range t.Rows {
			if len(row) != len(t.Columns) {
				err = errors.Join(err, fmt.Errorf("read report %s: table %q, row %d: %d cells, want %d", path, t.Title, i+1, len(row), len(t.Columns)))
			}
		}
	}
	return &r, err
}
