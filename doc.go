// Package whose holds the model of a Linux host's TCP and UDP sessions and
// their owning processes.
//
// It is the model and nothing else. A [Session] has its [Owner]s, a [Lifetime]
// when it was followed, and an [Event] when something happened to it. One table
// of [Field]s names all their facts; JSON is written and read back by it
// ([ParseSession], [ParseEvent]). A [Coverage] with its [Gaps] is the account of
// an answer. The package knows no kernel and imports only the standard library,
// so it builds everywhere.
//
// Package [github.com/seed-44df2ae6/whose/collect] lists the sessions of this
// host, [github.com/seed-44df2ae6/whose/track] follows them, and
// [github.com/seed-44df2ae6/whose/filter] parses and evaluates filter expressions.
package whose
