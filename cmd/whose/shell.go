package main

import (
	"io"
	"os"
	"strconv"

	"golang.org/x/term"

	"github.com/seed-44df2ae6/whose/internal/hostname"
)

// A shell is the surroundings of a command. Tests make their own.
type shell struct {
	out, err io.Writer
	getenv   func(string) string
	lookup   hostname.Lookup // nil: the DNS of this host
	services string          // the file of service names
	unsaid   error           // the first error of text written by noted
	args     []string        // of the command line
	// exec replaces this process by another program.
	exec func(path string, args, env []string) error
}

// noted returns the output for text whose writers look at no error: help, and
// completion. run reports the first one.
func (sh *shell) noted() io.Writer { return (*notedWriter)(sh) }

// A notedWriter is the output of a shell that keeps the first error.
type notedWriter shell

// Write writes to the output, and nothing after an error.
func (w *notedWriter) Write(p []byte) (int, error) {
	if w.unsaid != nil {
		return 0, w.unsaid
	}
	n, err := w.out.Write(p)
	w.unsaid = err
	return n, err
}

// newShell is the shell of this process.
func newShell(stdout, stderr io.Writer) *shell {
	return &shell{out: stdout, err: stderr, getenv: os.Getenv, services: servicesFile, exec: replaceBy}
}

// fallbackHeight is the height of a terminal of unknown size.
const fallbackHeight = 24

// isTerminal reports whether w writes to a terminal.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// readsTerminal reports whether r reads from a terminal.
func readsTerminal(r io.Reader) bool {
	f, ok := r.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// width returns the number of columns of the output, 0 for no bound: COLUMNS if
// set, else the terminal's width.
func (sh *shell) width() int {
	if n := sh.number("COLUMNS"); n > 0 {
		return n
	}
	w, _ := sizeOf(sh.out)
	return w
}

// height returns the number of lines of the terminal.
func (sh *shell) height() int {
	if _, h := sizeOf(sh.out); h > 0 {
		return h
	}
	if n := sh.number("LINES"); n > 0 {
		return n
	}
	return fallbackHeight
}

// sizeOf returns the size of the terminal behind out, zeros for no terminal or
// an unknown size.
func sizeOf(out io.Writer) (w, h int) {
	f, ok := out.(*os.File)
	if !ok {
		return 0, 0
	}
	w, h, err := term.GetSize(int(f.Fd()))
	if err != nil {
		return 0, 0
	}
	return w, h
}

// number returns the number in a variable, 0 for none.
func (sh *shell) number(name string) int {
	n, err := strconv.Atoi(sh.getenv(name))
	if err != nil || n < 0 {
		return 0
	}
	return n
}

// The values of --color.
const (
	colorAuto   = "auto"
	colorAlways = "always"
	colorNever  = "never"
)

// colored decides whether w gets colours. auto means: only a capable terminal,
// and only without NO_COLOR (https://no-color.org).
func (sh *shell) colored(mode string, w io.Writer) bool {
	switch mode {
	case colorAlways:
		return true
	case colorNever:
		return false
	}
	return isTerminal(w) && sh.getenv("NO_COLOR") == "" && sh.getenv("TERM") != "dumb"
}
