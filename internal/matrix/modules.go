package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// wantedModules are those that the tests may need and that Debian builds as
// modules. One that a kernel has built in, or lacks, is passed over.
const wantedModules = "inet_diag tcp_diag udp_diag raw_diag mptcp_diag unix_diag netlink_diag " +
	"dummy veth vxlan tun vrf bridge macvlan tcp_bbr"

// stageModules lays the wanted modules and what they depend on, uncompressed,
// with fresh indexes, into a folder that looks like /. It returns the names of
// those that there are.
func stageModules(ctx context.Context, k kernel, root string) ([]string, error) {
	// depmod wants the folder in which lib/modules/RELEASE lies.
	base := filepath.Dir(filepath.Dir(filepath.Dir(k.modules)))
	if _, err := run(ctx, "", "depmod", "-b", base, k.release); err != nil {
		return nil, fmt.Errorf("index modules of %s: %w", k.release, err)
	}
	text, err := os.ReadFile(filepath.Join(k.modules, "modules.dep"))
	if err != nil {
		return nil, fmt.Errorf("index modules of %s: %w", k.release, err)
	}
	target := filepath.Join(root, "lib", "modules", k.release)
	names, files := chooseModules(string(text), strings.Fields(wantedModules))
	for _, file := range files {
		if err := stageModule(ctx, filepath.Join(k.modules, file), filepath.Join(target, file)); err != nil {
			return nil, fmt.Errorf("stage module %s: %w", file, err)
		}
	}
	for _, list := range []string{"modules.builtin", "modules.builtin.modinfo", "modules.order"} {
		if err := stageModule(ctx, filepath.Join(k.modules, list), filepath.Join(target, list)); err != nil {
			return nil, fmt.Errorf("stage %s: %w", list, err)
		}
	}
	_, err = run(ctx, "", "depmod", "-b", root, k.release)
	return names, err
}

// chooseModules reads modules.dep and returns which of the wanted modules there
// are, and the files of these and of what they depend on, each once.
func chooseModules(dep string, wanted []string) (names, files []string) {
	byName := map[string]string{}
	for line := range strings.Lines(dep) {
		file, _, _ := strings.Cut(line, ":")
		name, _, _ := strings.Cut(filepath.Base(file), ".ko")
		byName[strings.ReplaceAll(name, "-", "_")] = strings.TrimSpace(line)
	}
	chosen := map[string]bool{}
	for _, name := range wanted {
		line, ok := byName[name]
		if !ok {
			continue
		}
		names = append(names, name)
		file, needs, _ := strings.Cut(line, ":")
		for _, f := range append([]string{file}, strings.Fields(needs)...) {
			if !chosen[f] {
				chosen[f] = true
				files = append(files, f)
			}
		}
	}
	return names, files
}

// stageModule copies one file, and unpacks it if it is compressed.
func stageModule(ctx context.Context, from, to string) error {
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	if plain, packed := strings.CutSuffix(to, ".xz"); packed {
		text, err := run(ctx, "", "xz", "-dc", from)
		if err != nil {
			return err
		}
		return os.WriteFile(plain, []byte(text), 0o644)
	}
	text, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, text, 0o644)
}
