//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
)

// kept is what an agent kept of a turn.
type kept struct {
	// events are those of its sessions, two each. server counts the server's ends of
	// connections, lost the events it reports as lost.
	events, server, lost uint64
}

// agentOf is an agent that keeps history, answers at a socket and counts for Prometheus.
// Each turn begins with an empty history.
func agentOf(whose string, r room) watcher {
	dir := r.path("history")
	return watcher{
		name:   agentRow,
		args:   []string{whose, "agent", "--history", dir, "--socket", r.path("agent.sock"), "--metrics", "127.0.0.1:9477"},
		before: [][]string{{"rm", "-rf", dir}},
		read:   func(ctx context.Context) (kept, error) { return readHistory(ctx, whose, dir) },
	}
}

// readHistory asks the history of a turn.
func readHistory(ctx context.Context, whose, dir string) (k kept, err error) {
	text, err := exec.CommandContext(ctx, whose, "history", "--history", dir, "-o", "json").Output()
	if err != nil {
		return k, fmt.Errorf("read history: %w", err)
	}
	var all struct {
		Sessions uint64 `json:"sessions"`
		Gaps     []struct {
			Count uint64 `json:"count"`
		} `json:"gaps"`
	}
	if err := json.Unmarshal(text, &all); err != nil {
		return k, fmt.Errorf("read history: %w", err)
	}
	for _, g := range all.Gaps {
		k.lost += g.Count
	}
	k.events = 2 * all.Sessions
	text, err = exec.CommandContext(ctx, whose, "count", "--history", dir, "--from", "-1h", "--by", "proto", "-o", "jsonl",
		"lport", portText, "and", "established").Output()
	if err != nil {
		return k, fmt.Errorf("count history: %w", err)
	}
	for line := range bytes.Lines(text) {
		var group struct {
			Count uint64 `json:"count"`
		}
		if err := json.Unmarshal(line, &group); err != nil {
			return k, fmt.Errorf("count history: %w", err)
		}
		k.server += group.Count
	}
	return k, nil
}
