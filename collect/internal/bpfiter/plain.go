package bpfiter

import (
	"bytes"
	"errors"
	"io"
	"os"
	"slices"
	"strconv"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/source"
)

// What a pass keeps of network namespaces that are read one by one.

// A way is a descriptor of a process that leads into a network namespace: the
// namespace itself, or a socket that was opened in it.
type way struct {
	pid uint32
	fd  int32
}

// noteWay notes a way into a namespace, where ways are wanted.
func (p *pass) noteWay(netns, pid uint32, fd int32) {
	if p.ways == nil {
		return
	}
	if _, ok := p.ways[netns]; !ok {
		p.ways[netns] = way{pid, fd}
	}
}

func (p *pass) noteVisited(netns uint32) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.snap.NetNS = append(p.snap.NetNS, netns)
}

// noteLite notes the sockets of UDP-Lite of the calling thread's namespace,
// which no iterator shows. The kernel lists them in files of their own.
func (p *pass) noteLite(netns uint32, ask question) {
	if ask.protos&(1<<whose.UDPLite) == 0 || ask.flags&askWanted != 0 {
		return
	}
	for file, family := range map[string]uint8{"udplite": askV4, "udplite6": askV6} {
		if ask.flags&family == 0 {
			continue
		}
		b, err := readFile("/proc/thread-self/net/" + file)
		p.mu.Lock()
		switch {
		case err == nil:
			for _, inode := range inodesOf(b) {
				p.lite = append(p.lite, place{inode, netns})
			}
		case !errors.Is(err, os.ErrNotExist): // a kernel without UDP-Lite has no file
			addGap(p.snap, whose.Gap{Kind: whose.GapSockets, Why: "udplite without a descriptor: " + err.Error()})
		}
		p.mu.Unlock()
	}
}

// maxFile bounds what is read of a file that the kernel makes.
const maxFile = 64 << 20

func readFile(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxFile))
}

// inodeColumn is where the inode stands in a line of /proc/net/udplite.
const inodeColumn = 9

// inodesOf returns the inodes of the sockets in a file such as /proc/net/udplite.
func inodesOf(b []byte) []uint32 {
	var inodes []uint32
	for line := range bytes.Lines(b) {
		columns := bytes.Fields(line)
		if len(columns) <= inodeColumn {
			continue
		}
		if n, err := strconv.ParseUint(string(columns[inodeColumn]), 10, 32); err == nil && n != 0 {
			inodes = append(inodes, uint32(n))
		}
	}
	return inodes
}

// keepUnheldLite keeps of the sockets of UDP-Lite those that no descriptor was
// met for, and reports whether there are any.
func (p *pass) keepUnheldLite() bool {
	p.lite = slices.DeleteFunc(p.lite, func(l place) bool { return p.held.has(uint64(l.inode)) })
	return len(p.lite) > 0
}

// addGap adds a gap, counting up one of the same kind and cause.
func addGap(snap *source.Snapshot, g whose.Gap) {
	for i := range snap.Gaps {
		if o := &snap.Gaps[i]; o.Kind == g.Kind && o.Why == g.Why {
			o.Count += g.Count
			return
		}
	}
	snap.Gaps = append(snap.Gaps, g)
}
