// Package procnet is the source procfs: it reads sockets from the kernel's text
// files /proc/TID/net/{tcp,tcp6,udp,udp6,udplite,udplite6}.
//
// It is the plain reference to judge the other sources by, and the last resort.
// It needs no privilege for namespaces with a visible thread, and works on any
// root of procfs, a captured one too. The hot loop is in parse.go; table.go
// turns reads of a file into lines.
//
// These files lack cookie, mark, bound device, v6only, scope, the limit of a
// listener's accept queue, TCP's figures, and sockets that are bound and
// neither listening nor connected. An MPTCP session shows as its first TCP
// subflow.
package procnet
