// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0
/*
 * How programs look at sockets that they hold no reference on: by reads that
 * survive any pointer. bpf_rdonly_cast (Linux 6.2) makes such a read a single
 * load; what is built with PROBES calls bpf_probe_read_kernel for it. A load
 * that fails gives nought and tells nothing, so nobody may rely on the error
 * alone.
 */
#pragma once

#include "socket.h"

#ifdef PROBES
#define CASTS 0
#else
#define CASTS 1

extern void *bpf_rdonly_cast(const void *object, u32 type) __attribute__((section(".ksyms")));

/*
 * Stands for the number that the running kernel's BTF gives to struct
 * timespec64, which the loader puts in its place. It begins with a plain number
 * of 64 bits, and that is all that is wanted: what is at an address, as a number.
 */
#define WORD_TYPE 0x65736f77

typedef u64 __attribute__((may_alias)) any64;
typedef u32 __attribute__((may_alias)) any32;
typedef u16 __attribute__((may_alias)) any16;
typedef u8 __attribute__((may_alias)) any8;

#undef probe
#define probe(dst, src)                                                                            \
	({                                                                                         \
		const void *at_ = bpf_rdonly_cast((const void *)(src), WORD_TYPE);                 \
		switch (sizeof(*(dst))) {                                                          \
		case 8:                                                                            \
			*(any64 *)(dst) = *(const volatile any64 *)at_;                            \
			break;                                                                     \
		case 4:                                                                            \
			*(any32 *)(dst) = *(const volatile any32 *)at_;                            \
			break;                                                                     \
		case 2:                                                                            \
			*(any16 *)(dst) = *(const volatile any16 *)at_;                            \
			break;                                                                     \
		case 1:                                                                            \
			*(any8 *)(dst) = *(const volatile any8 *)at_;                              \
			break;                                                                     \
		}                                                                                  \
		0L;                                                                                \
	})
#endif

/* Tells the loading process that what it ran the program for was found. */
static always_inline int write_found(void *seq)
{
	struct task_record r = {.tag = TAG(RECORD_TASK)};

	return bpf_seq_write(seq, &r, sizeof(r)) ? 1 : 0;
}

static always_inline void probe16(u8 *dst, const void *src)
{
	u64 *words = (u64 *)dst;
	const u64 *from = src;

	probe(&words[0], &from[0]);
	probe(&words[1], &from[1]);
}

/*
 * The beginning of every kind of socket, copied at once: addresses, hash,
 * ports, family, state. It tells a socket from another in the same memory.
 */
struct front {
	u64 words[3];
};

#define FRONT(f, type, field)                                                                      \
	(*(type *)((u8 *)(f)->words + field_offset(struct sock_common, field)))

static always_inline long read_front(struct front *f, const void *from)
{
	const u64 *words = from;

	return probe(&f->words[0], &words[0]) || probe(&f->words[1], &words[1]) ||
	       probe(&f->words[2], &words[2]);
}

static always_inline bool is_same(const struct front *f, const struct sock_common *c)
{
	const u64 *words = (const u64 *)c;
	u64 first = 0, second = 0;

	if (probe(&first, &words[0]) || probe(&second, &words[1]))
		return false;
	return first == f->words[0] && second == f->words[1];
}

static always_inline void put_ends(struct socket_record *r, const struct front *f,
				   const struct sock_common *c)
{
	r->lport = FRONT(f, u16, skc_num);
	r->rport = __builtin_bswap16(FRONT(f, u16, skc_dport));
	if (r->family == FAMILY_V4) {
		map_v4(r->local, FRONT(f, u32, skc_rcv_saddr));
		map_v4(r->remote, FRONT(f, u32, skc_daddr));
		return;
	}
	probe16(r->local, &c->skc_v6_rcv_saddr);
	probe16(r->remote, &c->skc_v6_daddr);
}

/* As inet_diag counts them. */
verified_once int put_queues(struct socket_record *r, u64 address)
{
	const struct sock *sk = (const void *)address, *listener = sk;
	const struct tcp_sock *tcp = (const void *)sk;
	const struct mptcp_sock *msk = (const void *)sk;
	u32 a = 0, b = 0;
	s32 deficit = 0;

	if (!r)
		return 0;
	if (r->state == TCP_LISTEN) {
		/* Not every kernel is built with MPTCP. */
		if (field_exists(msk->first) && r->proto == PROTO_MPTCP)
			probe(&listener, &msk->first);
		probe(&r->recvq, &listener->sk_ack_backlog);
		probe(&r->sendq, &listener->sk_max_ack_backlog);
	} else if (r->proto == PROTO_TCP) {
		probe(&a, &tcp->rcv_nxt);
		probe(&b, &tcp->copied_seq);
		r->recvq = (s32)(a - b) > 0 ? a - b : 0;
		probe(&a, &tcp->write_seq);
		probe(&b, &tcp->snd_una);
		r->sendq = a - b;
	} else {
		if (r->proto != PROTO_MPTCP)
			probe(&deficit, &((const struct udp_sock *)sk)->forward_deficit);
		probe(&a, &sk->sk_backlog.rmem_alloc.counter);
		probe(&b, &sk->sk_wmem_alloc.refs.counter);
		r->recvq = a - deficit;
		r->sendq = b - 1;
	}
	return 0;
}

static always_inline u64 inode_of(const struct sock *sk, const struct socket *socket)
{
	unsigned long inode = 0;

	if (field_exists(sk->sk_ino))
		probe(&inode, &sk->sk_ino);
	else if (socket)
		probe(&inode, &((const struct socket_alloc *)socket)->vfs_inode.i_ino);
	return inode;
}

verified_once int put_tcp(struct tcp_record *r, u64 address)
{
	const struct tcp_sock *tcp = (const void *)address;
	const struct tcp_congestion_ops *ops = NULL;
	u64 again = 0;

	if (!r)
		return 0;
	*r = (struct tcp_record){.tag = TAG(RECORD_TCP)};
	probe(&r->srtt, &tcp->srtt_us);
	r->srtt >>= 3;
	probe(&r->retrans, &tcp->total_retrans);
	probe(&r->cwnd, &tcp->snd_cwnd);
	probe(&r->bytes_sent, &tcp->bytes_sent);
	probe(&again, &tcp->bytes_retrans);
	r->bytes_sent -= again;
	probe(&r->bytes_received, &tcp->bytes_received);
	probe(&ops, &tcp->inet_conn.icsk_ca_ops);
	bpf_probe_read_kernel(r->cong, sizeof(r->cong), ops->name);
	return 0;
}
