// Package render writes sessions: as a table for a person, as JSON, CSV and TSV
// for programs, by a template, and in the shape of the script from which whose
// began.
//
// A [Renderer] takes one session after the other and writes as it goes. The
// table alone keeps its rows, as packed text: it aligns them when all are known.
//
// Names of processes, command lines, units and host names are text of foreign
// origin. Every renderer makes them safe in its own format. The text formats
// show control characters and their like as visible escapes (see [AppendSafe]).
// JSON escapes them, and nothing is lost. No name makes a renderer drop a row.
//
// The package knows no kernel and no terminal: width, colour and look-ups of
// names are options.
package render
