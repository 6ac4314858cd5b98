package bpfiter

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"unsafe"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/seed-44df2ae6/whose"
)

// programs are what this process loaded into the kernel.
type programs struct {
	files, walk, scan            *object
	fileLink, walkLink, scanLink linkedIter
	// secret goes into the keys of files.
	secret [3]uint64
	// noWalk says why there is no walk, on a kernel that cannot do it.
	noWalk error
	// narrowed is what the programs were told last.
	narrowed narrow
}

// load loads and attaches the programs. It takes CAP_BPF and CAP_PERFMON.
func load() (*programs, error) {
	p := &programs{fileLink: -1, walkLink: -1, scanLink: -1}
	if err := p.load(); err != nil {
		return nil, errors.Join(explain(err), p.close())
	}
	return p, nil
}

func (p *programs) load() error {
	if err := binary.Read(rand.Reader, binary.NativeEndian, &p.secret); err != nil {
		return fmt.Errorf("make secret: %w", err)
	}
	files, err := loadTaskFile()
	if err != nil {
		return fmt.Errorf("read task_file object: %w", err)
	}
	walk, err := loadHashWalk()
	if err != nil {
		return fmt.Errorf("read hash_walk object: %w", err)
	}
	k, err := readKernelTypes(files, walk)
	if errors.Is(err, fs.ErrNotExist) {
		return err
	}
	var wg sync.WaitGroup
	wg.Go(func() { p.noWalk = p.loadWalk(walk, k) })
	err = p.loadFiles(files, k)
	wg.Wait()
	switch {
	case err != nil || p.noWalk == nil:
		return err
	case errors.Is(p.noWalk, fs.ErrPermission) && !isVerifier(p.noWalk):
		return p.noWalk
	}
	p.noWalk = &whose.UnsupportedError{What: "walk of the socket tables", Since: "5.19", Err: p.noWalk}
	return nil
}

func (p *programs) loadFiles(spec *ebpf.CollectionSpec, k *kernelTypes) error {
	var err error
	p.files, err = loadObject(spec, k)
	if err != nil && !errors.Is(err, unix.EPERM) {
		// Before Linux 5.12 iterators cannot have a socket's cookie made.
		if err := spec.Variables[taskFileVarCookieHelper].Set(false); err != nil {
			return fmt.Errorf("set %s: %w", taskFileVarCookieHelper, err)
		}
		p.files, err = loadObject(spec, k)
	}
	if err != nil {
		return fmt.Errorf("load task_file iterator: %w", err)
	}
	link, err := linkIter(p.files.progs[taskFileProgTaskFile], nil)
	if err != nil {
		return err
	}
	p.fileLink = linkedIter(link)
	return nil
}

// loadWalk loads the walk and has it find the kernel's tables.
func (p *programs) loadWalk(spec *ebpf.CollectionSpec, k *kernelTypes) error {
	for _, v := range []struct {
		name  string
		proto int
	}{{hashWalkVarUdpFd, unix.IPPROTO_UDP}, {hashWalkVarUdpliteFd, unix.IPPROTO_UDPLITE}} {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, v.proto)
		if err != nil {
			continue // a protocol that the kernel does not have has no table
		}
		defer unix.Close(fd)
		if err := spec.Variables[v.name].Set(int32(fd)); err != nil {
			return fmt.Errorf("set %s: %w", v.name, err)
		}
	}
	if err := spec.Variables[hashWalkVarSecret].Set(p.secret); err != nil {
		return fmt.Errorf("set %s: %w", hashWalkVarSecret, err)
	}
	var err error
	p.walk, err = loadObject(spec, k)
	if err != nil {
		return fmt.Errorf("load hash_walk iterator: %w", err)
	}
	elements := []uint32{uint32(p.walk.maps[hashWalkMapElements].FD())}
	if err := runOnce(p.walk.progs[hashWalkProgFindTables], elements); err != nil {
		return fmt.Errorf("find socket tables: %w", err)
	}
	link, err := linkIter(p.walk.progs[hashWalkProgHashWalk], elements)
	if err != nil {
		return err
	}
	p.walkLink = linkedIter(link)
	return nil
}

// loadScan loads fd_scan, which the first question that needs it asks for.
func (p *programs) loadScan() (linkedIter, error) {
	spec, err := loadFdScan()
	if err != nil {
		return -1, fmt.Errorf("read fd_scan object: %w", err)
	}
	if err := spec.Variables[fdScanVarSecret].Set(p.secret); err != nil {
		return -1, fmt.Errorf("set %s: %w", fdScanVarSecret, err)
	}
	k, err := readKernelTypes(spec)
	if err != nil {
		return -1, err
	}
	p.scan, err = loadObject(spec, k)
	if err != nil {
		return -1, fmt.Errorf("load fd_scan iterator: %w", err)
	}
	link, err := linkIter(p.scan.progs[fdScanProgFdScan], nil)
	if err == nil {
		p.scanLink = linkedIter(link)
	}
	return p.scanLink, err
}

// runOnce runs an iterator that writes nothing.
func runOnce(prog int, info []uint32) error {
	link, err := linkIter(prog, info)
	if err != nil {
		return err
	}
	defer unix.Close(link)
	fd, err := linkedIter(link).open()
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return drain(context.Background(), fd, make([]uint64, 8), func([]byte) error { return nil })
}

// narrow tells the programs what does not fit a question. Pinned ones take
// nothing.
func (p *programs) narrow(q *whose.Query) error {
	if p == nil {
		return nil
	}
	n := newNarrow(q)
	if n == p.narrowed {
		return nil
	}
	for _, o := range []*object{p.files, p.walk} {
		if o == nil {
			continue
		}
		if err := o.maps[narrowMap].Put(uint32(0), unsafe.Pointer(&n)); err != nil {
			return fmt.Errorf("set conditions: %w", err)
		}
	}
	p.narrowed = n
	return nil
}

// narrowMap is the section that holds struct narrow.
const narrowMap = ".data.narrow"

// close gives back all that is loaded.
func (p *programs) close() error {
	var errs []error
	for _, link := range []linkedIter{p.fileLink, p.walkLink, p.scanLink} {
		if link >= 0 {
			errs = append(errs, unix.Close(int(link)))
		}
	}
	for _, o := range []*object{p.files, p.walk, p.scan} {
		if o != nil {
			errs = append(errs, o.close())
		}
	}
	return errors.Join(errs...)
}

// isVerifier reports whether the kernel refused a program for what it does.
func isVerifier(err error) bool {
	var verifier *ebpf.VerifierError
	return errors.As(err, &verifier)
}

// explain turns the error of a load into one that says what is missing.
func explain(err error) error {
	switch exhausted := outOfFiles(); {
	case err == nil:
		return nil
	case exhausted != nil:
		// Probes of what the kernel can do fail for want of a descriptor too.
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

// outOfFiles returns why not as many descriptors can be opened as a load needs,
// nil where they can.
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
