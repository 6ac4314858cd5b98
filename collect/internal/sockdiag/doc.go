// Package sockdiag is the source "netlink": it asks the kernel for its sockets
// over NETLINK_SOCK_DIAG, the interface of ss.
//
// A call of Read becomes jobs for two workers (pass_linux.go). A job is one
// lane of one namespace, TCP or UDP (lane_linux.go, tcp_linux.go), and makes
// dumps: a request (request.go) with conditions in the kernel's bytecode
// (bytecode.go), sent over a socket of the namespace (conn_linux.go,
// space_linux.go), and an answer (message.go). A cheap look leaves out empty
// tables (census.go); large ones are listed in two halves (split_linux.go).
//
// The hot loop is dump.datagram in message.go: one pass over each datagram, no
// allocation per socket.
//
// The kernel keeps the TCP sockets of all namespaces in one table, and walks
// all of it for each dump: a namespace costs as much as the host. Three rules
// save walks. Both address families come out of one walk (request.go), an empty
// namespace is not asked (census.go), and a namespace with nothing but
// listeners is asked for those only (tcp_linux.go).
package sockdiag
