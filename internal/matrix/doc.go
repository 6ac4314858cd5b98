// Matrix runs Go tests under other Linux kernels, each booted in QEMU, and
// under this machine's, and prints which passed where:
//
//	go run ./internal/matrix [flags] [package or file.test ...]
//
// For each kernel it takes Debian's package of that version, unpacks the image
// and the network modules, and lays them with busybox and the statically
// linked test binaries into an initramfs whose /init runs the tests as root
// and writes to the serial console. Nothing is installed but what Debian's
// packages qemu-system-x86, busybox-static and kmod bring, and only where it
// is missing. Nothing on the host is changed: the packages and what is unpacked
// from them stay in the cache folder.
//
// The exit status is 0 where every test passed or was skipped under every
// kernel, 1 where one failed, 2 where a kernel could not be tried.
package main
