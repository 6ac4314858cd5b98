// Package netlink speaks with sock_diag of the kernel: its socket, and the messages of
// requests and answers. What is asked belongs to the packages above.
package netlink
