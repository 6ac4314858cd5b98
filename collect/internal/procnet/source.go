package procnet

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/netns"
	"github.com/seed-44df2ae6/whose/internal/source"
)

// A Source reads sockets from the files of procfs. It keeps nothing open
// between reads. It is not safe for concurrent use.
type Source struct {
	root   string
	reader *reader
}

var _ source.Source = (*Source)(nil)

// Open makes the source. It fails if the root is not a directory.
func Open(opts Options) (*Source, error) {
	root := filepath.Clean(cmp.Or(opts.Root, "/proc"))
	info, err := os.Stat(root)
	if err != nil {
		return nil, whose.WithHint(fmt.Errorf("open procfs: %w", err), "is procfs mounted at %s?", root)
	}
	if !info.IsDir() {
		return nil, fmt.Errorf("open procfs: %s is not a directory", root)
	}
	return &Source{root: root, reader: newReader()}, nil
}

// Name returns "procfs".
func (s *Source) Name() string { return "procfs" }

// Capabilities: the source finds sockets, by entering each namespace.
func (s *Source) Capabilities() source.Capabilities {
	return source.Capabilities{FindsSockets: true, EntersNamespaces: true}
}

// Read appends the sockets of the namespaces of q.Visit to snap. It does not
// apply q.PIDs. If the time of ctx runs out, the rows read so far are the
// answer, with a gap.
func (s *Source) Read(ctx context.Context, q *source.Query, snap *source.Snapshot) error {
	s.reader.begin(q, snap)
	defer s.reader.end()
	if len(q.Visit) == 0 {
		snap.Gaps.Add(source.GapOf(whose.GapNamespaces, 0, netns.NoWay("no way into any network namespace was given")))
	}
	for i := range q.Visit {
		ref := &q.Visit[i]
		if q.NetNS != nil && !slices.Contains(q.NetNS, ref.Inode) || slices.Contains(snap.NetNS, ref.Inode) {
			continue
		}
		err := s.readNetNS(ctx, ref)
		if ctx.Err() != nil {
			snap.Gaps.Add(whose.Gap{Kind: whose.GapSessions, Cause: whose.CauseDeadline})
			return nil
		}
		switch {
		case err == nil:
			snap.NetNS = append(snap.NetNS, ref.Inode)
		case !errors.Is(err, netns.ErrGone):
			snap.Gaps.Add(source.GapOf(whose.GapNamespaces, 1, err))
		}
	}
	return nil
}

// Close gives back nothing: the source keeps nothing open.
func (s *Source) Close() error { return nil }

// readNetNS reads one namespace by its first way still there. If all have gone,
// it looks for another thread in the namespace. Without one the namespace is
// gone ([netns.ErrGone]).
func (s *Source) readNetNS(ctx context.Context, ref *source.NetNSRef) error {
	if err := s.readThread(ctx, ownOr(ref.TID), ref.Inode); !errors.Is(err, netns.ErrGone) {
		return err
	}
	if ref.TID == 0 && ref.Path == "" {
		return netns.NoWay("no process is in it and no file leads to it")
	}
	if ref.Path != "" {
		if err := s.readPath(ctx, ref); !errors.Is(err, netns.ErrGone) {
			return err
		}
	}
	for tid := range s.threadsIn(ctx, ref.Inode) {
		if err := s.readThread(ctx, ownOr(tid), ref.Inode); !errors.Is(err, netns.ErrGone) {
			return err
		}
	}
	return netns.ErrGone
}

// ownOr names the thread in procfs. If none is known, the own namespace may be
// the one.
func ownOr(tid uint32) string {
	if tid == 0 {
		return "self"
	}
	return strconv.FormatUint(uint64(tid), 10)
}

// readThread reads the namespace through a thread in it.
func (s *Source) readThread(ctx context.Context, name string, inode uint32) error {
	dir := filepath.Join(s.root, name)
	return s.readDir(ctx, filepath.Join(dir, "net"), inode, func() error {
		switch found, err := netns.Inode(filepath.Join(dir, "ns", "net")); {
		case errors.Is(err, fs.ErrPermission):
			return nil // its files may be read although its namespace may not be asked for
		case err != nil || found != inode:
			return netns.ErrGone
		}
		return nil
	})
}

// readPath enters the namespace on a thread of its own and reads it there.
func (s *Source) readPath(ctx context.Context, ref *source.NetNSRef) error {
	if s.root != "/proc" && !strings.HasPrefix(ref.Path, s.root+"/") {
		return netns.NoWay("no process is in it, and " + ref.Path + " is not below " + s.root)
	}
	return netns.OnThread(func(thread *netns.Thread) error {
		if err := thread.Enter(ref.Path, ref.Inode); err != nil {
			return err
		}
		return s.readDir(ctx, "/proc/thread-self/net", ref.Inode, func() error { return nil })
	})
}

// readDir reads the wanted files of dir, a directory "net". The function check
// returns [netns.ErrGone] once dir does not show the namespace any more; an
// open file goes on to show the namespace of its opening.
func (s *Source) readDir(ctx context.Context, dir string, inode uint32, check func() error) error {
	if err := check(); err != nil {
		return err
	}
	found := false
	for i := range kinds {
		k := &kinds[i]
		q := s.reader.query
		if !q.Protos.Has(k.proto) || !q.Families.Has(k.family) {
			continue
		}
		err := s.readKind(ctx, dir, k, inode, check)
		switch {
		case errors.Is(err, fs.ErrNotExist): // this kernel has not this protocol, or all is gone
			continue
		case err != nil:
			return err
		}
		found = true
	}
	if !found {
		if _, err := os.Stat(dir); err != nil {
			return netns.ErrGone
		}
	}
	return check()
}

// maxRounds bounds how often a UDP table is read in one pass.
const maxRounds = 8

// readKind reads one file. The kernel finds its place in the UDP tables again
// by counting from the start, so each socket gone meanwhile may hide a row. A
// file read in several pieces is read again until one reading shows all rows of
// the others.
func (s *Source) readKind(ctx context.Context, dir string, k *kind, inode uint32, check func() error) error {
	r := s.reader
	before := len(r.snap.Sockets)
	for round := range maxRounds {
		r.beginRound()
		pieces, err := s.readOnce(ctx, dir, k, inode, check)
		if err != nil {
			return err
		}
		if pieces <= 1 || k.proto == whose.TCP || round > 0 && r.seen == len(r.snap.Sockets)-before {
			break
		}
	}
	return nil
}

func (s *Source) readOnce(ctx context.Context, dir string, k *kind, inode uint32, check func() error) (int, error) {
	path := dir + "/" + k.name
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) // below another root it may be a pipe
	if errors.Is(err, syscall.ESRCH) || errors.Is(err, syscall.ENXIO) {
		return 0, netns.ErrGone
	}
	if err != nil {
		return 0, err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return 0, cmp.Or(err, fmt.Errorf("read %s: want a regular file", path))
	}
	if err := check(); err != nil {
		return 0, err
	}
	return s.reader.readFile(ctx, f, path, k, inode)
}
