//go:build linux

// Command scene is one process of the scene that scripts/screens shows: it takes a
// name, opens sockets, writes a file when they are open, and stays.
//
//	scene NAME READY VERB=ADDRESS[*COUNT]…
//
// The verbs are
//
//	serve   listen, and accept all
//	drain   listen, and accept all and read what they send
//	pour    a connection that sends COUNT thousand bytes
//	greet   listen, and accept all and close them a second later
//	visit   a connection every tenth of a second, closed when the other side has closed it
//	wait    listen with a backlog of COUNT, and accept nobody
//	share   listen, and have COUNT processes share the listener
//	dial    COUNT connections
//	leave   COUNT connections, closed at once
//	pass    COUNT connections, each closed when the other side has closed it
//	bind    a UDP socket that nobody reads
//	send    a UDP socket that is connected, and COUNT datagrams
package main

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

func main() {
	if err := play(os.Args[1], os.Args[2], os.Args[3:]); err != nil {
		fmt.Fprintf(os.Stderr, "scene: %s: %v\n", os.Args[1], err)
		os.Exit(1)
	}
	time.Sleep(time.Hour) // its room ends it much earlier
}

func play(name, ready string, deeds []string) error {
	if err := os.WriteFile("/proc/self/comm", []byte(name), 0); err != nil {
		return err
	}
	for _, deed := range deeds {
		verb, rest, _ := strings.Cut(deed, "=")
		text, times, _ := strings.Cut(rest, "*")
		count := 1
		if times != "" {
			var err error
			if count, err = strconv.Atoi(times); err != nil {
				return err
			}
		}
		addr, err := netip.ParseAddrPort(text)
		if err != nil {
			return err
		}
		if err := do(verb, addr, count); err != nil {
			return fmt.Errorf("%s: %w", deed, err)
		}
	}
	return os.WriteFile(ready, nil, 0o644)
}

func do(verb string, addr netip.AddrPort, count int) error {
	switch verb {
	case "serve":
		fd, err := listen(addr, 128)
		go accept(fd)
		return err
	case "greet":
		fd, err := listen(addr, 128)
		go greet(fd)
		return err
	case "drain":
		fd, err := listen(addr, 128)
		go drain(fd)
		return err
	case "pour":
		fd, err := connect(addr, unix.SOCK_STREAM)
		for i := 0; err == nil && i < count; i++ {
			_, err = unix.Write(fd, make([]byte, 1000))
		}
		return err
	case "visit":
		go visit(addr)
		return nil
	case "wait":
		_, err := listen(addr, count)
		return err
	case "share":
		fd, err := listen(addr, 128)
		for i := 1; err == nil && i < count; i++ {
			err = copyOf(fd)
		}
		return err
	case "bind":
		fd, err := unix.Socket(family(addr), unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		return unix.Bind(fd, sockaddr(addr))
	case "send":
		fd, err := connect(addr, unix.SOCK_DGRAM)
		for i := 0; err == nil && i < count; i++ {
			_, err = unix.Write(fd, make([]byte, 1000))
		}
		return err
	}
	for range count {
		fd, err := connect(addr, unix.SOCK_STREAM)
		if err != nil {
			return err
		}
		switch verb {
		case "leave":
			if err := unix.Close(fd); err != nil {
				return err
			}
		case "pass":
			go func() {
				_, _ = unix.Read(fd, make([]byte, 1)) // nobody sends: it ends with the connection
				unix.Close(fd)
			}()
		}
	}
	return nil
}

// accept accepts all connections and keeps them, whatever the other side does.
func accept(fd int) {
	for {
		if _, _, err := unix.Accept4(fd, unix.SOCK_CLOEXEC); err != nil && err != unix.EINTR {
			return
		}
	}
}

// drain accepts one connection after the other and reads it to its end.
func drain(fd int) {
	buf := make([]byte, 1<<16)
	for {
		c, _, err := unix.Accept4(fd, unix.SOCK_CLOEXEC)
		if err != nil && err != unix.EINTR {
			return
		}
		for n, err := 1, error(nil); n > 0 && err == nil; {
			n, err = unix.Read(c, buf)
		}
	}
}

// greet accepts all connections and closes them, late enough for whoever looks each
// second.
func greet(fd int) {
	for {
		c, _, err := unix.Accept4(fd, unix.SOCK_CLOEXEC)
		switch {
		case err == nil:
			time.Sleep(1500 * time.Millisecond)
			unix.Close(c)
		case err != unix.EINTR:
			return
		}
	}
}

// visit connects again and again, and leaves when the other side has.
func visit(addr netip.AddrPort) {
	for ; ; time.Sleep(100 * time.Millisecond) {
		if fd, err := connect(addr, unix.SOCK_STREAM); err == nil {
			_, _ = unix.Read(fd, make([]byte, 1)) // nobody sends: it ends with the connection
			unix.Close(fd)
		}
	}
}

// copyOf starts a process of the same name that has the listener too.
func copyOf(fd int) error {
	cmd := exec.Command("/proc/self/exe", os.Args[1], "/dev/null")
	cmd.ExtraFiles = []*os.File{os.NewFile(uintptr(fd), "listener")}
	return cmd.Start()
}

func listen(addr netip.AddrPort, backlog int) (int, error) {
	fd, err := unix.Socket(family(addr), unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
		return 0, err
	}
	if addr.Addr().Is6() {
		if err := unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1); err != nil {
			return 0, err
		}
	}
	if err := unix.Bind(fd, sockaddr(addr)); err != nil {
		return 0, err
	}
	return fd, unix.Listen(fd, backlog)
}

// connect connects, and waits for a server that starts beside.
func connect(addr netip.AddrPort, kind int) (int, error) {
	for tries := 0; ; tries++ {
		fd, err := unix.Socket(family(addr), kind|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return 0, err
		}
		if err = unix.Connect(fd, sockaddr(addr)); err == nil {
			return fd, nil
		}
		unix.Close(fd)
		if tries == 600 {
			return 0, err
		}
		time.Sleep(100 * time.Millisecond)
	}
}

func family(addr netip.AddrPort) int {
	if addr.Addr().Is4() {
		return unix.AF_INET
	}
	return unix.AF_INET6
}

func sockaddr(addr netip.AddrPort) unix.Sockaddr {
	if addr.Addr().Is4() {
		return &unix.SockaddrInet4{Port: int(addr.Port()), Addr: addr.Addr().As4()}
	}
	six := &unix.SockaddrInet6{Port: int(addr.Port()), Addr: addr.Addr().As16()}
	if device, err := net.InterfaceByName(addr.Addr().Zone()); err == nil {
		six.ZoneId = uint32(device.Index)
	}
	return six
}
