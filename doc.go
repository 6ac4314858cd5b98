// Package whose holds the model of a Linux host's TCP and UDP sessions and
// the processes that own them.
//
// It is the model and nothing else: values, the table of fields, and the
// account of what could not be seen. It knows no kernel and imports only the
// standard library, so it builds everywhere.
//
// To list the sessions of this host use package
// [github.com/seed-44df2ae6/whose/collect]; to write and evaluate filter
// expressions use [github.com/seed-44df2ae6/whose/filter].
package whose
