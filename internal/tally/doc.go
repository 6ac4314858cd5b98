// Package tally counts sessions and events: by any fields ([Counter]), for the
// summary of a watch ([Events]), and by listener and program ([Host]).
//
// One rule holds for all of them. A session counts once in each of its groups,
// however many of its owners put it there, and once in the total. The groups of
// events and of a host are bounded, since remote hosts and processes choose the
// keys. Events and sessions without room are counted apart.
//
// Names are counted as processes and the kernel give them: any bytes. Writers
// make them safe.
package tally
