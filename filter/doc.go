// Package filter is the language in which one says which sessions are wanted:
// "tcp and state established and not remote in 127.0.0.0/8".
//
// An expression is parsed once ([Parse]), may be split into the part that a
// source applies and the rest ([Split]), and is compiled for evaluation
// ([Compile]). The names are those of the table of fields of package whose;
// the reference page is generated from it ([Reference]). The package knows no
// kernel and reads nothing of the host.
package filter
