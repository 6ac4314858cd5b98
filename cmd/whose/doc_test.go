package main

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

// TestDoc_Files: the files that the package comment names are there.
func TestDoc_Files(t *testing.T) {
	text, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range regexp.MustCompile(`[a-z*]+\.go\b`).FindAllString(string(text), -1) {
		if found, err := filepath.Glob(name); err != nil || len(found) == 0 {
			t.Errorf("doc.go names %s, of which there is none", name)
		}
	}
}
