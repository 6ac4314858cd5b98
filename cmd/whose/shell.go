package main

import (
	"io"
	"os"
	"strconv"
	"strings"

	"golang.org/x/term"

	"github.com/seed-44df2ae6/whose/internal/hostname"
	"github.com/seed-44df2ae6/whose/internal/render"
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
	_, err := io.WriteString(w.out, (*shell)(w).legible(string(p)))
	w.unsaid = err
	return len(p), err
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
	return isTerminal(w) && sh.getenv("NO_COLOR") == "" && sh.capable()
}

// capable reports whether the terminal is one that knows escape sequences. Without a
// name nobody knows.
func (sh *shell) capable() bool { return sh.getenv("TERM") != "" && sh.getenv("TERM") != "dumb" }

// ascii reports whether the locale has no UTF-8. Where none is set, as in many
// containers, nothing is said about the terminal.
func (sh *shell) ascii() bool {
	for _, name := range [...]string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if locale := strings.ToUpper(sh.getenv(name)); locale != "" {
			return !strings.Contains(locale, "UTF-8") && !strings.Contains(locale, "UTF8")
		}
	}
	return false
}

// legible returns text for a person as the terminal can show it.
func (sh *shell) legible(text string) string {
	if sh.ascii() {
		return render.ASCII(text)
	}
	return text
}
