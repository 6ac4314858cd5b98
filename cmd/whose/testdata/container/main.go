// Command main is all that the image of TestContainerNames_Podman has: it listens on
// a port.
package main

import (
	"fmt"
	"net"
	"os"
)

func main() {
	l, err := net.Listen("tcp4", "0.0.0.0:8080")
	for err == nil {
		_, err = l.Accept()
	}
	fmt.Fprintln(os.Stderr, "main:", err)
	os.Exit(1)
}
