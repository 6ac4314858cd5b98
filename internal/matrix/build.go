package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// A testBinary is one package's tests, linked statically.
type testBinary struct {
	// name is the package's path below its module, or the file's name.
	name string
	// file is the binary.
	file string
	// dir is the package's folder on this machine; empty where a binary was given.
	dir string
}

// A goPackage is what `go list` says of one package.
type goPackage struct {
	Dir, ImportPath           string
	TestGoFiles, XTestGoFiles []string
	Module                    *struct{ Path string }
}

// buildTests builds the tests of the targets: packages, or files that
// `go test -c` made before.
func buildTests(ctx context.Context, targets []string, dir string) ([]testBinary, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("make folder for tests: %w", err)
	}
	var bins []testBinary
	var patterns []string
	for _, t := range targets {
		if strings.HasSuffix(t, ".test") {
			bins = append(bins, testBinary{name: strings.TrimSuffix(filepath.Base(t), ".test"), file: t})
			continue
		}
		patterns = append(patterns, t)
	}
	if len(patterns) == 0 {
		return bins, nil
	}
	packages, err := listPackages(ctx, patterns)
	if err != nil {
		return nil, err
	}
	for _, p := range packages {
		if len(p.TestGoFiles)+len(p.XTestGoFiles) == 0 {
			continue
		}
		b := testBinary{name: shortName(p), dir: p.Dir}
		b.file = filepath.Join(dir, strings.ReplaceAll(b.name, "/", "_")+".test")
		cmd := exec.CommandContext(ctx, "go", "test", "-c", "-o", b.file, p.ImportPath)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("build tests of %s: %w\n%s", p.ImportPath, err, out)
		}
		bins = append(bins, b)
	}
	if len(bins) == 0 {
		return nil, errors.New("find tests: none in the packages named")
	}
	return bins, nil
}

// shortName is the package's path without that of its module.
func shortName(p goPackage) string {
	if p.Module == nil || p.ImportPath == p.Module.Path {
		return filepath.Base(p.ImportPath)
	}
	return strings.TrimPrefix(p.ImportPath, p.Module.Path+"/")
}

func listPackages(ctx context.Context, patterns []string) ([]goPackage, error) {
	args := append([]string{"list", "-json=Dir,ImportPath,TestGoFiles,XTestGoFiles,Module"}, patterns...)
	var stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("list packages: %w\n%s", err, stderr.Bytes())
	}
	var packages []goPackage
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p goPackage
		err := dec.Decode(&p)
		if errors.Is(err, io.EOF) {
			return packages, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read list of packages: %w", err)
		}
		packages = append(packages, p)
	}
}
