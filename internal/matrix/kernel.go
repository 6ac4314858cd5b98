package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// A kernel is one that lies unpacked in the cache.
type kernel struct {
	// pkg is the name of Debian's package.
	pkg string
	// release is what uname -r will say.
	release string
	// image is the file to boot, modules the folder of its modules.
	image, modules string
}

var errNoKernel = errors.New("no such kernel in the configured suites")

// findKernel gets the newest kernel of a specification, VERSION or
// VERSION@SUITE, into the cache, from the machine's own suites or, where they
// have none, from SUITE of the same archive.
func findKernel(ctx context.Context, spec, cache string) (kernel, error) {
	version, suite, _ := strings.Cut(spec, "@")
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return kernel{}, fmt.Errorf("make cache folder: %w", err)
	}
	pkg, err := newest(ctx, nil, version)
	if err == nil {
		return fetchKernel(ctx, nil, pkg, cache)
	}
	if !errors.Is(err, errNoKernel) || suite == "" {
		return kernel{}, fmt.Errorf("find kernel %s: %w", version, err)
	}
	apt, done, err := openSuite(ctx, suite)
	if err != nil {
		return kernel{}, err
	}
	defer done()
	if pkg, err = newest(ctx, apt, version); err != nil {
		return kernel{}, fmt.Errorf("find kernel %s in %s: %w", version, suite, err)
	}
	return fetchKernel(ctx, apt, pkg, cache)
}

// newest returns the name of the newest signed cloud kernel of a version.
func newest(ctx context.Context, apt []string, version string) (string, error) {
	pattern := `^linux-image-` + regexp.QuoteMeta(version) + `\..*cloud-amd64$`
	out, err := run(ctx, "", "apt-cache", append(apt, "search", "--names-only", pattern)...)
	if err != nil {
		return "", err
	}
	var names []string
	for line := range strings.Lines(out) {
		name, _, _ := strings.Cut(line, " ")
		if _, isImage := strings.CutPrefix(name, "linux-image-"); isImage {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return "", errNoKernel
	}
	return slices.MaxFunc(names, compareVersions), nil
}

// compareVersions compares two names by the numbers in them.
func compareVersions(a, b string) int {
	return slices.Compare(numbersIn(a), numbersIn(b))
}

func numbersIn(s string) []int {
	var numbers []int
	for _, digits := range regexp.MustCompile(`[0-9]+`).FindAllString(s, -1) {
		n, err := strconv.Atoi(digits)
		if err == nil {
			numbers = append(numbers, n)
		}
	}
	return numbers
}

// fetchKernel downloads and unpacks a package, unless the cache has it.
func fetchKernel(ctx context.Context, apt []string, pkg, cache string) (kernel, error) {
	dir := filepath.Join(cache, pkg)
	if _, err := os.Stat(filepath.Join(dir, "done")); err != nil {
		if _, err := run(ctx, cache, "apt-get", append(apt, "download", pkg)...); err != nil {
			return kernel{}, fmt.Errorf("download %s: %w", pkg, err)
		}
		debs, err := filepath.Glob(filepath.Join(cache, pkg+"_*.deb"))
		if err != nil || len(debs) == 0 {
			return kernel{}, fmt.Errorf("download %s: no file came", pkg)
		}
		if _, err := run(ctx, "", "dpkg-deb", "-x", slices.Max(debs), dir); err != nil {
			return kernel{}, fmt.Errorf("unpack %s: %w", pkg, err)
		}
		if err := errors.Join(removeAll(debs), os.WriteFile(filepath.Join(dir, "done"), nil, 0o644)); err != nil {
			return kernel{}, fmt.Errorf("unpack %s: %w", pkg, err)
		}
	}
	release := strings.TrimPrefix(pkg, "linux-image-")
	k := kernel{
		pkg: pkg, release: release,
		image:   filepath.Join(dir, "boot", "vmlinuz-"+release),
		modules: filepath.Join(dir, "lib", "modules", release),
	}
	// With /usr merged the modules may lie there.
	if _, err := os.Stat(k.modules); err != nil {
		k.modules = filepath.Join(dir, "usr", "lib", "modules", release)
	}
	_, imageErr := os.Stat(k.image)
	_, modulesErr := os.Stat(k.modules)
	return k, errors.Join(imageErr, modulesErr)
}

func removeAll(files []string) error {
	var errs []error
	for _, f := range files {
		errs = append(errs, os.Remove(f))
	}
	return errors.Join(errs...)
}

// run runs a command in a folder and returns what it printed.
func run(ctx context.Context, dir, name string, args ...string) (string, error) {
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, &stdout, &stderr
	cmd.Env = append(os.Environ(), "LC_ALL=C", "DEBIAN_FRONTEND=noninteractive")
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s: %w: %s", name, err, bytes.TrimSpace(stderr.Bytes()))
	}
	return stdout.String(), nil
}
