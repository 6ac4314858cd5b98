// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0
/*
 * Sessions as they open and close, in all network namespaces, with the process
 * that opened each. Nothing here decides anything about them: programs at
 * tracepoints cannot, and those at the root cgroup let everything through.
 *
 * The hot paths are tcp_state, for each connection a few times, and udp_sent and
 * udp_received, for each datagram. The programs, by header:
 *
 *	process.h  find_reader       run once: the pid namespace of the reader
 *	           process_exec      sched_process_exec: a known process is another
 *	           process_exit      sched_process_exit
 *	mptcp.h    how a session of MPTCP and its subflows stand to each other
 *	tcp.h      tcp_state         inet_sock_set_state: connect, listen, open, close
 *	           tcp_state_again   the same, for what the kernel leaves tcp_state out of
 *	connect.h  tcp_connect4, 6   cgroup: a connect and its process
 *	           route4, 6         fib_table_lookup: why a connect fails at once
 *	           tcp_peer4, 6      cgroup: accept and its process
 *	flush.h    flush             run by each look of the reader
 *	cork.h     flush_corks       run by each look of the reader
 *	udp.h      udp_release       cgroup: a socket closes, and its flows end
 *	           udp_bind4, 6      cgroup: bind, after it went well
 *	           udp_sendmsg4, 6   cgroup: to where an unconnected socket sends
 *	           udp_recvmsg4, 6   cgroup: from where it receives
 *	           udp_sent          sock_send_length: counts datagrams (Linux 6.3)
 *	           udp_received      sock_recv_length
 *	           udp_gro           skb_copy_datagram_iovec: several as one
 *	packet.h   packet_out        cgroup: counts packets instead, where asked to or
 *	           packet_in         before 6.3
 *	           packet_dropped    udp_fail_queue_rcv_skb: packets that found no room
 *	           udp_connect4, 6   cgroup: who uses a socket
 *	           flush_flows       run by each look of the reader
 */
#include "flush.h"
#include "packet.h"

/* The kernel gives GPL-only helpers only to a few known names of licences. */
char LICENSE[] SEC("license") = "Dual BSD/GPL";
