package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// An archive is where one of the machine's suites comes from.
type archive struct {
	uri, signedBy string
}

// openSuite makes another suite of the machine's own Debian archive readable,
// with lists of its own and without a change to the machine's. It returns the
// options that apt needs for it; done removes the lists.
func openSuite(ctx context.Context, suite string) (apt []string, done func(), err error) {
	source, err := findArchive("/etc/os-release", "/etc/apt")
	if err != nil {
		return nil, nil, fmt.Errorf("open suite %s: %w", suite, err)
	}
	dir, err := os.MkdirTemp("", "whose-apt-")
	if err != nil {
		return nil, nil, fmt.Errorf("open suite %s: %w", suite, err)
	}
	done = func() { os.RemoveAll(dir) }
	entry := "deb " + source.uri + " " + suite + " main\n"
	if source.signedBy != "" {
		entry = "deb [signed-by=" + source.signedBy + "] " + source.uri + " " + suite + " main\n"
	}
	list := filepath.Join(dir, "one.list")
	err = errors.Join(
		os.MkdirAll(filepath.Join(dir, "lists", "partial"), 0o755),
		os.WriteFile(list, []byte(entry), 0o644))
	apt = []string{
		"-o", "Dir::Etc::sourcelist=" + list, "-o", "Dir::Etc::sourceparts=-",
		"-o", "Dir::State::lists=" + filepath.Join(dir, "lists"),
		"-o", "Dir::Cache::pkgcache=", "-o", "Dir::Cache::srcpkgcache=",
		"-o", "APT::Sandbox::User=",
	}
	if err == nil {
		_, err = run(ctx, "", "apt-get", append(apt, "update")...)
	}
	if err != nil {
		done()
		return nil, nil, fmt.Errorf("open suite %s: %w", suite, err)
	}
	return apt, done, nil
}

// findArchive finds the archive of the suite that is named like the system's
// release, in either form of apt's configuration.
func findArchive(release, aptDir string) (archive, error) {
	text, err := os.ReadFile(release)
	if err != nil {
		return archive{}, err
	}
	codename := ""
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), "VERSION_CODENAME="); ok {
			codename = strings.Trim(value, `"`)
		}
	}
	files, err := filepath.Glob(filepath.Join(aptDir, "sources.list.d", "*"))
	if err != nil {
		return archive{}, err
	}
	for _, file := range append([]string{filepath.Join(aptDir, "sources.list")}, files...) {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // a machine has one form or the other
		}
		if a, ok := archiveIn(string(text), codename, filepath.Ext(file) == ".sources"); ok {
			return a, nil
		}
	}
	return archive{}, fmt.Errorf("no entry for %q in %s", codename, aptDir)
}

// archiveIn looks for the codename's entry in one file.
func archiveIn(text, codename string, deb822 bool) (archive, bool) {
	if !deb822 {
		return archiveInList(text, codename)
	}
	for stanza := range strings.SplitSeq(text, "\n\n") {
		fields := map[string]string{}
		for line := range strings.Lines(stanza) {
			if name, value, ok := strings.Cut(line, ":"); ok && !strings.HasPrefix(name, "#") {
				fields[strings.ToLower(name)] = strings.TrimSpace(value)
			}
		}
		uris := strings.Fields(fields["uris"])
		if len(uris) > 0 && hasWord(fields["suites"], codename) && hasWord(fields["types"], "deb") {
			return archive{uris[0], fields["signed-by"]}, true
		}
	}
	return archive{}, false
}

// archiveInList reads lines such as "deb [signed-by=FILE] URI SUITE main".
func archiveInList(text, codename string) (archive, bool) {
	for line := range strings.Lines(text) {
		rest, ok := strings.CutPrefix(strings.TrimSpace(line), "deb ")
		if !ok {
			continue
		}
		var a archive
		if opts, after, ok := strings.Cut(rest, "]"); ok && strings.Contains(opts, "[") {
			rest = after
			for _, o := range strings.Fields(strings.ReplaceAll(opts, "[", " ")) {
				if value, ok := strings.CutPrefix(o, "signed-by="); ok {
					a.signedBy = value
				}
			}
		}
		if words := strings.Fields(rest); len(words) > 1 && words[1] == codename {
			a.uri = words[0]
			return a, true
		}
	}
	return archive{}, false
}

func hasWord(s, word string) bool {
	for _, w := range strings.Fields(s) {
		if w == word {
			return true
		}
	}
	return false
}

// needPackages installs Debian's packages of the programs that are missing.
func needPackages(ctx context.Context) error {
	var missing []string
	for program, pkg := range map[string]string{
		"qemu-system-x86_64": "qemu-system-x86", "busybox": "busybox-static", "depmod": "kmod", "xz": "xz-utils",
	} {
		if _, err := exec.LookPath(program); err != nil {
			missing = append(missing, pkg)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	if os.Geteuid() != 0 {
		return fmt.Errorf("find programs: install %s", strings.Join(missing, " "))
	}
	if _, err := run(ctx, "", "apt-get", "update"); err != nil {
		return fmt.Errorf("install %s: %w", strings.Join(missing, " "), err)
	}
	args := append([]string{"install", "-y", "--no-install-recommends"}, missing...)
	if _, err := run(ctx, "", "apt-get", args...); err != nil {
		return fmt.Errorf("install %s: %w", strings.Join(missing, " "), err)
	}
	return nil
}
