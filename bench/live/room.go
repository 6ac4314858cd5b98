//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// roomVariable passes the folder to the program started anew.
const roomVariable = "WHOSE_LIVE_ROOM"

// tracefs is the place of tracepoints for some watchers.
const tracefs = "/sys/kernel/tracing"

// A room is the folder of one run, with network and mount namespaces of the
// run's own around it.
type room struct {
	dir string
}

// enterRoom makes the folder and starts the program anew in the namespaces,
// since a thread of a running Go program cannot take the others along.
func enterRoom(tmp string) (room, error) {
	if dir := os.Getenv(roomVariable); dir != "" {
		return room{dir}, nil
	}
	if os.Geteuid() != 0 {
		return room{}, fmt.Errorf("make namespaces: %w: run as root", os.ErrPermission)
	}
	dir, err := os.MkdirTemp(tmp, "whose-live-")
	if err != nil {
		return room{}, fmt.Errorf("make folder: %w", err)
	}
	r := room{dir}
	runtime.LockOSThread()
	err = furnish()
	if err == nil {
		err = syscall.Exec("/proc/self/exe", os.Args, append(os.Environ(), roomVariable+"="+dir))
	}
	r.leave()
	return room{}, fmt.Errorf("enter namespaces: %w", err)
}

// furnish makes the namespaces: a loopback device with enough ports, and a
// tracefs if the host has none mounted.
func furnish() error {
	if err := unix.Unshare(unix.CLONE_NEWNS | unix.CLONE_NEWNET); err != nil {
		return err
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(tracefs, "events")); err != nil {
		// Watchers in need of it report its absence.
		if err := unix.Mount("tracefs", tracefs, "tracefs", 0, ""); err != nil {
			fmt.Fprintln(os.Stderr, "live: mount tracefs:", err)
		}
	}
	if err := loopbackUp(); err != nil {
		return fmt.Errorf("set lo up: %w", err)
	}
	return errors.Join(
		setSysctl("net/ipv4/ip_local_port_range", "1024 65535"),
		setSysctl("net/ipv4/tcp_tw_reuse", "1"))
}

func loopbackUp() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	ifr, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	ifr.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, ifr)
}

func setSysctl(name, value string) error {
	return os.WriteFile(filepath.Join("/proc/sys", name), []byte(value), 0)
}

func (r room) path(name string) string { return filepath.Join(r.dir, name) }

// leave removes the folder. The namespaces go with the processes.
func (r room) leave() {
	if err := os.RemoveAll(r.dir); err != nil {
		fmt.Fprintln(os.Stderr, "live: remove folder:", err)
	}
}
