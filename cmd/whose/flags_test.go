package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/seed-44df2ae6/whose/internal/render"
)

func TestSeconds(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"2": 2 * time.Second, "0.5": 500 * time.Millisecond, "2s": 2 * time.Second,
		"500ms": 500 * time.Millisecond, "1m": time.Minute,
	} {
		var s seconds
		if err := s.Set(text); err != nil || time.Duration(s) != want {
			t.Errorf("%q is %v, %v; want %v", text, time.Duration(s), err, want)
		}
	}
	for _, text := range []string{"", "soon", "-1", "-1s", "0", "0s", "-0", "0.0", "0.0000000001", "-500ms", "nan", "inf", "1e400", "2 s"} {
		var s seconds
		if err := s.Set(text); err == nil {
			t.Errorf("%q is taken for %v", text, time.Duration(s))
		}
	}
}

// TestFlags_Complete: every value that completion offers is accepted, and
// every command has a short text.
func TestFlags_Complete(t *testing.T) {
	root := newRoot(&shell{out: &bytes.Buffer{}, err: &bytes.Buffer{}, getenv: func(string) string { return "" }})
	for _, c := range root.Commands() {
		if c.Short == "" || strings.HasSuffix(c.Short, ".") {
			t.Errorf("%s: short text %q", c.Name(), c.Short)
		}
	}
	for _, format := range outputFormats() {
		d := display{format: format}
		if err := d.settleFormat(root); err != nil {
			t.Errorf("-o %s: %v", format, err)
		}
		if _, err := render.New(format, render.Options{}); err != nil {
			t.Errorf("-o %s: %v", format, err)
		}
	}
}
