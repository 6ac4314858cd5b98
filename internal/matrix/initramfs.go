package main

import (
	"bufio"
	"context"
	"debug/elf"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

//go:embed init.sh
var initScript string

// An initramfs says what goes into the archive that a kernel boots with.
type initramfs struct {
	kernel kernel
	bins   []testBinary
	// flags are those of the test binaries; none may hold a space.
	flags []string
	// env holds NAME=VALUE, with SOURCE:PLACE.
	env, with []string
}

// write writes the archive to a file. It is not compressed: unpacking is what
// takes long without hardware virtualisation.
func (i initramfs) write(ctx context.Context, work, file string) error {
	staged, err := os.MkdirTemp(work, "modules-")
	if err != nil {
		return fmt.Errorf("stage modules: %w", err)
	}
	modules, err := stageModules(ctx, i.kernel, staged)
	if err != nil {
		return err
	}
	busybox, err := findBusybox()
	if err != nil {
		return err
	}
	out, err := os.Create(file)
	if err != nil {
		return fmt.Errorf("write initramfs: %w", err)
	}
	defer out.Close()
	buffered := bufio.NewWriterSize(out, 1<<20)
	c := newCpioWriter(buffered)
	addSystem(c, busybox)
	c.tree("lib", filepath.Join(staged, "lib"))
	c.text("matrix/modules", strings.Join(modules, "\n")+"\n", 0o644)
	if err := i.addTests(c); err != nil {
		return err
	}
	if err := errors.Join(c.close(), buffered.Flush(), out.Close()); err != nil {
		return fmt.Errorf("write initramfs: %w", err)
	}
	return nil
}

// addSystem adds what every machine has.
func addSystem(c *cpioWriter, busybox string) {
	for _, dir := range []string{
		"bin", "sbin", "usr/bin", "usr/sbin", "dev", "proc", "sys", "etc", "root", "run", "tmp", "var/lib",
	} {
		c.dir(dir)
	}
	c.entry("dev/console", modeChar|0o600, 5, 1, 0, nil)
	c.entry("dev/null", modeChar|0o666, 1, 3, 0, nil)
	c.text("init", initScript, 0o755)
	c.file("bin/busybox", busybox)
	c.text("etc/passwd", "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n", 0o644)
	c.text("etc/group", "root:x:0:\nnogroup:x:65534:\n", 0o644)
	c.text("etc/hosts", "127.0.0.1 localhost\n::1 localhost\n", 0o644)
	c.text("etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files\n", 0o644)
}

// addTests adds the binaries, each in a folder with the test data of its package.
func (i initramfs) addTests(c *cpioWriter) error {
	var list, env strings.Builder
	for _, b := range i.bins {
		dir := filepath.Join("src", b.name)
		c.dir(dir)
		if data := filepath.Join(b.dir, "testdata"); b.dir != "" {
			if _, err := os.Stat(data); err == nil {
				c.tree(filepath.Join(dir, "testdata"), data)
			}
		}
		place := "tests/" + strings.ReplaceAll(b.name, "/", "_") + ".test"
		c.file(place, b.file)
		fmt.Fprintf(&list, "%s\t/%s\t/%s\n", b.name, place, dir)
	}
	c.text("matrix/list", list.String(), 0o644)
	c.text("matrix/flags", strings.Join(i.flags, " ")+"\n", 0o644)
	for _, e := range i.env {
		name, value, _ := strings.Cut(e, "=")
		fmt.Fprintf(&env, "export %s='%s'\n", name, strings.ReplaceAll(value, "'", `'\''`))
	}
	c.text("matrix/env", env.String(), 0o644)
	for _, w := range i.with {
		source, place, ok := strings.Cut(w, ":")
		if !ok {
			return fmt.Errorf("read -with %q: want SOURCE:PLACE", w)
		}
		c.tree(strings.Trim(place, "/"), source)
	}
	return nil
}

// findBusybox finds one that needs no library.
func findBusybox() (string, error) {
	path, err := exec.LookPath("busybox")
	if err != nil {
		return "", fmt.Errorf("find busybox: %w", err)
	}
	f, err := elf.Open(path)
	if err != nil {
		return "", fmt.Errorf("read %s: %w", path, err)
	}
	defer f.Close()
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			return "", fmt.Errorf("use %s: not linked statically (install busybox-static)", path)
		}
	}
	return path, nil
}
