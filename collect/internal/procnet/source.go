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
	"github.com/seed-44df2ae6/whose/internal/proc"
	"github.com/seed-44df2ae6/whose/internal/source"
)

// A Source reads sockets from the files of procfs. It keeps the root open. It is
// not safe for concurrent use. Whoever opened it closes it.
type Source struct {
	root   string
	fs     *proc.FS
	reader *reader
}

var _ source.Source = (*Source)(nil)

// Open makes the source. Its errors are those of [proc.Open].
func Open(opts Options) (*Source, error) {
	root, err := proc.OpenWithin(context.Background(), opts.Root, opts.Captured)
	if err != nil {
		return nil, err
	}
	return &Source{root: root.Root(), fs: root, reader: newReader()}, nil
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

// Close gives the root back.
func (s *Source) Close() error { return s.fs.Close() }

// readNetNS reads one namespace by its first way still there. If all have gone,
// it looks for another thread in the namespace. Without one the namespace is
// gone ([netns.ErrGone]).
func (s *Source) readNetNS(ctx context.Context, ref *source.NetNSRef) error {
	if err := s.readThread(ctx, s.ownOr(ref.TID), ref.Inode); !errors.Is(err, netns.ErrGone) {
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
		if err := s.readThread(ctx, s.ownOr(tid), ref.Inode); !errors.Is(err, netns.ErrGone) {
			return err
		}
	}
	return netns.ErrGone
}

// ownOr names the thread in procfs. If none is known, the own namespace may be
// the one.
func (s *Source) ownOr(tid uint32) string {
	if tid == 0 {
		return s.fs.Self()
	}
	return strconv.FormatUint(uint64(tid), 10)
}

// A place is a directory "net" to read.
type place struct {
	dir   string // its path, for messages
	inode uint32 // its namespace
	open  func(file string) (*os.File, error)
	// check returns [netns.ErrGone] once dir does not show the namespace any
	// more; an open file goes on to show the namespace of its opening.
	check func() error
	// whole: a kernel shows it, with all its tables.
	whole bool
}

// readThread reads the namespace through a thread in it.
func (s *Source) readThread(ctx context.Context, name string, inode uint32) error {
	link := filepath.Join(s.root, name, "ns", "net")
	return s.readPlace(ctx, &place{
		dir: filepath.Join(s.root, name, "net"), inode: inode, whole: s.fs.Live(),
		open: func(file string) (*os.File, error) { return s.fs.OpenFile(name + "/net/" + file) },
		check: func() error {
			switch found, err := netns.Inode(link); {
			case errors.Is(err, fs.ErrPermission):
				return nil // its files may be read although its namespace may not be asked for
			case err != nil || found != inode:
				return netns.ErrGone
			}
			return nil
		},
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
		const dir = "/proc/thread-self/net"
		return s.readPlace(ctx, &place{
			dir: dir, inode: ref.Inode, whole: true, check: func() error { return nil },
			open: func(file string) (*os.File, error) {
				return os.OpenFile(filepath.Join(dir, file), os.O_RDONLY|syscall.O_NONBLOCK, 0)
			},
		})
	})
}

// readPlace reads the wanted files of a place. A namespace that is there without
// its tables was not read.
func (s *Source) readPlace(ctx context.Context, p *place) error {
	if err := p.check(); err != nil {
		return err
	}
	missing, found := "", false
	for i := range kinds {
		k := &kinds[i]
		q := s.reader.query
		if !q.Protos.Has(k.proto) || !q.Families.Has(k.family) {
			continue
		}
		err := s.readKind(ctx, p, k)
		switch {
		case errors.Is(err, fs.ErrNotExist): // this kernel has not this protocol, or all is gone
			if p.mustHave(k) && missing == "" {
				missing = k.name
			}
			continue
		case err != nil:
			return err
		}
		found = true
	}
	if err := p.check(); err != nil {
		return err
	}
	if missing == "" && !found && !p.has("tcp") {
		missing = "tcp"
	}
	if missing != "" {
		return fmt.Errorf("read %s: %w", filepath.Join(p.dir, missing), errNoTable)
	}
	return nil
}

var errNoTable = errors.New("the table is missing")

// mustHave reports whether a kernel that shows the place has the table: those of
// IPv4 always, of TCP and UDP over IPv6 where there is IPv6.
func (p *place) mustHave(k *kind) bool {
	switch {
	case !p.whole || k.proto == whose.UDPLite:
		return false
	case k.family == whose.IPv4:
		return true
	}
	return p.has("if_inet6")
}

// has reports whether the place has the file.
func (p *place) has(file string) bool {
	f, err := p.open(file)
	if err != nil {
		return false
	}
	f.Close()
	return true
}

// maxRounds bounds how often a UDP table is read in one pass.
const maxRounds = 8

// readKind reads one file. The kernel finds its place in the UDP tables again
// by counting from the start, so each socket gone meanwhile may hide a row. A
// file read in several pieces is read again until one reading shows all rows of
// the others.
func (s *Source) readKind(ctx context.Context, p *place, k *kind) error {
	r := s.reader
	before := len(r.snap.Sockets)
	for round := range maxRounds {
		r.beginRound()
		pieces, err := s.readOnce(ctx, p, k)
		if err != nil {
			return err
		}
		if pieces <= 1 || k.proto == whose.TCP || round > 0 && r.seen == len(r.snap.Sockets)-before {
			break
		}
	}
	return nil
}

func (s *Source) readOnce(ctx context.Context, p *place, k *kind) (int, error) {
	f, err := p.open(k.name)
	if errors.Is(err, syscall.ESRCH) || errors.Is(err, syscall.ENXIO) {
		return 0, netns.ErrGone
	}
	if err != nil {
		return 0, err
	}
	defer f.Close()
	path := filepath.Join(p.dir, k.name)
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return 0, cmp.Or(err, fmt.Errorf("read %s: want a regular file", path))
	}
	if err := p.check(); err != nil {
		return 0, err
	}
	return s.reader.readFile(ctx, f, path, k, p.inode)
}
