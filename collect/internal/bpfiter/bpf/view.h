// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0
/*
 * Looking at one socket that a chain leads to. Nothing of it is proven to the
 * verifier, and it may be another one by now: what is read counts only if the
 * front is the same afterwards.
 */
#pragma once

#include "key.h"
#include "origin.h"
#include "tables.h"

/* What the functions that look at a socket have to know. */
struct view {
	struct table t;
	u32 bucket; /* the one that is walked */
	u32 element, netns; /* the namespace, if it is an own table */
	u32 number;	    /* of the question, as what follows */
	struct brief b;
	u16 states;
	u8 protos, flags;
};

static always_inline u64 cgroup_of(const struct sock *sk)
{
	struct cgroup *cgroup = NULL;
	struct kernfs_node *node = NULL;
	u64 id = 0;

	/* Where there is a class id beside it, the pointer is a plain one. */
	if (!field_exists(sk->sk_cgrp_data.classid) || !field_exists(sk->sk_cgrp_data.cgroup))
		return 0;
	if (!probe(&cgroup, &sk->sk_cgrp_data.cgroup) && cgroup && !probe(&node, &cgroup->kn) && node)
		probe(&id, &node->id);
	return id;
}

/* What only a whole socket has, as against TIME_WAIT and request sockets. */
static always_inline void put_whole(struct socket_record *r, const struct sock *sk,
				    const struct socket *socket)
{
	u32 kernel = 0;

	/* What a listener of the kernel's accepted is of its kind, and not its own. */
	probe_bit(&kernel, sk, sk_kern_sock);
	if (kernel && socket && r->flags & FLAG_NOFILE)
		r->flags |= FLAG_KERNEL;
	/* Before sk_ino the user was that of the inode, and without one nobody's. */
	if (socket || field_exists(sk->sk_ino))
		probe(&r->uid, &sk->sk_uid.val);
	probe(&r->mark, &sk->sk_mark);
	r->cgroup = cgroup_of(sk);
	put_queues(r, (u64)sk);
	put_origin(r, (u64)sk);
}

/*
 * A connection of MPTCP is several of TCP, its subflows. The first stands for
 * it, and the others are listed beside it. Returns the socket that sk is a subflow of, sk for any other, and
 * NULL for a subflow that is being wound up.
 */
static always_inline const struct sock *whole_of(const struct sock *sk,
						 const struct socket *socket)
{
	const struct sock *outer = NULL;
	const struct mptcp_subflow_context *subflow = NULL;
	u8 mptcp = 0;

	if (socket)
		return probe(&outer, &socket->sk) || !outer ? sk : outer;
	if (!field_exists(((struct tcp_sock *)0)->is_mptcp) ||
	    !type_exists(struct mptcp_subflow_context))
		return sk;
	probe(&mptcp, (u8 *)&((const struct tcp_sock *)sk)->is_mptcp);
	if (!mptcp)
		return sk;
	probe(&subflow, &((const struct inet_connection_sock *)sk)->icsk_ulp_data);
	if (subflow)
		probe(&outer, &subflow->conn);
	return outer;
}

/* Is it a subflow of an MPTCP session beside the first, whose ends the session has? */
static always_inline bool is_further(const struct sock *sk, const struct sock *subflow)
{
	const struct mptcp_sock *msk = (const void *)sk;
	const struct sock *first = subflow;

	if (field_exists(msk->first))
		probe(&first, &msk->first);
	return first && first != subflow;
}

enum verdict {
	PASS,	    /* nothing to emit */
	MOVED,	    /* the chain leads elsewhere */
	EMIT_ID,    /* the inode, which others look up */
	EMIT,	    /* the record */
	EMIT_TCP,   /* the record, and there is a struct tcp_sock */
	LOOK,	    /* a closer look at a whole socket is needed */
	LOOK_MINOR, /* and at one of which there is no more than the front */
};

#define MINOR_STATES (1 << TCP_TIME_WAIT | 1 << TCP_FIN_WAIT2 | 1 << TCP_SYN_RECV)

static always_inline bool asked(const struct view *v, const struct socket_record *r)
{
	return v->protos >> (r->proto & 31) & 1 && v->states >> (r->state & 31) & 1 &&
	       v->flags & (r->family == FAMILY_V6 ? ASK_V6 : ASK_V4);
}

/*
 * Looks at a socket of TIME_WAIT or at a request socket, of which there is no
 * more than the front.
 */
verified_once int view_minor(const struct view *v, struct socket_record *r, u64 address)
{
	const struct sock_common *c = (const void *)address;
	const struct net *net = NULL;
	struct front f = {};
	u32 bit = 0;

	if (!v || !r || read_front(&f, c))
		return MOVED;
	*r = (struct socket_record){.tag = TAG(RECORD_SOCKET), .proto = PROTO_TCP};
	r->flags = FLAG_NOFILE;
	if (FRONT(&f, u8, skc_state) == TCP_NEW_SYN_RECV) {
		r->state = TCP_SYN_RECV;
		r->flags |= FLAG_ACCEPTED;
		probe(&r->mark, &((const struct inet_request_sock *)c)->ir_mark);
	} else {
		probe(&r->state, (u8 *)&((const struct inet_timewait_sock *)c)->tw_substate);
		probe(&r->mark, &((const struct inet_timewait_sock *)c)->tw_mark);
		r->flags |= flag_of(origin_of_timewait((const void *)c));
	}
	r->family = hide(FRONT(&f, u16, skc_family) == AF_INET ? FAMILY_V4 : FAMILY_V6);
	if (!asked(v, r) || has(v->number, HAS_BITS))
		return PASS;
	put_ends(r, &f, c);
	probe(&net, &c->skc_net.net);
	probe(&r->netns, &net->ns.inum);
	if (!asks_netns(v->number, r->netns) || !asks_ends(v->number, r))
		return PASS;
	probe(&r->cookie, &c->skc_cookie.counter);
	probe(&r->device, &c->skc_bound_dev_if);
	probe_bit(&bit, c, skc_ipv6only);
	if (bit && r->family == FAMILY_V6)
		r->flags |= FLAG_V6ONLY;
	return is_same(&f, c) ? EMIT : MOVED;
}

/* Does a socket belong to another struct socket by now? */
static always_inline bool is_torn(const struct sock *sk, const struct socket *before)
{
	const struct socket *now = NULL;

	return probe(&now, &sk->sk_socket) || now != before;
}

/* Looks at a whole socket and puts its record into r. */
verified_once int view_socket(const struct view *v, struct socket_record *r, u64 address)
{
	const struct sock *inner = (const void *)address, *sk, *shown;
	const struct socket *socket = NULL;
	const struct file *file = NULL;
	const struct net *net = NULL;
	struct front f = {};
	u16 protocol = 0;
	u32 bit = 0;

	if (!v || !r)
		return PASS;
	*r = (struct socket_record){.tag = TAG(RECORD_SOCKET), .proto = v->t.proto};
	probe(&socket, &inner->sk_socket);
	sk = whole_of(inner, socket);
	if (sk != inner) {
		/* A subflow's socket may be one of MPTCP only. */
		if (v->t.kind > TABLE_LISTEN || probe(&protocol, &sk->sk_protocol) ||
		    protocol != IPPROTO_MPTCP)
			return PASS;
		r->proto = PROTO_MPTCP;
		socket = NULL;
		probe(&socket, &sk->sk_socket);
	}
	r->proto = hide(r->proto);
	/* Of a further subflow, its own ends, state and cookie. */
	shown = sk != inner && is_further(sk, inner) ? inner : sk;
	if (read_front(&f, shown))
		return MOVED;
	r->state = FRONT(&f, u8, skc_state);
	if (v->t.kind >= TABLE_UDP && r->state == TCP_CLOSE)
		r->state = STATE_UNCONN;
	r->state = hide(r->state);
	r->family = hide(FRONT(&f, u16, skc_family) == AF_INET ? FAMILY_V4 : FAMILY_V6);
	if (!asked(v, r))
		return PASS;
	if (socket)
		probe(&file, &socket->file);
	r->flags = hide(file ? FLAG_FILE : FLAG_NOFILE);
	if (shown != sk)
		r->flags |= FLAG_SUBFLOW;
	r->inode = inode_of(sk, socket);
	/*
	 * Without a file it is the kernel's, or was accepted since sk_socket was read,
	 * or closed and is another socket by now.
	 */
	if (!file && r->inode && is_torn(sk, socket))
		return MOVED;
	if (has(v->number, HAS_BITS) && (!file || !wanted_bit(v->number, r->inode)))
		return PASS;
	probe(&net, &sk->__sk_common.skc_net.net);
	probe(&r->netns, &net->ns.inum);
	if (!asks_netns(v->number, r->netns))
		return PASS;
	put_ends(r, &f, &shown->__sk_common);
	if (!asks_ends(v->number, r))
		return PASS;
	if (file && shown == sk && !(v->flags & ASK_FULL))
		return is_same(&f, &sk->__sk_common) ? EMIT_ID : MOVED;
	if (file)
		r->start = file_key((u64)file);

	probe(&r->cookie, &shown->__sk_common.skc_cookie.counter);
	probe(&r->device, &shown->__sk_common.skc_bound_dev_if);
	probe_bit(&bit, &shown->__sk_common, skc_ipv6only);
	if (bit && r->family == FAMILY_V6)
		r->flags |= FLAG_V6ONLY;
	put_whole(r, sk, socket);
	if (!is_same(&f, &shown->__sk_common))
		return MOVED;
	return r->proto == PROTO_TCP ? EMIT_TCP : EMIT;
}

/*
 * Most sockets are not those that are asked for, and their front shows it. A subflow
 * of MPTCP is judged by its own ends; the session comes with those that meet them.
 */
verified_once int may_meet(const struct view *v, const struct front *f, u64 address)
{
	const struct sock_common *c = (const void *)address;
	u32 local, remote;

	if (!v || !f)
		return 1;
	local = FRONT(f, u32, skc_rcv_saddr);
	remote = FRONT(f, u32, skc_daddr);
	if (v->b.mask && FRONT(f, u16, skc_family) != AF_INET) {
		probe(&local, (const u32 *)&c->skc_v6_rcv_saddr.in6_u.u6_addr8[12]);
		probe(&remote, (const u32 *)&c->skc_v6_daddr.in6_u.u6_addr8[12]);
	}
	return meets_brief(&v->b, FRONT(f, u16, skc_num), __builtin_bswap16(FRONT(f, u16, skc_dport)),
			   local, remote);
}

static always_inline bool has_pair(u32 number, const struct front *f)
{
	u16 rport = __builtin_bswap16(FRONT(f, u16, skc_dport));

	return !rport || wanted_bit(number, pair_bits(FRONT(f, u16, skc_num), rport));
}

/*
 * Most sockets have a file, and most questions are for no more than their
 * inode. Since Linux 6.17 that is in the socket itself: struct socket, which
 * is other memory, is left alone.
 */
verified_once int view_id(const struct view *v, struct id_record *r, u64 address)
{
	const struct sock *sk = (const void *)address;
	const struct net *net = NULL;
	struct socket_record kind;
	struct front f = {};
	unsigned long inode = 0;
	u32 kernel = 0;

	if (!v || !r || read_front(&f, sk))
		return MOVED;
	if (v->t.kind == TABLE_TCP && (FRONT(&f, u32, skc_hash) & v->t.mask) != v->bucket)
		return MOVED;
	if (has(v->number, HAS_ENDS) && !may_meet(v, &f, address))
		return is_same(&f, &sk->__sk_common) ? PASS : MOVED;
	kind.state = FRONT(&f, u8, skc_state);
	if (has(v->number, HAS_PAIRS) && !has_pair(v->number, &f))
		return PASS;
	if (v->t.kind == TABLE_TCP &&
	    (kind.state == TCP_TIME_WAIT || kind.state == TCP_NEW_SYN_RECV))
		return v->states & MINOR_STATES ? LOOK_MINOR : PASS;
	if (!field_exists(sk->sk_ino))
		return LOOK;
	probe_bit(&kernel, sk, sk_kern_sock);
	probe(&inode, &sk->sk_ino);
	r->inode = inode;
	if (kernel || !r->inode)
		return LOOK;
	if (has(v->number, HAS_BITS) && !wanted_bit(v->number, r->inode))
		return PASS;
	if (v->flags & ASK_FULL || has(v->number, HAS_BITS | HAS_ENDS))
		return LOOK;
	if (v->t.kind >= TABLE_UDP && kind.state == TCP_CLOSE)
		kind.state = STATE_UNCONN;
	kind.proto = v->t.proto;
	kind.family = hide(FRONT(&f, u16, skc_family) == AF_INET ? FAMILY_V4 : FAMILY_V6);
	if (!asked(v, &kind))
		return PASS;
	probe(&net, &sk->__sk_common.skc_net.net);
	probe(&r->netns, &net->ns.inum);
	if (!asks_netns(v->number, r->netns))
		return PASS;
	return is_same(&f, &sk->__sk_common) ? EMIT_ID : MOVED;
}
