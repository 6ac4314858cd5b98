package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/history"
	"github.com/seed-44df2ae6/whose/internal/proc"
)

// One tree of commands makes two programs. The light one, whose, answers about the
// present and starts in a few milliseconds. The other, whose-agent, links what
// history needs (the build tag whose_agent); the light one replaces itself by it
// where a command line needs that. Both are installed together.

// openHistory opens a history for reading. Nil in the light program.
var openHistory func(dir string, zone *time.Location) (history.Source, error)

// agentProgram is the name of the other program.
const agentProgram = "whose-agent"

// agentDirs are where the other program is, beside the folder of this one.
var agentDirs = []string{"/usr/libexec/whose", "/usr/lib/whose", "/usr/local/libexec/whose"}

// handedOver is the variable with the version of the program that hands over.
const handedOver = "WHOSE_HANDED_OVER"

// handOver replaces this program by the other, with the same command line. It
// returns only on an error. Nothing is looked up in PATH: the caller may have chosen
// that. Where this program has more rights than its caller, not even the folder of
// its file counts, since a link may have put it there.
func (sh *shell) handOver() error {
	var dirs []string
	if !proc.Raised() {
		if self, err := os.Executable(); err == nil {
			dirs = append(dirs, filepath.Dir(self))
		}
	}
	for _, dir := range append(dirs, agentDirs...) {
		path := filepath.Join(dir, agentProgram)
		err := sh.exec(path, append([]string{agentProgram}, sh.args...), environ(handedOver, buildVersion().String()))
		if !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("start %s: %w", path, err)
		}
	}
	return whose.WithHint(fmt.Errorf("find %s: it answers about the past, and is not installed beside whose", agentProgram),
		"make install installs both; looked for in %s", filepath.Join(firstOf(dirs, agentDirs), agentProgram))
}

func firstOf(lists ...[]string) string {
	for _, list := range lists {
		if len(list) > 0 {
			return list[0]
		}
	}
	return ""
}

// checkHandedOver refuses to go on for a program of another version: the two are
// installed together, or one of them has been exchanged.
func checkHandedOver() error {
	version, handed := os.LookupEnv(handedOver)
	_ = os.Unsetenv(handedOver) // not for programs that are started from here
	if own := buildVersion().String(); handed && version != own {
		return whose.WithHint(fmt.Errorf("%s is of another version than the whose that started it: %q and %q", agentProgram, own, version),
			"install both together")
	}
	return nil
}
