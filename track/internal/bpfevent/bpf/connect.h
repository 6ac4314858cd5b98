// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0
/* connect and accept, in the processes that call them. */
#pragma once

#include "tcp.h"

/* How long a connect may take to get on its way before it is called refused. */
#define ON_ITS_WAY 250000000ULL
/* listen finds its port, or gives up, after the state says LISTEN. */
#define LISTEN_SETTLED 10000000ULL

/*
 * A connect that came back at once: the socket never left CLOSE, or is gone.
 * The record is emitted if the word of its note has not changed since the look.
 */
static always_inline void emit_refused(struct note *n, u32 at, u64 was)
{
	struct tcp_record *r;

	if (!(wanted & WHAT_FAIL) || !asks_netns(n->netns))
		return;
	r = reserve(sizeof(*r), 1);
	if (!r)
		return;
	__builtin_memset(r, 0, sizeof(*r));
	put_note(r, n, was >> 8);
	r->what = WHAT_FAIL;
	r->flags = FLAG_OUT | FLAG_UNSENT;
	r->proto = PROTO_TCP;
	r->family = n->family;
	r->time = n->called;
	r->netns = n->netns;
	r->uid = n->uid;
	r->err = n->err;
	r->rport = n->rport;
	if (n->family == FAMILY_V4)
		map_v4(r->local, 0);
	__builtin_memcpy(r->remote, n->remote, sizeof(r->remote));
	if (!change_word(at, was, was | NOTE_EMITTED) ||
	    !asks_ends(r->local, r->remote, r->lport, r->rport)) {
		bpf_ringbuf_discard(r, BPF_RB_NO_WAKEUP);
		return;
	}
	submit(r);
}

/*
 * The reason for an immediate refusal shows only in the kernel's look-ups
 * on the way: the route, right after the program at connect ran.
 */
struct attempt {
	u64 cookie;
	u32 tid;
	u32 left; /* lookups that may still be its own */
};

struct {
	uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	uint(max_entries, 1);
	type(key, u32);
	type(value, struct attempt);
} attempt SEC(".maps");

#define MAX_LOOKUPS 8 /* as many tables may be asked before one has the route */

static always_inline void begin_attempt(u64 cookie)
{
	u32 zero = 0;
	struct attempt *a = bpf_map_lookup_elem(&attempt, &zero);

	if (!a)
		return;
	a->cookie = cookie;
	a->tid = bpf_get_current_pid_tgid();
	a->left = MAX_LOOKUPS;
}

static always_inline struct attempt *own_attempt(void)
{
	u32 zero = 0;
	struct attempt *a = bpf_map_lookup_elem(&attempt, &zero);

	return a && a->left && a->tid == (u32)bpf_get_current_pid_tgid() ? a : NULL;
}

/* A table was asked. With `last` no other follows. */
static always_inline void note_lookup(struct attempt *a, u32 err, bool last)
{
	bool first = a->left == MAX_LOOKUPS;
	struct note *n;

	a->left = last ? 0 : a->left - 1;
	if (first && !err)
		return;
	n = note_at(find_note(a->cookie));
	if (n)
		n->err = err;
}

SEC("tp_btf/fib_table_lookup")
int route4(u64 *ctx)
{
	struct attempt *a = own_attempt();
	s32 err = ctx[3];

	if (a)
		note_lookup(a, err == -EAGAIN ? ENETUNREACH : -err, err != -EAGAIN);
	return 0;
}

SEC("tp_btf/fib6_table_lookup")
int route6(u64 *ctx)
{
	struct net *net = (void *)ctx[0];
	struct fib6_result *res = (void *)ctx[1];
	struct attempt *a = own_attempt();
	u32 err = 0;

	if (!a)
		return 0;
	if (res->f6i == net->ipv6.fib6_null_entry) {
		note_lookup(a, ENETUNREACH, false);
		return 0;
	}
	switch (res->fib6_type) {
	case RTN_UNREACHABLE:
		err = EHOSTUNREACH;
		break;
	case RTN_BLACKHOLE:
		err = EINVAL;
		break;
	case RTN_PROHIBIT:
		err = EACCES;
		break;
	}
	note_lookup(a, err, true);
	return 0;
}

/* The remainder of an earlier connect: flush did not come by. */
static always_inline void end_attempt(struct note *n, u32 at, u64 cookie, u32 bits)
{
	if (bits == NOTE_OUT)
		emit_refused(n, at, cookie << 8 | NOTE_OUT | NOTE_BUSY);
	else if (bits && !(bits & (NOTE_EMITTED | NOTE_CLOSED)))
		count_loss(sockets, 1); /* it has ended, and no program told */
}

/*
 * The connect of a session's first subflow, which has been noted for the session:
 * after a refusal on the spot its socket does not know to where it was.
 */
static noinline int on_subflow_connect(struct bpf_sock_addr *ctx, struct sock *subflow, u8 family)
{
	struct note *n = connecting_note(subflow);

	if (!n)
		return 1;
	put_user_addr(n->remote, ctx, family);
	n->rport = __builtin_bswap16(ctx->user_port);
	begin_attempt(known_cookie((void *)n->sk));
	return 1;
}

/*
 * connect was called. An immediate refusal leaves no
 * other trace, so the note holds the destination.
 */
static always_inline int on_connect(struct bpf_sock_addr *ctx, u8 family)
{
	struct who who = {};
	struct tcp_sock *tcp;
	struct note *n;
	struct sock *sk;
	struct net *net;
	u32 before, at;
	u64 cookie;

	if (ctx->protocol != IPPROTO_TCP || !ctx->sk)
		return 1;
	tcp = bpf_skc_to_tcp_sock(ctx->sk);
	if (!tcp)
		return 1;
	sk = (void *)tcp;
	if (is_subflow(tcp))
		return on_subflow_connect(ctx, sk, family);
	if (!asks_kind(PROTO_TCP, family))
		return 1;
	name_current(sk, &who);
	cookie = bpf_get_socket_cookie(ctx);
	at = renew_note(cookie, &before);
	n = note_at(at);
	if (!n)
		return 1;
	end_attempt(n, at, cookie, before);
	n->sk = (u64)sk;
	n->called = bpf_ktime_get_boot_ns();
	n->opened = 0;
	n->inode = inode_of(sk, true);
	n->who = who;
	put_user_addr(n->remote, ctx, family);
	n->rport = __builtin_bswap16(ctx->user_port);
	n->family = family;
	n->uid = sk->sk_uid.val;
	n->err = n->doubt = 0;
	n->first = 0;
	n->isns = (struct isns){};
	net = sk->__sk_common.skc_net.net;
	n->netns = net ? net->ns.inum : 0;
	set_word(at, cookie << 8 | NOTE_OUT);
	begin_attempt(cookie);
	return 1;
}

SEC("cgroup/connect4")
int tcp_connect4(struct bpf_sock_addr *ctx)
{
	return on_connect(ctx, FAMILY_V4);
}

SEC("cgroup/connect6")
int tcp_connect6(struct bpf_sock_addr *ctx)
{
	return on_connect(ctx, FAMILY_V6);
}

static noinline int on_session_peer(struct bpf_sock_addr *ctx, u64 key)
{
	struct mptcp_sock *msk = NULL;
	u32 at;

	if (type_exists(struct mptcp_sock) && ctx->sk) /* else the kernel has no such helper */
		msk = bpf_skc_to_mptcp_sock(ctx->sk);
	if (!msk)
		return 1;
	at = find_session((void *)msk, &key);
	if (is_unclaimed(word_of(at)))
		claim((void *)msk, NULL, key, at);
	return 1;
}

/* accept asks for the peer's address, by the process that accepts. */
static always_inline int on_peer(struct bpf_sock_addr *ctx)
{
	struct tcp_sock *tcp;
	u64 cookie;
	u32 at;

	if (!ctx->sk || !tcp_proto_of(ctx->protocol))
		return 1;
	cookie = bpf_get_socket_cookie(ctx);
	if (ctx->protocol == IPPROTO_MPTCP)
		return on_session_peer(ctx, cookie);
	at = find_note(cookie);
	if (!is_unclaimed(word_of(at)))
		return 1;
	tcp = bpf_skc_to_tcp_sock(ctx->sk);
	if (tcp)
		claim((void *)tcp, tcp, cookie, at);
	return 1;
}

SEC("cgroup/getpeername4")
int tcp_peer4(struct bpf_sock_addr *ctx)
{
	return on_peer(ctx);
}

SEC("cgroup/getpeername6")
int tcp_peer6(struct bpf_sock_addr *ctx)
{
	return on_peer(ctx);
}
