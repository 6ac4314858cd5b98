// Package proc reads from a procfs the sockets held by processes, the network
// namespaces, and the user, unit, container and pod of a process.
//
// It works under any root: /proc, a host's /proc mounted elsewhere, or a
// captured tree of plain files. A live procfs of the caller's own pid namespace
// ([FS.Own]) allows more: comparing descriptor tables, and asking sockets for
// their namespaces. For the latter alone, [FS.NetNSOfSockets] borrows
// descriptors of other processes for a moment. Nothing here stops a process or
// opens one of its files.
//
// Reading the command line of a process may never return, and nor may any call on
// a root that is no procfs. Such calls are made beside the caller and given up
// after a while.
//
// Processes exit in the middle of a pass: this is never an error. Things that
// may not be read are counted. Parsers take bytes, are apart from the reading,
// and build on every platform; the reading is for Linux.
//
// Names chosen by processes (comm, command line, executable, cgroup) are handed
// out as they are, any bytes among them.
package proc
