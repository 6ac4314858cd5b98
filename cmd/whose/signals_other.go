//go:build !unix

package main

import "os"

// stopSignals are the signals to end whose watch and --watch.
func stopSignals() []os.Signal { return []os.Signal{os.Interrupt} }

// notifyResize does nothing: this system has no signal for a new size.
func notifyResize(chan<- os.Signal) {}
