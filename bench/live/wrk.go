//go:build linux

package main

import (
	"context"
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
	"time"
)

// A volley is the result of one run of wrk.
type volley struct {
	requests uint64
	rate     float64 // requests a second
	faults   string  // the errors reported by wrk, empty for none
}

// fire runs wrk without keep-alive.
func fire(ctx context.Context, path string, span time.Duration) (volley, error) {
	cmd := exec.CommandContext(ctx, path, "-t1", "-c32", fmt.Sprintf("-d%ds", max(1, int(span.Seconds()))),
		"-H", "Connection: close", fmt.Sprintf("http://127.0.0.1:%d/", serverPort))
	out, err := cmd.CombinedOutput()
	if err != nil {
		return volley{}, fmt.Errorf("run wrk: %w: %s", err, out)
	}
	return parseWrk(string(out))
}

var (
	wrkRequests = regexp.MustCompile(`(?m)^\s*(\d+) requests in `)
	wrkRate     = regexp.MustCompile(`(?m)^Requests/sec:\s*([\d.]+)`)
	wrkFaults   = regexp.MustCompile(`(?m)^\s*(Socket errors: .*|Non-2xx .*)$`)
)

func parseWrk(text string) (volley, error) {
	requests, rate := wrkRequests.FindStringSubmatch(text), wrkRate.FindStringSubmatch(text)
	if requests == nil || rate == nil {
		return volley{}, fmt.Errorf("read what wrk says: %.400q", text)
	}
	var v volley
	var err error
	if v.requests, err = strconv.ParseUint(requests[1], 10, 64); err != nil {
		return v, fmt.Errorf("read what wrk says: %w", err)
	}
	if v.rate, err = strconv.ParseFloat(rate[1], 64); err != nil {
		return v, fmt.Errorf("read what wrk says: %w", err)
	}
	if faults := wrkFaults.FindStringSubmatch(text); faults != nil {
		v.faults = faults[1]
	}
	return v, nil
}
