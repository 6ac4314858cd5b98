// Command whose lists the TCP and UDP sessions of a Linux host and their owning
// processes.
//
// The package is wiring: it reads flags, asks package collect or track, and
// hands the answer to internal/render. Each subcommand has a file of its name,
// or several with its name at the beginning (watch*.go, doctor*.go, zabbix*.go
// for the subcommands of zabbix). The listing is the root. It has list.go, and
// redraw.go for its flag --watch. Several commands share the rest:
//
//	root.go, flags.go          the tree of commands, flags and their groups
//	question.go                the flags and the filter for the sessions asked for
//	display.go                 the flags for the look of the listing
//	report.go, usage.go        the report of errors, and the exit statuses
//	shell.go                   the place in which the command was started
//	helpprinter.go, topics.go  --help, and its texts shared with the man page and docs/cli.md
//	complete*.go               completion of typed words
package main
