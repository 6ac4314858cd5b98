// Command whose lists the TCP and UDP sessions of a Linux host and the
// processes that own them.
//
// The package is wiring: it reads flags, asks package collect or track, and hands
// the answer to internal/render. Each subcommand has a file of its name, or
// several that begin with it (watch*.go, doctor*.go, zabbix*.go for the
// subcommands of zabbix); the listing, which is the root, has list.go, and redraw.go
// for its flag --watch. The rest is what several of them share:
//
//	root.go, flags.go          the tree of commands, flags and their groups
//	question.go                the flags and the filter that say what is asked for
//	display.go                 the flags that say how the listing is shown
//	report.go, usage.go        how it is said that something went wrong, and the exit statuses
//	shell.go                   the place in which the command was started
//	helpprinter.go, topics.go  --help, and the texts that it shares with the man page and docs/cli.md
//	complete*.go               completion of what is typed
package main
