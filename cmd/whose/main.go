package main

import (
	"context"
	"io"
	"os"

	"github.com/seed-44df2ae6/whose/internal/footprint"
)

// main hands over to run. Signals keep their default action, the right one for
// Ctrl-C and for a reader gone away: quiet and immediate. Only whose watch and
// --watch handle them: the first has a summary to write, the second a terminal
// to restore.
func main() {
	tameZone()
	footprint.ShortLived(os.Getenv)
	if err := checkHandedOver(); err != nil {
		os.Exit(newShell(os.Stdout, os.Stderr).report(err))
	}
	code := run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	if err := os.Stdout.Close(); err != nil && code == exitFound {
		code = newShell(os.Stdout, os.Stderr).report(writeError(err))
	}
	os.Exit(code)
}

// run executes one command line and returns the exit status.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	sh := newShell(stdout, stderr)
	sh.args = args
	args, said, err := translate(args, isLocalUser)
	if err != nil {
		return sh.report(err)
	}
	if said != "" {
		sh.remark("%s", said)
	}
	below, whole := needed(args)
	root := newTree(sh, below, whole)
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(sh.noted())
	root.SetErr(stderr)
	if err = root.ExecuteContext(ctx); err == nil {
		err = writeError(sh.unsaid)
	}
	return sh.report(err)
}
