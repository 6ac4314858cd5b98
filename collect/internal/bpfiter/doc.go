// Package bpfiter is the source "bpf": it reads the host's TCP and UDP sockets
// and their owners with BPF iterators, in one pass over all network namespaces.
//
// Two programs answer together. fd_walk reads the descriptor tables of every
// process and gives socket, process and descriptor at once; task_file does the
// same on kernels before Linux 6.2, and for questions it is made for. hash_walk
// visits the kernel's socket tables and gives the sockets without a descriptor:
// connections in the accept queue, TIME_WAIT, sockets in flight over a UNIX
// socket. There is no hash_walk before Linux 5.19. There the source finds the
// holders of sockets, and reports in its Capabilities that it does not find all
// sockets; package collect reads the others by netlink.
//
// The programs are loaded by this process, which takes CAP_BPF and CAP_PERFMON,
// or found pinned in bpffs, which takes no more than permission to read the
// pinned files. Linux 5.11 or newer with BTF.
package bpfiter
