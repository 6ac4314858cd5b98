package main

import (
	"context"
	"os"
)

// main hands over to run. Signals keep their default action, which for Ctrl-C
// and for a reader that went away is the right one: quiet and immediate. Only
// --watch handles them, to give the terminal back as it was.
func main() {
	tuneMemory(os.Getenv)
	sh := &shell{in: os.Stdin, out: os.Stdout, err: os.Stderr, getenv: os.Getenv, services: "/etc/services"}
	code := run(context.Background(), os.Args[1:], sh)
	if err := os.Stdout.Close(); err != nil && code == exitFound {
		code = sh.report(writeError(err))
	}
	os.Exit(code)
}

// run executes one command line and returns the exit status.
func run(ctx context.Context, args []string, sh *shell) int {
	root := newRoot(sh)
	root.SetArgs(args)
	root.SetIn(sh.in)
	root.SetOut(sh.out)
	root.SetErr(sh.err)
	return sh.report(root.ExecuteContext(ctx))
}
