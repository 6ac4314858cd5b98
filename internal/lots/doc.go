// Package lots shares the work on a long list between goroutines: each takes a
// lot of neighbouring entries, and another when it is done.
//
// [Each] calls work for every lot in no order. [Write] writes the text of the
// entries in their order, however many goroutines make it.
package lots
