// Package lots shares the work on a long list between goroutines: each takes a
// lot of neighbouring entries, and another when it is done.
//
// [Each] calls work for every lot in no order. [Write] writes the text of the
// entries in their order, and [Feed] hands over sessions in theirs, however many
// goroutines make them.
package lots
