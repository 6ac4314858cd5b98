// Bill writes what programs consist of: a bill of materials in the format SPDX
// 2.3, and the terms of all modules that are linked. It reads the list of modules
// that the go command left in each program, and the terms in the module cache.
package main

import (
	"bytes"
	"debug/buildinfo"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
)

func main() {
	var b bill
	spdx := flag.String("spdx", "", "write the bill of materials to this file")
	notices := flag.String("notices", "", "write the terms of the modules to this file")
	flag.StringVar(&b.version, "version", "", "the version of the programs")
	flag.StringVar(&b.date, "date", "", "when the bill is made, as in 2026-01-31T03:12:00Z")
	flag.Parse()
	if err := run(&b, flag.Args(), *spdx, *notices); err != nil {
		fmt.Fprintln(os.Stderr, "bill:", err)
		os.Exit(1)
	}
}

func run(b *bill, programs []string, spdx, notices string) error {
	if len(programs) == 0 || b.version == "" || b.date == "" {
		return errors.New("usage: bill -version V -date T -spdx FILE -notices FILE PROGRAM (one or more)")
	}
	for _, path := range programs {
		info, err := buildinfo.ReadFile(path)
		if err != nil {
			return fmt.Errorf("read what %s consists of: %w", path, err)
		}
		b.add(filepath.Base(path), info)
	}
	if err := b.readTerms(); err != nil {
		return err
	}
	text, err := json.MarshalIndent(b.document(), "", "  ")
	if err != nil {
		return fmt.Errorf("make bill: %w", err)
	}
	return errors.Join(os.WriteFile(spdx, append(text, '\n'), 0o644), os.WriteFile(notices, b.notices(), 0o644))
}

// A bill is of some programs. One that is built for several processors is one.
type bill struct {
	version, date string
	programs      []program
	modules       []module // by path, each once
}

// A program links modules, named by their paths.
type program struct {
	name, path string
	links      []string
}

// A module has terms: the texts of its files of licence, and their kind as SPDX
// names it, NOASSERTION where it is not known.
type module struct {
	path, version, sum string
	terms              []byte
	licence            string
}

// standard is the library of Go, which has no entry in a program.
const standard = "stdlib"

func (b *bill) add(name string, info *debug.BuildInfo) {
	at := slices.IndexFunc(b.programs, func(p program) bool { return p.name == name })
	if at < 0 {
		at = len(b.programs)
		b.programs = append(b.programs, program{name: name, path: info.Main.Path})
	}
	p := &b.programs[at]
	link := func(m module) {
		if !slices.Contains(p.links, m.path) {
			p.links = append(p.links, m.path)
		}
		i, found := slices.BinarySearchFunc(b.modules, m, func(a, b module) int { return strings.Compare(a.path, b.path) })
		if !found {
			b.modules = slices.Insert(b.modules, i, m)
		}
	}
	link(module{path: standard, version: strings.TrimPrefix(strings.Fields(info.GoVersion)[0], "go")})
	for _, dep := range info.Deps {
		if dep.Replace != nil {
			dep = dep.Replace
		}
		link(module{path: dep.Path, version: dep.Version, sum: dep.Sum})
	}
	slices.Sort(p.links)
}

func (b *bill) readTerms() error {
	for i := range b.modules {
		m := &b.modules[i]
		dir, err := folder(m)
		if err != nil {
			return err
		}
		files, err := filepath.Glob(filepath.Join(dir, "[LCN]*"))
		if err != nil {
			return fmt.Errorf("find the terms of %s: %w", m.path, err)
		}
		for _, file := range files {
			base := strings.ToUpper(filepath.Base(file))
			if !strings.HasPrefix(base, "LICEN") && !strings.HasPrefix(base, "COPYING") && !strings.HasPrefix(base, "NOTICE") || strings.HasSuffix(base, ".GO") {
				continue
			}
			text, err := os.ReadFile(file)
			if err != nil {
				return fmt.Errorf("read the terms of %s: %w", m.path, err)
			}
			m.terms = append(append(m.terms, bytes.TrimSpace(text)...), '\n')
		}
		if len(m.terms) == 0 {
			return fmt.Errorf("find the terms of %s: no file of licence in %s", m.path, dir)
		}
		m.licence = licence(string(m.terms))
	}
	return nil
}

// folder is where the source of a module is.
func folder(m *module) (string, error) {
	args := []string{"mod", "download", "-json", m.path + "@" + m.version}
	if m.path == standard {
		args = []string{"env", "GOROOT"}
	}
	out, err := exec.Command("go", args...).Output()
	if err != nil {
		return "", fmt.Errorf("find the source of %s: go %s: %w", m.path, strings.Join(args, " "), err)
	}
	if m.path == standard {
		return strings.TrimSpace(string(out)), nil
	}
	var got struct{ Dir, Sum string }
	if err := json.Unmarshal(out, &got); err != nil {
		return "", fmt.Errorf("find the source of %s: %w", m.path, err)
	}
	if got.Sum != m.sum {
		return "", fmt.Errorf("find the source of %s: the program was built from %s, and here is %s", m.path, m.sum, got.Sum)
	}
	return got.Dir, nil
}

// licence knows the usual texts by words that only they have.
func licence(text string) string {
	words := strings.Join(strings.Fields(text), " ")
	has := func(s string) bool { return strings.Contains(words, s) }
	switch {
	case has("Apache License Version 2.0"):
		return "Apache-2.0"
	case has("Redistribution and use in source and binary forms") && (has("Neither the name") || has("names of its contributors")):
		return "BSD-3-Clause"
	case has("Redistribution and use in source and binary forms"):
		return "BSD-2-Clause"
	case has("Permission is hereby granted, free of charge, to any person obtaining a copy"):
		return "MIT"
	}
	return "NOASSERTION"
}

func (b *bill) notices() []byte {
	var text bytes.Buffer
	for _, m := range b.modules {
		fmt.Fprintf(&text, "%s %s (%s)\n\n%s\n", m.path, m.version, m.licence, m.terms)
	}
	return text.Bytes()
}
