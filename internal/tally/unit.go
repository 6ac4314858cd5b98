package tally

import "strings"

// StableUnit is the name of a systemd unit without the parts new at each start.
// Short-lived sessions, containers and connections bring no new rows. An
// asterisk replaces each part:
//
//	session-12.scope                      session-*.scope
//	docker-0123456789abcdef….scope        docker-*.scope
//	run-u14.service                       run-*.service
//	app-gnome-firefox-4711.scope          app-gnome-firefox-*.scope
//	sshd@3-10.0.0.1:22-10.0.0.2:99.service  sshd@*.service
//
// A unit written by somebody keeps its name.
func StableUnit(unit string) string {
	dot := strings.LastIndexByte(unit, '.')
	if dot < 0 {
		return unit
	}
	name, kind := unit[:dot], unit[dot:]
	switch {
	case kind == ".scope":
		return starred(name) + kind
	case kind != ".service":
		return unit
	case strings.HasPrefix(name, "run-"): // systemd-run
		return starred(name) + kind
	}
	before, instance, isInstance := strings.Cut(name, "@")
	if isInstance && (ofConnection(instance) || strings.HasPrefix(before, "app-")) {
		return before + "@*" + kind
	}
	return unit
}

// starred puts an asterisk in place of counters, process numbers, hashes and
// UUIDs in a name. A dash joins parts, plain or escaped by systemd.
func starred(name string) string {
	parts := strings.Split(strings.ReplaceAll(name, `\x2d`, "-"), "-")
	kept, changed := parts[:0], false
	for i, p := range parts {
		if i == 0 || !transient(p) {
			kept = append(kept, p)
			continue
		}
		changed = true
		if kept[len(kept)-1] != "*" {
			kept = append(kept, "*")
		}
	}
	if !changed {
		return name
	}
	return strings.Join(kept, "-")
}

// transient reports whether the part of a name is a number, a number behind one
// letter ("c2", "u14"), or at least four hexadecimal digits with a number among
// them.
func transient(part string) bool {
	digits := strings.TrimLeft(part, "0123456789")
	if part != "" && digits == "" {
		return true
	}
	if len(part) > 1 && strings.Trim(part[1:], "0123456789") == "" {
		return true
	}
	part = strings.TrimPrefix(part, "r") // systemd-run's random names
	return len(part) >= 4 && strings.ContainsAny(part, "0123456789") && isHex(part)
}

// ofConnection reports whether systemd made the instance for a connection of a
// socket unit with Accept=yes: a counter, then the two ends or the peer's
// process.
func ofConnection(instance string) bool {
	rest := strings.TrimLeft(instance, "0123456789")
	return rest != instance && len(rest) > 1 && rest[0] == '-' &&
		(strings.Contains(rest, ":") || strings.Trim(rest, "-0123456789") == "")
}

func isHex(text string) bool { return strings.Trim(text, "0123456789abcdef") == "" }
