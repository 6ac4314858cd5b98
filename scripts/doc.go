// Package scripts holds what the targets of make run, and the tests of those
// scripts on which others rely.
package scripts
