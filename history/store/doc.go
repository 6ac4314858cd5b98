// Package store keeps the history of a host in SQLite files, and reads it back.
//
// [Create] opens a directory for writing: one agent at a time. [Writer.Add] takes
// events, [Writer.Flush] commits. [Open] opens the directory for reading, at any
// time and by several readers at once, while a writer writes. A [Reader] answers
// the questions of package history.
//
// A file begins each day at midnight UTC, and earlier where it grows too large, so
// that neither a change of the time zone nor one of the clock moves a session to
// another file. It holds the ends of sessions in blocks: some thousand entries,
// column by column, sorted by time (block.go). A commit writes its entries as a
// small block, and some small blocks become one of the usual size. Beside them
// stand the sessions that have not ended (table live), the names of processes
// (prog) and of places (place), and the gaps. A session still in live when the file
// is left stood at its end. So one file answers for any moment of its time.
package store
