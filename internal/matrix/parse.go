package main

import (
	"errors"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// A result is what one kernel gave.
type result struct {
	// spec is what was asked for, pkg Debian's package, release what uname said.
	spec, pkg, release string
	// accel is "kvm", "tcg", or "none" for this machine.
	accel string
	took  time.Duration
	// facts are what the kernel was seen to have or to lack.
	facts []string
	// complaints are the kernel's own warnings while the tests ran.
	complaints []string
	packages   []packageResult
	// done tells that the last test had its turn.
	done bool
	// err says why the kernel could not be tried to the end, log the console then.
	err error
	log string
}

// A packageResult is what one test binary gave.
type packageResult struct {
	name   string
	status int
	tests  []testResult
	output []string
}

// A testResult is the outcome of one test or subtest.
type testResult struct {
	name string
	// outcome is "PASS", "FAIL" or "SKIP".
	outcome string
	// reason is the last thing that a skipped or failed test said.
	reason string
}

var (
	runningLine = regexp.MustCompile(`^=== (?:RUN|CONT|NAME)\s+(\S+)`)
	outcomeLine = regexp.MustCompile(`^\s*--- (PASS|FAIL|SKIP): (\S+)`)
	saidLine    = regexp.MustCompile(`^\s+\S+\.go:\d+: (.*)$`)
)

// parseConsole reads what the init script and the tests wrote. Whatever else is
// on a console is passed over.
func parseConsole(console []byte) result {
	var r result
	var current *packageResult
	running, said := "", map[string]string{}
	for line := range strings.Lines(string(console)) {
		line = strings.TrimRight(line, "\r\n")
		words := strings.Fields(line)
		if len(words) > 1 && words[0] == "@@matrix" {
			current = r.mark(words[1:], current)
			clear(said)
			continue
		}
		if current == nil {
			continue
		}
		current.output = append(current.output, line)
		if m := runningLine.FindStringSubmatch(line); m != nil {
			running = m[1]
		} else if m := saidLine.FindStringSubmatch(line); m != nil {
			said[running] = m[1]
		} else if m := outcomeLine.FindStringSubmatch(line); m != nil {
			t := testResult{name: m[2], outcome: m[1]}
			if t.outcome != "PASS" {
				t.reason = said[t.name]
			}
			current.tests = append(current.tests, t)
		}
	}
	if !r.done {
		r.err = errors.New("the tests did not come to their end")
	}
	return r
}

// mark takes one line of the init script and returns the package that the lines
// after it belong to.
func (r *result) mark(words []string, current *packageResult) *packageResult {
	rest := strings.Join(words[1:], " ")
	switch words[0] {
	case "booted":
		r.release = rest
	case "fact":
		r.facts = append(r.facts, rest)
	case "complaint":
		r.complaints = append(r.complaints, rest)
	case "begin":
		r.packages = append(r.packages, packageResult{name: rest, status: -1})
		return &r.packages[len(r.packages)-1]
	case "end":
		if current != nil && len(words) == 3 {
			if status, err := strconv.Atoi(words[2]); err == nil {
				current.status = status
			}
		}
	case "done":
		r.done = true
	}
	return nil
}

// failed tells whether a test failed, or a package without a test that says so.
func (r result) failed() bool {
	for _, p := range r.packages {
		if p.status != 0 || p.count("FAIL") > 0 {
			return true
		}
	}
	return len(r.packages) == 0
}

func (p packageResult) count(outcome string) int {
	n := 0
	for _, t := range p.tests {
		if t.outcome == outcome {
			n++
		}
	}
	return n
}
