//go:build !unix

package main

import "os"

// stopSignals are the signals that end whose watch and --watch.
func stopSignals() []os.Signal { return []os.Signal{os.Interrupt} }

// notifyResize does nothing: there is no signal for another size here.
func notifyResize(chan<- os.Signal) {}
