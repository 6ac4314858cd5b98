package main

import (
	"bytes"
	"context"
	"strings"
	"testing"
)

// TestAgentTLS_Usage refuses flags that do not stand together, before anything begins.
func TestAgentTLS_Usage(t *testing.T) {
	for args, says := range map[string]string{
		"--tls-cert c --tls-key k":                           "--tls-cert: want --listen too",
		"--tls-client-ca a":                                  "--tls-client-ca: want --listen too",
		"--listen 0.0.0.0:1 --tls-cert c":                    "--tls-cert: want --tls-key too",
		"--listen 0.0.0.0:1 --tls-key k":                     "--tls-key: want --tls-cert too",
		"--listen 127.0.0.1:1 --tls-client-ca a":             "--tls-client-ca: want --tls-cert and --tls-key too",
		"--listen 0.0.0.0:1 --token t --tls-client-ca a":     "--tls-client-ca: want --tls-cert and --tls-key too",
		"--tls-cert c --tls-key k --tls-client-ca a --token": "flag needs an argument",
	} {
		var out, errs bytes.Buffer
		status := run(context.Background(), append([]string{"agent"}, strings.Fields(args)...), strings.NewReader(""), &out, &errs)
		if status != exitUsage || !strings.Contains(errs.String(), says) {
			t.Errorf("whose agent %s: status %d, %s; want %s", args, status, errs.String(), says)
		}
	}
}
