package main

import (
	"github.com/spf13/cobra"

	"github.com/seed-44df2ae6/whose/collect"
)

func newUnpin(*shell) *cobra.Command {
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
			return collect.Unpin(dir)
		},
	}
}
