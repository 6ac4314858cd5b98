// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0
/*
 * What hash_walk tells, for kernels that cannot do it: the sockets that no
 * descriptor holds, by the kernel's own iterators over its tables (Linux 5.9).
 * Each shows one network namespace, that of the thread that opened it. Of a
 * socket that has a file only the inode is given, and its namespace as the
 * element in which it was met.
 *
 * The kernel holds the socket while we look. Nothing is made of that: sockets
 * are looked at as hash_walk does.
 */
#include "view.h"

/* The kernel gives GPL-only helpers to a known few names of licences only. */
char LICENSE[] SEC("license") = "Dual BSD/GPL";

union record {
	struct socket_record socket;
	struct tcp_record tcp;
	struct id_record id;
};

/* Writes what the look at a socket gave; 1 where it did not fit. */
static always_inline int tell(void *seq, union record *r, const struct view *v, u64 address,
			      int verdict)
{
	const struct net *net = NULL;

	if (verdict == TELL_ID) {
		r->id = (struct id_record){TAG(RECORD_ID), r->socket.netns, r->socket.inode,
					   r->socket.netns};
		return bpf_seq_write(seq, &r->id, sizeof(r->id)) ? 1 : 0;
	}
	if (verdict != TELL && verdict != TELL_TCP)
		return 0;
	probe(&net, &((const struct sock_common *)address)->skc_net.net);
	if (r->socket.device && put_device(seq, net, r->socket.netns, r->socket.device))
		return 1;
	if (bpf_seq_write(seq, &r->socket, sizeof(r->socket)))
		return 1;
	if (verdict != TELL_TCP || !(v->flags & ASK_TCPINFO))
		return 0;
	put_tcp(&r->tcp, address);
	return bpf_seq_write(seq, &r->tcp, sizeof(r->tcp)) ? 1 : 0;
}

static always_inline void begin(struct view *v, u32 kind, u32 proto)
{
	struct question q = {};

	read_question(&q);
	v->t.kind = kind;
	v->t.proto = proto;
	v->states = q.states;
	v->protos = q.protos;
	v->flags = q.flags;
	v->number = q.number;
}

/*
 * The kernel knows three kinds of TCP sockets: whole ones, and those of
 * TIME_WAIT and of connections that are being made, of which there is less.
 */
SEC("iter/tcp")
int tcp_sockets(struct bpf_iter__tcp *ctx)
{
	struct view v = {};
	union record r = {};
	u64 address = 0;
	u8 state = 0;
	int verdict;

	/* As a number: what is told of it is read by probes. */
	if (!ctx->sk_common || probe(&address, (u64 *)&ctx->sk_common))
		return 0;
	begin(&v, TABLE_TCP, PROTO_TCP);
	probe(&state, (u8 *)&((const struct sock_common *)address)->skc_state);
	if (state == TCP_TIME_WAIT || state == TCP_NEW_SYN_RECV)
		verdict = view_minor(&v, &r.socket, address);
	else
		verdict = view_socket(&v, &r.socket, address);
	return tell(ctx->meta->seq, &r, &v, address, verdict);
}

SEC("iter/udp")
int udp_sockets(struct bpf_iter__udp *ctx)
{
	struct view v = {};
	union record r = {};
	u64 address = 0;

	if (!ctx->udp_sk || probe(&address, (u64 *)&ctx->udp_sk))
		return 0;
	begin(&v, TABLE_UDP, PROTO_UDP);
	return tell(ctx->meta->seq, &r, &v, address, view_socket(&v, &r.socket, address));
}
