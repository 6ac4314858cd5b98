package procnet

import (
	"context"
	"iter"
	"os"
	"path/filepath"
	"strconv"

	"github.com/seed-44df2ae6/whose/internal/netns"
)

// threadsIn finds threads in a namespace, for the rare case of a pass during
// which every known way into it went: the main threads first, then all.
func (s *Source) threadsIn(ctx context.Context, inode uint32) iter.Seq[uint32] {
	return func(yield func(uint32) bool) {
		for _, pattern := range []string{"[0-9]*/ns/net", "[0-9]*/task/[0-9]*/ns/net"} {
			links, _ := filepath.Glob(filepath.Join(escapeGlob(s.root), pattern)) // the pattern is well formed
			for _, link := range links {
				if ctx.Err() != nil {
					return
				}
				if found, err := netns.Inode(link); err != nil || found != inode {
					continue // unreadable: nothing is known of it
				}
				tid, err := strconv.ParseUint(filepath.Base(filepath.Dir(filepath.Dir(link))), 10, 32)
				if err == nil && !yield(uint32(tid)) {
					return
				}
			}
		}
	}
}

// escapeGlob makes every character of a path stand for itself in a pattern.
func escapeGlob(path string) string {
	if os.PathSeparator == '\\' {
		return path // there is no escape there, and no procfs either
	}
	var b []byte
	for i := range len(path) {
		switch path[i] {
		case '*', '?', '[', '\\':
			b = append(b, '\\')
		}
		b = append(b, path[i])
	}
	return string(b)
}
