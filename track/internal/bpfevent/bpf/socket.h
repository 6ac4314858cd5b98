// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0
/* The facts of a TCP socket, as a record. */
#pragma once

#include "mptcp.h"

/* Reads a field of a socket: one that the verifier knows, or an address. */
#define get(sk, field)                                                                             \
	({                                                                                         \
		typeof((sk)->field) got = 0;                                                       \
		if (direct)                                                                        \
			got = (sk)->field;                                                         \
		else                                                                               \
			probe(&got, &(sk)->field);                                                 \
		got;                                                                               \
	})

static always_inline u64 inode_of(struct sock *sk, bool direct)
{
	struct socket *socket;
	unsigned long inode = 0;

	if (field_exists(sk->sk_ino))
		return get(sk, sk_ino);
	socket = get(sk, sk_socket);
	if (socket)
		probe(&inode, &((struct socket_alloc *)socket)->vfs_inode.i_ino);
	return inode;
}

static always_inline void put_addrs(u8 *local, u8 *remote, struct sock *sk, u16 family, bool direct)
{
	if (family == AF_INET) {
		map_v4(local, get(sk, __sk_common.skc_rcv_saddr));
		map_v4(remote, get(sk, __sk_common.skc_daddr));
		return;
	}
	if (!direct) {
		bpf_probe_read_kernel(local, 16, &sk->__sk_common.skc_v6_rcv_saddr);
		bpf_probe_read_kernel(remote, 16, &sk->__sk_common.skc_v6_daddr);
		return;
	}
	((u64 *)local)[0] = *(u64 *)&sk->__sk_common.skc_v6_rcv_saddr.in6_u.u6_addr8[0];
	((u64 *)local)[1] = *(u64 *)&sk->__sk_common.skc_v6_rcv_saddr.in6_u.u6_addr8[8];
	((u64 *)remote)[0] = *(u64 *)&sk->__sk_common.skc_v6_daddr.in6_u.u6_addr8[0];
	((u64 *)remote)[1] = *(u64 *)&sk->__sk_common.skc_v6_daddr.in6_u.u6_addr8[8];
}

static always_inline u32 v6only_of(struct sock *sk, bool direct)
{
	if (direct)
		return bit_of(&sk->__sk_common, skc_ipv6only) ? FLAG_V6ONLY : 0;
	return load_bit(&sk->__sk_common, skc_ipv6only) ? FLAG_V6ONLY : 0;
}

static always_inline u8 family_of(u16 family)
{
	return family == AF_INET ? FAMILY_V4 : family == AF_INET6 ? FAMILY_V6 : 0;
}

static always_inline u8 tcp_proto_of(u16 protocol)
{
	return protocol == IPPROTO_TCP ? PROTO_TCP : protocol == IPPROTO_MPTCP ? PROTO_MPTCP : 0;
}

static always_inline u32 netns_of(struct sock *sk, bool direct)
{
	struct net *net = get(sk, __sk_common.skc_net.net);

	return net ? get(net, ns.inum) : 0;
}

static always_inline u64 cgroup_of(struct sock *sk, bool direct)
{
	struct cgroup *cgroup = get(sk, sk_cgrp_data.cgroup);
	struct kernfs_node *kn = cgroup ? get(cgroup, kn) : NULL;

	return kn ? get(kn, id) : 0;
}

/*
 * Whether anybody asked for sockets of this kind in this namespace. This
 * comes before a note or a record is made, so unwanted ones take no room.
 */
static always_inline bool asks_socket(struct sock *sk, bool direct)
{
	return asks_kind(tcp_proto_of(get(sk, sk_protocol)),
			 family_of(get(sk, __sk_common.skc_family))) &&
	       (!conditions.n_netns || asks_netns(netns_of(sk, direct)));
}

/* The backlog of a listener; one of MPTCP listens by its first subflow. */
static always_inline u32 backlog_of(struct sock *sk, u32 proto, bool direct)
{
	if (!direct && proto == PROTO_MPTCP)
		sk = first_of(sk);
	return sk ? get(sk, sk_max_ack_backlog) : 0;
}

/*
 * Fills in the socket's own facts. With `direct` it is a tcp_sock known
 * to the verifier, otherwise an address. False where nobody asked for it.
 */
static always_inline bool put_socket(struct tcp_record *r, struct sock *sk, const struct note *n,
				     bool direct)
{
	struct inet_sock *inet = (void *)sk;
	u16 family = get(sk, __sk_common.skc_family);

	r->proto = hide(tcp_proto_of(get(sk, sk_protocol)));
	r->family = hide(family_of(family));
	r->netns = netns_of(sk, direct);
	if (!r->proto || !r->family || !asks_kind(r->proto, r->family) || !asks_netns(r->netns))
		return false;
	put_addrs(r->local, r->remote, sk, family, direct);
	r->lport = __builtin_bswap16(get(inet, inet_sport));
	r->rport = __builtin_bswap16(get(sk, __sk_common.skc_dport));
	if (!direct && n && !r->rport && n->rport) {
		/* A connect of MPTCP that failed at once. */
		r->rport = n->rport;
		__builtin_memcpy(r->remote, n->remote, sizeof(r->remote));
	}
	if (!(listeners && r->what & (WHAT_LISTEN | WHAT_UNLISTEN)) &&
	    !asks_ends(r->local, r->remote, r->lport, r->rport))
		return false;
	r->flags = hide(v6only_of(sk, direct));
	r->inode = inode_of(sk, direct);
	r->uid = get(sk, sk_uid.val);
	r->mark = get(sk, sk_mark);
	r->device = get(sk, __sk_common.skc_bound_dev_if);
	r->cgroup = cgroup_of(sk, direct);
	r->err = get(sk, sk_err);
	r->isn = r->other_isn = 0;
	r->sent = r->received = 0;
	r->rtt = 0;
	r->retrans = 0;
	if (r->what & (WHAT_LISTEN | WHAT_UNLISTEN))
		r->retrans = backlog_of(sk, r->proto, direct);
	return true;
}

/* The counts; the other end's FIN is none of the bytes. */
static always_inline void put_counts(struct tcp_record *r, struct tcp_sock *tcp)
{
	struct sock *sk = (void *)tcp;

	r->rtt = tcp->srtt_us >> 3;
	if (!(r->what & (WHAT_LISTEN | WHAT_UNLISTEN)))
		r->retrans = tcp->total_retrans;
	r->sent = tcp->bytes_sent - tcp->bytes_retrans;
	r->received = tcp->bytes_received;
	if (r->received && sk->__sk_common.skc_flags & 1 << SOCK_DONE)
		r->received--;
	/* Until connect comes back, the socket is unconnected. */
	if (!tcp->segs_out && sk->sk_socket && load(sk->sk_socket, state) == SS_UNCONNECTED)
		r->flags |= FLAG_UNSENT;
}

static always_inline void put_mptcp(struct tcp_record *r, struct mptcp_sock *msk,
				    const struct note *n)
{
	u64 again = 0;

	if (r->what & WHAT_FAIL && n && !r->err)
		r->err = n->err;
	if (!field_exists(msk->bytes_sent))
		return;
	probe(&r->sent, &msk->bytes_sent);
	probe(&again, &msk->bytes_retrans);
	probe(&r->received, &msk->bytes_received);
	r->sent -= again;
}

static always_inline void put_isns(struct tcp_record *r, struct isns n)
{
	r->isn = n.own;
	r->other_isn = n.other;
	if (n.own | n.other)
		r->flags |= FLAG_ISNS;
}

/*
 * The initial numbers of a connection, in the hands of whoever has its socket: 0 for
 * both where they are not known.
 */
static always_inline struct isns isns_in_hand(struct tcp_sock *tcp, enum origin origin)
{
	if (!origin || tcp->repair_queue || bit_of(tcp, repair))
		return (struct isns){};
	return isns_of(tcp->snd_una - (u32)tcp->bytes_acked, tcp->rcv_nxt - (u32)tcp->bytes_received, origin);
}

static always_inline void put_note(struct tcp_record *r, const struct note *n, u64 cookie)
{
	r->kind = RECORD_TCP;
	r->old_state = 0;
	r->cookie = cookie;
	r->pad = 0;
	if (!n) {
		r->called = r->opened = r->start = 0;
		r->tgid = r->pid = 0;
		return;
	}
	r->called = n->called;
	r->opened = n->opened;
	r->start = n->who.start;
	r->tgid = n->who.tgid;
	r->pid = n->who.pid;
	if (!r->inode)
		r->inode = n->inode;
	put_isns(r, n->isns);
}

/* The facts for a record beside the socket's own. */
struct emission {
	u64 cookie;
	u64 now;
	u32 what;
	u32 flags;
	u32 old; /* state */
	struct who queued; /* with FLAG_QUEUED: the process that ended the listener */
};

/*
 * A record of one socket, by a program that has it. Separate functions,
 * as here, keep their paths from multiplying with those behind.
 */
static noinline int emit(struct sock *sk, struct tcp_sock *tcp, const struct note *n,
			 const struct emission *about)
{
	u32 what = about->what & wanted;
	struct tcp_record *r;
	bool asked;

	if (!what || !(tcp ? asks_socket((void *)tcp, true) : asks_socket(sk, false)))
		return 0;
	r = reserve(sizeof(*r), count_events(what));
	if (!r)
		return 0;
	r->what = what;
	asked = tcp ? put_socket(r, (void *)tcp, n, true) : put_socket(r, sk, n, false);
	if (!asked) {
		bpf_ringbuf_discard(r, BPF_RB_NO_WAKEUP);
		return 0;
	}
	put_note(r, n, about->cookie);
	r->old_state = about->old;
	r->time = about->now;
	r->flags |= about->flags;
	if (about->flags & FLAG_QUEUED) {
		r->start = about->queued.start;
		r->tgid = about->queued.tgid;
		r->pid = about->queued.pid;
	}
	if (tcp) {
		put_counts(r, tcp);
		if (!n && r->what & WHAT_CLOSE)
			put_isns(r, isns_in_hand(tcp, about->flags & FLAG_OUT  ? ORIGIN_CONNECTED
						      : about->flags & FLAG_IN ? ORIGIN_ACCEPTED
									       : ORIGIN_UNKNOWN));
	}
	if (!tcp)
		put_mptcp(r, (void *)sk, n);
	submit(r);
	return 0;
}
