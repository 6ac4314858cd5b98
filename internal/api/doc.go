// Package api serves an agent's live table, its events and its history by HTTP, over
// a Unix socket or TCP. It reads only. The documents are those of the command: the
// same schemas, and the same messages for the same mistakes.
package api
