package render

import (
	"bytes"
	"encoding/csv"
	"strings"
	"testing"
	"unicode"

	"github.com/seed-44df2ae6/whose"
)

// checkCells verifies that CSV and TSV have a row for each session and a cell
// for each field, that no cell holds a control character and that none is a formula.
func checkCells(t *testing.T, sessions []whose.Session, opts Options) {
	t.Helper()
	rows, err := csv.NewReader(strings.NewReader(rendered(t, CSV, opts, sessions))).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	checkRows(t, rows, sessions, opts.Fields)
	rows = nil
	for line := range strings.Lines(rendered(t, TSV, opts, sessions)) {
		rows = append(rows, strings.Split(strings.TrimSuffix(line, "\n"), "\t"))
	}
	checkRows(t, rows, sessions, opts.Fields)
}

func checkRows(t *testing.T, rows [][]string, sessions []whose.Session, fields []*whose.Field) {
	t.Helper()
	if len(rows) != len(sessions)+1 {
		t.Fatalf("%d rows for %d sessions and the header", len(rows), len(sessions))
	}
	for n, row := range rows {
		if len(row) != len(fields) {
			t.Fatalf("%d cells for %d fields in %q", len(row), len(fields), row)
		}
		for i, cell := range row {
			f := fields[i]
			for _, part := range strings.FieldsFunc(cell, func(r rune) bool { return strings.ContainsRune(separators, r) }) {
				if n > 0 && f.Kind == whose.KindText && strings.IndexAny(part, "=+-@") == 0 {
					t.Errorf("part %q of cell %q is a formula", part, cell)
				}
			}
			for _, r := range cell {
				if unicode.IsControl(r) {
					t.Errorf("control character in cell %q", cell)
				}
			}
			if n > 0 && f.PerOwner() && cell != "" {
				want := len(f.OwnersOf(&sessions[n-1]))
				if got := strings.Count(cell, ";") + 1; got != want {
					t.Errorf("%s: %d values for %d owners in %q", f.Name, got, want, cell)
				}
			}
		}
	}
}

func TestCells_Samples(t *testing.T) {
	for name, sessions := range samples() {
		t.Run(name, func(t *testing.T) {
			checkCells(t, sessions, Options{Fields: whose.Fields()})
		})
	}
}

func TestCells_Exact(t *testing.T) {
	p := process(7, `=1;"x",\`)
	s := session(whose.TCP, whose.Listen, "[::1]:53", "[::]:0", owners(p, process(8, "b"))...)
	s.Owners[0].FDs = []int32{3, 4}
	s.User = " +x"
	fields := fieldsNamed("local_addr local_port comm fds user rtt start_time")
	for format, want := range map[string]string{
		CSV: `::1,53,"'=1\x3b""x"",\;b","3,4;4"," +x",,"2026-03-01T08:30:07.12Z;2026-03-01T08:30:08.12Z"` + "\n",
		TSV: "::1\t53\t" + `'=1\x3b"x",\\;b` + "\t3,4;4\t +x\t\t2026-03-01T08:30:07.12Z;2026-03-01T08:30:08.12Z\n",
	} {
		got := rendered(t, format, Options{Fields: fields, NoHeader: true}, []whose.Session{s})
		if got != want {
			t.Errorf("%s:\n got %s\nwant %s", format, got, want)
		}
	}
}

func TestDisarm(t *testing.T) {
	for in, want := range map[string]string{
		"": "", "a=1": "a=1", "=1": "'=1", "+1": "'+1", "-1": "'-1", "@x": "'@x", "\tx": "'\tx", "\rx": "'\rx", "＝1": "'＝1", "'x": "'x",
		"a;=1": "a;'=1", "a;=1;b;@c": "a;'=1;b;'@c", "=1;=2": "'=1;'=2", "a,-1": "a,'-1", "a|+1": "a|'+1", "a\t=1": "a\t'=1", "a\n=1": "a\n'=1",
		`"=1`: `'"=1`, ` =1`: `' =1`, `a; "=1"`: `a;' "=1"`, " -x": " -x", "ls -l --all": "ls -l --all", "a;": "a;", ";;=": ";;'=",
		`"-1`: `'"-1`, "−1": "'−1", "﹦1": "'﹦1", "a;＠b": "a;'＠b", "a b=1": "a b=1", "x=1;y=2": "x=1;y=2",
	} {
		if got := string(disarm([]byte("kept,"+in), 5)); got != "kept,"+want {
			t.Errorf("disarm(%q) = %q, want %q", in, got, "kept,"+want)
		}
	}
}

// Whatever sessions come one after the other, alike or not, each line has the
// cells that each field makes by itself.
func TestLines_AsCells(t *testing.T) {
	sessions := append(randomSessions(1000, 5), whose.Session{}, *sampleSession(), whose.Session{})
	hostile := process(77, "=1;\"a\",\tb\\")
	sessions = append(sessions, session(whose.TCP, whose.Established, "10.0.0.1:1", "10.0.0.2:2", owners(hostile)...))
	for name, cells := range map[string]cellEncoder{
		CSV: {comma: ',', quote: quoteCSV}, TSV: {comma: '\t', backslash: true},
	} {
		for _, fields := range [][]*whose.Field{
			whose.Fields(), DefaultFields(CSV), fieldsNamed("user"), fieldsNamed("comm user fds pid inode peer_comm comm"),
		} {
			cells.fields = nil
			for _, f := range fields {
				cells.fields = append(cells.fields, cellField{f, f.Getters()})
			}
			quick, plain := newLineEncoder(cells), cells
			var got, want []byte
			for i := range sessions {
				s := sessions[i]
				for n := range 3 { // the first makes no mould, the second does
					s.Inode, s.Local, s.Remote = uint64(n)*99_999, s.Remote, s.Local
					want = want[:0]
					for k := range plain.fields {
						want = append(plain.appendCell(want, &plain.fields[k], s.Row()), plain.comma)
					}
					want[len(want)-1] = '\n'
					if got = quick.session(got[:0], &s); !bytes.Equal(got, want) {
						t.Fatalf("%s, session %d, time %d:\ngot  %s\nwant %s", name, i, n, got, want)
					}
				}
			}
		}
	}
}
