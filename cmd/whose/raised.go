package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/proc"
)

// callersDirs are the flags that name directories to read or to write below.
var callersDirs = []string{"proc", "pin-dir", "history"}

// refuseRaised refuses directories of the caller's where the program has more
// rights than the caller, by capabilities of its file or a set-user-ID bit: the
// caller would read or write with rights that are not his.
func refuseRaised(cmd *cobra.Command, _ []string) error {
	if !proc.Raised() {
		return nil
	}
	for _, name := range callersDirs {
		if flag := cmd.Flags().Lookup(name); flag != nil && flag.Changed && flag.Value.String() != flag.DefValue {
			return whose.WithHint(usagef("--%s: whose has more rights here than you, and takes no directory from you", name),
				"run a whose without capabilities of its file")
		}
	}
	return nil
}

// refuseRaisedFile refuses a file of the caller's in the same case.
func refuseRaisedFile(name string) error {
	if !proc.Raised() {
		return nil
	}
	return whose.WithHint(usagef("%s: whose has more rights here than you, and takes no file from you", name),
		"run a whose without capabilities of its file")
}

// tameZone sees to it that the time zone is no file that does not answer, such as
// a pipe, and none of the caller's where the program has more rights than the
// caller. The runtime reads the file when it first shows a local time.
func tameZone() {
	zone, set := os.LookupEnv("TZ")
	if path := zoneFile(zone); set && path != "" && !plainFile(path) {
		os.Unsetenv("TZ")
	}
}

// zoneFile returns the file that the runtime may read for a value of TZ, "" for
// one of the system's.
func zoneFile(zone string) string {
	zone = strings.TrimPrefix(zone, ":")
	switch {
	case strings.HasPrefix(zone, "/"):
		return zone
	case slices.Contains(strings.Split(filepath.ToSlash(zone), "/"), ".."):
		return filepath.Join("/usr/share/zoneinfo", zone)
	}
	return ""
}

func plainFile(path string) bool {
	if proc.Raised() {
		return false
	}
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}
