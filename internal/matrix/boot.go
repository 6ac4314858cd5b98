package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// bootBound is how long hardware virtualisation has to bring a kernel up. Some
// machines offer it and then hang.
const bootBound = 20 * time.Second

var errNotBooted = errors.New("kernel did not come up")

// A machine tries kernels, one after the other.
type machine struct {
	opts options
	work string
	// accel is what QEMU is told; "auto" until the first kernel has shown what works.
	accel string
}

// try runs the tests under one kernel.
func (m *machine) try(ctx context.Context, spec string, bins []testBinary) result {
	ctx, cancel := context.WithTimeout(ctx, m.opts.timeout)
	defer cancel()
	if spec == "host" {
		return runHere(ctx, m.opts, bins)
	}
	r := result{spec: spec}
	if err := needPackages(ctx); err != nil {
		r.err = err
		return r
	}
	k, err := findKernel(ctx, spec, m.opts.cache)
	if err != nil {
		r.err = err
		return r
	}
	r.pkg = k.pkg
	image := initramfs{kernel: k, bins: bins, flags: testFlags(m.opts), env: m.opts.env, with: m.opts.with}
	archive := filepath.Join(m.work, "initramfs-"+k.release)
	if err := image.write(ctx, m.work, archive); err != nil {
		r.err = err
		return r
	}
	defer os.Remove(archive)
	return m.boot(ctx, r, k, archive)
}

// boot boots the kernel by what works.
func (m *machine) boot(ctx context.Context, r result, k kernel, archive string) result {
	if m.accel == "auto" {
		m.accel = "kvm"
		if kvm, err := os.OpenFile("/dev/kvm", os.O_RDWR, 0); err != nil {
			m.accel = "tcg"
		} else if err := kvm.Close(); err != nil {
			m.accel = "tcg"
		}
	}
	start := time.Now()
	console, err := m.qemu(ctx, k, archive)
	if errors.Is(err, errNotBooted) && m.accel == "kvm" && m.opts.accel == "auto" {
		m.accel = "tcg"
		start = time.Now()
		console, err = m.qemu(ctx, k, archive)
	}
	parsed := parseConsole(console)
	parsed.spec, parsed.pkg, parsed.accel, parsed.took = r.spec, r.pkg, m.accel, time.Since(start)
	if err != nil && !parsed.done {
		parsed.err = err
	}
	if parsed.err != nil {
		parsed.log = string(console)
	}
	return parsed
}

// qemu boots once and returns what came on the console.
func (m *machine) qemu(ctx context.Context, k kernel, archive string) ([]byte, error) {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	cpu := "max"
	if m.accel == "kvm" {
		cpu = "host"
	}
	cmd := exec.CommandContext(ctx, "qemu-system-x86_64",
		"-accel", m.accel, "-cpu", cpu, "-smp", "2", "-m", fmt.Sprint(m.opts.memory),
		"-kernel", k.image, "-initrd", archive,
		"-append", "console=ttyS0 quiet panic=-1 no5lvl mitigations=off",
		"-nodefaults", "-display", "none", "-serial", "stdio", "-no-reboot")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	// A pipe that stays open gives the guest no end of input.
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("start qemu: %w", err)
	}
	defer stdin.Close()
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("start qemu: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start qemu: %w", err)
	}
	bound := 20 * bootBound
	if m.accel == "kvm" {
		bound = bootBound
	}
	timer := time.AfterFunc(bound, func() { stop(errNotBooted) })
	console := m.readConsole(stdout, timer)
	err = cmd.Wait()
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	if err != nil {
		return console, fmt.Errorf("run qemu with %s: %w\n%s", m.accel, err, stderr.Bytes())
	}
	if !bytes.Contains(console, []byte("@@matrix booted")) {
		return console, fmt.Errorf("run qemu with %s: %w", m.accel, errNotBooted)
	}
	return console, nil
}

// readConsole reads to the end, and stops the timer when the kernel is up.
func (m *machine) readConsole(r io.Reader, timer *time.Timer) []byte {
	var all bytes.Buffer
	lines := bufio.NewReader(r)
	for {
		line, err := lines.ReadString('\n')
		all.WriteString(line)
		if strings.HasPrefix(line, "@@matrix booted") {
			timer.Stop()
		}
		if m.opts.verbose {
			fmt.Fprint(os.Stderr, line)
		}
		if err != nil {
			timer.Stop()
			return all.Bytes()
		}
	}
}

// testFlags are the flags that each binary gets. A test that hangs is told by its
// binary, with a stack, before the kernel's time is up.
func testFlags(o options) []string {
	flags := []string{"-test.v", "-test.timeout=" + (o.timeout - o.timeout/10).String()}
	if o.run != "" {
		flags = append(flags, "-test.run="+o.run)
	}
	return flags
}

// runHere runs the binaries under this machine's kernel.
func runHere(ctx context.Context, o options, bins []testBinary) result {
	start := time.Now()
	release, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return result{spec: "host", err: fmt.Errorf("read kernel release: %w", err)}
	}
	var console bytes.Buffer
	fmt.Fprintf(&console, "@@matrix booted %s", release)
	btf := "no"
	if _, err := os.Stat("/sys/kernel/btf/vmlinux"); err == nil {
		btf = "yes"
	}
	fmt.Fprintf(&console, "@@matrix fact btf %s\n", btf)
	for _, b := range bins {
		fmt.Fprintf(&console, "@@matrix begin %s\n", b.name)
		file, err := filepath.Abs(b.file)
		if err != nil {
			return result{spec: "host", err: err}
		}
		cmd := exec.CommandContext(ctx, file, testFlags(o)...)
		cmd.Dir, cmd.Stdout, cmd.Stderr = b.dir, &console, &console
		cmd.Env = append(os.Environ(), o.env...)
		status := 0
		if err := cmd.Run(); err != nil {
			status = max(cmd.ProcessState.ExitCode(), 1)
		}
		fmt.Fprintf(&console, "\n@@matrix end %s %d\n", b.name, status)
	}
	fmt.Fprintln(&console, "@@matrix done")
	r := parseConsole(console.Bytes())
	r.spec, r.accel, r.took = "host", "none", time.Since(start)
	return r
}
