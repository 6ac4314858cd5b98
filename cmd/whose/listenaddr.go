package main

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
)

// listenAddr reads an address to listen at: ADDR:PORT. Without ADDR it is 127.0.0.1,
// never all addresses.
func listenAddr(text string) (string, error) {
	host, port, err := net.SplitHostPort(text)
	if err != nil {
		host, port = "", text
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 && host == "" {
		return "", fmt.Errorf("want ADDR:PORT or a port, got %q", text)
	}
	switch host {
	case "", "localhost":
		host = "127.0.0.1"
	default:
		if _, err := netip.ParseAddr(host); err != nil {
			return "", fmt.Errorf("want an IP address before the port, got %q", text)
		}
	}
	return net.JoinHostPort(host, port), nil
}
