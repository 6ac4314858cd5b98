package main

import "testing"

func TestListenAddr(t *testing.T) {
	for text, want := range map[string]string{
		"9477": "127.0.0.1:9477", ":9477": "127.0.0.1:9477", "localhost:9477": "127.0.0.1:9477", "127.0.0.1:0": "127.0.0.1:0",
		"[::1]:9477": "[::1]:9477", "0.0.0.0:9477": "0.0.0.0:9477", "[::]:1": "[::]:1", "10.0.0.1:65535": "10.0.0.1:65535",
	} {
		if got, err := listenAddr(text); err != nil || got != want {
			t.Errorf("%q is %q, %v; want %q", text, got, err, want)
		}
	}
	for _, text := range []string{"", ":", "0", ":0", "65536", "-1", "here", "here:9477", "::1:9477x", "127.0.0.1", "127.0.0.1:http", "1.2.3:4", "http://127.0.0.1:1"} {
		if got, err := listenAddr(text); err == nil {
			t.Errorf("%q is taken for %q", text, got)
		}
	}
}
