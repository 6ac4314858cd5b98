// Package proc reads what a procfs knows about processes: which descriptors
// they hold, which network namespaces they are in, and which user, unit,
// container and pod they belong to.
//
// It works under any root: /proc, a host's /proc mounted elsewhere, or a
// captured tree of plain files. Where the root is a live procfs of the
// caller's own pid namespace more is possible: comparing descriptor tables and
// looking into sockets.
//
// Nothing here attaches to a process or opens its files. Exit of a process in
// the middle of a pass is normal and never an error; what may not be read is
// counted. The parsers take bytes, are apart from the reading, and build on
// every platform; the reading is for Linux.
//
// Names that processes chose (comm, command line, executable, cgroup) are
// handed out as they are, any bytes among them.
package proc
