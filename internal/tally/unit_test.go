package tally

import (
	"strings"
	"testing"
)

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
		if got := StableUnit(in); got != want {
			t.Errorf("StableUnit(%q) = %q, want %q", in, got, want)
		}
	}
}
