// Package sockdiag is the source "netlink": it asks the kernel for its sockets
// over NETLINK_SOCK_DIAG, the interface that ss uses.
//
// It hides the whole of that interface: the requests, the conditions that are
// compiled into the kernel's bytecode (bytecode.go), the answers (message.go),
// the sockets that are kept in each network namespace (netns_linux.go), and
// what is left out because a cheap look shows that it is empty (census.go).
// The hot loop is dump.datagram in message.go: one pass over each datagram,
// no allocation per socket.
//
// The kernel keeps the TCP sockets of all namespaces in one table and walks
// all of it for each dump, whichever namespace asks. So the cost of a
// namespace is that of the host's table, and every walk that is not made
// counts. Three things save walks: both address families come out of one
// (request.go), a namespace that holds nothing is not asked (census.go), and
// one in which everything is a listener is not asked for more (plan_linux.go).
package sockdiag
