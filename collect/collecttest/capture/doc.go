// Capture writes what whose reads of a host's procfs to an archive, for the
// captured hosts of collecttest:
//
//	go run ./collect/collecttest/capture [-root /proc] > host.txtar
//
// The archive is scrubbed: addresses other than loopback, unspecified and
// link-local prefixes are replaced by addresses for documentation, the same by
// the same, and of command lines only the program's name is kept. Process
// names, paths of programs and names of control groups stay: read the archive
// before it leaves the host.
package main
