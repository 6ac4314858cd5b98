package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestRun makes the bill of this very test program.
func TestRun(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	spdx, notices := filepath.Join(dir, "spdx"), filepath.Join(dir, "notices")
	if err := run(&bill{version: "1.2.3", date: "2026-01-31T03:12:00Z"}, []string{self}, spdx, notices); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(spdx)
	if err != nil {
		t.Fatal(err)
	}
	var d document
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	ids := make(map[string]bool)
	for _, p := range d.Packages {
		if ids[p.ID] {
			t.Errorf("two packages have the identifier %s", p.ID)
		}
		ids[p.ID] = true
	}
	for _, r := range d.Relationships {
		if r.From != describe && !ids[r.From] || !ids[r.To] {
			t.Errorf("a relationship names what is not there: %v", r)
		}
	}
	if !ids[id(standard)] || d.Creation.Created != "2026-01-31T03:12:00Z" || !strings.HasPrefix(d.Namespace, "https://") {
		t.Errorf("the bill is not whole: %s", text)
	}
	terms, err := os.ReadFile(notices)
	if err != nil || !strings.Contains(string(terms), "(BSD-3-Clause)") || !strings.Contains(string(terms), "Redistribution") {
		t.Errorf("the terms of the library of Go are missing (%v): %.200s", err, terms)
	}
}

func TestLicence(t *testing.T) {
	for text, want := range map[string]string{
		"Apache License\n   Version 2.0, January 2004":                                  "Apache-2.0",
		"Permission is hereby granted, free of\ncharge, to any person obtaining a copy": "MIT",
		"Redistribution and use in source and binary forms, with. Neither the name of":  "BSD-3-Clause",
		"Redistribution and use in source and binary forms, with":                       "BSD-2-Clause",
		"You may not.": "NOASSERTION",
	} {
		if got := licence(text); got != want {
			t.Errorf("%q is %s, want %s", text, got, want)
		}
	}
}
