// Package pair holds the rules about two sessions: the listener of a session,
// and the session at its other end. Package collect applies them to sockets,
// package track to its live table.
package pair
