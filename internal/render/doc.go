// Package render writes sessions: as a table for a person, as JSON, CSV and
// TSV for programs, by a template, and in the shape of the script that whose
// began with.
//
// A [Renderer] is fed one session after the other and writes as it goes,
// apart from the table, which has to know every row before it can align them
// and keeps them as packed text until then.
//
// Names of processes, command lines, units and host names are text that
// somebody else chose. Every renderer makes them safe in its own format: the
// text formats show control characters and their like as visible escapes (see
// [AppendSafe]), JSON escapes them so that nothing is lost. No row is dropped
// for what it is named.
//
// The package knows no kernel and no terminal: width, colour and look-ups of
// names are options.
package render
