// Package procnet is the source procfs: it reads sockets from the kernel's
// text files /proc/TID/net/{tcp,tcp6,udp,udp6,udplite,udplite6}.
//
// It is the plain reference that judges the other sources, and the last
// resort: it needs no privilege for namespaces in which a visible thread is,
// and works on any root of procfs, a captured one too. The hot loop is in
// parse.go; table.go turns reads of a file into lines.
//
// What these files do not tell: cookie, mark, bound device, v6only, scope, the
// limit of a listener's accept queue, TCP's figures, and sockets that are bound
// and neither listening nor connected. An MPTCP session shows as its first TCP
// subflow.
package procnet
