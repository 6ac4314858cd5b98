// Command engine runs ClickHouse for tests, from the library that the npm package
// @chdb/lib-linux-x64-gnu holds: a server over HTTP and TCP, with its data in a folder,
// until it is killed. It stays out of the module, since no program of ours links it.
package main

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"unsafe"

	"github.com/ebitengine/purego"
)

func main() {
	if len(os.Args) != 4 {
		fmt.Fprintln(os.Stderr, "usage: engine LIBRARY CONFIG DATA")
		os.Exit(2)
	}
	if err := serve(os.Args[1], os.Args[2], os.Args[3]); err != nil {
		fmt.Fprintln(os.Stderr, "engine:", err)
		os.Exit(1)
	}
}

// serve runs until the process is killed.
func serve(library, config, data string) error {
	lib, err := purego.Dlopen(library, purego.RTLD_NOW|purego.RTLD_GLOBAL)
	if err != nil {
		return err
	}
	var query func(argc int32, argv unsafe.Pointer) unsafe.Pointer
	purego.RegisterLibFunc(&query, lib, "chdb_query_cmdline")
	args := []string{
		"clickhouse", "--path=" + data, "--config-file=" + config, "--multiquery", "--query",
		"SYSTEM START LISTEN HTTP; SYSTEM START LISTEN TCP; " + strings.Repeat("SELECT sleepEachRow(3) FROM numbers(1200) SETTINGS function_sleep_max_microseconds_per_block=0 FORMAT Null; ", 24),
	}
	texts := make([][]byte, len(args))
	argv := make([]*byte, len(args)+1)
	for i, a := range args {
		texts[i] = append([]byte(a), 0)
		argv[i] = &texts[i][0]
	}
	var pin runtime.Pinner
	defer pin.Unpin()
	for _, p := range argv[:len(args)] {
		pin.Pin(p)
	}
	query(int32(len(args)), unsafe.Pointer(&argv[0]))
	return fmt.Errorf("the engine ended")
}
