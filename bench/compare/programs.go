//go:build linux

package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// The programs of a run. Those of others may be missing.
type programs struct {
	load, timed, gopsutil, floor, hello string
	// whose and before are empty if left out.
	whose, before string
	// scripts is the folder of the scripts in other languages.
	scripts string
	// found holds the path of each other tool found.
	found map[string]string
}

// buildPrograms builds the project's own programs and looks for the others.
func buildPrograms(ctx context.Context, o options, r room) (programs, error) {
	p := programs{found: map[string]string{}}
	for _, tool := range []string{"ss", "lsof", "netstat"} {
		if path, err := exec.LookPath(tool); err == nil {
			p.found[tool] = path
		}
	}
	dir, err := moduleDir(ctx)
	if err != nil {
		return p, err
	}
	if python := findPython(ctx); python != "" {
		p.found["python3"] = python
	}
	p.scripts = filepath.Join(dir, "scripts")
	p.load, p.timed, p.floor = r.path("load"), r.path("timed"), r.path("floor")
	p.gopsutil, p.hello = r.path("gopsutil"), r.path("hello")
	for _, args := range [][]string{
		cc(p.load, "load/load.c"),
		cc(p.timed, "timed/timed.c"),
		cc(p.floor, "floor/floor.c", "floor/records.c"),
		{"go", "build", "-trimpath", "-ldflags", "-s -w", "-o", p.gopsutil, "./gopsutil"},
		{"go", "build", "-trimpath", "-ldflags", "-s -w", "-o", p.hello, "./hello"},
	} {
		if err := build(ctx, dir, args...); err != nil {
			return p, err
		}
	}
	if o.whose == "" {
		p.whose = r.path("whose")
		err := build(ctx, filepath.Dir(dir), "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", p.whose, "./cmd/whose")
		if err != nil {
			return p, err
		}
	} else if o.whose != "none" {
		if p.whose, err = filepath.Abs(o.whose); err != nil {
			return p, err
		}
	}
	if o.before != "" {
		p.before, err = filepath.Abs(o.before)
	}
	return p, err
}

// moduleDir is the folder of the benchmark's own module.
func moduleDir(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return "", fmt.Errorf("find the benchmark's folder (run it from there): %w", err)
	}
	return strings.TrimSpace(string(out)), nil
}

// cc is the command to compile a static program.
func cc(program string, sources ...string) []string {
	return append([]string{"cc", "-O2", "-static", "-pthread", "-Wall", "-Wextra", "-Werror", "-o", program}, sources...)
}

func build(ctx context.Context, dir string, args ...string) error {
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s: %w\n%s", args[len(args)-1], err, out)
	}
	return nil
}

// describeHost describes the machine and the programs.
func describeHost(ctx context.Context, p programs) []string {
	lines := []string{"Kernel " + firstLine(ctx, "uname", "-r") + ", " + processor()}
	for _, v := range []struct{ name, path, flag string }{
		{"ss", p.found["ss"], "-V"}, {"lsof", p.found["lsof"], "-v"}, {"netstat", p.found["netstat"], "--version"},
		{"python", p.found["python3"], "--version"},
		{"whose", p.whose, "version"}, {"before", p.before, "version"},
	} {
		if v.path == "" {
			continue
		}
		if line := firstLine(ctx, v.path, v.flag); line != "" {
			lines = append(lines, v.name+": "+line)
		}
	}
	out, err := exec.CommandContext(ctx, "go", "version", "-m", p.gopsutil).Output()
	if err == nil {
		for line := range strings.Lines(string(out)) {
			if f := strings.Fields(line); len(f) > 2 && f[0] == "dep" && strings.Contains(f[1], "/gopsutil/") {
				lines = append(lines, "gopsutil: "+f[2])
			}
		}
	}
	return lines
}

// firstLine returns the first line with a digit in the output of a command.
func firstLine(ctx context.Context, args ...string) string {
	out, err := exec.CommandContext(ctx, args[0], args[1:]...).CombinedOutput()
	if err != nil && len(out) == 0 {
		return ""
	}
	for line := range bytes.Lines(out) {
		if bytes.ContainsAny(line, "0123456789") {
			return strings.TrimSpace(string(line))
		}
	}
	return ""
}

// processor names the first processor and gives their number.
func processor() string {
	text, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return "unknown processor"
	}
	name, n := "unknown processor", 0
	for line := range strings.Lines(string(text)) {
		key, value, _ := strings.Cut(line, ":")
		switch strings.TrimSpace(key) {
		case "processor":
			n++
		case "model name":
			name = strings.TrimSpace(value)
		}
	}
	return fmt.Sprintf("%d x %s", n, name)
}

// loadAverage is the host's load in the last minute. Above the number of
// processors other work has disturbed the wall times, though not the CPU times.
func loadAverage() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	first, _, _ := strings.Cut(string(text), " ")
	return first
}
