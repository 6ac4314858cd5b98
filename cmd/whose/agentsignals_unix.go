//go:build whose_agent && unix

package main

import (
	"os"
	"syscall"
)

// The signals of an agent. A reader of its messages that goes away (SIGPIPE) ends
// nothing.
var (
	agentStops   = []os.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGQUIT}
	agentReloads = []os.Signal{syscall.SIGHUP}
	agentIgnores = []os.Signal{syscall.SIGPIPE}
)
