package main

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// TestFull wants every command, and its help, to fail if its output cannot be
// written.
func TestFull(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	lines := []string{
		"help", "--help", "help filter", "help template", "--version", "version", "version -o json", "fields", "fields -o json",
		"completion bash", "completion zsh", "completion fish", "__complete count -", "doctor", "doctor -o json", "doctor --zabbix",
		"zabbix template", "zabbix template --trapper", "zabbix get", "zabbix get --bogus", "zabbix count", "zabbix discovery listen",
		"zabbix discovery process", "zabbix send", "zabbix send --values", "count -a", "count -a -o json", "-a -o json", "-a -o jsonl",
		"-a -o csv", "-a -o tsv", "-a -o wide", "-a", "watch --for 10s --events standing -o jsonl", "watch --for 1s -q --summary",
	}
	for _, c := range allCommands(newRoot(newShell(nil, nil))) {
		path := strings.TrimPrefix(c.CommandPath(), "whose ")
		if c.Hidden || strings.HasPrefix(path, "help") {
			continue
		}
		lines = append(lines, path+" --help", "help "+path)
	}
	if len(lines) < 50 {
		t.Fatalf("only %d command lines", len(lines))
	}
	for _, line := range lines {
		cmd := exec.Command("whose", strings.Fields(line)...)
		var said strings.Builder
		cmd.Stdout, cmd.Stderr = full, &said
		_ = cmd.Run()
		silent := strings.HasPrefix(line, "zabbix get") && !strings.Contains(line, "help")
		if code := cmd.ProcessState.ExitCode(); code != exitFailed || !silent && !strings.Contains(said.String(), "no space left") {
			t.Errorf("whose %s: status %d; it said %s", line, code, said.String())
		}
	}
}
