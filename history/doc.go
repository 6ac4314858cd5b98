// Package history is the past of a host as others ask for it: the question, the
// times in it, and the contract of a source of answers. Package
// [github.com/seed-44df2ae6/whose/history/store] keeps the past and answers.
// This package knows no store, so a program that only asks links none.
package history
