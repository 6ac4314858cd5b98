package bpfiter

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"runtime"
	"sync"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/bpf"
)

// programs are the programs loaded into the kernel by this process.
type programs struct {
	taskFile, hashWalk, fdWalk             *bpf.Object // nil: not loaded, or not to be had
	taskFileLink, hashWalkLink, fdWalkLink bpf.Iter    // -1: not attached
	// secret goes into the keys of files, and set into the header of every run.
	secret [3]uint64
	set    uint64
	how    loading
	// noHashWalk is the reason for no walk, on a kernel that cannot do it.
	noHashWalk error
}

// A loading is the purpose of programs. The zero value: for a pin.
type loading struct {
	// taskFileOnly leaves out the programs for newer kernels.
	taskFileOnly bool
	// ways has task_file show the ways into other namespaces. Without a walk a
	// reader has to enter them.
	ways bool
}

// load loads and attaches the programs for most questions. It takes CAP_BPF and
// CAP_PERFMON.
func load(how loading) (*programs, error) {
	p := noPrograms()
	p.how = how
	if err := p.load(); err != nil {
		return nil, errors.Join(explain(err), p.close())
	}
	return p, nil
}

// noPrograms are none yet.
func noPrograms() *programs {
	return &programs{taskFileLink: -1, hashWalkLink: -1, fdWalkLink: -1}
}

func (p *programs) load() error {
	for _, number := range []any{&p.secret, &p.set} {
		if err := binary.Read(rand.Reader, binary.NativeEndian, number); err != nil {
			return fmt.Errorf("make secret: %w", err)
		}
	}
	if p.how.taskFileOnly {
		p.noHashWalk = errNotWanted
		return p.addTaskFile()
	}
	return p.addWalks()
}

var errNotWanted = errors.New("not wanted")

// addWalks loads fd_walk and hash_walk and, instead of the first, task_file. The
// kernel's types are read while the objects are taken apart.
func (p *programs) addWalks() error {
	types := bpf.BeginTypes(_HashWalkBytes, _FdWalkBytes)
	var wg sync.WaitGroup
	wg.Go(func() { p.noHashWalk = addWalk(_HashWalkBytes, types, p.addHashWalk) })
	noFDs := addWalk(_FdWalkBytes, types, p.addFdWalk)
	wg.Wait()
	if _, err := types(); err != nil {
		return err
	}
	for _, err := range []error{noFDs, p.noHashWalk} {
		if errors.Is(err, unix.EPERM) { // EACCES is the verifier's
			return err
		}
	}
	if noFDs != nil {
		return p.addTaskFile()
	}
	return nil
}

// addWalk reads an object, waits for the types and loads its programs.
func addWalk(object []byte, types func() (*bpf.Types, error), add func(*ebpf.CollectionSpec, *bpf.Types) error) error {
	spec, err := bpf.ReadObject(object)
	if err != nil {
		return err
	}
	t, err := types()
	if err != nil {
		return err
	}
	return add(spec, t)
}

// addTaskFile loads task_file, unless it is loaded: on a kernel without
// fd_walk, or for a question that takes it.
func (p *programs) addTaskFile() error {
	if p.taskFileLink >= 0 {
		return nil
	}
	spec, err := loadTaskFile()
	if err != nil {
		return fmt.Errorf("read task_file object: %w", err)
	}
	types, err := bpf.ReadTypes(_TaskFileBytes)
	if err != nil {
		return err
	}
	if err := setAll(spec, map[string]any{
		taskFileVarShowWays: p.how.ways && p.noHashWalk != nil, taskFileVarSetNumber: p.set,
	}); err != nil {
		return err
	}
	files, err := bpf.Load(spec, types)
	if err != nil && !errors.Is(err, unix.EPERM) {
		// Before Linux 5.12 iterators cannot have a socket's cookie made.
		if err := spec.Variables[taskFileVarCookieHelper].Set(false); err != nil {
			return fmt.Errorf("set %s: %w", taskFileVarCookieHelper, err)
		}
		files, err = bpf.Load(spec, types)
	}
	if err != nil {
		return fmt.Errorf("load task_file iterator: %w", err)
	}
	p.taskFile = files
	p.taskFileLink, err = bpf.AttachIter(files.Programs[taskFileProgTaskFile], nil)
	return err
}

// addHashWalk loads the walk and has it find the kernel's tables.
func (p *programs) addHashWalk(spec *ebpf.CollectionSpec, types *bpf.Types) error {
	err := p.tryHashWalk(spec, types, bpf.LoadQuickly)
	if err == nil || errors.Is(err, unix.EPERM) {
		return err
	}
	if spec, err = loadHashProbe(); err != nil {
		return fmt.Errorf("read hash_walk object: %w", err)
	}
	return p.tryHashWalk(spec, types, bpf.Load)
}

// setAll sets variables of an object to be loaded.
func setAll(spec *ebpf.CollectionSpec, values map[string]any) error {
	for name, value := range values {
		if err := spec.Variables[name].Set(value); err != nil {
			return fmt.Errorf("set %s: %w", name, err)
		}
	}
	return nil
}

type loader = func(*ebpf.CollectionSpec, *bpf.Types) (*bpf.Object, error)

func (p *programs) tryHashWalk(spec *ebpf.CollectionSpec, types *bpf.Types, load loader) error {
	for _, v := range []struct {
		name  string
		proto int
	}{{hashWalkVarUdpFd, unix.IPPROTO_UDP}, {hashWalkVarUdpliteFd, unix.IPPROTO_UDPLITE}} {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, v.proto)
		if err != nil {
			continue // a protocol unknown to the kernel has no table
		}
		defer unix.Close(fd)
		if err := spec.Variables[v.name].Set(int32(fd)); err != nil {
			return fmt.Errorf("set %s: %w", v.name, err)
		}
	}
	if err := setAll(spec, map[string]any{hashWalkVarSecret: p.secret, hashWalkVarSetNumber: p.set}); err != nil {
		return err
	}
	walk, err := load(spec, types)
	if err != nil {
		return fmt.Errorf("load hash_walk iterator: %w", err)
	}
	elements := []uint32{uint32(walk.Maps[hashWalkMapElements].FD())}
	err = runOnce(walk.Programs[hashWalkProgFindTables], elements)
	if err != nil {
		return errors.Join(fmt.Errorf("find socket tables: %w", err), walk.Close())
	}
	link, err := bpf.AttachIter(walk.Programs[hashWalkProgHashWalk], elements)
	if err != nil {
		return errors.Join(err, walk.Close())
	}
	p.hashWalk, p.hashWalkLink = walk, link
	return nil
}

// addFdWalk loads the walk of descriptor tables and has it find the marks of a
// socket. It gives the same as task_file, faster, so without it nothing is
// missing.
func (p *programs) addFdWalk(spec *ebpf.CollectionSpec, types *bpf.Types) error {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open socket: %w", err)
	}
	defer unix.Close(fd)
	if err := setAll(spec, map[string]any{
		fdWalkVarSocketFd: int32(fd), fdWalkVarWeakOrder: !strongOrder(), fdWalkVarSecret: p.secret, fdWalkVarSetNumber: p.set,
	}); err != nil {
		return err
	}
	fds, err := bpf.LoadQuickly(spec, types)
	if err != nil {
		return fmt.Errorf("load fd_walk iterator: %w", err)
	}
	if err := runOnce(fds.Programs[fdWalkProgFindSocketOps], nil); err != nil {
		return errors.Join(fmt.Errorf("find operations of sockets: %w", err), fds.Close())
	}
	link, err := bpf.AttachIter(fds.Programs[fdWalkProgFdWalk], nil)
	if err != nil {
		return errors.Join(err, fds.Close())
	}
	p.fdWalk, p.fdWalkLink = fds, link
	return nil
}

// strongOrder reports whether this processor never lets a load pass another.
func strongOrder() bool {
	return runtime.GOARCH == "amd64" || runtime.GOARCH == "386" || runtime.GOARCH == "s390x"
}

var errNotFound = errors.New("not found")

// runOnce runs an iterator made to find one thing, which writes a record on
// success.
func runOnce(prog *ebpf.Program, info []uint32) error {
	link, err := bpf.AttachIter(prog, info)
	if err != nil {
		return err
	}
	defer link.Close()
	fd, err := link.Open()
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	found := false
	apply := func([]byte) error { found = true; return nil }
	if err := drain(context.Background(), fd, &run{apply: apply}, make([]uint64, 8)); err != nil {
		return err
	}
	if !found {
		return errNotFound
	}
	return nil
}

// close unloads the programs.
func (p *programs) close() error {
	var errs []error
	for _, link := range []bpf.Iter{p.taskFileLink, p.hashWalkLink, p.fdWalkLink} {
		if link >= 0 {
			errs = append(errs, link.Close())
		}
	}
	for _, o := range []*bpf.Object{p.taskFile, p.hashWalk, p.fdWalk} {
		if o != nil {
			errs = append(errs, o.Close())
		}
	}
	return errors.Join(errs...)
}

// isVerifier reports whether the verifier refused a program.
func isVerifier(err error) bool {
	var verifier *ebpf.VerifierError
	return errors.As(err, &verifier)
}

// explain adds to the error of a load the missing condition.
func explain(err error) error {
	switch exhausted := outOfFiles(); {
	case err == nil:
		return nil
	case exhausted != nil:
		// Probes of the kernel's abilities fail for want of a descriptor too.
		return whose.WithHint(fmt.Errorf("load bpf iterators: %w", exhausted), "raise the limit of open files (ulimit -n)")
	case isVerifier(err):
		return &whose.UnsupportedError{What: "bpf iterators", Err: err}
	case errors.Is(err, ebpf.ErrNotSupported), errors.Is(err, unix.EINVAL):
		return &whose.UnsupportedError{What: "bpf iterators", Since: "5.11", Err: err}
	case errors.Is(err, fs.ErrNotExist):
		return &whose.UnsupportedError{What: "bpf iterators without kernel BTF", Err: err}
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		return whose.WithHint(fmt.Errorf("load bpf iterators: %w", fs.ErrPermission),
			"run as root, grant CAP_BPF and CAP_PERFMON, or let root run `whose pin`")
	}
	return err
}

// filesNeeded is more than a load has open at a time.
const filesNeeded = 24

// outOfFiles returns an error if there are too few free descriptors for a load,
// nil otherwise.
func outOfFiles() error {
	var open []int
	defer func() {
		for _, fd := range open {
			_ = unix.Close(fd) // O_PATH: nothing can be lost
		}
	}()
	for range filesNeeded {
		fd, err := unix.Open("/", unix.O_PATH|unix.O_CLOEXEC, 0)
		if err == unix.EMFILE || err == unix.ENFILE {
			return err
		}
		if err == nil {
			open = append(open, fd)
		}
	}
	return nil
}
