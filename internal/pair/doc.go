// Package pair holds the rules about two sessions: which listener takes a
// session, and which session is at its other end. Package collect asks them of
// sockets, package track of its live table.
package pair
