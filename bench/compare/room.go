//go:build linux

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// roomVariable passes the folder to the program started anew.
const roomVariable = "WHOSE_BENCH_ROOM"

// A room is the folder of one run. It holds a BPF file system of this run's
// mount namespace alone.
type room struct {
	dir string
}

// enterRoom makes the folder and starts the program anew in a mount namespace
// of its own, since a thread of a running Go program cannot take the others along.
func enterRoom(tmp string) (room, error) {
	if dir := os.Getenv(roomVariable); dir != "" {
		return room{dir}, nil
	}
	if os.Geteuid() != 0 {
		return room{}, fmt.Errorf("make namespaces: %w: run as root", os.ErrPermission)
	}
	dir, err := os.MkdirTemp(tmp, "whose-bench-")
	if err != nil {
		return room{}, fmt.Errorf("make folder: %w", err)
	}
	r := room{dir}
	runtime.LockOSThread()
	err = r.mount()
	if err == nil {
		err = syscall.Exec("/proc/self/exe", os.Args, append(os.Environ(), roomVariable+"="+dir))
	}
	r.leave()
	return room{}, fmt.Errorf("enter mount namespace: %w", err)
}

func (r room) mount() error {
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return err
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	if err := os.Mkdir(r.bpffs(), 0o755); err != nil {
		return err
	}
	return unix.Mount("bpf", r.bpffs(), "bpf", 0, "mode=0755")
}

func (r room) bpffs() string           { return filepath.Join(r.dir, "bpf") }
func (r room) pins() string            { return filepath.Join(r.bpffs(), "whose") }
func (r room) pinsBefore() string      { return filepath.Join(r.bpffs(), "before") }
func (r room) noPins() string          { return filepath.Join(r.bpffs(), "none") }
func (r room) path(name string) string { return filepath.Join(r.dir, name) }
func (r room) output(index int) string { return r.path(fmt.Sprintf("out-%d", index)) }

// leave removes the folder. The BPF file system goes with the namespace.
func (r room) leave() {
	if err := unix.Unmount(r.bpffs(), unix.MNT_DETACH); err != nil && err != unix.EINVAL && err != unix.ENOENT {
		fmt.Fprintln(os.Stderr, "compare: unmount pins:", err)
	}
	if err := os.RemoveAll(r.dir); err != nil {
		fmt.Fprintln(os.Stderr, "compare: remove folder:", err)
	}
}
