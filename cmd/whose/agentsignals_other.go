//go:build whose_agent && !unix

package main

import "os"

var (
	agentStops                 = []os.Signal{os.Interrupt}
	agentReloads, agentIgnores []os.Signal
)
