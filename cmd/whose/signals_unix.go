//go:build unix

package main

import (
	"os"
	"os/signal"
	"syscall"
)

// stopSignals are the signals to end whose watch and --watch.
func stopSignals() []os.Signal {
	return []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGHUP}
}

// notifyResize sends to c when the terminal has a new size.
func notifyResize(c chan<- os.Signal) { signal.Notify(c, syscall.SIGWINCH) }
