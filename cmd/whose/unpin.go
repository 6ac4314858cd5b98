package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/seed-44df2ae6/whose/collect"
)

func newUnpin(sh *shell) *cobra.Command {
	return &cobra.Command{
		Use:   "unpin [flags]",
		Short: "remove the pinned iterators",
		Long: `Remove the pinned iterators. Users who could list every session only through them cannot
any more; the kernel frees the programs. It is no error if there are none. A file that
only has the name of a pin stays, with an error.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			dir, err := pinDir(cmd)
			if err != nil {
				return err
			}
			before, unknown := collect.InspectPin(dir)
			if err := collect.Unpin(dir); err != nil || unknown != nil {
				return err
			}
			said := "nothing is pinned"
			if n := len(before.Pins); n > 0 {
				said = "unpinned " + plural(n, "iterator", "iterators")
			}
			_, err = fmt.Fprintf(sh.out, "%s in %s\n", said, printable(before.Dir))
			return writeError(err)
		},
	}
}
