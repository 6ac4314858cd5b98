package main

import (
	"io"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// quitKey returns a channel that is closed when the user types q, which the terminal
// does not show, and a function that gives the terminal back. Without a terminal, or
// behind one, nobody types.
func quitKey(in io.Reader) (quit <-chan struct{}, restore func()) {
	none := func() {}
	file, ok := in.(*os.File)
	if !ok || !readsTerminal(in) {
		return nil, none
	}
	fd := int(file.Fd())
	if front, err := unix.IoctlGetInt(fd, unix.TIOCGPGRP); err != nil || front != unix.Getpgrp() {
		return nil, none
	}
	before, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return nil, none
	}
	keys := *before
	keys.Lflag &^= unix.ECHO | unix.ICANON
	keys.Cc[unix.VMIN], keys.Cc[unix.VTIME] = 1, 0
	if unix.IoctlSetTermios(fd, unix.TCSETS, &keys) != nil {
		return nil, none
	}
	typed := make(chan struct{})
	go func() { // it ends with the process
		var key [1]byte
		for {
			if n, err := file.Read(key[:]); err != nil || n == 0 {
				return
			}
			if key[0] == 'q' || key[0] == 'Q' {
				close(typed)
				return
			}
		}
	}()
	var once sync.Once
	return typed, func() {
		once.Do(func() { _ = unix.IoctlSetTermios(fd, unix.TCSETS, before) }) // there is nothing more to do about it
	}
}
