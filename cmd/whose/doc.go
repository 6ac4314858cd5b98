// Command whose lists the TCP and UDP sessions of a Linux host and the
// processes that own them.
//
// The package is wiring: one file for each subcommand, which reads its flags,
// asks package collect and hands the answer to internal/render. What several
// of them share has a file of its own: question.go (what is asked for),
// output.go (how it is written), report.go (how it is said that something
// went wrong, and the exit statuses), shell.go (what the command knows of
// the place it was started in).
//
// The man page, docs/cli.md and --help are written from the same texts: the
// command tree and topics.go.
package main
