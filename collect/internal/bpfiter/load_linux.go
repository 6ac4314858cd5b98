package bpfiter

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/seed-44df2ae6/whose"
)

// programs are what this process loaded into the kernel.
type programs struct {
	files, walk        *ebpf.Collection
	fileLink, walkLink linkedIter
}

// load loads and attaches the programs. It takes CAP_BPF and CAP_PERFMON.
func load() (*programs, error) {
	p := &programs{fileLink: -1, walkLink: -1}
	var wg sync.WaitGroup
	var errWalk error
	wg.Go(func() { errWalk = p.loadWalk() })
	err := p.loadFiles()
	wg.Wait()
	if err := cmp.Or(err, errWalk); err != nil {
		return nil, errors.Join(explain(err), p.close())
	}
	return p, nil
}

func (p *programs) loadFiles() error {
	spec, err := loadTaskFile()
	if err != nil {
		return fmt.Errorf("read task_file object: %w", err)
	}
	p.files, err = ebpf.NewCollection(spec)
	if err != nil {
		return fmt.Errorf("load task_file iterator: %w", err)
	}
	link, err := linkIter(p.files.Programs[taskFileProgTaskFile].FD(), nil)
	if err != nil {
		return err
	}
	p.fileLink = linkedIter(link)
	return nil
}

// loadWalk loads the walk and has it find the kernel's tables.
func (p *programs) loadWalk() error {
	spec, err := loadHashWalk()
	if err != nil {
		return fmt.Errorf("read hash_walk object: %w", err)
	}
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
	p.walk, err = ebpf.NewCollection(spec)
	if err != nil {
		return fmt.Errorf("load hash_walk iterator: %w", err)
	}
	elements := []uint32{uint32(p.walk.Maps[hashWalkMapElements].FD())}
	link, err := linkIter(p.walk.Programs[hashWalkProgFindTables].FD(), elements)
	if err != nil {
		return err
	}
	buf := make([]uint64, bufferSize()/8)
	err = readAll(context.Background(), linkedIter(link), question{}, buf, func([]byte) error { return nil })
	unix.Close(link)
	if err != nil {
		return fmt.Errorf("find socket tables: %w", err)
	}
	link, err = linkIter(p.walk.Programs[hashWalkProgHashWalk].FD(), elements)
	if err != nil {
		return err
	}
	p.walkLink = linkedIter(link)
	return nil
}

// narrow tells the programs what does not fit a question. Pinned ones take
// nothing.
func (p *programs) narrow(q *whose.Query) error {
	if p == nil {
		return nil
	}
	n := newNarrow(q)
	for _, c := range []*ebpf.Collection{p.files, p.walk} {
		if c == nil {
			continue
		}
		if err := c.Variables[taskFileVarNarrow].Set(n); err != nil {
			return fmt.Errorf("set conditions: %w", err)
		}
	}
	return nil
}

// close gives back all that is loaded.
func (p *programs) close() error {
	var errs []error
	for _, link := range []linkedIter{p.fileLink, p.walkLink} {
		if link >= 0 {
			errs = append(errs, unix.Close(int(link)))
		}
	}
	for _, c := range []*ebpf.Collection{p.files, p.walk} {
		if c != nil {
			c.Close()
		}
	}
	return errors.Join(errs...)
}

// explain turns the error of a load into one that says what is missing.
func explain(err error) error {
	var verifier *ebpf.VerifierError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &verifier), errors.Is(err, ebpf.ErrNotSupported), errors.Is(err, unix.EINVAL):
		return &whose.UnsupportedError{What: "bpf iterators", Since: "5.11", Err: err}
	case errors.Is(err, fs.ErrNotExist):
		return &whose.UnsupportedError{What: "bpf iterators without kernel BTF", Err: err}
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		return whose.WithHint(err, "run as root, grant CAP_BPF and CAP_PERFMON, or let root run `whose pin`")
	}
	return err
}
