package zabbix

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestSafe(t *testing.T) {
	for in, want := range map[string]string{
		"":                             "",
		"nginx":                        "nginx",
		"Web Content":                  "Web Content",
		`say "hi"`:                     `say "hi"`,
		"{#WHOSE.ID}":                  "(#WHOSE.ID)",
		"{$MACRO:\"x\"}":               "($MACRO:\"x\")",
		"{ITEM.VALUE}":                 "(ITEM.VALUE)",
		"{{#A}.regsub(\"x\",\"\\1\")}": "((#A).regsub(\"x\",\"/1\"))",
		"$1 $x $":                      "S1 $x $",
		"a\nb\x1b[31m\x00":             "a?b?[31m?",
		"ends\\":                       "ends/",
		`dev-by\x2duuid.swap`:          `dev-by\x2duuid.swap`,
		`quote\"`:                      `quote/"`,
		"bad\xff\xc3":                  "bad\ufffd\ufffd",
		"grün 日本":                      "grün 日本",
		"emoji 😀":                      "emoji \ufffd",
		"\u202egnp.exe":                "?gnp.exe",
		"  both ends ":                 "both ends",
		strings.Repeat("é", 200):       strings.Repeat("é", 127),
		strings.Repeat("x", 300):       strings.Repeat("x", 255),
	} {
		if got := Safe(in); got != want {
			t.Errorf("Safe(%q) = %q, want %q", in, got, want)
		}
	}
}

func FuzzSafe(f *testing.F) {
	for _, seed := range []string{"nginx", "{#A}", "$1\\", `\x2d`, "\xff{", "a\u2028b", " "} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got := Safe(text)
		switch {
		case !utf8.ValidString(got):
			t.Errorf("Safe(%q) = %q is no UTF-8", text, got)
		case len(got) > maxText:
			t.Errorf("Safe(%q) has %d bytes", text, len(got))
		case strings.ContainsAny(got, "{}\n\r\t\x00\x1b"):
			t.Errorf("Safe(%q) = %q", text, got)
		case strings.HasSuffix(got, `\`) || strings.Contains(got, `\"`):
			t.Errorf("Safe(%q) = %q ends or breaks quotes", text, got)
		case Safe(got) != got:
			t.Errorf("Safe(%q) = %q, but Safe of that is %q", text, got, Safe(got))
		}
	})
}

func TestStableUnit(t *testing.T) {
	hash := strings.Repeat("0123456789abcdef", 4)
	for in, want := range map[string]string{
		"":                                  "",
		"nginx.service":                     "nginx.service",
		"ssh.socket":                        "ssh.socket",
		"user@1000.service":                 "user@1000.service",
		"postgresql@15-main.service":        "postgresql@15-main.service",
		"openvpn@10-office.service":         "openvpn@10-office.service",
		"openvpn@10-site2.service":          "openvpn@10-site2.service",
		"init.scope":                        "init.scope",
		"session-12.scope":                  "session-*.scope",
		"session-c3.scope":                  "session-*.scope",
		"docker-" + hash + ".scope":         "docker-*.scope",
		"cri-containerd-" + hash + ".scope": "cri-containerd-*.scope",
		"run-u14.service":                   "run-*.service",
		"run-r0f3b2c4d5e6f4a1b9c8d7e6f5a4b3c2d.scope":          "run-*.scope",
		"run-p12-i34.scope":                                    "run-*.scope",
		"app-gnome-firefox-4711.scope":                         "app-gnome-firefox-*.scope",
		`app-org.kde.konsole@8f3a1b.service`:                   "app-org.kde.konsole@*.service",
		"vte-spawn-0f3b2c4d-5e6f-4a1b-9c8d-7e6f5a4b3c2d.scope": "vte-spawn-*.scope",
		`machine-qemu\x2d1\x2ddebian.scope`:                    "machine-qemu-*-debian.scope",
		"sshd@3-10.0.0.1:22-10.0.0.2:5555.service":             "sshd@*.service",
		"systemd-coredump@1-4711-0.service":                    "systemd-coredump@*.service",
		"libpod-conmon-abc.scope":                              "libpod-conmon-abc.scope",
	} {
		if got := stableUnit(in); got != want {
			t.Errorf("stableUnit(%q) = %q, want %q", in, got, want)
		}
	}
}
