package zabbix

import (
	"bufio"
	"bytes"
	"strings"
	"testing"

	"github.com/seed-44df2ae6/whose"
)

// unquote reads a word as zabbix_sender does, and returns the rest of the line.
func unquote(t *testing.T, line string) (word, rest string) {
	t.Helper()
	if !strings.HasPrefix(line, `"`) {
		word, rest, _ = strings.Cut(line, " ")
		return word, rest
	}
	var b strings.Builder
	for i := 1; i < len(line); i++ {
		switch c := line[i]; {
		case c == '"':
			if i+1 < len(line) && line[i+1] != ' ' {
				t.Fatalf("no space behind the quote at %d of %q", i, line)
			}
			return b.String(), strings.TrimPrefix(line[i+1:], " ")
		case c == '\\' && (line[i+1] == '"' || line[i+1] == '\\'):
			i++
			b.WriteByte(line[i])
		case c == '\\' && line[i+1] == 'n':
			i++
			b.WriteByte('\n')
		default:
			b.WriteByte(c)
		}
	}
	t.Fatalf("no end of quotes in %q", line)
	return "", ""
}

func FuzzAppendLine(f *testing.F) {
	f.Add("-", "whose.get", `{"a":"b\n\"","c":[1]}`)
	f.Add("Zabbix server", `whose.x["a","b c"]`, "")
	f.Add("", `"quoted"`, "a\nb\\n\\")
	f.Fuzz(func(t *testing.T, host, key, value string) {
		if strings.ContainsRune(host+key+value, 0) || strings.HasSuffix(value, "\r") {
			return // no text has these
		}
		line := string(AppendLine(nil, host, key, value))
		if strings.Count(line, "\n") != 1 || !strings.HasSuffix(line, "\n") {
			t.Fatalf("%q is not one line", line)
		}
		line = strings.TrimSuffix(line, "\n")
		for _, want := range []string{host, key, value} {
			var got string
			if got, line = unquote(t, line); got != want {
				t.Errorf("read back %q, want %q", got, want)
			}
		}
		if line != "" {
			t.Errorf("%q is left over", line)
		}
	})
}

// TestAppendValues shows the lines of a host: one for each value that the table
// of items names, with nothing for what is not known.
func TestAppendValues(t *testing.T) {
	d := documentOf(t, usual(), hostOf())
	text, err := d.AppendValues(nil, "web 1")
	if err != nil {
		t.Fatal(err)
	}
	lines := map[string]string{}
	for scan := bufio.NewScanner(bytes.NewReader(text)); scan.Scan(); {
		host, rest := unquote(t, scan.Text())
		key, rest := unquote(t, rest)
		value, _ := unquote(t, rest)
		if host != "web 1" {
			t.Errorf("host %q in %q", host, scan.Text())
		}
		lines[key] = value
	}
	var perHost, perListener, perProcess int
	for _, item := range Items() {
		switch item.Of {
		case OfHost:
			perHost++
		case OfListener:
			perListener++
		case OfProcess:
			perProcess++
		}
	}
	want := perHost + perListener*len(d.Listeners) + perProcess*len(d.Processes)
	if len(lines) != want {
		t.Errorf("%d values, want %d", len(lines), want)
	}
	nginx, _ := rowAt(t, d, "0.0.0.0", "80", "")
	for key, want := range map[string]string{
		"whose.sessions": "22", "whose.collection.complete": "1", "whose.collection.duration": "0.0125",
		"whose.version": "1.2.3",
		`whose.listener.established["` + nginx.ID + `"]`: "3",
		`whose.listener.holders["` + nginx.ID + `"]`:     "nginx",
	} {
		if lines[key] != want {
			t.Errorf("%s = %q, want %q", key, lines[key], want)
		}
	}
	text, err = Failed("1.2.3", whose.Gap{Kind: whose.GapAnswer, Cause: whose.CauseFailed, Detail: "a reason"}).AppendValues(nil, "-")
	if err != nil {
		t.Fatal(err)
	}
	for _, absent := range []string{"whose.sessions ", "whose.hidden "} {
		if bytes.Contains(text, []byte(absent)) {
			t.Errorf("a document without an answer has a value of %s", absent)
		}
	}
	if !bytes.Contains(text, []byte(`whose.collection.partial "there is no answer (a reason)"`)) {
		t.Errorf("no gaps in\n%s", text)
	}
}
