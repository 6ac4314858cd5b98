// Package testenv holds what the tests of this module need of the machine:
// checks of kernel, capabilities and programs that skip loudly, fresh network
// namespaces, processes that end with the test however it ends, and a check for
// leaks.
//
// A requirement that is missing skips the test with the line
//
//	skip: needs X: why it is missing
//
// unless the environment has CI=true or WHOSE_MUST_RUN=1: then it fails the
// test, so that a machine that is meant to run everything cannot quietly run
// less. A kernel that is older than the stated version always skips.
package testenv
