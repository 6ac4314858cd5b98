//go:build !unix

package main

import "github.com/seed-44df2ae6/whose"

// replaceBy is not possible here.
func replaceBy(path string, args, env []string) error {
	return &whose.UnsupportedError{What: "another program in place of this one"}
}
