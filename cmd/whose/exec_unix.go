//go:build unix

package main

import "syscall"

// replaceBy replaces this process by another program.
func replaceBy(path string, args, env []string) error { return syscall.Exec(path, args, env) }
